"""Where a person stands in the curves: cursor, zoom, the chosen chart; moved by keys and by the mouse."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region

from tui.plotting.charts import Mode, steps_of
from tui.plotting.plotted import Window
from tui.widgets.pane import Pane

_ZOOM = 0.7
_MOUSE_S = 0.03  # a fast mouse sends hundreds of moves a second


@dataclass(frozen=True, slots=True)
class Place:
    """Where a chart was drawn, for the mouse."""

    chart: str
    box: Region  # in the widget
    left: int  # first column of the plot area, in the widget
    columns: int


class NavigatedPane(Pane):
    """Base class of the pane of curves: what is shown of the horizontal axis, and what is read there."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash,ctrl+f", "filter", "filter", tooltip="filter by name"),
        Binding("right_square_bracket,pagedown", "page(1)", "page", key_display="[ ]", show=False, tooltip="pages"),
        Binding("right,l", "side(1)", "cursor", key_display="← →", show=False, tooltip="cursor that reads values"),
        Binding("z", "zoom(1)", "zoom", key_display="z Z", show=False, tooltip="zoom in, out; or the mouse wheel"),
        Binding("Z", "zoom(-1)"),
        Binding("H,shift+left", "pan(-1)"),
        Binding("L,shift+right", "pan(1)", "pan", key_display="H L", show=False, tooltip="pan; or drag with the mouse"),
        Binding("0", "reset", "whole", show=False, tooltip="whole axis, no cursor"),
        Binding("enter", "open", "full", key_display="Enter", show=False, tooltip="the chosen curve alone"),
    ]

    mode: Mode = "iteration"
    filter = ""
    page_at = 0
    chosen = ""
    full = False
    cursor: float | None = None
    zoom: tuple[float, float] | None = None
    _room = (1, 1)  # charts on a page, charts in all
    _window: Window | None = None
    _drag: tuple[int, tuple[float, float]] | None = None
    _moved_s = 0.0  # when the mouse last moved the cursor
    _hovering = False  # the cursor is the mouse's
    _places: Sequence[Place] = ()

    def names(self) -> list[str]:
        """The names of all charts that the filter lets through."""
        raise NotImplementedError

    # --- keys ----------------------------------------------------------------------------------

    def action_page(self, by: int) -> None:
        names = self.names()
        room, count = self._room
        pages = max(1, -(-count // room))
        page = (self.page_at + by) % pages
        if names:
            self.chosen = names[min(page * room, len(names) - 1)]
        self.redraw()

    def action_filter(self) -> None:
        self.post_message(self.Asked("curves whose name contains", self._filter_by, value=self.filter, hint="dice"))

    def _filter_by(self, words: str) -> None:
        self.filter = words
        self.redraw()

    def scroll_lines(self, by: int) -> None:
        if names := self.names():
            at = names.index(self.chosen) if self.chosen in names else 0
            self.chosen = names[(at + (1 if by > 0 else -1)) % len(names)]
        self.redraw()

    def action_open(self) -> None:
        self.full = not self.full
        self.redraw()
        self.post_message(self.Alone(self, self.full))

    def action_side(self, by: int) -> None:
        """Move the cursor that reads values; the first press puts it at the newest point."""
        if self._window is None or self.snapshot is None:
            return
        low, high = self._window.low, self._window.high
        self._hovering = False
        if self.cursor is None:
            self.cursor = min(high, max(low, self._newest()))
        else:
            columns = next((p.columns for p in self._places if p.chart == self.chosen and p.columns), 50)
            step = (high - low) / columns
            self.cursor = min(high, max(low, self.cursor + by * (max(step, 1.0) if self.mode == "iteration" else step)))
        self.redraw()

    def action_pan(self, by: int) -> None:
        if self.zoom is not None and self._window is not None:
            self._move((self.zoom[1] - self.zoom[0]) / 4 * by)

    def action_zoom(self, by: int) -> None:
        """Show less (1) or more (-1) of the horizontal axis, around the cursor or the newest point."""
        if self._window is not None:
            self._zoom_at(self.cursor if self.cursor is not None else self._newest(), by)

    def action_reset(self) -> None:
        self.zoom = self.cursor = None
        self.redraw()

    def leave(self) -> bool:
        """Give up the cursor, the zoom or the full chart, one at a time; False where there is none."""
        if self.cursor is not None:
            self.cursor = None
        elif self.zoom is not None:
            self.zoom = None
        elif self.full:
            self.full = False
            self.post_message(self.Alone(self, False))
        elif self.filter:
            self.filter, self.chosen, self.page_at = "", "", 0
        else:
            return False
        self.redraw()
        return True

    def _newest(self) -> float:
        if self.snapshot is None:
            return 0.0
        view = self.snapshot.view
        steps = steps_of(view, self.mode)
        table = view.steps
        return float(steps.to_axis(table[steps.column][-1:])[0]) if len(table) else 0.0

    def _zoom_at(self, place: float, by: int) -> None:
        window = self._window
        if window is None:
            return
        place = min(window.high, max(window.low, place))
        factor = _ZOOM if by > 0 else 1 / _ZOOM
        length_now = (window.high - window.low) * factor
        if length_now >= window.whole:
            self.zoom = None
        elif length_now >= window.whole * 1e-6:
            share = (place - window.low) / (window.high - window.low)
            low = max(0.0, min(window.whole - length_now, place - share * length_now))
            self.zoom = low, low + length_now
        self.redraw()

    def _move(self, by: float) -> None:
        if self.zoom is None or self._window is None:
            return
        low, high = self.zoom
        by = max(-low, min(self._window.whole - high, by))
        self.zoom = low + by, high + by
        self.redraw()

    # --- mouse ---------------------------------------------------------------------------------

    def _under(self, x: int, y: int) -> Place | None:
        return next((p for p in self._places if p.box.contains(x, y)), None)

    def _read_at(self, event: events.MouseEvent) -> float | None:
        """The place on the horizontal axis under the mouse."""
        place, window = self._under(event.x, event.y), self._window
        if place is None or window is None or not place.columns:
            return None
        share = (event.x - place.left + 0.5) / place.columns
        return window.low + share * (window.high - window.low) if 0 <= share <= 1 else None

    def on_mouse_down(self, event: events.MouseDown) -> None:
        place = self._under(event.x, event.y)
        if place is not None:
            self.chosen = place.chart
            if self._window is not None:
                self._drag = event.x, (self._window.low, self._window.high)
                self.capture_mouse()
            self.redraw()

    def on_mouse_up(self) -> None:
        self._drag = None
        self.release_mouse()

    def on_click(self, event: events.Click) -> None:
        if event.chain == 2:
            self.action_open()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        if self._drag is not None and self.zoom is not None:
            start, (low, high) = self._drag
            columns = next((p.columns for p in self._places if p.chart == self.chosen), 0) or 50
            self.zoom = low, high
            self._move((start - event.x) / columns * (high - low))
            return
        found, now = self._read_at(event), time.monotonic()
        if found != self.cursor and now - self._moved_s > _MOUSE_S:
            self._moved_s = now
            self.cursor, self._hovering = found, True
            self.redraw()

    def on_leave(self) -> None:
        if self.cursor is not None and self._hovering:  # one that was put by a key stays
            self.cursor = None
            self.redraw()

    def wheel(self, event: events.MouseEvent, by: int) -> None:
        """Zoom at the place of the mouse."""
        if (at := self._read_at(event)) is not None:
            self._zoom_at(at, -by)
