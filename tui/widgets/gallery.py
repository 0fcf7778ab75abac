"""Panes of the gallery: the list of figures, and the picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from textual.binding import Binding, BindingType
from textual.message import Message

from engine.readers.figure_index import FigureResult
from tui.plotting.cells import Line, length
from tui.plotting.half_blocks import half_blocks, letters
from tui.state.figure_files import Pixels, view_of
from tui.text import one_line, shorten, wrapped
from tui.widgets.pane import FAR
from tui.widgets.rows import RowsPane
from tui.widgets.sharp_pane import SharpPane

_MOST_ZOOM = 16.0


class FigureList(RowsPane[FigureResult]):
    """The figures by title and file; those that could not be drawn say so."""

    ID, NAME, TITLE = "figures", "list", "figures"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "scroll(1)", "figure", key_display="↑ ↓", tooltip="previous, next figure"),
        Binding("right,l", "side(1)"),
        Binding("enter", "open", "open", key_display="Enter", tooltip="look at the figure"),
        Binding("v", "copy", "copy path", show=False, tooltip="copy its path"),
    ]

    root = Path()  # of the run folder

    def choose_rows(self) -> Sequence[FigureResult]:
        return self.all

    def action_side(self, by: int) -> None:
        self.go(self.row + by)

    def copied(self) -> str:
        figure = self.chosen_row()
        return str((self.root / figure.path).resolve()) if figure else ""

    def why_empty(self) -> str:
        if self.rows is None:
            return "looking for figures"
        return "no figure yet: they are drawn when the training has ended (medtui figures RUN draws them now)"

    def line(self, row: FigureResult, at: int, width: int) -> Line:
        name = shorten(one_line(row.name), width - 2)
        rest = width - 2 - len(name) - 2
        title = one_line(row.title) if len(row.title) <= rest and row.title != row.name[:-4] else ""
        cursor = (f"{self.cursor(at)} ", "accent") if row.ok else ("✕ ", "warning")
        look = ("ink" if row.ok else "warning") + (" bold" if at == self.row else "")
        return [cursor, (name, look), (title and f"  {title}", "muted")]


class Picture(SharpPane):
    """One figure; zoomed in, the arrows move it."""

    ID, NAME, TITLE = "picture", "figure", "figure"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right,l", "side(1)", "figure", key_display="← →", tooltip="previous, next figure; zoomed in: move"),
        Binding("down,j", "scroll(1)", "move", key_display="↑ ↓", show=False, tooltip="zoomed in: move"),
        Binding(
            "right_square_bracket,pagedown",
            "page(1)",
            "figure",
            key_display="[ ]",
            show=False,
            tooltip="previous, next figure at any zoom",
        ),
        Binding("z,plus,equals_sign", "enlarge(1)", "zoom", key_display="z Z", tooltip="zoom in, out"),
        Binding("Z,minus", "enlarge(-1)"),
        Binding("0", "reset", "whole", show=False, tooltip="the whole figure"),
        Binding("end,G", "end(1)", "ends", key_display="Home End", show=False, tooltip="the first, the last figure"),
        Binding("v", "copy", "copy path", show=False, tooltip="copy its path"),
    ]

    @dataclass
    class Turned(Message):
        """Another figure is wanted, so many places on."""

        by: int

    root = Path()  # of the run folder
    figure: FigureResult | None = None
    place = ""  # "3 of 12"
    pixels: Pixels | str | None = None
    zoom = 1.0
    centre = (0.5, 0.5)
    why_empty = ""
    _shown: tuple[object, list[Line]] | None = None

    def set_figure(self, figure: FigureResult | None, place: str, pixels: Pixels | str | None, why_empty: str) -> None:
        """Show a figure; ``pixels`` are a reason where there are none, and ``None`` while they are read."""
        if figure != self.figure:
            self.zoom, self.centre = 1.0, (0.5, 0.5)
        self.figure, self.place, self.pixels, self.why_empty = figure, place, pixels, why_empty
        self.redraw()

    def note(self) -> Line:
        if self.figure is None:
            return []
        zoom = f"  zoom {self.zoom:.2g}" if self.zoom > 1 else ""
        return [(f"{one_line(self.figure.name)}  {self.place}{zoom}", "muted")]

    def body(self, width: int, height: int) -> list[Line]:
        self._sharp = None
        if self.figure is None:
            return self.reason(self.why_empty, width, height)
        if self.pixels is None:
            return self.reason("reading the figure", width, height)
        if isinstance(self.pixels, str):
            return self.reason(f"{self.figure.name}: {self.pixels}", width, height)
        said = self._said(width, height)
        rows = max(1, height - len(said))
        pixels, key = self.pixels, (id(self.pixels), width, rows, self.zoom, self.centre, self.ascii_only)
        self._sharp = self.sharpened(
            key, lambda room, cell: self._in_cells(pixels, room, cell), (width, rows), self.zoom * len(pixels)
        )
        lines = list(self._sharp.lines) if self._sharp else self._painted(pixels, key)
        above, wide = (rows - len(lines)) // 2, length(lines[0]) if lines else width
        placed = self.placed(lines, above, (width - wide) // 2)
        return [*placed, *([] for _ in range(rows - len(placed))), *said]

    def _said(self, width: int, height: int) -> list[Line]:
        assert self.figure is not None  # noqa: S101  # the caller has looked
        lines: list[Line] = []
        if height >= 16 and self.figure.caption:
            rows = wrapped(one_line(self.figure.caption), width)[: max(3, height // 10)]
            lines = [[(row, "ink")] for row in rows]
        return [*lines, [(shorten(one_line(self.figure.path), width), "muted")]]

    def _painted(self, pixels: Pixels, key: tuple[Any, ...]) -> list[Line]:
        if self._shown is None or self._shown[0] != key:
            picture = view_of(pixels, *key[1:5])
            self._shown = key, letters(picture) if self.ascii_only else half_blocks(picture)
        return self._shown[1]

    def _in_cells(self, pixels: Pixels, room: tuple[int, int], cell: tuple[int, int]) -> Pixels:
        """What is shown of it, filled up to whole cells."""
        view = view_of(pixels, room[0] * cell[0], room[1] * cell[1] // 2, self.zoom, self.centre)
        return np.pad(view, ((0, -len(view) % cell[1]), (0, -view.shape[1] % cell[0]), (0, 0)), mode="edge")

    # --- keys ----------------------------------------------------------------------------------

    def action_enlarge(self, by: int) -> None:
        self.zoom = max(1.0, min(_MOST_ZOOM, self.zoom * (1.5 if by > 0 else 1 / 1.5)))
        if self.zoom < 1.01:
            self.zoom, self.centre = 1.0, (0.5, 0.5)
        self.redraw()

    def action_reset(self) -> None:
        self.zoom, self.centre = 1.0, (0.5, 0.5)
        self.redraw()

    def action_side(self, by: int) -> None:
        """The next figure, or the part at the side of a zoomed one."""
        self._move(by, 0)

    def scroll_lines(self, by: int) -> None:
        self._move(0, 1 if by > 0 else -1)

    def action_page(self, by: int) -> None:
        self.post_message(self.Turned(by))

    def action_end(self, last: int) -> None:
        self.post_message(self.Turned(FAR if last else -FAR))

    def leave(self) -> bool:
        zoomed = self.zoom > 1
        if zoomed:
            self.action_reset()
        return zoomed

    def copied(self) -> str:
        return str((self.root / self.figure.path).resolve()) if self.figure else ""

    def _move(self, across: int, down: int) -> None:
        """Move what is shown by a quarter of it; at no zoom the next figure."""
        if self.zoom <= 1:
            self.post_message(self.Turned(across or down))
            return
        step, room = 0.25 / self.zoom, 0.5 / self.zoom
        self.centre = tuple(  # type: ignore[assignment]  # two of them
            min(1 - room, max(room, place + by * step)) for place, by in zip(self.centre, (across, down), strict=True)
        )
        self.redraw()
