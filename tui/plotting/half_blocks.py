"""Pictures in half-block characters: two pixels a cell, one above the other. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from tui.plotting.cells import Line

Pixels: TypeAlias = NDArray[np.uint8]
Marks: TypeAlias = NDArray[np.str_]
_RAMP = np.array(list(" .:-=+*#%@"))
_LEVELS = 31
"""Steps of each colour: more are not seen, and fewer different colours are sent faster."""


def half_blocks(picture: Pixels, *, levels: int = _LEVELS, marks: Marks | None = None) -> list[Line]:
    """``picture`` as lines; neighbours of one look are one piece.

    Args:
        picture: (2 * rows, width, 3).
        levels: steps of each colour that are kept.
        marks: (rows, width) what stands in a cell in place of its pixels, or "".
    """
    coarse = np.rint(picture / 255.0 * levels) * (255 / levels)
    code = np.rint(coarse).astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    chars = np.where(code[::2] == code[1::2], " ", "▀")
    if marks is not None:
        chars = np.where(marks == "", chars, marks)
    return [_line(*row) for row in zip(chars.tolist(), code[::2].tolist(), code[1::2].tolist(), strict=True)]


def letters(picture: Pixels, *, marks: Marks | None = None) -> list[Line]:
    """The same in ASCII letters by brightness, for terminals that write nothing else; its ground is left blank."""
    grey = picture.reshape(-1, 2, *picture.shape[1:]).mean(axis=(1, 3))
    shade = grey if float(grey.mean()) < 128 else 255 - grey
    chars = _RAMP[np.clip(shade / 256 * len(_RAMP), 0, len(_RAMP) - 1).astype(int)]
    if marks is not None:
        chars = np.where(marks == "", chars, marks)
    return [[("".join(row), "ink")] for row in chars.tolist()]


def marked(picture: Pixels, contours: Mapping[str, str]) -> Marks:
    """The mark of each cell (rows, width) of two pixels that holds a contour, by its colour; else "".

    Args:
        picture: (2 * rows, width, 3).
        contours: mark -> colour; the first one lies on top.
    """
    pairs = picture.reshape(-1, 2, *picture.shape[1:])
    found = np.full((len(pairs), picture.shape[1]), "", dtype="<U1")
    for mark, color in reversed(list(contours.items())):
        found[(pairs == rgb(color)).all(axis=3).any(axis=1)] = mark
    return found


def rgb(color: str) -> tuple[int, int, int]:
    """The three values of ``#rrggbb``."""
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def _line(chars: list[str], upper: list[int], lower: list[int]) -> Line:
    pieces = groupby(zip(chars, upper, lower, strict=True))
    return [(cell[0] * len(list(same)), f"#{cell[1]:06x} on #{cell[2]:06x}") for cell, same in pieces]
