"""The one fold of a stream: events in, the next `RunView` out; for figures, report and screen alike. Pure.

``fold(view, news)`` gives the next view. The same events give the same view however they are cut
into batches. A resumed `RunStarted` takes back every point after the iteration that it goes on from.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from engine import events
from engine.readers.columns import Columns
from engine.readers.run_view import EMPTY, RESOURCE_COLUMNS, STEP_COLUMNS, TRACK_COLUMNS, RunView, Tracks
from engine.runfolder import EventReader

LOGS = 5000  # log lines that a view keeps; the whole log is in train.log
JOURNAL = 1000  # notable events that a view keeps: checkpoints, warnings, control, notes, starts, the end
MOST_TRACKS = 20_000  # curves of a view, and values of one event: a stranger's stream may name millions
VALIDATIONS = 1000  # validations whose per-case table a view keeps

_NO_TRACK = Columns(TRACK_COLUMNS)


class GrowingView:
    """The view of a stream that may still grow."""

    def __init__(self, path: Path) -> None:
        self.view, self._reader, self._restarts = EMPTY, EventReader(path), 0

    def read(self) -> RunView:
        """The view of the whole stream as it is now; only what is new is read. `EMPTY` where there is none."""
        while news := self._reader.read():
            if self._reader.restarts != self._restarts:  # a resumed run cut the stream meanwhile
                self.view, self._restarts = EMPTY, self._reader.restarts
            self.view = fold(self.view, news)
        return self.view


def read_view(path: Path) -> RunView:
    """The view of a whole stream as it is now; `EMPTY` where there is none."""
    return GrowingView(path).read()


def fold(view: RunView, news: Iterable[events.AnyEvent]) -> RunView:
    """The view after the events ``news``, which follow on those that ``view`` was made of."""
    batch = EventBatch()
    newest: events.AnyEvent | None = None
    for event in news:
        if view.session_s == 0.0:
            view = replace(view, session_s=event.time_s)
        if type(event) is events.Iteration:
            batch.iterations.append(event)
        elif isinstance(event, events.RunStarted):
            view = _session(_stamped(batch.onto(view), newest), event)
            batch = EventBatch()
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
        said=tuple(event for event in view.said if event.time_s <= time_s),
        journal=tuple(event for event in view.journal if event.time_s <= time_s),
    )


class EventBatch:
    """What a batch of events, without a new session in it, adds to a view."""

    def __init__(self) -> None:
        self.iterations: list[events.Iteration] = []
        self.values: dict[str, Any] = {}
        self.lists: dict[str, list[Any]] = {}
        self.rows: dict[tuple[str, str, str], list[tuple[int, int, float, events.Number]]] = {}
        self.samples: list[events.Resources] = []
        self.worked_s = 0.0

    def take(self, event: events.AnyEvent) -> None:
        """Fold in one event that is neither an `Iteration` nor a `RunStarted`."""
        if isinstance(event, events.EpochDone | events.Validation) and _values(event) > MOST_TRACKS:
            return
        match event:
            case events.Phase():
                self.values.update(phase=event, progress=None)
            case events.Progress():
                self.values["progress"] = event
            case events.Resources():
                self.samples.append(event)
            case events.EpochDone():
                self._points(event, "", "", {"seconds": event.seconds})
                self._measured(event, "train")
            case events.Validation():
                self._measured(event, "validation")
                self._list("validations", event)
                if event.best:
                    self.values["best"] = event
            case events.Result():
                self._list("results", event)
            case events.RunEnded():
                self.values["ended"] = event
            case _:
                self._list(_LISTS[type(event)], event)
        if isinstance(event, _WORK):
            self.worked_s = max(self.worked_s, event.time_s)
        if isinstance(event, events.JournalEvent) and not (isinstance(event, events.Log) and event.level in _QUIET):
            self._list("journal", event)

    def onto(self, view: RunView) -> RunView:
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

    def _list(self, name: str, event: events.AnyEvent) -> None:
        self.lists.setdefault(name, []).append(event)

    def _measured(self, event: events.EpochDone | events.Validation, field_name: str) -> None:
        self._points(event, field_name, "", event.metrics)
        for label, metrics in event.per_class.items():
            self._points(event, f"{field_name}_classes", label, metrics)
        for label, metrics in (event.per_region if isinstance(event, events.Validation) else {}).items():
            self._points(event, f"{field_name}_regions", label, metrics)

    def _points(
        self, event: events.EpochDone | events.Validation, field_name: str, label: str, metrics: events.Metrics
    ) -> None:
        for metric, value in metrics.items():
            point = (event.iteration, event.epoch, event.time_s, value)
            self.rows.setdefault((field_name, label, metric), []).append(point)

    def _tracks(self, view: RunView) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        classes = [each for name in _OF_LABELS for each in getattr(view, name).values()]
        room = MOST_TRACKS - sum(map(len, (view.train, view.validation, *classes)))
        for (name, label, metric), points in self.rows.items():
            columns = dict(zip(TRACK_COLUMNS, zip(*points, strict=True), strict=True))
            if not name:
                fields["epochs_done"] = _grown(view.epochs_done, columns)
                continue
            if name not in fields:
                fields[name] = dict(getattr(view, name))
            known = fields[name].get(label, {}) if name in _OF_LABELS else fields[name]
            room -= metric not in known
            if room < 0 and metric not in known:
                continue
            if name in _OF_LABELS:
                tracks = dict(fields[name].get(label, {}))
                tracks[metric] = _grown(tracks.get(metric, _NO_TRACK), columns)
                fields[name][label] = tracks
            else:
                fields[name][metric] = _grown(fields[name].get(metric, _NO_TRACK), columns)
        return fields


def _values(event: events.EpochDone | events.Validation) -> int:
    rows = [*event.per_class.values(), *(event.per_region.values() if isinstance(event, events.Validation) else ())]
    return len(event.metrics) + len(rows) + sum(map(len, rows))


_OF_LABELS = ("train_classes", "validation_classes", "validation_regions")
"""Fields of a view that have tracks of each class, or region."""


_WORK = (events.EpochDone, events.Validation, events.CheckpointSaved, events.Result, events.RunEnded)
_QUIET = frozenset({"debug", "info"})
_MANY = 1_000_000
_LISTS: dict[type, str] = {
    events.CheckpointSaved: "checkpoints",
    events.Log: "logs",
    events.Control: "controls",
    events.Diagnosed: "said",
    events.Note: "notes",
    events.Preview: "previews",
    events.Figure: "figures",
}
_LIMITS = {"logs": LOGS, "journal": JOURNAL, "validations": VALIDATIONS}


def before(table: Columns, iteration: int) -> Columns:
    """The rows of ``table`` with a smaller iteration."""
    return table.head(int(np.searchsorted(table["iteration"], iteration)))


def _grown(table: Columns, rows: Mapping[str, Sequence[Any]]) -> Columns:
    numbers = np.asarray(rows["iteration"])
    end = table["iteration"][-1] if len(table) else -math.inf
    if numbers[0] > end and bool(np.all(np.diff(numbers) > 0)):
        return table.append(rows)
    for at in range(len(numbers)):
        table = before(table, int(numbers[at])).append({name: [column[at]] for name, column in rows.items()})
    return table


def _stamped(view: RunView, newest: events.AnyEvent | None) -> RunView:
    return view if newest is None else replace(view, seq=newest.seq, time_s=newest.time_s)


def _session(view: RunView, event: events.RunStarted) -> RunView:
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
        return {metric: before(track, iteration + 1) for metric, track in tracks.items()}

    validations = tuple(event for event in view.validations if event.iteration <= iteration)
    kept = view.best is None or view.best.iteration <= iteration
    return replace(
        view,
        best=view.best if kept else next((event for event in reversed(validations) if event.best), None),
        steps=before(view.steps, iteration + 1),
        epochs_done=before(view.epochs_done, iteration + 1),
        train=cut(view.train),
        validation=cut(view.validation),
        train_classes={label: cut(tracks) for label, tracks in view.train_classes.items()},
        validation_classes={label: cut(tracks) for label, tracks in view.validation_classes.items()},
        validation_regions={label: cut(tracks) for label, tracks in view.validation_regions.items()},
        validations=validations,
        checkpoints=tuple(event for event in view.checkpoints if event.iteration <= iteration),
        previews=tuple(event for event in view.previews if event.epoch <= epoch),
        figures=(),
        results={},
        ended=None,
    )
