"""Ends training after the epoch in which its time is up, and says so where planned time will not do."""

import time
from collections.abc import Callable

from ignite.engine import Engine, Events

from engine.checkpoint import StateDict
from engine.errors import counted
from engine.events import Event, Log

_SURE = 0.1  # of all epochs, after which a forecast is believed
_SLOWER, _FASTER = 1.1, 0.75


class TimeLimit:
    """Counts the time spent in training, over all resumes, and ends it after ``minutes``.

    Where the epochs were made of ``planned`` minutes, they stay as they are whatever the machine does: the run can
    be made again. That they take another time than planned is said once.
    """

    def __init__(self, emit: Callable[[Event], object], minutes: float | None, planned: float | None = None) -> None:
        self._emit = emit
        self._limit_s = None if minutes is None else minutes * 60
        self._planned = planned
        self._before_s = 0.0
        self._start = time.monotonic()
        self.reached = False

    @property
    def elapsed_s(self) -> float:
        """Seconds of training so far, earlier sessions included."""
        return self._before_s + time.monotonic() - self._start

    def attach(self, trainer: Engine) -> None:
        trainer.add_event_handler(Events.STARTED, self._begin)
        trainer.add_event_handler(Events.EPOCH_COMPLETED, self._look)

    def state_dict(self) -> StateDict:
        return {"elapsed_s": self.elapsed_s, "reached": self.reached}

    def load_state_dict(self, state: StateDict) -> None:
        self._before_s, self.reached = state["elapsed_s"], state["reached"]

    def _begin(self) -> None:
        self._start = time.monotonic()

    def _look(self, trainer: Engine) -> None:
        self._forecast(trainer.state.epoch, trainer.state.max_epochs)
        if self._limit_s is not None and self.elapsed_s >= self._limit_s and not self.reached:
            self.reached = True
            self._emit(Log(message=f"train.max_minutes reached after epoch {trainer.state.epoch}"))
            trainer.terminate()

    def _forecast(self, epoch: int, epochs: int) -> None:
        if self._planned is None or epoch < _SURE * epochs or epoch == epochs:
            return
        minutes = self.elapsed_s / 60 * epochs / epoch
        change = minutes / self._planned
        if change > _SLOWER or change < _FASTER:
            text = (
                f"the {counted(epochs, 'epoch')} will take {minutes:.3g} minutes at today's speed, not the "
                f"{self._planned:g} of train.minutes: "
                f"the machine is {'slower' if change > 1 else 'faster'} than when it was measured"
            )
            self._emit(Log(message=text, level="warning" if change > 1 else "info"))
            self._planned = None
