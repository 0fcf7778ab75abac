"""Measures the validation split while training goes on, and decides what is best."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from ignite.engine import Engine, EventEnum, Events

from engine.checkpoint import StateDict
from engine.evaluation.protocol import WORST, SplitEvaluation, streamed
from engine.events import Event, Log, Phase, Validation
from engine.measures import shown, shown_per_class, spoken


class ValidationEvents(EventEnum):  # type: ignore[misc]
    """Fired on the trainer; ``trainer.state.validation`` then holds a `ValidationOutcome`."""

    VALIDATED = "validated"


@dataclass(frozen=True, slots=True)
class ValidationOutcome:
    """The last validation."""

    epoch: int
    iteration: int
    value: float  # the monitored metric; NaN where it could not be measured
    best: bool  # whether it is the best so far


class Best:
    """The best value of a metric so far, and where it was."""

    def __init__(self, metric: str, *, up: bool) -> None:
        self.metric = metric
        self.up = up
        self.value = math.nan
        self.epoch = 0
        self.iteration = 0

    @property
    def known(self) -> float | None:
        """The value; None where nothing could be measured yet."""
        return None if math.isnan(self.value) else self.value

    def offer(self, value: float, epoch: int, iteration: int) -> bool:
        """Take ``value`` if it is better; say whether it was. NaN never is."""
        better = math.isfinite(value) and (
            self.known is None or (value > self.value if self.up else value < self.value)
        )
        if better:
            self.value, self.epoch, self.iteration = value, epoch, iteration
        return better

    def state_dict(self) -> StateDict:
        return {"value": self.value, "epoch": self.epoch, "iteration": self.iteration}

    def load_state_dict(self, state: StateDict) -> None:
        self.value, self.epoch, self.iteration = state["value"], state["epoch"], state["iteration"]


@dataclass(slots=True)
class Validate:
    """Every so many epochs, and after the last: measure, emit a `Validation`, fire VALIDATED."""

    emit: Callable[[Event], object]
    measure: Callable[[int], SplitEvaluation[Any, Any]]
    best: Best
    every: int
    epochs: int
    total: int  # cases

    def attach(self, trainer: Engine) -> None:
        trainer.register_events(*ValidationEvents)
        trainer.add_event_handler(Events.EPOCH_COMPLETED, self._validate)

    def _validate(self, trainer: Engine) -> None:
        epoch, iteration = trainer.state.epoch, trainer.state.iteration
        if epoch % self.every and epoch != self.epochs:
            return
        self.emit(Phase(phase="validation", total=self.total))
        start = time.perf_counter()
        # Loaders draw a seed from the global generator; training must not see whether one was made.
        with torch.random.fork_rng(devices=[]):
            measured = self.measure(epoch)
        summary = measured.summary()
        task = measured.job.dataset.task
        metrics = shown(summary.values, task)
        number = metrics.get(self.best.metric)
        value = math.nan if number is None else float(number)
        is_best = self.best.offer(value, epoch, iteration)
        self.emit(
            Validation(
                epoch=epoch,
                iteration=iteration,
                metrics=metrics,
                per_class=shown_per_class(summary.per_class, task),
                per_region=shown_per_class(summary.per_region, task),
                cases=measured.cases()[:WORST],
                best=is_best,
                confusion=streamed(summary.confusion),
                seconds=round(time.perf_counter() - start, 3),
            )
        )
        words, mark = f"epoch {epoch}: validation {spoken(self.best.metric)}", ", the best so far" if is_best else ""
        if math.isnan(value):  # such as the AUC of cases that are all of one class
            self.emit(Log(message=f"{words} cannot be measured: it chooses no best.pt", level="warning"))
        else:
            self.emit(Log(message=f"{words} {value:.4g}{mark}"))
        self.emit(Phase(phase="training"))
        trainer.state.validation = ValidationOutcome(epoch, iteration, value, is_best)
        trainer.fire_event(ValidationEvents.VALIDATED)
