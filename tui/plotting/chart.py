"""Draws one chart in its frame: axes, bands, lines, marks, cursor. Pure: lines of text come out."""

from __future__ import annotations

import math
from dataclasses import dataclass

from engine.readers.run_view import best
from tui.plotting.axes import Axis, value_axis
from tui.plotting.cells import Line, cut, fitted, frame_top, framed, length
from tui.plotting.charts import Chart, Mode, Steps
from tui.plotting.plot_area import PlotArea
from tui.plotting.plotted import Plotted, Window, plot, reading, value_range
from tui.plotting.raster import Raster
from tui.text import clock, figure, one_line, rate


@dataclass(frozen=True, slots=True)
class ChartOptions:
    """How charts are drawn: chosen by keys, one for all of them."""

    steps: Steps
    window: Window
    axis: Axis  # the horizontal one
    smoothing: float = 0.0
    log: bool = False
    cursor: float | None = None  # place on the horizontal axis
    focused: bool = False
    ghost: str = ""  # name of the earlier run behind the curves
    plain: bool = False  # for ASCII
    resumes: tuple[float, ...] = ()  # places where the run was resumed


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawn chart, and where its plot area is: for the mouse."""

    lines: list[Line]
    left: int = 0  # first column of the plot area
    columns: int = 0


def draw_chart(chart: Chart, width: int, height: int, manner: ChartOptions) -> Picture:
    """``chart`` in ``width`` x ``height`` cells, frame included."""
    rows = height - 2
    plotted, axis = _measure(chart, width, rows, manner)
    if axis is None:
        return Picture(_empty(chart, width, height, manner))
    left = _label_width(axis)
    columns = width - 3 - left
    raster = Raster(columns, rows, plain=manner.plain)
    area = PlotArea(raster, axis, manner.window)
    area.rule(manner.resumes)
    area.fill(chart, plotted, manner.cursor)
    if manner.ghost and plotted[0].curve.ghost:
        area.remark(ghost_remark(plotted, manner))
    border, ticks = _edge(manner), _ticks(axis, rows)
    parts = legend(chart, plotted, manner, width=width - 12 - len(chart.name))
    title = _title(chart, width, manner)
    lines = [frame_top(title, fitted(parts, width - 9 - length(title), 2), width, border)]
    for row, cells in enumerate(raster.lines()):
        text = ticks.get(rows - 1 - row)
        label = [((text or "").rjust(left), "muted"), ("│" if text is None else "┤", "faint")]
        lines.append([("│", border), *label, *cells, ("│", border)])
    return Picture([*lines, _bottom(width, left + 1, columns, manner)], left + 2, columns)


def _measure(chart: Chart, width: int, rows: int, manner: ChartOptions) -> tuple[list[Plotted], Axis | None]:
    """The curves by column and the vertical axis; no axis where there is nothing to draw or no room."""
    if rows < 2 or width < 20 or chart.empty:
        return [], None
    left, plotted, axis = 4, [], None
    for _ in range(3):  # the plot's width follows from the labels, the labels from the range
        plotted = [plot(c, manner.steps, manner.window, width - 3 - left, manner.smoothing) for c in chart.curves]
        found = value_range(chart, plotted, log=manner.log)
        if found is None:
            return plotted, None
        axis = value_axis(*found, rows, log=manner.log)
        if _label_width(axis) == left:
            break
        left = _label_width(axis)
    return plotted, axis


def _label_width(axis: Axis) -> int:
    return max((len(text) for _, text in axis.ticks), default=1)


def _ticks(axis: Axis, rows: int) -> dict[int, str]:
    """Row from the bottom -> label."""
    ticks: dict[int, str] = {}
    for place, text in axis.ticks:
        row = min(rows - 1, math.floor((place - axis.low) / (axis.high - axis.low) * rows))
        if row >= 0 and row not in ticks:
            ticks[row] = text
    return ticks


def _edge(manner: ChartOptions) -> str:
    return "accent" if manner.focused else "faint"


def _title(chart: Chart, width: int, manner: ChartOptions) -> Line:
    title: Line = [(chart.name, "accent bold" if manner.focused else "ink bold")]
    title += [(f" {one_line(chart.unit)}", "muted")] if chart.unit else []
    title += [(" log", "muted")] if manner.log else []
    return cut(title, max(0, width - 6))


def _bottom(width: int, axis_at: int, columns: int, manner: ChartOptions) -> Line:
    """The lower border, which is the horizontal axis too."""
    border, unit = _edge(manner), manner.steps.mode
    chars, labelled = ["╰", *["─"] * (width - 2), "╯"], [False] * width
    chars[axis_at] = "┴"
    end = width - 2 - (len(unit) + 2 if columns >= 40 else 0)
    free = 0
    span = manner.axis.high - manner.axis.low
    for place, text in manner.axis.ticks:
        at = axis_at + round((place - manner.axis.low) / span * columns)
        if at < free or at + 1 + len(text) > end or at < axis_at:
            continue
        chars[at] = "┴"
        for i, char in enumerate(text, start=at + 1):
            chars[i], labelled[i] = char, True
        free = at + len(text) + 2
    if columns >= 40:
        for i, char in enumerate(f" {unit} ", start=end):
            chars[i], labelled[i] = char, True
    return [(char, "muted" if is_label else border) for char, is_label in zip(chars, labelled, strict=True)]


def _empty(chart: Chart, width: int, height: int, manner: ChartOptions) -> list[Line]:
    reason = chart.reason if chart.empty else "nothing to draw here: no finite value in view"
    if not chart.empty and manner.log:
        reason = "no value above 0 in view (y: linear axis)"
    body: list[Line] = [[] for _ in range(height - 2)]
    if body:
        body[(height - 2) // 2] = [(reason[: width - 2].center(width - 2), "muted")]
    title = _title(chart, width, manner)
    return framed(body, width, height, title=title, note=[], border=_edge(manner))[:height]


def legend(chart: Chart, plotted: list[Plotted], manner: ChartOptions, *, width: int) -> list[Line]:
    """Mark, name and value of each curve: at the cursor, else the newest; then the best of a monitored metric.

    The names give way where ``width`` cells are too few for them: the table of classes has the same marks.
    """
    own = [p for p in plotted if not p.curve.ghost]
    parts: list[Line] = []
    if manner.cursor is not None:
        parts.append([(f"@ {place_text(manner.cursor, manner.steps.mode)}", "muted")])
    names = sum(len(p.curve.name) + 10 for p in own) < width
    for p in own:
        value = reading(p, manner.window.high if manner.cursor is None else manner.cursor)
        part: Line = []
        part += [(p.curve.mark, p.curve.color)] if len(own) > 1 else []
        part += [(f"{' ' if part else ''}{p.curve.name}", "muted")] if names and p.curve.name != chart.name else []
        shown = rate(value) if chart.name == "lr" else figure(value)
        parts.append([*part, (f" {shown}" if part else shown, "ink")])
    found = best(own[-1].curve.table, up=chart.up) if chart.monitored and own and manner.cursor is None else None
    if found:
        place = f" @ {found[1]}"
        parts.append([("★ ", "warning"), ("best ", "muted"), (figure(found[0]), "ink"), (place, "muted")])
    lost = sum(p.lost for p in own)
    parts += [[(f"✕ {lost}", "error")]] if lost else []
    return parts


def ghost_remark(plotted: list[Plotted], manner: ChartOptions) -> str:
    """The ghost's name and by how much this run differs from it at the same step."""
    ghost = plotted[0]
    twin = next((p for p in plotted[1:] if p.curve.name == ghost.curve.name), None)
    if twin is None or not len(twin.x):
        return f"◌ {manner.ghost}"
    place = min(float(twin.x[-1]), manner.window.high) if manner.cursor is None else manner.cursor
    there, here = reading(ghost, place), reading(twin, place)
    if not math.isfinite(here - there) or place > float(ghost.x[-1]) * 1.02:
        return f"◌ {manner.ghost}"
    sign = "+" if here >= there else "−"
    return f"◌ {manner.ghost}\n{sign}{figure(abs(here - there))} at {place_text(place, manner.steps.mode)}"


def place_text(place: float, mode: Mode) -> str:
    """A place on the horizontal axis in words."""
    if mode == "time":
        return clock(place)
    return f"{mode} {place:.0f}" if mode == "iteration" else f"epoch {place:.3g}"
