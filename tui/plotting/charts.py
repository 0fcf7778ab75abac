"""Which charts a run has, and the curves on each: `RunView` -> `Chart`. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np

from engine.measures import better_up, find, is_count, is_distance, spoken
from engine.readers.columns import Columns
from engine.readers.run_view import TRACK_COLUMNS, RunView, Tracks, best
from tui.plotting.reduce import Floats
from tui.text import one_line
from tui.theme import mark

Mode: TypeAlias = Literal["iteration", "epoch", "time"]
MODES: tuple[Mode, ...] = ("iteration", "epoch", "time")
NO_STEP, NO_VALIDATION = "no iteration yet", "no validation yet"  # why a chart is empty, as far as a view alone tells
GHOST = "3"  # the colour of an earlier run behind the curves
MOST_CLASSES = 8  # curves on one chart of classes; more cannot be told apart


@dataclass(frozen=True, slots=True)
class Steps:
    """Where points stand on the horizontal axis, for one run and one mode."""

    mode: Mode
    per_epoch: int
    knots_s: tuple[float, ...]  # wall times: start, end, start, ... of the sessions
    knots: tuple[float, ...]  # the same as seconds of work

    @property
    def column(self) -> str:
        return "time_s" if self.mode == "time" else "iteration"

    def to_data(self, places: Floats) -> Floats:
        """From places on the axis to the units of `column`."""
        if self.mode == "epoch":
            return places * max(1, self.per_epoch)
        if self.mode == "time":
            beyond = np.maximum(0.0, places - self.knots[-1])
            return np.interp(places, self.knots, self.knots_s) + beyond + np.minimum(0.0, places)
        return places

    def to_axis(self, values: Floats) -> Floats:
        """From the units of `column` to places on the axis."""
        if self.mode == "epoch":
            return values / max(1, self.per_epoch)
        if self.mode == "time":
            return np.interp(values, self.knots_s, self.knots) + np.maximum(0.0, values - self.knots_s[-1])
        return values.astype(np.float64)


def steps_of(view: RunView, mode: Mode) -> Steps:
    """The horizontal axis of a run. Time is seconds of work: gaps between sessions take no room."""
    knots_s: list[float] = []
    knots: list[float] = []
    worked = 0.0
    for start, stop in (*view.sessions, (view.session_s, max(view.session_s, view.time_s))):
        knots_s += [max(start, knots_s[-1] if knots_s else start), max(start, stop)]
        knots += [worked, worked + max(0.0, stop - start)]
        worked = knots[-1]
    return Steps(mode, view.iterations_per_epoch, tuple(knots_s), tuple(knots))


def end_of(view: RunView, mode: Mode) -> float:
    """How far a run is on the horizontal axis."""
    if mode == "time":
        return steps_of(view, mode).knots[-1]
    return view.iteration / (max(1, view.iterations_per_epoch) if mode == "epoch" else 1)


@dataclass(frozen=True, slots=True)
class Curve:
    """One series of a chart."""

    name: str
    table: Columns
    column: str
    color: str  # name of a colour of the palette, or the number of one of its series
    mark: str
    dense: bool = False  # many noisy points: a band with a smoothed line over it
    steps: Steps | None = None  # of another run, for a ghost
    ghost: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart: its curves, and what to say in place of them."""

    name: str
    curves: tuple[Curve, ...]
    up: bool = True  # more is better
    monitored: bool = False
    reason: str = ""  # why there is nothing to see yet
    chance: float | None = None  # the value of a guess
    unit: str = ""  # of the values

    @property
    def title(self) -> str:
        """Its name as people read it."""
        return spoken(self.name)

    @property
    def bounded(self) -> bool:
        """Whether the values lie between 0 and 1: the axis does not go beyond."""
        return find(self.name.split(" by ")[0]).kind == "share"

    @property
    def by_size(self) -> bool:
        """Whether sizes matter more than differences: a log axis may suit it."""
        return not self.bounded and self.name not in {"lr", "cases/s"}

    @property
    def constant(self) -> bool:
        """Whether all of its values are one: nothing that a chart would tell."""
        (curve, *more) = self.curves
        values = curve.table[curve.column]
        return not more and len(values) > 1 and bool(values.min() == values.max())

    @property
    def empty(self) -> bool:
        return not any(len(curve.table) for curve in self.curves)


def same_points(before: Chart, now: Chart) -> bool:
    """Whether two charts show the same; tables are compared by identity: a grown one is a new one."""

    def plain(curve: Curve) -> tuple[object, ...]:
        return curve.name, curve.column, curve.color, curve.mark, curve.dense, curve.ghost, curve.steps

    return replace(before, curves=()) == replace(now, curves=()) and [
        (id(curve.table), *plain(curve)) for curve in before.curves
    ] == [(id(curve.table), *plain(curve)) for curve in now.curves]


