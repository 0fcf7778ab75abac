"""Pictures in half-block characters: two pixels a cell, one above the other. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tui.plotting.cells import Line

_RAMP = np.array(list(" .:-=+*#%@"))
_LEVELS = 31
"""Steps of each colour: more are not seen, and fewer different colours are sent faster."""


def half_blocks(picture: NDArray[np.uint8]) -> list[Line]:
    """``picture`` (2 * rows, width, 3) as lines; neighbours of one look are one piece."""
    coarse = np.rint(picture / 255.0 * _LEVELS) * (255 / _LEVELS)
    code = coarse.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    return [_line(upper, lower) for upper, lower in zip(code[::2].tolist(), code[1::2].tolist(), strict=True)]


def letters(picture: NDArray[np.uint8]) -> list[Line]:
    """``picture`` in ASCII letters by brightness, for terminals that write nothing else; its ground is left blank."""
    grey = picture.reshape(-1, 2, *picture.shape[1:]).mean(axis=(1, 3))
    shade = grey if float(grey.mean()) < 128 else 255 - grey
    places = np.clip(shade / 256 * len(_RAMP), 0, len(_RAMP) - 1).astype(int)
    return [[("".join(row), "ink")] for row in _RAMP[places].tolist()]


def _line(upper: list[int], lower: list[int]) -> Line:
    line: Line = []
    last, count = (-1, -1), 0
    for pair in (*zip(upper, lower, strict=True), (-1, -1)):
        if pair == last:
            count += 1
            continue
        if count:
            char = " " if last[0] == last[1] else "▀"
            line.append((char * count, f"#{last[0]:06x} on #{last[1]:06x}"))
        last, count = pair, 1
    return line
