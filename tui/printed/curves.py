"""The curves of a run as text, drawn by plotext: for views that are printed once. Screens have their own raster."""

import numpy as np
import plotext
from numpy.typing import NDArray

from engine.measures import spoken
from engine.readers.columns import Columns
from engine.readers.run_view import RunView
from tui.text import figure

ROWS = 14
LEAST_WIDTH, MOST_WIDTH = 40, 110
_TICKS = 5
_POINTS = 400  # more than a terminal has columns: what is beyond is averaged first

Points = tuple[NDArray[np.float64], NDArray[np.float64]]


def curve_lines(view: RunView, width: int, *, ascii_only: bool) -> list[str]:
    """The loss and the monitored metric over epochs; nothing where there is no room or no two points."""
    if width < LEAST_WIDTH:
        return []
    dense, sparse = (".", "o") if ascii_only else ("braille", "▲")
    per_epoch = max(1, view.iterations_per_epoch)
    train = _points(view.steps, "loss", per_epoch)
    charts = [("loss", {"train": (train, dense), "val": (_track(view, "loss", per_epoch), sparse)})]
    if view.monitor and view.monitor != "loss":
        charts.append((spoken(view.monitor), {"val": (_track(view, view.monitor, per_epoch), sparse)}))
    lines: list[str] = []
    for title, series in charts:
        known = {name: (points, mark) for name, (points, mark) in series.items() if len(points[0])}
        if any(len(points[0]) > 1 for points, _ in known.values()):
            lines += [*([""] if lines else []), *_chart(title, known, min(width, MOST_WIDTH))]
    return lines


def _chart(title: str, series: dict[str, tuple[Points, str]], width: int) -> list[str]:
    plotext.clear_figure()
    plotext.theme("clear")
    plotext.plot_size(width, ROWS)
    plotext.title(title)
    plotext.xlabel("epoch")
    values = np.concatenate([points[1] for points, _ in series.values()])
    ticks = np.linspace(values.min(), values.max(), _TICKS).tolist()
    plotext.yticks(ticks, [figure(tick) for tick in ticks])
    for name, ((places, values), mark) in series.items():
        draw = plotext.plot if name == "train" else plotext.scatter
        draw(places.tolist(), values.tolist(), label=name, marker=mark)
    text = str(plotext.uncolorize(plotext.build()))
    plotext.clear_figure()
    return [line.rstrip() for line in text.splitlines()]


def _track(view: RunView, metric: str, per_epoch: int) -> Points:
    track = view.validation.get(metric)
    return (np.empty(0), np.empty(0)) if track is None else _points(track, "value", per_epoch)


def _points(table: Columns, column: str, per_epoch: int) -> Points:
    """The finite points of a column over epochs, at most `_POINTS`: plotext takes no infinity."""
    places, values = table["iteration"] / per_epoch, table[column].astype(np.float64)
    known = np.isfinite(values) & (np.abs(values) < 1e300)
    places, values = places[known], values[known]
    if len(values) <= _POINTS:
        return places, values
    parts = np.array_split(np.arange(len(values)), _POINTS)
    return np.array([places[part].mean() for part in parts]), np.array([values[part].mean() for part in parts])
