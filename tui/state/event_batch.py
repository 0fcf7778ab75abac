"""What a batch of events adds to a view of a run: points to series, items to lists. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from engine.events import (
    AnyEvent,
    CheckpointSaved,
    Control,
    EpochDone,
    Figure,
    Iteration,
    Log,
    Metrics,
    Note,
    Number,
    Phase,
    Preview,
    Progress,
    Resources,
    Result,
    RunEnded,
    RunStarted,
    Validation,
)
from tui.state.series import Columns

if TYPE_CHECKING:
    from tui.state.run_view import RunView

LOGS = 5000
"""Log lines that a view keeps; the whole log is in train.log."""
JOURNAL = 1000
"""Notable events that a view keeps: checkpoints, warnings, control, notes, starts, the end."""
VALIDATIONS = 1000
"""Validations whose per-case table a view keeps."""

STEP_COLUMNS = {
    "iteration": "i8",
    "epoch": "i4",
    "time_s": "f8",
    "loss": "f8",
    "lr": "f4",
    "cases_per_s": "f4",
    "grad_norm": "f4",
}
TRACK_COLUMNS = {"iteration": "i8", "epoch": "i4", "time_s": "f8", "value": "f8"}
RESOURCE_COLUMNS = {
    "time_s": "f8",
    "cpu_percent": "f4",
    "memory_mb": "f4",
    "memory_total_mb": "f4",
    "gpu_percent": "f4",
    "gpu_memory_mb": "f4",
    "gpu_memory_total_mb": "f4",
    "disk_free_gb": "f4",
}

Tracks: TypeAlias = Mapping[str, Columns]
"""Metric name -> its points: columns iteration, epoch, time_s, value (nan where not measured)."""
JournalEvent: TypeAlias = RunStarted | Phase | CheckpointSaved | Log | Control | Note | Result | RunEnded | Figure
_NO_TRACK = Columns(TRACK_COLUMNS)


class EventBatch:
    """What a batch of events, without a new session in it, adds to a view."""

    def __init__(self) -> None:
        self.iterations: list[Iteration] = []
        self.values: dict[str, Any] = {}
        self.lists: dict[str, list[Any]] = {}
        self.rows: dict[tuple[str, str, str], list[tuple[int, int, float, Number]]] = {}
        self.samples: list[Resources] = []
        self.worked_s = 0.0

    def take(self, event: AnyEvent) -> None:
        """Fold in one event that is neither an `Iteration` nor a `RunStarted`."""
        match event:
            case Phase():
                self.values.update(phase=event, progress=None)
            case Progress():
                self.values["progress"] = event
            case Resources():
                self.samples.append(event)
            case EpochDone():
                self._points(event, "", "", {"seconds": event.seconds})
                self._measured(event, "train")
            case Validation():
                self._measured(event, "validation")
                self._list("validations", event)
            case Result():
                self._list("results", event)
            case RunEnded():
                self.values["ended"] = event
            case _:
                self._list(_LISTS[type(event)], event)
        if isinstance(event, _WORK):
            self.worked_s = max(self.worked_s, event.time_s)
        if isinstance(event, JournalEvent) and not (isinstance(event, Log) and event.level in _QUIET):
            self._list("journal", event)

    def onto(self, view: RunView) -> RunView:
        """``view`` with this batch added to it."""
        values = self.values
        for name, items in self.lists.items():
            if name == "results":
                values[name] = {**view.results, **{item.split: item for item in items}}
            else:
                values[name] = (*getattr(view, name), *items)[-_LIMITS.get(name, _MANY) :]
        if self.iterations:
            columns = {name: [getattr(event, name) for event in self.iterations] for name in STEP_COLUMNS}
            values["steps"] = _grown(view.steps, columns)
            self.worked_s = max(self.worked_s, *columns["time_s"], 0.0)
        if self.samples:
            samples = {name: [getattr(event, name) for event in self.samples] for name in RESOURCE_COLUMNS}
            values["resources"] = view.resources.append(samples)
        if self.worked_s > view.worked_s:
            values["worked_s"] = self.worked_s
        values |= self._tracks(view)
        return replace(view, **values) if values else view

    def _list(self, name: str, event: AnyEvent) -> None:
        self.lists.setdefault(name, []).append(event)

    def _measured(self, event: EpochDone | Validation, field_name: str) -> None:
        self._points(event, field_name, "", event.metrics)
        for label, metrics in event.per_class.items():
            self._points(event, f"{field_name}_classes", label, metrics)

    def _points(self, event: EpochDone | Validation, field_name: str, label: str, metrics: Metrics) -> None:
        for metric, value in metrics.items():
            point = (event.iteration, event.epoch, event.time_s, value)
            self.rows.setdefault((field_name, label, metric), []).append(point)

    def _tracks(self, view: RunView) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        for (name, label, metric), points in self.rows.items():
            columns = dict(zip(TRACK_COLUMNS, zip(*points, strict=True), strict=True))
            if not name:
                fields["epochs_done"] = _grown(view.epochs_done, columns)
                continue
            if name not in fields:
                fields[name] = dict(getattr(view, name))
            if name.endswith("_classes"):
                tracks = dict(fields[name].get(label, {}))
                tracks[metric] = _grown(tracks.get(metric, _NO_TRACK), columns)
                fields[name][label] = tracks
            else:
                fields[name][metric] = _grown(fields[name].get(metric, _NO_TRACK), columns)
        return fields


_WORK = (EpochDone, Validation, CheckpointSaved, Result, RunEnded)
_QUIET = frozenset({"debug", "info"})
_MANY = 1_000_000
_LISTS: dict[type, str] = {
    CheckpointSaved: "checkpoints",
    Log: "logs",
    Control: "controls",
    Note: "notes",
    Preview: "previews",
    Figure: "figures",
}
_LIMITS = {"logs": LOGS, "journal": JOURNAL, "validations": VALIDATIONS}


def before(table: Columns, iteration: int) -> Columns:
    """The rows of ``table`` with a smaller iteration."""
    return table.head(int(np.searchsorted(table["iteration"], iteration)))


def _grown(table: Columns, rows: Mapping[str, Sequence[Any]]) -> Columns:
    """``table`` with ``rows`` behind it; a row whose iteration is not new takes back what followed it."""
    numbers = np.asarray(rows["iteration"])
    end = table["iteration"][-1] if len(table) else -math.inf
    if numbers[0] > end and bool(np.all(np.diff(numbers) > 0)):
        return table.append(rows)
    for at in range(len(numbers)):
        table = before(table, int(numbers[at])).append({name: [column[at]] for name, column in rows.items()})
    return table
