"""Files of arrays that are damaged, odd, or made to do harm."""

from __future__ import annotations

import io
import os
import random
import zipfile
from pathlib import Path

import numpy as np
import pytest

from engine.events import Preview
from engine.readers.arrays import ArraysError, load_arrays
from engine.readers.examples import example_heads
from engine.runfolder import RunFolder
from tui.state.images import PreviewImages, read_preview

IMAGES = {"image": np.arange(96, dtype=np.uint8).reshape(2, 6, 8), "slices": np.arange(2)}
PREVIEW = Preview(path="previews/a.npz", epoch=1, case="a")


def packed(compression: int) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, array in IMAGES.items():
            inner = io.BytesIO()
            np.save(inner, array)
            archive.writestr(f"{name}.npy", inner.getvalue())
    return stream.getvalue()


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    folder.previews.mkdir(parents=True)
    return folder


def test_what_is_whole_is_read(run: RunFolder) -> None:
    path = run.previews / "a.npz"
    np.savez_compressed(path, **IMAGES)
    assert load_arrays(path, ["slices", "none"]).keys() == {"slices"}
    assert isinstance(read_preview(run, PREVIEW, []), PreviewImages)
    with pytest.raises(ArraysError, match="too big"):
        load_arrays(path, most=100)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_a_flipped_bit_costs_one_line(run: RunFolder, compression: int) -> None:
    whole = packed(compression)
    draw = random.Random(0)
    for _ in range(300):
        content = bytearray(whole)
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        (run.previews / "a.npz").write_bytes(content)
        found = read_preview(run, PREVIEW, [])
        assert isinstance(found, PreviewImages) or found.startswith("the ")


def test_no_file_at_all(run: RunFolder) -> None:
    path = run.previews / "a.npz"
    assert read_preview(run, PREVIEW, []) == "the preview is no longer there"
    os.mkfifo(path)
    assert read_preview(run, PREVIEW, []) == "the preview cannot be read"
    path.unlink()
    with path.open("wb") as stream:
        stream.truncate(1 << 40)
    assert read_preview(run, PREVIEW, []) == "the preview cannot be read"
    path.unlink()
    (run.previews / "b.npz").write_bytes(packed(0))
    path.symlink_to("b.npz")
    assert read_preview(run, PREVIEW, []) == "the preview cannot be read"


def test_a_small_file_that_unpacks_to_gigabytes_is_not_unpacked(run: RunFolder) -> None:
    with (
        zipfile.ZipFile(run.previews / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("image.npy", "w", force_zip64=True) as member,
    ):
        for _ in range(100):
            member.write(bytes(1 << 20))
    assert read_preview(run, PREVIEW, []) == "the preview is too big to show"


def test_examples_behind_a_link_are_none(run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    np.savez(tmp_path / "other" / "test_a.npz", id=np.array("a"), role=np.array("best"))
    run.examples.symlink_to(tmp_path / "other")
    assert example_heads(run) == []
    run.examples.unlink()
    (tmp_path / "other").rename(run.examples)
    assert [(head.id, head.split, head.role) for head in example_heads(run)] == [("a", "test", "best")]
