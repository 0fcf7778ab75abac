"""What a run looks like: a pure fold from its events to one frozen `RunView`. No Textual, no files.

``fold(view, events)`` gives the next view. The same events give the same view however they are cut
into batches. Series live in `tui.state.series.Columns`, so that all views of one run share their memory.
A resumed `RunStarted` takes back every point after the iteration that it goes on from.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from engine.events import (
    AnyEvent,
    CheckpointSaved,
    Control,
    Figure,
    Iteration,
    Log,
    Note,
    Phase,
    Preview,
    Progress,
    Result,
    RunEnded,
    RunStarted,
    Validation,
)
from tui.state.event_batch import (
    JOURNAL,
    RESOURCE_COLUMNS,
    STEP_COLUMNS,
    TRACK_COLUMNS,
    EventBatch,
    JournalEvent,
    Tracks,
    before,
)
from tui.state.series import Columns


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
    def unit(self) -> str:
        """Of distances."""
        return self.started.unit if self.started else ""

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
    batch = EventBatch()
    newest: AnyEvent | None = None
    for event in events:
        if view.session_s == 0.0:
            view = replace(view, session_s=event.time_s)
        if type(event) is Iteration:
            batch.iterations.append(event)
        elif isinstance(event, RunStarted):
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
        return {metric: before(track, iteration + 1) for metric, track in tracks.items()}

    return replace(
        view,
        steps=before(view.steps, iteration + 1),
        epochs_done=before(view.epochs_done, iteration + 1),
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
