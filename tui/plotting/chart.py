"""Draws one chart in its frame: axes, bands, lines, marks, cursor. Pure: lines of text come out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count

from engine.readers.run_view import best
from tui.plotting.axes import Axis, step_axis, value_axis
from tui.plotting.cells import Line, cut, fitted, frame_top, framed, length
from tui.plotting.charts import GHOST, Chart, Mode, Steps
from tui.plotting.plot_area import PlotArea
from tui.plotting.plotted import SMOOTHING, Plotted, Window, plot, raw, reading, spans_decades, value_range
from tui.plotting.raster import Raster
from tui.text import clock, figure, one_line, rate, shorten

_CHART_ROWS, _LEAST_ROWS = 12, 8  # of a chart among lines


@dataclass(frozen=True, slots=True)
class ChartOptions:
    """How charts are drawn: chosen by keys, one for all of them."""

    steps: Steps
    window: Window
    axis: Axis  # the horizontal one
    smoothing: float = 0.0
    log: bool | None = False  # None: where the span asks for it
    cursor: float | None = None  # place on the horizontal axis
    focused: bool = False
    ghost: str = ""  # name of the earlier run behind the curves
    plain: bool = False  # for ASCII
    resumes: tuple[float, ...] = ()  # places where the run was resumed
    events: tuple[tuple[float, str], ...] = ()  # places and letters of notes and of checkpoints that were asked for


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawn chart, and where its plot area is: for the mouse."""

    lines: list[Line]
    left: int = 0  # first column of the plot area
    columns: int = 0
    log: bool = False
    labels: int = 4  # cells of the labels at the left


def draw_chart(chart: Chart, width: int, height: int, manner: ChartOptions, labels: int = 4) -> Picture:
    """``chart`` in ``width`` x ``height`` cells, frame included; ``labels``: cells that those at its left may take.

    They take what they need: with their number of last time the chart is measured once and not twice.
    """
    rows = height - 2
    plotted, axis, left = _measure(chart, width, rows, manner, labels)
    manner = replace(manner, log=axis.log if axis else bool(manner.log))
    if axis is None:
        return Picture(_empty(chart, width, height, manner))
    columns = width - 3 - left
    raster = Raster(columns, rows, plain=manner.plain)
    area = PlotArea(raster, axis, manner.window)
    area.rule(manner.resumes)
    for level in _levels(chart, plotted):
        area.level(level)
    area.fill(chart, plotted, manner.cursor)
    for place, letter in manner.events:
        area.put(place, 0.0, letter, "accent")
    border, ticks = _edge(manner), _ticks(axis, rows)
    parts = legend(chart, plotted, manner, width=width - 12 - len(chart.title))
    title = _title(chart, width, manner)
    lines = [frame_top(title, fitted(parts, width - 9 - length(title), 2), width, border)]
    for row, cells in enumerate(raster.lines()):
        text = ticks.get(rows - 1 - row)
        label = [((text or "").rjust(left), "muted"), ("│" if text is None else "┤", "faint")]
        lines.append([("│", border), *label, *cells, ("│", border)])
    return Picture([*lines, _bottom(width, left + 1, columns, manner)], left + 2, columns, manner.log or False, left)


def _measure(
    chart: Chart, width: int, rows: int, manner: ChartOptions, left: int
) -> tuple[list[Plotted], Axis | None, int]:
    """The curves by column, the vertical axis, and its cells; no axis where there is nothing to draw or no room."""
    if rows < 2 or width < 20 or chart.empty:
        return [], None, 0
    for turn in count():  # the plot's width follows from the labels, the labels from the range
        plotted = [plot(c, manner.steps, manner.window, width - 3 - left, manner.smoothing) for c in chart.curves]
        found = value_range(chart, plotted, log=bool(manner.log))
        log = manner.log if manner.log is not None else chart.by_size and spans_decades(found)
        found = value_range(chart, plotted, log=True) if log and not manner.log else found
        if found is None:
            break
        axis = value_axis(*found, rows, log=log)
        labels = max((len(text) for _, text in axis.ticks), default=1)
        if labels == left or (turn and labels < left):  # from here on it grows only: two widths may give one another
            return plotted, axis, left
        left = labels
    return plotted, None, 0


def _levels(chart: Chart, plotted: list[Plotted]) -> list[float]:
    """The values that a monitored metric is held against: its best, and that of a guess."""
    found = best(plotted[-1].curve.table, up=chart.up) if chart.monitored else None
    return [*([] if found is None else [found[0]]), *([] if chart.chance is None else [chart.chance])]


