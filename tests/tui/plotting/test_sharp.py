"""Pictures in the terminal's own pixels: read back from what is sent, by Pillow and by a reader of sixels."""

from __future__ import annotations

import io
import re
from base64 import b64decode
from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.tui.plotting.test_slice_picture import four
from tui.plotting.cells import PLACEHOLDER, length, to_strip
from tui.plotting.sharp import MOST_ROWS, Protocol, Sharp, fine, indexed, png, sharp
from tui.plotting.slice_picture import OVERLAYS, SliceLook, slice_pixels
from tui.theme import DARK

CELL = (10, 20)
LOOK = SliceLook(DARK.series, "AP")


def read_sixel(text: str) -> NDArray[np.int64]:
    """The picture (H, W, 3) of sixels, by the manual of the VT340; colours in percent, -1 where nothing is drawn."""
    found = re.fullmatch(r"\x1bP0;1;0q\"1;1;(\d+);(\d+)([^\x1b]*)\x1b\\", text)
    assert found
    width, height = int(found[1]), int(found[2])
    picture = np.full((-(-height // 6) * 6, width, 3), -1)
    colors: dict[int, list[int]] = {}
    down = across = color = 0
    for part in re.finditer(r"#(\d+)(?:;2;(\d+);(\d+);(\d+))?|!(\d+)([?-~])|([?-~])|([$-])", found[3]):
        if part[8]:
            across, down = 0, down + 6 * (part[8] == "-")
        elif part[1]:
            color = int(part[1])
            if part[2]:
                colors[color] = [int(part[at]) for at in (2, 3, 4)]
        else:
            count, bits = int(part[5] or 1), ord(part[6] or part[7]) - 63
            rows = [down + bit for bit in range(6) if bits >> bit & 1]
            assert across + count <= width
            picture[rows, across : across + count] = colors[color]
            across += count
    assert (picture[height:] == -1).all()
    return picture[:height]


def sent(made: Sharp, protocol: Protocol) -> NDArray[np.int64]:
    """The picture (H, W, 3) that a terminal shows of it; of sixels in percent."""
    if protocol == "kitty":
        chunks = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", made.upload)
        assert [("m=1" in head) for head, _ in chunks] == [True] * (len(chunks) - 1) + [False]
        assert "q=2" in chunks[0][0]
        assert all(len(text) <= 4096 for _, text in chunks)
        return np.asarray(Image.open(io.BytesIO(b64decode("".join(text for _, text in chunks)))).convert("RGB"), int)
    back = f"\x1b7\x1b[{made.cells[0]}D"
    rows = [row.removeprefix(back).removesuffix("\x1b8") for row in made.rows]
    assert all(len(row) < len(whole) for row, whole in zip(rows, made.rows, strict=True))
    if protocol == "sixel":
        return np.concatenate([read_sixel(row) for row in rows])
    found = [re.fullmatch(r"\x1b]1337;File=inline=1;size=(\d+);[^:]*:([^\x07]*)\x07", row) for row in rows]
    files = [(int(each[1]), b64decode(each[2])) for each in found if each]
    assert len(files) == len(rows)
    assert all(size == len(data) for size, data in files)
    return np.concatenate([np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), int) for _, data in files])


@pytest.mark.parametrize("protocol", ["kitty", "iterm", "sixel"])
@pytest.mark.parametrize("overlay", OVERLAYS[:2])
@pytest.mark.parametrize(("size", "cells"), [(40, (34, 9)), (112, (34, 9)), (320, (34, 9)), (320, (70, 40))])
def test_what_is_sent_tells_perfect_swapped_empty_and_shifted(
    protocol: Protocol, overlay: str, size: int, cells: tuple[int, int]
) -> None:
    look = SliceLook(DARK.series, "AP", overlay=overlay)  # type: ignore[arg-type]
    pictures = {}
    for number, (name, images) in enumerate(four(size).items(), start=1):
        pixels = slice_pixels(images, 0, cells, CELL, look)
        assert pixels.shape[0] % CELL[1] == pixels.shape[1] % CELL[0] == 0
        pictures[name] = sent(sharp(pixels, protocol, CELL, number), protocol)
        share = 100 if protocol == "sixel" else 255
        assert np.abs(pictures[name] / share - pixels / 255).max() < 0.1  # of colours that are rounded
    for first, second in combinations(pictures, 2):
        assert np.abs(pictures[first] - pictures[second]).max() > 20, (first, second)


def test_a_palette_is_as_fine_as_its_size_allows() -> None:
    many = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    for picture, most in ((many, 0.11), (many // 4 * 4 % 32, 0.02)):
        index, palette = indexed(picture)
        assert len(palette) <= 256
        assert np.abs(palette[index] / 255 - picture / 255).max() < most
        assert (np.asarray(Image.open(io.BytesIO(png(index, palette))).convert("RGB")) == palette[index]).all()


def test_placeholders_are_as_wide_as_the_picture_and_named_by_colour_and_row() -> None:
    made = sharp(np.zeros((60, 40, 3), np.uint8), "kitty", CELL, 0x012345)
    assert made.cells == (4, 3)
    assert [length(line) for line in made.lines] == [4, 4, 4]
    assert len({line[0][0] for line in made.lines}) == 3
    assert {line[0][1] for line in made.lines} == {"#012345"}
    assert to_strip(made.lines[0], 4, DARK.name).text.count(PLACEHOLDER) == 4
    assert "i=74565," in made.upload
    assert "c=4,r=3" in made.upload
    assert "i=74565," in made.remove
    assert MOST_ROWS > 60


def test_a_terminal_that_enlarges_is_sent_few_more_pixels_than_there_are() -> None:
    assert fine((10, 20), 12, 112, "kitty") == (10, 20)
    assert fine((10, 20), 40, 112, "iterm") == (5, 10)
    assert fine((10, 20), 60, 112, "sixel") == (10, 20)
