"""Ends training after the epoch in which its time is up."""

from __future__ import annotations

import time
from collections.abc import Callable

from ignite.engine import Engine, Events

from engine.checkpoint import StateDict
from engine.events import Event, Log


class TimeLimit:
    """Counts the time spent in training, over all resumes, and ends it after ``minutes``."""

    def __init__(self, emit: Callable[[Event], object], minutes: float | None) -> None:
        self._emit = emit
        self._limit_s = None if minutes is None else minutes * 60
        self._before_s = 0.0
        self._start = time.monotonic()
        self.reached = False

    @property
    def elapsed_s(self) -> float:
        """Seconds of training so far, earlier sessions included."""
        return self._before_s + time.monotonic() - self._start

    def attach(self, trainer: Engine) -> None:
        """Listen to the start and to the ends of epochs."""
        trainer.add_event_handler(Events.STARTED, self._begin)
        trainer.add_event_handler(Events.EPOCH_COMPLETED, self._look)

    def state_dict(self) -> StateDict:
        return {"elapsed_s": self.elapsed_s, "reached": self.reached}

    def load_state_dict(self, state: StateDict) -> None:
        """Go on from `state_dict`."""
        self._before_s, self.reached = state["elapsed_s"], state["reached"]

    def _begin(self) -> None:
        self._start = time.monotonic()

    def _look(self, trainer: Engine) -> None:
        if self._limit_s is not None and self.elapsed_s >= self._limit_s and not self.reached:
            self.reached = True
            self._emit(Log(message=f"train.max_minutes reached after epoch {trainer.state.epoch}"))
            trainer.terminate()
