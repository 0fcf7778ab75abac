"""What a run looks like: a pure fold from its events to one frozen `RunView`. No Textual, no files.

``fold(view, events)`` gives the next view. The same events give the same view however they are cut
into batches. Series live in `tui.series.Columns`, so that all views of one run share their memory.
A resumed `RunStarted` takes back every point after the iteration that it goes on from.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

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
from tui.series import Columns

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


@dataclass(frozen=True, slots=True)
class RunView:
    """All that the screen knows of a run. Immutable; made by `fold` from `EMPTY`."""

    started: RunStarted | None = None  # the last one: of the session that runs or ran last
    sessions: tuple[tuple[float, float], ...] = ()  # (start_s, end_s) of the earlier sessions
    session_s: float = 0.0  # start of the last session; of the first one: the first event, before its RunStarted
    worked_s: float = 0.0  # time of the newest step, measurement or checkpoint
    time_s: float = 0.0  # time of the newest event
    seq: int = 0
    phase: Phase | None = None
    progress: Progress | None = None  # of `phase`, where it is not training
    steps: Columns = field(default_factory=lambda: Columns(STEP_COLUMNS))  # one row an iteration
    epochs_done: Columns = field(default_factory=lambda: Columns(TRACK_COLUMNS))  # value: seconds of the epoch
    train: Tracks = field(default_factory=dict)
    validation: Tracks = field(default_factory=dict)
    train_classes: Mapping[str, Tracks] = field(default_factory=dict)  # class -> metric -> points
    validation_classes: Mapping[str, Tracks] = field(default_factory=dict)
    validations: tuple[Validation, ...] = ()  # the last VALIDATIONS; `cases` has the worst cases
    resources: Columns = field(default_factory=lambda: Columns(RESOURCE_COLUMNS))
    checkpoints: tuple[CheckpointSaved, ...] = ()
    previews: tuple[Preview, ...] = ()
    figures: tuple[Figure, ...] = ()
    results: Mapping[str, Result] = field(default_factory=dict)
    logs: tuple[Log, ...] = ()
    notes: tuple[Note, ...] = ()
    controls: tuple[Control, ...] = ()
    journal: tuple[JournalEvent, ...] = ()
    resumes: tuple[tuple[float, int], ...] = ()  # (time_s, iteration) of each resumption
    ended: RunEnded | None = None

    @property
    def iteration(self) -> int:
        return int(self.steps["iteration"][-1]) if len(self.steps) else self._first(0)

    @property
    def epoch(self) -> int:
        """The epoch of the newest iteration; 0 before the first."""
        return int(self.steps["epoch"][-1]) if len(self.steps) else 0

    @property
    def epochs(self) -> int:
        return self.started.epochs if self.started else 0

    @property
    def iterations_per_epoch(self) -> int:
        return self.started.iterations_per_epoch if self.started else 0

    @property
    def iterations(self) -> int:
        """Planned iterations of the whole run; 0 where unknown."""
        return self.epochs * self.iterations_per_epoch

    @property
    def iteration_in_epoch(self) -> int:
        """Iterations done of the running epoch, 0 to `iterations_per_epoch`."""
        per_epoch = self.iterations_per_epoch
        if per_epoch <= 0 or self.epoch == 0:
            return 0
        return max(0, min(per_epoch, self.iteration - (self.epoch - 1) * per_epoch))

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes in the order of the run; those that only a later event names come last."""
        named = tuple(self.started.classes) if self.started else ()
        return named + tuple(name for name in self.validation_classes if name not in named)

    @property
    def monitor(self) -> str:
        return self.started.monitor if self.started else ""

    @property
    def monitor_up(self) -> bool:
        return self.started.monitor_up if self.started else True

    @property
    def worst(self) -> tuple[dict[str, Any], ...]:
        """The cases of the newest validation that has any, worst first."""
        return next((tuple(v.cases) for v in reversed(self.validations) if v.cases), ())

    def _first(self, default: int) -> int:
        return self.started.first_iteration if self.started else default


EMPTY = RunView()


def fold(view: RunView, events: Iterable[AnyEvent]) -> RunView:
    """The view after ``events``, which follow on those that ``view`` was made of."""
    batch = _Batch()
    newest: AnyEvent | None = None
    for event in events:
        if view.session_s == 0.0:
            view = replace(view, session_s=event.time_s)
        if type(event) is Iteration:
            batch.iterations.append(event)
        elif isinstance(event, RunStarted):
            view = _session(_stamped(batch.onto(view), newest), event)
            batch = _Batch()
        else:
            batch.take(event)
        newest = event
    return _stamped(batch.onto(view), newest)


