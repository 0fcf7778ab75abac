"""What a run looks like: all that figures, report and screen know of its stream, as one frozen `RunView`.

Views are made by `engine.readers.fold`. Series live in `engine.readers.columns.Columns`, so that all
views of one run share their memory.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from engine import events
from engine.readers.columns import Columns

STEP_COLUMNS = {
    "iteration": "i8",
    "epoch": "i4",
    "time_s": "f8",
    "loss": "f8",
    "lr": "f4",
    "cases_per_s": "f4",
    "grad_norm": "f4",
    "data_s": "f4",
    "step_s": "f4",
    "update_ratio": "f4",
}
TRACK_COLUMNS = {"iteration": "i8", "epoch": "i4", "time_s": "f8", "value": "f8"}
RESOURCE_COLUMNS = dict.fromkeys(events.Resources.__struct_fields__, "f4") | {"time_s": "f8"}
RESOURCE_COLUMNS.pop("seq")

Tracks: TypeAlias = Mapping[str, Columns]
"""Metric name -> its points: columns iteration, epoch, time_s, value (nan where not measured)."""
JournalEvent: TypeAlias = events.JournalEvent


@dataclass(frozen=True, slots=True)
class RunView:
    """All that is known of a run. Immutable; made by `fold` from `EMPTY`."""

    started: events.RunStarted | None = None  # the last one: of the session that runs or ran last
    sessions: tuple[tuple[float, float], ...] = ()  # (start_s, end_s) of the earlier sessions
    session_s: float = 0.0  # start of the last session; of the first one: the first event, before its RunStarted
    worked_s: float = 0.0  # time of the newest step, measurement or checkpoint
    time_s: float = 0.0  # time of the newest event
    seq: int = 0
    phase: events.Phase | None = None
    progress: events.Progress | None = None  # of `phase`, where it is not training
    steps: Columns = field(default_factory=lambda: Columns(STEP_COLUMNS))  # one row an iteration
    epochs_done: Columns = field(default_factory=lambda: Columns(TRACK_COLUMNS))  # value: seconds of the epoch
    train: Tracks = field(default_factory=dict)
    validation: Tracks = field(default_factory=dict)
    train_classes: Mapping[str, Tracks] = field(default_factory=dict)  # class -> metric -> points
    validation_classes: Mapping[str, Tracks] = field(default_factory=dict)
    validation_regions: Mapping[str, Tracks] = field(default_factory=dict)  # the same of unions of classes
    best: events.Validation | None = None  # the newest that was the best so far
    validations: tuple[events.Validation, ...] = ()  # the last VALIDATIONS; `cases` has the worst cases
    resources: Columns = field(default_factory=lambda: Columns(RESOURCE_COLUMNS))
    checkpoints: tuple[events.CheckpointSaved, ...] = ()
    previews: tuple[events.Preview, ...] = ()
    figures: tuple[events.Figure, ...] = ()
    results: Mapping[str, events.Result] = field(default_factory=dict)
    logs: tuple[events.Log, ...] = ()
    notes: tuple[events.Note, ...] = ()
    controls: tuple[events.Control, ...] = ()
    said: tuple[events.Diagnosed, ...] = ()  # findings that the trainer wrote down; readers find for themselves
    journal: tuple[JournalEvent, ...] = ()
    resumes: tuple[tuple[float, int], ...] = ()  # (time_s, iteration) of each resumption
    ended: events.RunEnded | None = None

    @property
    def iteration(self) -> int:
        return (
            int(self.steps["iteration"][-1]) if len(self.steps) else self.started.first_iteration if self.started else 0
        )

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
    def regions(self) -> tuple[str, ...]:
        """Unions of classes, in the order of the recipe."""
        tested = [*self.results["test"].per_region] if "test" in self.results else []
        return tuple(dict.fromkeys([*self.validation_regions, *tested]))

    def of_label(self, label: str) -> tuple[Tracks, events.Metrics]:
        """What the validations, and the test, measured of a class or a region."""
        test = self.results.get("test")
        tracks = self.validation_classes.get(label) or self.validation_regions.get(label, {})
        return tracks, (test.per_class.get(label) or test.per_region.get(label, {})) if test else {}

    @property
    def unit(self) -> str:
        return self.started.unit if self.started else ""

    @property
    def monitor(self) -> str:
        return self.started.monitor if self.started else ""

    @property
    def monitor_up(self) -> bool:
        return self.started.monitor_up if self.started else True

    @property
    def worst(self) -> tuple[events.CaseEntry, ...]:
        """The cases of the newest validation that has any, worst first."""
        return next((tuple(v.cases) for v in reversed(self.validations) if v.cases), ())

    @property
    def epochs_completed(self) -> int:
        ended = int(self.epochs_done["epoch"].max()) if len(self.epochs_done) else 0
        return max(ended, self.epoch - 1)

    @property
    def active_s(self) -> float:
        """Seconds that all sessions took, until the end or the newest event; what is between or after counts not."""
        if self.session_s == 0.0:
            return 0.0
        until_s = self.ended.time_s if self.ended else self.time_s
        return sum(max(0.0, stop - start) for start, stop in self.sessions) + max(0.0, until_s - self.session_s)

    @property
    def step_tracks(self) -> dict[str, Columns]:
        """Loss, learning rate and gradient norm of each iteration, as tracks; what was never measured is left out."""
        places = {name: self.steps[name] for name in ("iteration", "epoch", "time_s")}
        empty = Columns(TRACK_COLUMNS)
        tracks = {name: empty.append({**places, "value": self.steps[name]}) for name in ("loss", "lr", "grad_norm")}
        return {name: track for name, track in tracks.items() if name != "grad_norm" or finite(track)}


EMPTY = RunView()


def best(track: Columns, *, up: bool) -> tuple[float, int] | None:
    """(value, epoch) of the best point of a track; ``None`` where nothing finite was measured."""
    values = track["value"]
    finite = np.flatnonzero(np.isfinite(values))
    if not len(finite):
        return None
    at = finite[np.argmax(values[finite]) if up else np.argmin(values[finite])]
    return float(values[at]), int(track["epoch"][at])


def finite(track: Columns) -> bool:
    """Whether a track has a finite value."""
    return bool(np.isfinite(track["value"]).any())


def last(track: Columns | None) -> float:
    """The newest value of a track; nan where there is none."""
    return float(track["value"][-1]) if track is not None and len(track) else math.nan