def charts_of(view: RunView) -> list[Chart]:
    """All charts of a run, the most important first: loss, the monitored metric, its classes, the rest."""
    loss = [Curve("train", view.steps, "loss", "ink", mark(0), dense=True)]
    if "loss" in view.validation:
        loss.append(_curve("val", view.validation["loss"], "accent", 1))
    charts = [Chart("loss", tuple(loss), up=False, reason=NO_STEP)]
    for metric in _metrics(view):
        charts.append(_metric_chart(view, metric))
        charts += _class_charts(view, metric) if metric == view.monitor else []
    for metric in _class_metrics(view):
        if metric != view.monitor:
            charts += _class_charts(view, metric)
    charts += [
        Chart(name, (Curve(name, view.steps, column, "ink", mark(0), dense=dense),), reason=NO_STEP)
        for name, column, dense in (
            ("lr", "lr", False),
            ("grad norm", "grad_norm", True),
            ("cases/s", "cases_per_s", True),
        )
        if column != "grad_norm" or np.isfinite(view.steps[column][-200:]).any()
    ]
    return charts


def with_ghost(chart: Chart, ghost: RunView, mode: Mode) -> Chart:
    """``chart`` with the same curves of an earlier run behind its own (not for the curves of classes)."""
    if " by " in chart.name:
        return chart
    twin = next((other for other in charts_of(ghost) if other.name == chart.name), None)
    steps = steps_of(ghost, mode)
    mine = {curve.name for curve in chart.curves}
    behind = [c for c in (twin.curves if twin else ()) if c.name in mine and len(c.table)]
    if len(behind) > 1:  # one ghost is enough: of the curve that decides
        behind = behind[-1:]
    ghosts = tuple(replace(c, color=GHOST, ghost=True, steps=steps, mark="◌") for c in behind)
    return replace(chart, curves=(*ghosts, *chart.curves))


def _metrics(view: RunView) -> list[str]:
    first = [view.monitor] if view.monitor and view.monitor != "loss" else []
    rest = [m for m in (*view.validation, *view.train) if m not in {"loss", view.monitor}]
    return list(dict.fromkeys(first + rest))


def _class_metrics(view: RunView) -> list[str]:
    return list(dict.fromkeys(m for tracks in view.validation_classes.values() for m in tracks if not is_count(m)))


def _metric_chart(view: RunView, metric: str) -> Chart:
    curves = []
    if metric in view.train:
        curves.append(_curve("train", view.train[metric], "ink", 0))
    if metric in view.validation or metric == view.monitor:
        track = view.validation.get(metric)
        curves.append(_curve("val", track if track is not None else Columns(TRACK_COLUMNS), "accent", 1))
    up = view.monitor_up if metric == view.monitor else better_up(metric)
    return Chart(
        one_line(metric),
        tuple(curves),
        up=up,
        monitored=metric == view.monitor,
        reason=NO_VALIDATION,
        unit=view.unit if is_distance(metric) else "",
        chance=find(metric).of_guess(len(view.classes)) if view.classes else None,
    )


def _class_charts(view: RunView, metric: str) -> list[Chart]:
    """A metric by class, and by region, where there are several."""
    of = {"class": (view.classes, view.validation_classes), "region": (view.regions, view.validation_regions)}
    return [chart for what, (labels, known) in of.items() for chart in _label_chart(view, metric, what, labels, known)]


def _label_chart(
    view: RunView, metric: str, what: str, labels: Sequence[str], known: Mapping[str, Tracks]
) -> list[Chart]:
    tracks: list[tuple[str, Tracks]] = [
        (label, known[label])
        for label in labels
        if metric in known.get(label, {}) and np.isfinite(known[label][metric]["value"]).any()
    ]
    if len(tracks) < 2:
        return []
    if len(tracks) > MOST_CLASSES:
        tracks = sorted(tracks, key=lambda item: _standing(item[1][metric], metric))[:MOST_CLASSES]
    # The mark and colour of a class are its own.
    places = {label: at for at, label in enumerate((*view.classes, *view.regions))}
    curves = tuple(_curve(one_line(label), t[metric], str(places[label]), places[label]) for label, t in tracks)
    unit = view.unit if is_distance(metric) else ""
    return [Chart(f"{one_line(metric)} by {what}", curves, up=better_up(metric), unit=unit)]


def _standing(track: Columns, metric: str) -> float:
    up = better_up(metric)
    value = best(track, up=up)
    return 0.0 if value is None else value[0] if up else -value[0]


def _curve(name: str, track: Columns, color: str, place: int) -> Curve:
    return Curve(name, track, "value", color, mark(place))