def _ticks(axis: Axis, rows: int) -> dict[int, str]:
    ticks: dict[int, str] = {}
    for place, text in axis.ticks:
        row = min(rows - 1, math.floor((place - axis.low) / (axis.high - axis.low) * rows))
        if row >= 0 and row not in ticks:
            ticks[row] = text
    return ticks


def _edge(manner: ChartOptions) -> str:
    return "accent" if manner.focused else "faint"


def _title(chart: Chart, width: int, manner: ChartOptions) -> Line:
    title: Line = [(chart.title, "accent bold" if manner.focused else "ink bold")]
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
    if not names and len(own) > 2 and manner.cursor is None:
        return [_names(own, width)]
    place = manner.window.high if manner.cursor is None else manner.cursor
    for p in own:
        value, smooth = raw(p, place), reading(p, place)
        part: Line = []
        part += [(p.curve.mark, p.curve.color)] if len(own) > 1 else []
        part += [(f"{' ' if part else ''}{p.curve.name}", "muted")] if names and p.curve.name != chart.name else []
        shown = rate(value) if chart.name == "lr" else figure(value)
        part.append((f" {shown}" if part else shown, "ink"))
        if names and p.curve.dense and manner.smoothing and figure(smooth) != shown:
            part.append((f" ~{figure(smooth)}", "muted"))
        parts.append(part)
    if manner.ghost and plotted[0].curve.ghost:
        gap = ghost_gap(plotted, manner)
        named: Line = [("◌ ", GHOST), (shorten(one_line(manner.ghost), 16), "muted"), (gap, "ink")]
        room = width - sum(length(part) + 2 for part in parts)
        parts.append(named if not gap or length(named) <= room else [("◌", GHOST), (gap.partition(" at ")[0], "ink")])
    found = best(own[-1].curve.table, up=chart.up) if chart.monitored and own and manner.cursor is None else None
    if found:
        epoch = f" @ {found[1]}"
        parts.append([("★ ", "warning"), ("best ", "muted"), (figure(found[0]), "ink"), (epoch, "muted")])
    parts += [[("╌ chance ", "muted"), (figure(chart.chance), "ink")]] if chart.chance is not None else []
    lost = sum(p.lost for p in own)
    parts += [[(f"✕ {lost}", "error")]] if lost else []
    return parts


def _names(own: list[Plotted], width: int) -> Line:
    """Mark and name of each of many curves, the names as long as there is room for all of them."""
    each = max(1, (width - 3 * len(own)) // len(own))
    line: Line = []
    for p in own:
        line += [(p.curve.mark, p.curve.color), (f"{p.curve.name[:each]} ", "muted")]
    return line


def ghost_gap(plotted: list[Plotted], manner: ChartOptions) -> str:
    """By how much this run differs from its ghost at the same step; "" where one of them is not there."""
    ghost = plotted[0]
    twin = next((p for p in plotted[1:] if p.curve.name == ghost.curve.name), None)
    if twin is None or not len(twin.x):
        return ""
    place = min(float(twin.x[-1]), manner.window.high) if manner.cursor is None else manner.cursor
    there, here = reading(ghost, place), reading(twin, place)
    if not math.isfinite(here - there) or place > float(ghost.x[-1]) * 1.02:
        return ""
    at = f" at {place_text(place, manner.steps.mode)}" if manner.cursor is None else ""
    return f" {'+' if here >= there else '−'}{figure(abs(here - there))}{at}"


def place_text(place: float, mode: Mode) -> str:
    """A place on the horizontal axis in words."""
    if mode == "time":
        return clock(place)
    return f"{mode} {place:.0f}" if mode == "iteration" else f"epoch {place:.3g}"


def chart_rows(charts: Sequence[Chart], steps: Steps, end: float, width: int, height: int) -> list[Line]:
    """As many charts as there is room for, up to two beside each other, from 0 to ``end``; none where there is none."""
    down = max((height - 1) // _CHART_ROWS, int(height > _LEAST_ROWS))
    tall, across, end = (height - 1) // max(1, down), 2 if width >= 100 else 1, max(1.0, end)
    wide, lines = width // across, list[Line]()
    manner = ChartOptions(steps, Window(0.0, end, end), step_axis(0.0, end, wide - 8), smoothing=SMOOTHING[3], log=None)
    for row in range(down):
        drawn = [draw_chart(each, wide, tall, manner).lines for each in charts[row * across :][:across]]
        lines += [[]] if drawn and not lines else []
        lines += [[span for line in beside for span in line] for beside in zip(*drawn, strict=True)]
    return lines
