"""Curves as braille dots (2 x 4 a cell) and bands as eighths of a cell, in colours. Pure NumPy.

plotext draws the same in 26 to 92 ms a chart even after the points were reduced; this takes about
1 ms, and the budget of the whole dashboard is 150 ms a second (benchmarks/dashboard.py measures both).
"""

import numpy as np
from numpy.typing import NDArray

from tui.plotting.cells import Line
from tui.plotting.reduce import Floats

_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], np.uint8)
_LOWER = " ▁▂▃▄▅▆▇█"


class Raster:
    """A drawing area of ``width`` x ``height`` cells. Places are in cells from the left and the bottom."""

    def __init__(self, width: int, height: int, *, plain: bool = False) -> None:
        """An empty area; ``plain``: bands by whole cells, for terminals without block characters."""
        self.plain = plain
        self.width, self.height = width, height
        self.chars = np.full((height, width), " ", "<U1")
        self.bits = np.zeros((height, width), np.uint8)
        self.front = np.full((height, width), "", object)
        self.back = np.full((height, width), "ground", object)

    def band(self, columns: NDArray[np.intp], low: Floats, high: Floats, color: str) -> None:
        """Fill cell columns from ``low`` to ``high`` (rows from the bottom, not whole numbers)."""
        low, high = np.clip(low, 0, self.height), np.clip(high, 0, self.height)
        for column, bottom, top in zip(columns.tolist(), low.tolist(), high.tolist(), strict=True):
            if top - bottom < 0.125:
                continue
            if self.plain:
                self.back[self.height - round(top) : self.height - round(bottom), column] = color
                continue
            first, last = int(bottom), min(self.height - 1, int(np.ceil(top)) - 1)
            if first == last:
                self._put(first, column, "▄" if (bottom + top) / 2 - first < 0.5 else "▀", color)
                continue
            self.back[self.height - last : self.height - 1 - first, column] = color
            self._edge(last, column, top - last, color, upper=False)
            self._edge(first, column, first + 1 - bottom, color, upper=True)

    def _edge(self, row: int, column: int, share: float, color: str, *, upper: bool) -> None:
        """A cell that is filled by ``share`` from its bottom (``upper``: from its top)."""
        eighths = round(share * 8)
        if eighths <= 1:
            return  # a hairline is noise
        if eighths >= 8:
            self.back[self.height - 1 - row, column] = color
        elif upper:  # blocks grow from the bottom only: the rest of the cell is drawn instead
            self._put(row, column, _LOWER[8 - eighths], "ground")
            self.back[self.height - 1 - row, column] = color
        else:
            self._put(row, column, _LOWER[eighths], color)

    def line(self, x: Floats, y: Floats, color: str) -> None:
        """A line through points in ascending ``x``; a nan in ``y`` is a gap."""
        for begin, end in _runs(np.isfinite(y) & np.isfinite(x)):
            self._stroke(x[begin:end] * 2, (self.height - y[begin:end]) * 4, color)

    def _stroke(self, x: Floats, y: Floats, color: str) -> None:
        """Dots (x from the left, y from the top) of an unbroken line."""
        wide, tall = self.width * 2, self.height * 4
        y = np.clip(y, 0.0, tall - 0.01)
        first, last = max(0, int(np.floor(x[0]))), min(wide - 1, int(np.floor(x[-1])))
        if last < first:
            return
        dots = np.arange(first, last + 1)
        left = np.interp(np.maximum(dots, x[0]), x, y)
        right = np.interp(np.minimum(dots + 1, x[-1]), x, y)
        inside = (x >= first) & (x < last + 1)
        low, high = np.minimum(left, right), np.maximum(left, right)
        np.minimum.at(low, x[inside].astype(np.intp) - first, y[inside])
        np.maximum.at(high, x[inside].astype(np.intp) - first, y[inside])
        top, bottom = np.floor(low).astype(np.intp), np.floor(high).astype(np.intp)
        rows = np.arange(tall)[:, None]
        mask = np.zeros((tall, wide), bool)
        mask[:, first : last + 1] = (rows >= top) & (rows <= bottom)
        self.dots(mask, color)

    def dots(self, mask: NDArray[np.bool_], color: str) -> None:
        """Lay dots (4 * height, 2 * width) over what is there; a cell has the colour of its newest dots."""
        cells = mask.reshape(self.height, 4, self.width, 2).transpose(0, 2, 1, 3)
        bits = (cells * _DOTS).sum(axis=(2, 3), dtype=np.uint16).astype(np.uint8)
        hit = bits > 0
        other = hit & (self.front != color)
        self.bits[other] = 0
        self.bits[hit] |= bits[hit]
        self._uncover(hit)
        self.front[hit] = color
        self.chars[hit] = (0x2800 + self.bits[hit].astype(np.uint32)).view("<U1")

    def _uncover(self, hit: NDArray[np.bool_]) -> None:
        """Band edges under dots: the cell's ground becomes what more than half of it was."""
        codes = self.chars.view(np.uint32).reshape(self.chars.shape)
        most = hit & (((codes >= ord("▄")) & (codes <= ord("█"))) | (codes == ord("▀")))
        self.back[most] = self.front[most]

    def put(self, x: float, y: float, char: str, color: str) -> None:
        """One character over all else, at a place in cells; nothing outside."""
        column, row = int(np.floor(x)), int(np.floor(y))
        if 0 <= column < self.width and 0 <= row < self.height:
            self._put(row, column, char, color)

    def _put(self, row: int, column: int, char: str, color: str) -> None:
        at = self.height - 1 - row, column
        self.chars[at], self.front[at], self.bits[at] = char, color, 0

    def lines(self) -> list[Line]:
        return [
            _encoded(chars, front, back)
            for chars, front, back in zip(self.chars.tolist(), self.front.tolist(), self.back.tolist(), strict=True)
        ]


def _encoded(chars: list[str], front: list[str], back: list[str]) -> Line:
    line: Line = []
    text, last = "", ("", "")
    for char, color, ground in zip(chars, front, back, strict=True):
        look = (color if char != " " else last[0], ground)
        if look != last and text:
            line.append((text, f"{last[0] or last[1]} on {last[1]}"))
            text = ""
        text, last = text + char, look
    line.append((text, f"{last[0] or last[1]} on {last[1]}"))
    return line


def _runs(known: NDArray[np.bool_]) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate(([0], known.astype(np.int8), [0]))))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
