"""A curve made ready for one plot area: its line, its band and its marks, by column. Pure."""

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from tui.plotting.charts import Chart, Curve, Steps
from tui.plotting.reduce import Floats, Reduced, average, columns_before, reduce, search, usable

SMOOTHING = (0.0, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16)
"""Half-lives of the smoothed line, as shares of the whole horizontal axis."""
_OUTLIER = 1000.0  # a value so many times as big as three quarters of the others does not stretch the axis
_LOG_SPAN = 20.0
"""From this ratio of the highest to the lowest value on a linear axis shows a twentieth of its height for all below."""

Rows: TypeAlias = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Window:
    """The horizontal part of a run that is shown."""

    low: float
    high: float
    whole: float  # length of the whole axis: smoothing does not change with the zoom


@dataclass(frozen=True, slots=True)
class Plotted:
    """A curve in one plot area of ``n`` cell columns; places in the units of the horizontal axis."""

    curve: Curve
    steps: Steps
    x: Floats  # (k,) of the line
    y: Floats
    points: bool  # each value of the line is one point of the series
    least: Floats  # (n,) of the band; empty for a curve without one
    most: Floats
    cells: Reduced  # n of them

    @property
    def lost(self) -> int:
        return int((self.cells.nans | self.cells.pos_inf | self.cells.neg_inf).sum())


def plot(curve: Curve, steps: Steps, window: Window, columns: int, smoothing: float) -> Plotted:
    """Reduce ``curve`` to ``columns`` cells over ``window``."""
    steps = curve.steps or steps
    edges = np.linspace(window.low, window.high, columns + 1)
    at = _rows(curve, steps, edges)
    cells = reduce(curve.table, curve.column, at)
    rows = int(at[-1] - at[0])
    half_life = smoothing * window.whole if curve.dense else 0.0
    few = rows <= 2 * columns
    x, y = _points(curve, steps, at, half_life) if few else _means(curve, steps, window, columns, half_life)
    band = (cells.least, cells.most) if curve.dense and not curve.ghost else (np.empty(0), np.empty(0))
    return Plotted(curve, steps, x, y, few and half_life == 0, *band, cells)


def _rows(curve: Curve, steps: Steps, edges: Floats) -> Rows:
    inner = steps.to_data(edges)
    inner[-1] = np.nextafter(inner[-1], np.inf)  # the right edge belongs to the last column
    return search(curve.table, steps.column, inner)


def _points(curve: Curve, steps: Steps, at: Rows, half_life: float) -> tuple[Floats, Floats]:
    """Every point by itself, averaged with those before the window that still weigh.

    Without an average one more at either side: the line leads into the window and out of it.
    """
    first, last = int(at[0]), int(at[-1])
    begin = max(0, first - 4 * (last - first) - 50 if half_life else first - 1)
    end = last if half_life else min(len(curve.table), last + 1)
    x = steps.to_axis(curve.table[steps.column][begin:end])
    y = curve.table[curve.column][begin:end].astype(np.float64)
    if half_life:
        known = usable(y)
        x, y, kept = x[known], y[known], np.arange(begin, last)[known]
        y = average(x, y, np.ones(len(y)), half_life)
        return x[kept >= first], y[kept >= first]
    return x, np.where(usable(y), y, np.nan)


def _means(curve: Curve, steps: Steps, window: Window, columns: int, half_life: float) -> tuple[Floats, Floats]:
    """Means of half-cell columns, averaged with those before the window that still weigh."""
    columns *= 2
    width = (window.high - window.low) / columns
    before = columns_before(half_life, width, 4 * columns)
    edges = window.low + width * np.arange(-before, columns + 1, dtype=np.float64)
    bins = reduce(curve.table, curve.column, _rows(curve, steps, edges))
    places, mean = (edges[:-1] + edges[1:]) / 2, bins.mean
    known = np.isfinite(mean)
    places, mean = places[known], average(places[known], mean[known], bins.count[known], half_life)
    inside = places >= window.low
    return places[inside], mean[inside]


def value_range(chart: Chart, plotted: list[Plotted], *, log: bool) -> tuple[float, float] | None:
    """Lowest and highest value to show; single spikes of a band are left to marks. ``None``: nothing is finite."""
    values = [p.y for p in plotted]
    for p in plotted:
        known = np.isfinite(p.least)
        if known.any():
            values += [np.percentile(p.least[known], [2.0]), np.percentile(p.most[known], [98.0])]
    merged = np.concatenate(values) if values else np.empty(0)
    merged = merged[np.isfinite(merged)]
    if log:
        merged = merged[merged > 0]
    if not len(merged):
        return None
    low, high = _without_outliers(merged)
    if chart.bounded and not log:
        room = (high - low) * 0.02
        return max(min(0.0, low), low - room), min(max(1.0, high), high + room)
    return low, high


def _without_outliers(values: Floats) -> tuple[float, float]:
    """The range of ``values`` but for those absurdly far off: a loss of 1e30 must not flatten all others."""
    sizes = np.abs(values)
    usual = sizes[sizes > 0]
    near = values[sizes <= _OUTLIER * np.percentile(usual, 75.0)] if len(usual) else values
    return float(near.min()), float(near.max())


def spans_decades(found: tuple[float, float] | None) -> bool:
    """Whether a range is better read on a log axis: its small values would be one flat line."""
    return found is not None and found[0] > 0 and found[1] / found[0] >= _LOG_SPAN


def raw(p: Plotted, x: float) -> float:
    """The value of the series itself, not of its smoothed line, at a place: the last one at or before it."""
    data = p.steps.to_data(np.array([x]))
    data[0] = np.nextafter(data[0], np.inf)
    at = int(search(p.curve.table, p.steps.column, data)[0]) - 1
    return float(p.curve.table[p.curve.column][at]) if at >= 0 else math.nan


def reading(p: Plotted, x: float) -> float:
    """The value of a plotted line at a place: that of the last point at or before it."""
    at = int(np.searchsorted(p.x, x, "right")) - 1
    return float(p.y[at]) if at >= 0 else math.nan
