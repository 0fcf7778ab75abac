"""Writes one event an optimizer step."""

import math
import time
from collections.abc import Callable

from ignite.engine import Engine, Events

from engine.events import Event, Iteration
from engine.training.engines import StepOutput

_SMOOTHING = 0.8


class IterationEvents:
    """Emits an `Iteration` after each step; speed is smoothed and leaves validations out."""

    def __init__(self, emit: Callable[[Event], object]) -> None:
        self._emit = emit
        self._start = self._got = 0.0
        self._speed = math.nan

    def attach(self, trainer: Engine) -> None:
        trainer.add_event_handler(Events.GET_BATCH_STARTED, self._begin)
        trainer.add_event_handler(Events.GET_BATCH_COMPLETED, self._take)
        trainer.add_event_handler(Events.ITERATION_COMPLETED, self._write)

    def _begin(self) -> None:
        self._start = time.perf_counter()

    def _take(self) -> None:
        self._got = time.perf_counter()

    def _write(self, trainer: Engine) -> None:
        output: StepOutput = trainer.state.output
        now = time.perf_counter()
        speed = output.cases / max(now - self._start, 1e-9)
        self._speed = speed if math.isnan(self._speed) else _SMOOTHING * self._speed + (1 - _SMOOTHING) * speed
        self._emit(
            Iteration(
                iteration=trainer.state.iteration,
                epoch=trainer.state.epoch,
                loss=output.loss,
                lr=output.lr,
                cases_per_s=round(self._speed, 3),
                grad_norm=output.grad_norm if math.isfinite(output.grad_norm) else None,
                data_s=round(self._got - self._start, 6),
                step_s=round(now - self._got, 6),
                update_ratio=output.update_ratio,
            )
        )
