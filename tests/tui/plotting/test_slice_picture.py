"""A slice says what is agreed, missed and added, in every colour mode; an image stands beside its activation map."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pytest
from rich.color import Color, ColorSystem
from rich.segment import Segment
from textual.color import Color as TextualColor
from textual.filter import Monochrome

from tui.ascii import to_ascii
from tui.plotting.cells import length, to_strip
from tui.plotting.slice_picture import HATCH, OVERLAYS, SliceLook, paint, slice_lines
from tui.plotting.slice_words import slice_words
from tui.state.images import Bytes, PreviewImages
from tui.theme import DARK, PALETTES

CLASSES = ("anterior", "posterior")
MODES = ("truecolor", "256", "16", "none", "ascii", "ascii without colour")


def look_of(mode: str, theme: str = DARK.name, **more: object) -> SliceLook:
    marks = mode in {"16", "none", "ascii without colour"}
    return SliceLook(PALETTES[theme].series, "AP", marks=marks, ascii_only="ascii" in mode, **more)  # type: ignore[arg-type]


def seen(images: PreviewImages, mode: str, cells: tuple[int, int], look: SliceLook, theme: str = DARK.name) -> object:
    """What a terminal of a mode shows: letters, and the colours that it has."""
    system = {"256": ColorSystem.EIGHT_BIT, "16": ColorSystem.STANDARD}.get(mode, ColorSystem.TRUECOLOR)

    def shown(segments: list[Segment]) -> Iterator[object]:
        for text, style, _ in segments:
            colors = (style.color, style.bgcolor) if style else (None, None)
            yield (
                to_ascii(text) if "ascii" in mode else text,
                *(color and Color.downgrade(color, system) for color in colors),
            )

    rows = []
    for line in slice_lines(images, 0, cells, look):
        segments = list(to_strip(line, cells[0], theme))
        if "none" in mode or "without" in mode:
            segments = Monochrome().apply(segments, TextualColor(0, 0, 0))
        rows.append(list(shown(segments)))
    return rows


def four(size: int) -> dict[str, PreviewImages]:
    """A perfect prediction of two classes, a swapped, an empty one, and one shifted by a voxel."""
    y, x = np.mgrid[:size, :size] / size
    truth = np.zeros((size, size), np.uint8)
    truth[((y - 0.35) / 0.2) ** 2 + ((x - 0.5) / 0.3) ** 2 < 1] = 1
    truth[((y - 0.72) / 0.15) ** 2 + ((x - 0.5) / 0.2) ** 2 < 1] = 2
    swapped: Bytes = np.array([0, 2, 1], np.uint8)[truth]
    guesses = {"perfect": truth, "swapped": swapped, "empty": truth * 0, "shifted": np.roll(truth, 1, 1)}
    step = -(-size // 112)
    image = (60 + 60 * (truth > 0) + np.random.default_rng(0).normal(0, 9, truth.shape)).astype(np.uint8)
    return {
        name: PreviewImages(image[None, ::step, ::step], np.zeros(1, int), truth[None], guess[None])
        for name, guess in guesses.items()
    }


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("theme", list(PALETTES))
@pytest.mark.parametrize(("size", "cells"), [(40, (34, 9)), (112, (34, 9)), (320, (34, 9)), (320, (150, 50))])
def test_perfect_swapped_empty_and_shifted_look_different(
    mode: str, theme: str, size: int, cells: tuple[int, int]
) -> None:
    for overlay in OVERLAYS[:2]:
        look = look_of(mode, theme, overlay=overlay)
        pictures = {name: seen(images, mode, cells, look, theme) for name, images in four(size).items()}
        for first, second in combinations(pictures, 2):
            assert pictures[first] != pictures[second], (first, second, overlay)


@pytest.mark.parametrize("mode", MODES)
def test_one_missed_voxel_of_a_large_slice_is_seen_on_few_cells(mode: str) -> None:
    truth = np.zeros((1, 512, 512), np.uint8)
    truth[0, 301, 203] = 1
    image = np.full((1, 103, 103), 90, np.uint8)
    missed = PreviewImages(image, np.zeros(1, int), truth, truth * 0)
    added = PreviewImages(image, np.zeros(1, int), truth * 0, truth)
    right = PreviewImages(image, np.zeros(1, int), truth, truth)
    looks = [seen(images, mode, (30, 10), look_of(mode)) for images in (missed, added, right)]
    assert looks[0] != looks[1] != looks[2] != looks[0]


def test_letters_name_class_and_look() -> None:
    truth = np.array([[1, 1, 1, 0, 0, 0, 2, 2, 0]] * 2, np.uint8)
    guess = np.array([[1, 0, 0, 0, 1, 1, 1, 2, 0]] * 2, np.uint8)
    images = PreviewImages(np.zeros((1, 2, 9), np.uint8), np.zeros(1, int), truth[None], guess[None])
    for mode in ("16", "ascii"):
        (line,) = slice_lines(images, 0, (9, 1), look_of(mode))
        assert "".join(text for text, _ in line) == "aAA +aPp "
    only = look_of("ascii", only=2)
    assert "".join(text for text, _ in slice_lines(images, 0, (9, 1), only)[0]) == "      Pp "


def test_areas_are_tinted_filled_and_hatched_in_the_colour_of_their_class() -> None:
    truth = np.array([[1, 2, 0, 0]] * 2, np.uint8)
    guess = np.array([[1, 0, 1, 0]] * 2, np.uint8)
    images = PreviewImages(np.full((1, 2, 4), 100, np.uint8), np.zeros(1, int), truth[None], guess[None])
    look = SliceLook(("#ff0000", "#0000ff"), "AP")
    line = slice_lines(images, 0, (4, 1), look)[0]
    assert [text for text, _ in line] == [" ", " ", HATCH, " "]
    assert [style for _, style in line] == [
        "#aa3737 on #aa3737",  # 45 % of red on grey 100
        "#0000ff on #0000ff",
        "#ff0000 on #646464",
        "#646464 on #646464",
    ]
    off = slice_lines(images, 0, (4, 1), SliceLook(look.series, "AP", overlay="off"))[0]
    assert {style for _, style in off} == {"#646464 on #646464"}


def test_words_say_what_a_glance_misses() -> None:
    pictures = four(112)

    def said(name: str, width: int = 120) -> str:
        lines = slice_words(pictures[name], 0, CLASSES, look_of("truecolor"), (width, 2))
        return " / ".join("".join(text for text, _ in line) for line in lines)

    assert "prediction empty" in said("empty", 30)
    assert "A anterior 0.000 (empty)" in said("empty")
    assert "no error" in said("perfect")
    assert "A anterior 1.00  P posterior 1.00" in said("perfect")
    assert "A anterior 0.000  P posterior 0.000" in said("swapped")
    assert said("shifted", 34).split()[:4] == ["agreed", "missed", HATCH * 2, "added"]
    half = np.concatenate([pictures["perfect"].truth, pictures["perfect"].truth])  # type: ignore[list-item]
    guess = half.copy()
    guess[0] = 0
    two = PreviewImages(np.zeros((2, 112, 112), np.uint8), np.arange(2), half, guess)
    words = slice_words(two, 0, CLASSES, look_of("ascii"), (80, 2))
    assert words[0][0][0] == "prediction empty in 1 of 2 slices"


@pytest.mark.parametrize("width", [34, 60, 120])
def test_shares_of_a_training_crop_are_whole_or_counted(width: int) -> None:
    names = ("melanoma", "nevus", "basal cell carcinoma", "keratosis", "dermatofibroma", "vascular", "other")
    crop = PreviewImages(np.zeros((1, 8, 10), np.uint8), np.zeros(1, int), np.arange(80).reshape(1, 8, 10) % 8)
    lines = slice_words(crop, 0, names, look_of("16"), (width, 4))
    words = "\n".join("".join(text for text, _ in line) for line in lines)
    whole = sum(f"{name} 12.5 %" in words for name in names)
    assert whole == len(names) or f"+{len(names) - whole}" in words
    assert len(lines) <= 4
    assert max(length(line) for line in lines) <= width


def test_window_and_level_change_the_image() -> None:
    images = PreviewImages(np.array([[[0, 102, 128, 255]] * 2], np.uint8), np.zeros(1, int))
    narrow = paint(images, 0, (4, 1), SliceLook(DARK.series, window=0.2))
    assert narrow[0, :, 0].tolist() == [0, 0, 130, 255]
    darker = paint(images, 0, (4, 1), SliceLook(DARK.series, level=0.7))
    assert darker[0, :, 0].tolist() == [0, 51, 77, 204]


def test_an_image_with_a_map_stands_beside_itself_under_the_map() -> None:
    image = np.full((1, 10, 10, 3), 100, np.uint8)
    heat = np.zeros((1, 10, 10), np.uint8)
    heat[0, :, 5:] = 255
    images = PreviewImages(image, np.zeros(1, int), verdict="true a, predicted b", heat=heat)
    picture = paint(images, 0, (21, 5), look_of("truecolor"))
    assert picture.shape == (10, 21, 3)
    assert (picture[:, :10] == 100).all()  # the image alone
    assert (picture[:, 10] == 0).all()  # the gap
    assert (picture[:, 11:16] == 100).all()  # nothing was of weight here
    assert picture[0, 20].tolist() == [214, 216, 148]  # a quarter of the image, three of inferno's brightest


def test_a_map_fits_into_any_room() -> None:
    images = PreviewImages(
        np.zeros((1, 75, 100, 3), np.uint8), np.zeros(1, int), heat=np.full((1, 75, 100), 128, np.uint8)
    )
    for width in (1, 2, 5, 40, 200):
        for rows in (1, 3, 30):
            high, wide, _ = paint(images, 0, (width, rows), look_of("truecolor")).shape
            assert high <= 2 * rows
            assert wide <= max(3, width)