def upto(view: RunView, iteration: int, epoch: int, time_s: float) -> RunView:
    """``view`` as it was at ``time_s``, when ``iteration`` and all of ``epoch`` were done: for replay."""
    sampled = int(np.searchsorted(view.resources["time_s"], time_s, "right"))
    return replace(
        _taken_back(view, iteration, epoch),
        time_s=time_s,
        resources=view.resources.head(sampled),
        logs=tuple(event for event in view.logs if event.time_s <= time_s),
        notes=tuple(event for event in view.notes if event.time_s <= time_s),
        controls=tuple(event for event in view.controls if event.time_s <= time_s),
        journal=tuple(event for event in view.journal if event.time_s <= time_s),
    )


def best(track: Columns, *, up: bool) -> tuple[float, int] | None:
    """(value, epoch) of the best point of a track; ``None`` where nothing finite was measured."""
    values = track["value"]
    finite = np.flatnonzero(np.isfinite(values))
    if not len(finite):
        return None
    at = finite[np.argmax(values[finite]) if up else np.argmin(values[finite])]
    return float(values[at]), int(track["epoch"][at])


def last(track: Columns | None) -> float:
    """The newest value of a track; nan where there is none."""
    return float(track["value"][-1]) if track is not None and len(track) else math.nan


def higher_is_better(metric: str) -> bool:
    """Whether more of ``metric`` is better, by its name in the run folder's contract."""
    return metric not in {"loss", "asd", "assd", "hd95", "hd95_max", "missed"}


class _Batch:
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
_NO_TRACK = Columns(TRACK_COLUMNS)


def _stamped(view: RunView, newest: AnyEvent | None) -> RunView:
    return view if newest is None else replace(view, seq=newest.seq, time_s=newest.time_s)


def _session(view: RunView, event: RunStarted) -> RunView:
    """``view`` as a new session finds it.

    A trainer that goes on writes some lines before its `RunStarted` (caching, notes that waited): the
    earlier session ended with its last piece of work, not with the newest line.
    """
    if view.started is not None:
        earlier = (view.session_s, max(view.session_s, view.worked_s))
        view = replace(view, sessions=(*view.sessions, earlier), session_s=event.time_s)
    if event.resumed:
        view = _taken_back(view, event.first_iteration, event.first_epoch - 1)
        view = replace(view, resumes=(*view.resumes, (event.time_s, event.first_iteration)))
    journal = (*view.journal, event)[-JOURNAL:]
    return replace(view, started=event, phase=None, progress=None, ended=None, journal=journal)


def _taken_back(view: RunView, iteration: int, epoch: int) -> RunView:
    """``view`` without the points after ``iteration`` and the previews after ``epoch``."""

    def cut(tracks: Tracks) -> Tracks:
        return {metric: _before(track, iteration + 1) for metric, track in tracks.items()}

    return replace(
        view,
        steps=_before(view.steps, iteration + 1),
        epochs_done=_before(view.epochs_done, iteration + 1),
        train=cut(view.train),
        validation=cut(view.validation),
        train_classes={label: cut(tracks) for label, tracks in view.train_classes.items()},
        validation_classes={label: cut(tracks) for label, tracks in view.validation_classes.items()},
        validations=tuple(event for event in view.validations if event.iteration <= iteration),
        checkpoints=tuple(event for event in view.checkpoints if event.iteration <= iteration),
        previews=tuple(event for event in view.previews if event.epoch <= epoch),
        figures=(),
        results={},
        ended=None,
    )


def _before(table: Columns, iteration: int) -> Columns:
    """The rows of ``table`` with a smaller iteration."""
    return table.head(int(np.searchsorted(table["iteration"], iteration)))


def _grown(table: Columns, rows: Mapping[str, Sequence[Any]]) -> Columns:
    """``table`` with ``rows`` behind it; a row whose iteration is not new takes back what followed it."""
    numbers = np.asarray(rows["iteration"])
    end = table["iteration"][-1] if len(table) else -math.inf
    if numbers[0] > end and bool(np.all(np.diff(numbers) > 0)):
        return table.append(rows)
    for at in range(len(numbers)):
        table = _before(table, int(numbers[at])).append({name: [column[at]] for name, column in rows.items()})
    return table
