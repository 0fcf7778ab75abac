"""Pictures in half-block characters: two pixels a cell, one above the other. Pure."""

from itertools import groupby
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from tui.plotting.cells import Line

Pixels: TypeAlias = NDArray[np.uint8]
Marks: TypeAlias = NDArray[np.str_]
_RAMP = np.array(list(" .:-=~*#%@"))
_LEVELS = 31  # steps of each colour: more are not seen, and fewer different colours are sent faster


def half_blocks(
    picture: Pixels,
    *,
    levels: int = _LEVELS,
    marks: Marks | None = None,
    fronts: NDArray[np.int64] | None = None,
    ground: bool = False,
) -> list[Line]:
    """``picture`` as lines; neighbours of one look are one piece.

    Args:
        picture: (2 * rows, width, 3).
        levels: steps of each colour that are kept.
        marks: (rows, width) what stands in a cell in place of its pixels, or "".
        fronts: (rows, width) the colours of the marks as 0xrrggbb; -1 for one that is seen on its cell.
        ground: marks stand on the usual ground, not on their pixels.
    """
    coarse = np.rint(picture / 255.0 * levels) * (255 / levels)
    code = np.rint(coarse).astype(np.int64) @ np.array([1 << 16, 1 << 8, 1])
    chars = np.where(code[::2] == code[1::2], " ", "▀")
    upper, lower = code[::2], code[1::2]
    if marks is None or fronts is None:
        return [_line(*row) for row in zip(chars.tolist(), upper.tolist(), lower.tolist(), strict=True)]
    mean = (picture[::2].astype(int) + picture[1::2]) // 2
    shown = marks != ""
    contrast = np.where(mean.mean(axis=2) < 128, 0xFFFFFF, 0)
    upper = np.where(shown, np.where(fronts < 0, contrast, fronts), upper)
    lower = np.where(shown, -1 if ground else mean @ np.array([1 << 16, 1 << 8, 1]), lower)
    chars = np.where(shown, marks, chars)
    return [_line(*row) for row in zip(chars.tolist(), upper.tolist(), lower.tolist(), strict=True)]


def letters(picture: Pixels, *, marks: Marks | None = None, fronts: NDArray[np.int64] | None = None) -> list[Line]:
    """The same in ASCII letters by brightness, for terminals that write nothing else; its ground is left blank."""
    grey = picture.reshape(-1, 2, *picture.shape[1:]).mean(axis=(1, 3))
    shade = grey if float(grey.mean()) < 128 else 255 - grey
    chars = _RAMP[np.clip(shade / 256 * len(_RAMP), 0, len(_RAMP) - 1).astype(int)]
    if marks is None or fronts is None:
        return [[("".join(row), "ink")] for row in chars.tolist()]
    fronts = np.where(marks == "", -1, fronts)
    chars = np.where(marks == "", chars, marks)
    return [_line(*row) for row in zip(chars.tolist(), fronts.tolist(), (0 * fronts - 1).tolist(), strict=True)]


def rgb(color: str) -> tuple[int, int, int]:
    """The three values of ``#rrggbb``."""
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def _line(chars: list[str], upper: list[int], lower: list[int]) -> Line:
    line: Line = []
    for (front, ground), cells in groupby(zip(chars, upper, lower, strict=True), key=lambda cell: cell[1:]):
        look = f"{_named(front, 'ink')} on {_named(ground, 'ground')}"
        line.append(("".join(cell[0] for cell in cells), look))
    return line


def _named(color: int, usual: str) -> str:
    return usual if color < 0 else f"#{color:06x}"
