"""The event stream of a run, folded into series that can be drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from engine import events as ev
from engine.runfolder import EventReader


@dataclass(slots=True)
class Series:
    """One curve: ``values[i]`` was measured at ``epochs[i]`` and ``iterations[i]``. NaN stays NaN."""

    epochs: list[int] = field(default_factory=list)
    iterations: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def add(self, epoch: int, iteration: int, value: ev.Number) -> None:
        """Append one point."""
        self.epochs.append(epoch)
        self.iterations.append(iteration)
        self.values.append(ev.number(value))

    @property
    def finite(self) -> bool:
        return any(math.isfinite(value) for value in self.values)


@dataclass(slots=True)
class History:
    """What happened in a run, in order. Every list may be empty: a run can be looked at at any time."""

    started: ev.RunStarted | None = None
    sessions: int = 0
    resumed_at: list[int] = field(default_factory=list)  # iterations after which a session went on
    steps: dict[str, Series] = field(default_factory=dict)  # by iteration: loss, lr, grad_norm
    train: dict[str, Series] = field(default_factory=dict)
    validation: dict[str, Series] = field(default_factory=dict)
    validation_classes: dict[str, dict[str, Series]] = field(default_factory=dict)  # class -> metric -> series
    best: ev.Validation | None = None
    last_epoch: int = 0
    iteration: int = 0
    logs: list[ev.Log] = field(default_factory=list)  # warnings and errors
    notes: list[ev.Note] = field(default_factory=list)
    figures: dict[str, ev.Figure] = field(default_factory=dict)
    memory_mb: float = 0.0  # highest seen
    gpu_memory_mb: float | None = None
    cases_per_s: list[float] = field(default_factory=list)
    ended: ev.RunEnded | None = None
    active_s: float = 0.0  # over all sessions, without the time between them
    last_s: float = 0.0


def read_history(path: Path) -> History:
    """Fold ``events.jsonl``; a stream that is not there is an empty history."""
    history = History()
    reader = EventReader(path)
    while block := reader.read():
        for event in block:
            _fold(history, event)
    return history


def _fold(history: History, event: ev.AnyEvent) -> None:  # noqa: C901, PLR0912  one branch a kind
    if history.last_s and not isinstance(event, ev.RunStarted):
        history.active_s += max(0.0, event.time_s - history.last_s)
    history.last_s = max(history.last_s, event.time_s)
    match event:
        case ev.RunStarted():
            history.sessions += 1
            history.started = event
            history.ended = None
            if event.resumed:
                history.resumed_at.append(event.first_iteration)
        case ev.Iteration():
            _step(history, event)
        case ev.EpochDone():
            history.last_epoch = max(history.last_epoch, event.epoch)
            _add(history.train, event.epoch, event.iteration, event.metrics)
        case ev.Validation():
            _add(history.validation, event.epoch, event.iteration, event.metrics)
            for name, metrics in event.per_class.items():
                series = history.validation_classes.setdefault(name, {})
                _add(series, event.epoch, event.iteration, metrics)
            if event.best:
                history.best = event
        case ev.Log() if event.level in {"warning", "error"}:
            history.logs.append(event)
        case ev.Note():
            history.notes.append(event)
        case ev.Figure():
            history.figures[event.path] = event
        case ev.Resources():
            history.memory_mb = max(history.memory_mb, event.memory_mb)
            if event.gpu_memory_mb is not None:
                history.gpu_memory_mb = max(history.gpu_memory_mb or 0.0, event.gpu_memory_mb)
        case ev.RunEnded():
            history.ended = event


def _step(history: History, event: ev.Iteration) -> None:
    history.iteration = max(history.iteration, event.iteration)
    history.last_epoch = max(history.last_epoch, event.epoch - 1)
    values: dict[str, ev.Number] = {"loss": event.loss, "lr": event.lr}
    if event.grad_norm is not None:
        values["grad_norm"] = event.grad_norm
    _add(history.steps, event.epoch, event.iteration, values)
    if event.cases_per_s > 0:
        history.cases_per_s.append(event.cases_per_s)


def _add(series: dict[str, Series], epoch: int, iteration: int, values: Mapping[str, ev.Number]) -> None:
    for name, value in values.items():
        series.setdefault(name, Series()).add(epoch, iteration, value)
