"""Several runs side by side: curves on one chart, metrics and recipes in one table."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from engine.errors import RecipeError
from engine.events import number
from engine.measures import better_up, find, is_count, is_distance, spoken
from engine.readers.columns import Columns
from engine.readers.run_view import EMPTY, RunView, Tracks, best
from engine.runfolder import RunFolder, read_manifest, read_metrics, read_small
from engine.runfolder.summary import DEFINITIONS
from engine.toml import flat, parse
from tui.plotting.charts import Chart, Curve, Mode, end_of, steps_of
from tui.text import clock, figure, one_line
from tui.theme import mark

LARGEST_RECIPE = 1 << 20
_MISSING = "–"


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """One of the compared runs."""

    folder: RunFolder
    label: str
    view: RunView = EMPTY
    state: str = ""
    recipe: Mapping[str, Any] = field(default_factory=dict)  # flat: "optimizer.lr" -> value
    problem: str = ""  # why the recipe cannot be compared
    data: str = ""  # fingerprint of the data, "" where unknown
    definitions: int = DEFINITIONS  # what its numbers mean


@dataclass(frozen=True, slots=True)
class TableRow:
    """A line of a comparison: a name and a cell for each run."""

    name: str
    cells: tuple[str, ...] = ()
    best: frozenset[int] = frozenset()  # the places of the best values
    head: bool = False  # the title of a section


def labels(folders: Sequence[RunFolder], names: Sequence[str]) -> list[str]:
    """Names that tell the runs apart: that of the recipe, with date and time where it is not enough."""
    often = Counter(names)
    seen: list[str] = []
    for folder, name in zip(folders, names, strict=True):
        when = f"{folder.id[4:6]}-{folder.id[6:8]} {folder.id[9:11]}:{folder.id[11:13]}"
        label = one_line(f"{name} {when}" if often[name] > 1 else name)
        seen.append(label if label not in seen else f"{label}:{folder.id[13:15]}")
    return seen


def read_compared_run(folder: RunFolder, label: str) -> ComparedRun:
    """A run without its view: recipe and data from its folder."""
    recipe: Mapping[str, Any] = {}
    problem = ""
    try:
        text = read_small(folder.recipe, LARGEST_RECIPE).decode("utf-8")
        recipe = flat(parse(text, folder.recipe.name))
    except OSError:
        problem = "recipe.toml is not there"
    except (UnicodeDecodeError, RecipeError):
        problem = "recipe.toml cannot be read"
    measured = read_metrics(folder).values()
    return ComparedRun(
        folder,
        label,
        recipe=recipe,
        problem=problem,
        data=read_manifest(folder).data.fingerprint if folder.splits.exists() else "",  # else it is of another kind
        definitions=min((part.definitions for part in measured), default=DEFINITIONS),
    )


# --- curves --------------------------------------------------------------------------------------


def compared_charts(sides: Sequence[ComparedRun], mode: Mode) -> list[Chart]:
    """A chart for each series that any run has, with a curve for each run that has it.

    Each run keeps its colour and mark on all charts. The training loss is that of whole epochs: the
    noise of single iterations of several runs hides what is to be compared.
    """
    charts = [_chart("val loss", sides, mode, [side.view.validation for side in sides], "loss")]
    charts.append(_chart("train loss", sides, mode, [side.view.train for side in sides], "loss"))
    charts = [chart for chart in charts if not chart.empty] or [_steps_chart(sides, mode)]
    for metric in metrics_of(sides):
        charts.append(_chart(metric, sides, mode, [side.view.validation for side in sides], metric))
    for metric in dict.fromkeys(name for side in sides for name in side.view.train):
        if metric != "loss":
            charts.append(_chart(f"train {metric}", sides, mode, [side.view.train for side in sides], metric))
    charts += _class_charts(sides, mode)
    return [chart for chart in charts if not chart.empty] or charts[:1]


def metrics_of(sides: Sequence[ComparedRun]) -> list[str]:
    """Metrics of any validation, the monitored ones first; without the loss."""
    first = [side.view.monitor for side in sides if side.view.monitor in side.view.validation]
    rest = [name for side in sides for name in side.view.validation]
    return [name for name in dict.fromkeys((*first, *rest)) if name != "loss"]


def _chart(name: str, sides: Sequence[ComparedRun], mode: Mode, tracks: Sequence[Tracks], metric: str) -> Chart:
    curves = tuple(
        _curve(at, side, mode, tracks[at][metric], "value")
        for at, side in enumerate(sides)
        if metric in tracks[at] and len(tracks[at][metric])
    )
    return Chart(one_line(name), curves, up=better_up(metric), reason="no run has measured this yet")


def _steps_chart(sides: Sequence[ComparedRun], mode: Mode) -> Chart:
    """The loss of each iteration, for runs that have not ended an epoch yet."""
    curves = tuple(_curve(at, side, mode, side.view.steps, "loss") for at, side in enumerate(sides))
    return Chart("train loss", curves, up=False, reason="no iteration yet")


def _class_charts(sides: Sequence[ComparedRun], mode: Mode) -> list[Chart]:
    """The monitored metric of each class, where a run has more than one."""
    metric = next((side.view.monitor for side in sides if side.view.monitor), "")
    names = list(dict.fromkeys(label for side in sides for label in side.view.classes))
    if len(names) < 2:
        return []
    tracks = {label: [side.view.validation_classes.get(label, {}) for side in sides] for label in names}
    return [_chart(f"{metric} · {label}", sides, mode, tracks[label], metric) for label in names]


def _curve(at: int, side: ComparedRun, mode: Mode, table: Columns, column: str) -> Curve:
    return Curve(side.label, table, column, str(at), mark(at), steps=steps_of(side.view, mode))


# --- tables --------------------------------------------------------------------------------------


def metric_rows(sides: Sequence[ComparedRun]) -> list[TableRow]:
    """Results of each split, the best of validation, and what the run took; the best of each row is marked."""
    splits = sorted({split for side in sides for split in side.view.results}, key=lambda name: (name != "test", name))
    views, seconds = [side.view for side in sides], [_epoch_seconds(side.view) for side in sides]
    return [
        *(row for split in splits for row in _result_rows(sides, split)),
        *_best_rows(sides),
        TableRow("run", head=True),
        TableRow("state", tuple(side.state or _MISSING for side in sides)),
        TableRow("epochs", tuple(f"{view.epoch}/{view.epochs}" for view in views)),
        TableRow("worked", tuple(clock(end_of(view, "time")) for view in views)),
        TableRow("s an epoch", tuple(map(figure, seconds)), best_places(seconds, up=False)),
        TableRow("device", tuple(one_line(v.started.device) if v.started else _MISSING for v in views)),
    ]


def _result_rows(sides: Sequence[ComparedRun], split: str) -> list[TableRow]:
    found = [side.view.results.get(split) for side in sides]
    whole = [result.metrics if result else {} for result in found]
    rows = [TableRow(f"{split}, chosen checkpoint", head=True), *_rows(whole, sides)]
    classes = list(dict.fromkeys(label for result in found if result for label in result.per_class))
    main = next((side.view.monitor for side in sides if side.view.monitor), "")
    regions = list(dict.fromkeys(label for result in found if result for label in result.per_region))
    if len(classes) > 1:
        for label in (*classes, *regions):
            each = [result.per_class | result.per_region if result else {} for result in found]
            parts = [labels.get(label, {}) for labels in each]
            unlike = len({str(side.recipe.get(f"evaluate.regions.{label}")) for side in sides}) > 1
            own = _rows(parts, sides, only=main)
            rows += [
                replace(row, name=f"{row.name} · {label}", best=frozenset() if unlike else row.best) for row in own
            ]
    return rows


def _units(sides: Sequence[ComparedRun]) -> set[str]:
    return {side.view.unit for side in sides} - {""}


def _unit(sides: Sequence[ComparedRun]) -> str:
    units = _units(sides)
    return units.pop() if len(units) == 1 else ""


def _told_apart(name: str, sides: Sequence[ComparedRun]) -> bool:
    """Whether one value of a metric is better than another: losses of one loss, distances in one unit, means over
    regions where these are the same, means over classes by one definition."""
    if name != "loss" and len({side.definitions for side in sides}) > 1 and any(len(s.view.classes) > 1 for s in sides):
        return False
    if name == "loss" or name.endswith("_regions"):
        keys = "loss." if name == "loss" else "evaluate.regions."
        found = {str([item for item in side.recipe.items() if item[0].startswith(keys)]) for side in sides}
        return len(found - ({"[]"} if name != "loss" else set())) < 2  # who has no regions has no mean over them
    return find(name).up is not None and (not is_distance(name) or len(_units(sides)) < 2)


def _rows(values: Sequence[Mapping[str, Any]], sides: Sequence[ComparedRun], only: str = "") -> list[TableRow]:
    rows = []
    for name in dict.fromkeys(name for metrics in values for name in metrics):
        numbers = [_number(metrics.get(name)) for metrics in values]
        if (only and name != only) or not any(math.isfinite(value) for value in numbers):
            continue
        marked = best_places(numbers, up=better_up(name)) if _told_apart(name, sides) else frozenset[int]()
        counted = is_count(name)
        cells = tuple(_MISSING if math.isnan(v) else str(int(v)) if counted else figure(v) for v in numbers)
        rows.append(TableRow(spoken(name, _unit(sides)), cells, marked))
    return rows


def _best_rows(sides: Sequence[ComparedRun]) -> list[TableRow]:
    names = metrics_of(sides) + (["loss"] if any("loss" in side.view.validation for side in sides) else [])
    rows = []
    for name in names:
        up = better_up(name)
        found = [best(side.view.validation[name], up=up) if name in side.view.validation else None for side in sides]
        cells = tuple(f"{figure(f[0])} @ {f[1]}" if f else _MISSING for f in found)
        numbers = [f[0] if f else math.nan for f in found]
        marked = best_places(numbers, up=up) if _told_apart(name, sides) else frozenset[int]()
        rows.append(TableRow(spoken(name, _unit(sides)), cells, marked))
    return [TableRow("validation, best @ epoch", head=True), *rows] if rows else []


def best_places(values: Sequence[float], *, up: bool) -> frozenset[int]:
    """Where the best of ``values`` stands; nowhere if fewer than two are finite or all are the same."""
    finite = [value for value in values if math.isfinite(value)]
    if len(finite) < 2 or min(finite) == max(finite):
        return frozenset()
    top = max(finite) if up else min(finite)
    return frozenset(at for at, value in enumerate(values) if value == top)


def recipe_rows(sides: Sequence[ComparedRun]) -> list[TableRow]:
    """The keys whose values differ, a row each; a run whose recipe cannot be read says so."""
    keys = list(dict.fromkeys(key for side in sides for key in side.recipe))
    rows = []
    for key in keys:
        cells = tuple(_cell(side, key) for side in sides)
        if len({cell for cell, side in zip(cells, sides, strict=True) if not side.problem}) > 1:
            rows.append(TableRow(key, cells))
    return rows


def warnings(sides: Sequence[ComparedRun]) -> list[str]:
    """Why the numbers may not be comparable."""
    views = [side.view for side in sides if side.view.started]
    differences: dict[str, set[Any]] = {
        "the tasks differ": {view.started.task for view in views if view.started},
        "the classes differ": {view.classes for view in views},
        "the runs saw different data: their numbers are not of the same cases": {s.data for s in sides if s.data},
        "distances are in different units": _units(sides),
        "an earlier version measured some, by other means: medtui evaluate RUN [--split validation] does it as now": {
            side.definitions for side in sides
        },
    }
    found = [f"{side.label}: {side.problem}" for side in sides if side.problem]
    return [*found, *(words for words, values in differences.items() if len(values) > 1)]


def _cell(side: ComparedRun, key: str) -> str:
    if side.problem:
        return "?"
    return one_line(_toml(side.recipe[key])) if key in side.recipe else _MISSING


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return str(value)


def _number(value: Any) -> float:
    return number(value) if isinstance(value, int | float | str) or value is None else math.nan


def _epoch_seconds(view: RunView) -> float:
    seconds = view.epochs_done["value"]
    known = seconds[np.isfinite(seconds) & (seconds > 0)]
    return float(np.median(known)) if len(known) else math.nan
