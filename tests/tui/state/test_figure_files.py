"""Figures of a run: which there are, and what of them is shown."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.readers.figure_index import FigureResult
from engine.runfolder import RunFolder
from tui.plotting.half_blocks import half_blocks, letters
from tui.state.figure_files import list_figures, load_figure, view_of


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    run = RunFolder(tmp_path / "run")
    run.figures.mkdir(parents=True)
    return run


def png(
    folder: RunFolder, name: str, size: tuple[int, int] = (60, 40), color: str = "white", mode: str = "RGB"
) -> None:
    Image.new(mode, size, color).save(folder.figures / name)


def test_the_index_gives_the_order_and_failures_come_last(folder: RunFolder) -> None:
    png(folder, "a.png")
    png(folder, "b.png")
    png(folder, "c.png")
    index = [
        {"path": "figures/roc.png", "ok": False, "message": "one class only"},
        {"path": "figures/c.png", "title": "Curves", "caption": "by epoch", "ok": True},
        {"path": "figures/gone.png", "ok": True},
        {"path": 7},
        "odd",
    ]
    (folder.figures / "index.json").write_text(json.dumps(index))
    found = list_figures(folder)
    assert [figure.name for figure in found] == ["c.png", "a.png", "b.png", "roc.png"]
    assert found[0] == FigureResult("figures/c.png", title="Curves", caption="by epoch")
    assert load_figure(folder, found[-1]) == "one class only"


@pytest.mark.parametrize("index", ["", "{}", "[", "[" * 100_000, '[{"path": null}]'])
def test_a_damaged_index_hides_no_figure(folder: RunFolder, index: str) -> None:
    png(folder, "a.png")
    (folder.figures / "index.json").write_text(index)
    assert [figure.path for figure in list_figures(folder)] == ["figures/a.png"]


def test_no_folder_no_figures(tmp_path: Path) -> None:
    assert list_figures(RunFolder(tmp_path / "nothing")) == ()


def test_pixels_on_white(folder: RunFolder) -> None:
    png(folder, "clear.png", color="#00000000", mode="RGBA")
    pixels = load_figure(folder, FigureResult("figures/clear.png"))
    assert isinstance(pixels, np.ndarray)
    assert pixels.shape == (40, 60, 3)
    assert pixels.min() == 255


def test_what_cannot_be_shown(folder: RunFolder, tmp_path: Path) -> None:
    (folder.figures / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    Image.new("RGB", (4, 4)).save(folder.figures / "jpeg.png", format="JPEG")
    size = b"IHDR" + struct.pack(">IIBBBBB", 9000, 9000, 8, 2, 0, 0, 0)
    huge = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + size + struct.pack(">I", zlib.crc32(size))
    data = b"IDAT" + zlib.compress(b"")
    huge += struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data))
    (folder.figures / "huge.png").write_bytes(huge)
    Image.new("RGB", (4, 4)).save(tmp_path / "secret.png")
    (folder.figures / "link.png").symlink_to(tmp_path / "secret.png")
    said = {
        name: load_figure(folder, FigureResult(f"figures/{name}.png"))
        for name in ("broken", "jpeg", "huge", "link", "no")
    }
    assert said == {
        "broken": "the figure cannot be read",
        "jpeg": "the figure cannot be read",
        "huge": "the figure is too big to show (9000 x 9000)",
        "link": "the figure lies outside of the run folder",
        "no": "the figure is no longer there",
    }


def test_the_whole_picture_and_a_part_of_it() -> None:
    pixels = np.zeros((200, 400, 3), np.uint8)
    pixels[:, 200:] = 255
    whole = view_of(pixels, 40, 30, 1.0, (0.5, 0.5))
    assert whole.shape == (20, 40, 3)
    assert whole[:, :18].max() < 5
    assert whole[:, 22:].min() > 250
    right = view_of(pixels, 40, 30, 2.0, (1.0, 0.5))
    assert right.shape == (40, 40, 3)
    assert right.min() > 230
    for shape in ((1, 1000), (1000, 1), (3, 3), (2, 2)):
        for zoom in (1.0, 16.0):
            part = view_of(np.zeros((*shape, 3), np.uint8), 38, 20, zoom, (0.0, 1.0))
            assert part.shape[0] % 2 == 0
            assert 1 <= part.shape[1] <= 38


def test_a_thin_line_on_white_stays_dark() -> None:
    pixels = np.full((1000, 1500, 3), 255, np.uint8)
    pixels[500:502] = 0
    assert view_of(pixels, 75, 25, 1.0, (0.5, 0.5)).min() < 130


def test_half_blocks_and_letters() -> None:
    picture = np.zeros((4, 3, 3), np.uint8)
    picture[1, 2] = 255
    lines = half_blocks(picture)
    assert ["".join(text for text, _ in line) for line in lines] == ["  ▀", "   "]
    assert lines[0][1][1] == "#000000 on #ffffff"
    drawing = np.full((4, 4, 3), 255, np.uint8)
    drawing[0:2, 0] = 0
    for picture in (drawing, 255 - drawing):  # what there is more of is the ground
        assert ["".join(part for part, _ in line) for line in letters(picture)] == ["@   ", "    "]
