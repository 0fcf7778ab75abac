"""The curves of a run: as many charts as fit, in pages, with one horizontal axis for all."""

from dataclasses import replace
from itertools import pairwise
from typing import ClassVar

import numpy as np
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.message import Message

from engine.readers.run_view import EMPTY, RunView
from tui.plotting.axes import round_up, step_axis, time_axis
from tui.plotting.cells import Line, length
from tui.plotting.chart import ChartOptions, Picture, draw_chart, place_text
from tui.plotting.charts import (
    MODES,
    NO_STEP,
    NO_VALIDATION,
    Chart,
    Steps,
    charts_of,
    end_of,
    same_points,
    steps_of,
    with_ghost,
)
from tui.plotting.plotted import SMOOTHING, Window
from tui.settings import keyed
from tui.state.ghosts import Ghost
from tui.state.reasons import no_step, no_validation
from tui.widgets.curve_navigation import NavigatedPane, Place

LEAST_WIDTH, LEAST_HEIGHT = 46, 9


class Curves(NavigatedPane):
    """Charts in a grid. Left and right move a cursor, up and down choose a chart."""

    ID = NAME = TITLE = "curves"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "log", "log", tooltip="logarithmic axis for the chosen curve"),
        Binding("x", "axis", "axis", tooltip="by iteration, epoch or time"),
        Binding(
            "plus,equals_sign",
            "smooth(1)",
            "smooth",
            key_display="- +",
            tooltip="less or more smoothing (the band behind is the raw range)",
        ),
        Binding("minus", "smooth(-1)"),
    ]

    class OptionsChanged(Message):
        """The manner of drawing was changed; the app remembers it."""

    smoothing = 3
    ghost: Ghost | None = None

    def __init__(self) -> None:
        super().__init__()
        self.logs: dict[str, bool] = {}  # charts of which a person chose the axis
        self._pictures: dict[str, tuple[object, Chart, Picture]] = {}

    # --- what is drawn -------------------------------------------------------------------------

    def charts(self) -> list[Chart]:
        """All charts that the filter lets through."""
        if self.snapshot is None:
            return []
        why = {NO_STEP: no_step(self.snapshot), NO_VALIDATION: no_validation(self.snapshot)}
        charts = self.filtered(charts_of(self.snapshot.view))
        if not self.filter:  # what never changes leaves its place to others; a filter finds it
            charts = [chart for chart in charts if not chart.constant]
        return [replace(chart, reason=why.get(chart.reason, chart.reason)) for chart in charts]

    def filtered(self, charts: list[Chart]) -> list[Chart]:
        """The charts whose names have all words of the filter."""
        words = self.filter.lower().split()
        return [chart for chart in charts if all(word in f"{chart.name} {chart.title}".lower() for word in words)]

    def names(self) -> list[str]:
        return [chart.name for chart in self.charts()]

    def draw(self, width: int, height: int) -> list[Line]:
        charts = self.charts()
        if self.snapshot is None or not charts:
            called = f'no curve is called "{self.filter}" {keyed("(<filter:/> changes the filter)")}'
            reason = called if self.filter else no_step(None)
            return self.reason(reason, width, height)
        per_row, rows = self._grid(charts, width, height)
        shown = self._page_of(charts, per_row)
        view = self.snapshot.view
        steps = steps_of(view, self.mode)
        whole = self.whole_axis(view, over=self.snapshot.over)
        self._window = window = Window(*(self.zoom or (0.0, whole)), whole)
        lines: list[Line] = []
        places: list[Place] = []
        rest = iter(shown)
        for row, count in enumerate(_shared(len(shown), len(per_row))):
            top = row * rows // len(per_row)
            tall = (row + 1) * rows // len(per_row) - top
            edges = [at * width // max(1, count) for at in range(count + 1)]
            boxes = [Region(left, top, right - left, tall) for left, right in pairwise(edges)]
            columns = []
            for box, chart in zip(boxes, rest, strict=False):
                picture = self._one(chart, box, steps, window)
                places.append(Place(chart.name, box, box.x + picture.left, picture.columns))
                columns.append(picture.lines)
            lines += [[span for column in columns for span in column[y]] for y in range(tall)]
        self._places = places
        if rows < height:
            lines.append(self._settings(charts, shown, width))
        return lines

    def _grid(self, charts: list[Chart], width: int, height: int) -> tuple[list[int], int]:
        """Charts in each row of a page, and the lines that all rows take."""
        rows = height - 1 if height >= LEAST_HEIGHT + 2 else height
        if self.full:
            return [1], rows
        tall = LEAST_HEIGHT if rows < 30 else LEAST_HEIGHT + 2
        across = max(1, min(width // LEAST_WIDTH, 5))
        down = max(1, min(rows // tall, -(-len(charts) // across)))
        return _shared(min(len(charts), across * down), down), rows

    def _page_of(self, charts: list[Chart], per_row: list[int]) -> list[Chart]:
        room = sum(per_row)
        names = [chart.name for chart in charts]
        if self.chosen not in names:
            self.chosen = names[min(self.page_at * room, len(names) - 1)]
        self._room = (room, len(charts))
        self.page_at = names.index(self.chosen) // room
        return charts[self.page_at * room : (self.page_at + 1) * room]

    def whole_axis(self, view: RunView, *, over: bool) -> float:
        """How long the horizontal axis is; ``over``: the run goes on no more."""
        end = end_of(view, self.mode)
        planned = {"iteration": float(view.iterations), "epoch": float(view.epochs)}.get(self.mode, 0.0)
        whole = end if over and end > 0 else round_up(end)
        return min(whole, planned) if planned >= end > 0 else whole

    def _one(self, chart: Chart, box: Region, steps: Steps, window: Window) -> Picture:
        make = time_axis if self.mode == "time" else step_axis
        manner = ChartOptions(
            steps,
            window,
            make(window.low, window.high, box.width - 8),
            smoothing=SMOOTHING[self.smoothing],
            log=self.logs.get(chart.name),
            cursor=self.cursor,
            focused=self.has_focus and chart.name == self.chosen,
            ghost=self.ghost.name if self.ghost else "",
            plain=self.ascii_only,
            resumes=self._resumes(steps),
            events=self._events(steps) if chart.name == "loss" else (),
        )
        drawn = with_ghost(chart, self.ghost.view, self.mode) if self.ghost else chart
        return self._picture(drawn, box, manner)

    def _picture(self, chart: Chart, box: Region, manner: ChartOptions) -> Picture:
        """The picture of a chart; of one whose points are the old ones, the old picture."""
        # Only on an axis of time do the times of the sessions, which every event moves, matter.
        steps = manner.steps if self.mode == "time" else replace(manner.steps, knots_s=(), knots=())
        key = (replace(manner, steps=steps), box.size)
        before = self._pictures.get(chart.name)
        if before is not None and before[0] == key and same_points(before[1], chart):
            return before[2]
        picture = draw_chart(chart, box.width, box.height, manner, before[2].labels if before else 4)
        self._pictures[chart.name] = key, chart, picture
        return picture

    def _resumes(self, steps: Steps) -> tuple[float, ...]:
        """Where the run was resumed, on the horizontal axis."""
        found = self.snapshot.view.resumes if self.snapshot else ()
        inner = [time_s if steps.mode == "time" else float(iteration) for time_s, iteration in found]
        return tuple(steps.to_axis(np.array(inner)).tolist()) if inner else ()

    def _events(self, steps: Steps) -> tuple[tuple[float, str], ...]:
        """Notes (n) and checkpoints that were asked for (c), on the horizontal axis."""
        view = self.snapshot.view if self.snapshot else EMPTY
        found = [(note.time_s, "n") for note in view.notes]
        found += [(saved.time_s, "c") for saved in view.checkpoints if saved.why == "request"]
        times = np.array([time_s for time_s, _ in found])
        if steps.mode != "time" and len(view.steps):
            times = np.interp(times, view.steps["time_s"], view.steps["iteration"]) if len(found) else times
        return tuple(zip(steps.to_axis(times).tolist(), (letter for _, letter in found), strict=True)) if found else ()

    def _settings(self, charts: list[Chart], shown: list[Chart], width: int) -> Line:
        """One line under the charts: which of them are shown, and how."""
        room, count = self._room
        pages = -(-count // room)
        parts: list[tuple[str, str]] = []
        if pages > 1:
            first = charts.index(shown[0]) + 1
            last = first + len(shown) - 1
            name, places = ("charts", f"{first}–{last}") if last > first else ("chart", str(first))
            parts.append((name, keyed(f"{places} of {count}  <page(1):[ ]>")))
        parts.append(("x", self.mode))
        share = SMOOTHING[self.smoothing]
        parts.append(("smoothing", "off" if share == 0 else f"{share * 100:g} %"))
        if self.zoom is not None and self._window is not None:
            low, high = (place_text(place, self.mode) for place in (self._window.low, self._window.high))
            parts.append(("zoom", f"{low} – {high}  {keyed('<reset:0> resets')}"))
        if self.ghost:
            parts.append(("ghost", self.ghost.name))
        if self.filter:
            parts.append(("filter", self.filter))
        line: Line = [(" ", "muted")]
        for name, value in parts:
            line += [(f" {name} ", "muted"), (value, "ink"), ("  ", "muted")]
        return [*line, (" " * max(0, width - length(line)), "muted")]

    # --- keys ----------------------------------------------------------------------------------

    def action_log(self) -> None:
        drawn = self._pictures.get(self.chosen)
        self.logs[self.chosen] = not self.logs.get(self.chosen, drawn is not None and drawn[2].log)
        self.redraw()

    def action_axis(self) -> None:
        self.mode = MODES[(MODES.index(self.mode) + 1) % len(MODES)]
        self.zoom = self.cursor = None
        self.post_message(self.OptionsChanged())
        self.redraw()

    def action_smooth(self, by: int) -> None:
        self.smoothing = max(0, min(len(SMOOTHING) - 1, self.smoothing + by))
        self.post_message(self.OptionsChanged())
        self.redraw()

    def copied(self) -> str:
        """What the chosen chart says, as text to copy."""
        place = next((p for p in self._places if p.chart == self.chosen), None)
        if place is None or place.box.y >= len(self._strips):
            return self.chosen
        text = self._strips[place.box.y].crop(place.box.x, place.box.right).text
        return " ".join(text.strip("╭╮─ +-").replace("─", " ").split())


class RunCurves(Curves):
    """The curves of a run that is followed: an earlier run can be drawn behind them."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("g", "ghost", "ghost", tooltip="an earlier run behind the curves, the best of the same recipe first")
    ]

    class GhostWanted(Message):
        """The next earlier run, or none, is to be drawn behind the curves; the screen reads it."""

    def action_ghost(self) -> None:
        self.post_message(self.GhostWanted())


def _shared(count: int, rows: int) -> list[int]:
    """``count`` charts in ``rows`` rows, the first ones with one more where it does not go up."""
    return [count // rows + (1 if row < count % rows else 0) for row in range(rows)]
