"""``predict.py`` says in a line what it cannot do, and leaves nothing half done."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from tests.engine.export.exports import ended, full_disk, here, scan

for library in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(library)


def test_a_file_that_cannot_be_read_costs_no_other_and_results_are_not_replaced(volumes, tmp_path):
    scan(tmp_path / "in" / "good.nii.gz", "RAS", (1, 1, 1), cut=20)
    packed = (tmp_path / "in" / "good.nii.gz").read_bytes()
    (tmp_path / "in" / "cut.nii.gz").write_bytes(packed[: len(packed) // 2])
    (tmp_path / "in" / "bad.nii.gz").write_text("no scan")
    done = here(volumes[1], tmp_path / "in", "-o", tmp_path / "out")
    assert done.returncode == 1
    assert "left out: case bad: bad.nii.gz: it is no NIfTI file" in done.stderr
    assert "left out: case cut: " in done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["good.nii.gz"]
    again = here(volumes[1], tmp_path / "in" / "good.nii.gz", "-o", tmp_path / "out")
    assert again.returncode == 2
    assert "is there already" in again.stderr
    onto = here(volumes[1], tmp_path / "in" / "good.nii.gz", "-o", tmp_path / "in", "--overwrite")
    assert onto.returncode == 2
    assert "is an input" in onto.stderr
    assert (tmp_path / "in" / "good.nii.gz").read_bytes() == packed


def test_an_image_unlike_those_of_training_is_told(volumes, tmp_path):
    path = scan(tmp_path / "in" / "x.nii.gz", "RAS", (1, 1, 1), cut=20)
    image = nibabel.load(path)
    nibabel.save(nibabel.Nifti1Image(image.get_fdata(dtype=np.float32) * 1000, image.affine), path)
    assert "case x: values from" in here(volumes[1], path, "-o", tmp_path / "out").stderr


def damaged(folder: Path, place: Path, **changes: Any) -> Path:
    """A copy of an export whose model.json says something else."""
    copy = Path(shutil.copytree(folder, place))
    facts = json.loads((copy / "model.json").read_text())
    (copy / "model.json").write_text(json.dumps(facts | changes))
    return copy


def test_a_folder_that_is_damaged_is_refused_in_one_line(volumes, tmp_path):
    source = scan(tmp_path / "in" / "x.nii.gz", "RAS", (1, 1, 1), cut=20)
    image = json.loads((volumes[1] / "model.json").read_text())["image"]
    network = {"file": "model.onnx", "sha256": hashlib.sha256(b"junk").hexdigest()}
    junk = damaged(volumes[1], tmp_path / "junk", networks=[network])
    (junk / "model.onnx").write_bytes(b"junk")
    flipped = damaged(volumes[1], tmp_path / "flipped")
    content = bytearray((flipped / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (flipped / "model.onnx").write_bytes(content)
    texts = {"cut": "{", "list": "[]"}
    for name, text in texts.items():
        (damaged(volumes[1], tmp_path / name) / "model.json").write_text(text)
    (damaged(volumes[1], tmp_path / "gone") / "model.json").unlink()
    folders = {
        flipped: "not the file that was exported",
        junk: "model.onnx cannot be used by onnxruntime",
        tmp_path / "cut": "model.json is damaged",
        tmp_path / "list": "model.json is damaged",
        tmp_path / "gone": "No such file",
        damaged(volumes[1], tmp_path / "none", networks=[]): "model.json is damaged",
        damaged(volumes[1], tmp_path / "newer", format=2): "of another version than this predict.py",
        damaged(volumes[1], tmp_path / "size", image=image | {"size": [8, 8, 8]}): "does not fit model.onnx",
        damaged(volumes[1], tmp_path / "labels", label_values=[1]): "copy the folder again",
    }
    for folder, words in folders.items():
        done = here(folder, source, "-o", tmp_path / "out")
        assert done.returncode == 2, folder
        assert words in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.glob("out/*"))


def test_what_cannot_be_done_is_said_in_one_line(volumes, tmp_path):
    good = scan(tmp_path / "in" / "x.nii.gz", "RAS", (1, 1, 1), cut=20)
    twin = scan(tmp_path / "other" / "x.nii", "RAS", (1, 1, 1), cut=20)
    (tmp_path / "empty").mkdir()
    (tmp_path / "picture.png").write_bytes(b"")
    (tmp_path / "file").write_text("")
    values = np.random.default_rng(0).random((9, 9, 9))
    volumes_of = {
        "flat": values[0], "colours": np.stack([values] * 3, -1), "nan": np.where(values > 0.5, np.nan, values),
        "huge": values * 1e300, "same": np.ones((9, 9, 9)),
    }  # fmt: skip
    for name, array in volumes_of.items():
        nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), tmp_path / f"{name}.nii.gz")
    asked = bytearray(twin.read_bytes())
    asked[42:48] = np.array([30_000] * 3, "<i2").tobytes()  # the shape
    (tmp_path / "header.nii.gz").write_bytes(gzip.compress(asked))
    wrong = {
        ("nowhere",): "no input at", ("empty",): "hold no files to predict", ("picture.png",): "is not read",
        (good, twin): "several inputs are called x", ("flat.nii.gz",): "flat.nii.gz: it has the shape 9x9",
        ("colours.nii.gz",): "3 channels; the network takes 1", ("nan.nii.gz",): "NaN or infinite",
        ("huge.nii.gz",): "NaN or infinite", ("same.nii.gz",): "one value throughout",
        ("header.nii.gz",): "far more than its size on the disk",
    }  # fmt: skip
    for inputs, words in wrong.items():
        done = here(volumes[1], *(tmp_path / each for each in inputs), "-o", tmp_path / "out")
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
        assert words in done.stderr
    (tmp_path / "series" / "p1").mkdir(parents=True)
    for name in ("p1/IM1", "p1/1.2.3", "DICOMDIR"):
        (tmp_path / "series" / name).write_bytes(bytes(128) + b"DICM")
    done = here(volumes[1], tmp_path / "series", "-o", tmp_path / "out")
    assert done.stderr.startswith("left out: case p1: 1.2.3: its header does not say how it is written")
    assert not (tmp_path / "out").exists()
    (good.parent / "y.H5").touch()
    assert here(volumes[1], good.parent, "-o", tmp_path / "o").stderr.startswith("not read, convert to NIfTI: 1 of ")
    for output in ("file", "file/below"):
        done = here(volumes[1], good, "-o", tmp_path / output)
        assert done.returncode == 2
        assert "cannot write into" in done.stderr
    packed = good.read_bytes()
    good.write_bytes(packed + b"other bytes behind what is packed, as some archives leave them")
    assert here(volumes[1], good, "-o", tmp_path / "out").returncode == 0


def test_names_that_cannot_be_printed_are_spelt_out(volumes, tmp_path):
    source = scan(tmp_path / "in" / "x.nii.gz", "RAS", (1, 1, 1), cut=20)
    odd = os.fsencode(tmp_path) + b"/\x1b[2J\xff.nii.gz"
    shutil.copy(source, odd)
    done = here(volumes[1], os.fsdecode(odd), "-o", tmp_path / "out")
    assert done.returncode == 0
    assert done.stdout.endswith("\\x1b[2J\\udcff.nii.gz\n")
    assert os.listdir(os.fsencode(tmp_path / "out")) == [b"\x1b[2J\xff.nii.gz"]


def test_a_library_that_is_missing_is_told_with_its_command(volumes, tmp_path, monkeypatch):
    source = scan(tmp_path / "in" / "x.nii.gz", "RAS", (1, 1, 1), cut=20)
    for library in ("onnxruntime", "nibabel"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, library, None)
            done = here(volumes[1], source, "-o", tmp_path / "out")
        assert done.returncode == 2
        assert done.stderr.startswith("error: ")
        assert f"pip install -r {volumes[1] / 'requirements.txt'}" in done.stderr


def test_a_disk_that_takes_no_more_leaves_no_half_of_a_mask(volumes, tmp_path):
    source = scan(tmp_path / "in" / "x.nii.gz", "RAS", (1, 1, 1), cut=20)
    with full_disk(64):
        done = here(volumes[1], source, "-o", tmp_path / "out")
    assert done.returncode == 2
    assert f"cannot write {tmp_path / 'out' / 'x.nii.gz'}: File too large; other results are whole" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not [*(tmp_path / "out").iterdir()]


@pytest.mark.parametrize(
    ("number", "word", "code"), [(signal.SIGTERM, "terminated", 143), (signal.SIGINT, "interrupted", 130)]
)
def test_results_are_whole_when_it_is_told_to_end(volumes, tmp_path, number, word, code):
    for at in range(40):
        scan(tmp_path / "in" / f"{at:02}.nii.gz", "RAS", (1, 1, 1))
    output = tmp_path / "out"
    command = [sys.executable, volumes[1] / "predict.py", tmp_path / "in", "-o", output, "--threads", "1"]
    done = ended(command, tmp_path, number, once=(output / "00.nii.gz").exists)
    assert done.returncode == code
    assert done.stderr == f"{word}: results that are there are whole\n"
    there = sorted(path.name for path in output.iterdir())
    assert 0 < len(there) < 40
    for name in there:
        assert np.asarray(nibabel.load(output / name).dataobj).shape == nibabel.load(tmp_path / "in" / name).shape
