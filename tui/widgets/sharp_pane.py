"""Base of panes with a picture that is drawn in the terminal's own pixels, where it has them."""

import os
from collections.abc import Callable
from itertools import count

from rich.segment import ControlType, Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip

from tui.plotting.cells import Line
from tui.plotting.sharp import MOST_ROWS, Pixels, Sharp, fine, sharp
from tui.terminal import Pictures
from tui.widgets.pane import Pane

_numbers = count((os.getpid() & 0xFFF) << 12 | 1)
"""By which kitty knows pictures; another dashboard in the same window has others."""


class SharpPane(Pane):
    """What draws such a picture sets it free first, and places it with `placed`."""

    _sharp: Sharp | None = None  # what is shown in the terminal's pixels
    _corner = 0, 0  # cells above it and at its left
    _made: tuple[object, Sharp | None] = None, None  # the last one, and what it was made of

    def few_colors(self) -> bool:
        """Whether the terminal has too few to tell areas by them."""
        return self.app.no_color or self.app.console.color_system in (None, "standard")

    def sharpened(
        self,
        shown: object,
        draw: Callable[[tuple[int, int], tuple[int, int]], Pixels],
        cells: tuple[int, int],
        high: float,
    ) -> Sharp | None:
        """The picture for a terminal that takes pictures, unless something lies over it.

        ``draw`` gives it (H, W, 3) in whole cells, for the room (width, rows) and the size of a cell in pixels;
        ``shown``: what else it is made of; ``high``: in how many pixels it is known.
        """
        taken: Pictures = getattr(self.app, "pictures", Pictures())
        protocol, few = taken.protocol, self.few_colors() or self.ascii_only or min(taken.cell) < 1
        few |= protocol == "kitty" and self.app.console.color_system != "truecolor"  # it numbers pictures by colours
        if not protocol or few or (protocol != "kitty" and not self.screen.is_active):
            return None
        key = shown, cells, taken
        if key != self._made[0]:
            room = cells[0], min(cells[1], MOST_ROWS)
            cell = fine(taken.cell, room[1], round(high), protocol)
            self._made = key, sharp(draw(room, cell), protocol, cell, next(_numbers))
            self._write(self._made[1].upload if self._made[1] else "")
        return self._made[1]

    def placed(self, lines: list[Line], above: int, left: int) -> list[Line]:
        """The lines of the picture, so many cells from the corner of what is inside of the frame."""
        self._corner = above, left
        return [*([] for _ in range(above)), *([(" " * left, "ink"), *line] for line in lines)]

    def redraw(self) -> None:
        before = self._sharp  # a pane that is not there keeps what it drew, and this with it
        super().redraw()
        if self._sharp is not before and before:
            self._write(before.remove)
        if self._sharp is not before:
            self.refresh()

    def render_lines(self, crop: Region) -> list[Strip]:
        """The strips, with what draws a row of the picture after its cells."""
        strips = super().render_lines(crop)
        if self._sharp is None or not self.screen.is_active:  # what lies over a screen cuts the sequences
            return strips
        edge = 2 + self._corner[1] + self._sharp.cells[0] - crop.x
        for row, sequence in enumerate(self._sharp.rows, start=1 + self._corner[0] - crop.y):
            if sequence and 0 <= row < len(strips) and 0 < edge < strips[row].cell_length:
                left, right = strips[row].divide([edge, strips[row].cell_length])
                drawn = Segment(sequence, Style.null(), [(ControlType.CURSOR_FORWARD, 0)])
                strips[row] = Strip([*left, drawn, *right], strips[row].cell_length)
        return strips

    def on_unmount(self) -> None:
        if self._sharp:
            self._write(self._sharp.remove)

    def _write(self, sequence: str) -> None:
        driver = self.app._driver  # Textual has no public way to write a sequence of one's own
        if driver is not None and sequence:
            driver.write(sequence)
