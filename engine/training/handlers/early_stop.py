"""Ends training when validation no longer gets better."""

from collections.abc import Callable

from ignite.engine import Engine

from engine.checkpoint import StateDict
from engine.errors import counted
from engine.events import Event, Log
from engine.training.handlers.validation import ValidationEvents, ValidationOutcome


class EarlyStop:
    """Ends training after ``patience`` validations in a row without a new best."""

    def __init__(self, emit: Callable[[Event], object], patience: int) -> None:
        self._emit = emit
        self._patience = patience
        self._waited = 0
        self.stopped = False

    def attach(self, trainer: Engine) -> None:
        trainer.add_event_handler(ValidationEvents.VALIDATED, self._look)

    def state_dict(self) -> StateDict:
        return {"waited": self._waited, "stopped": self.stopped}

    def load_state_dict(self, state: StateDict) -> None:
        self._waited, self.stopped = state["waited"], state["stopped"]

    @property
    def words(self) -> str:
        return f"{counted(self._waited, 'validation')} without a better result"

    def _look(self, trainer: Engine) -> None:
        outcome: ValidationOutcome = trainer.state.validation
        self._waited = 0 if outcome.best else self._waited + 1
        if self._waited >= self._patience:
            self.stopped = True
            self._emit(Log(message=f"early stop: {self.words}"))
            trainer.terminate()
