"""Writes ``best.pt`` and ``last.pt``."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events

from engine.checkpoint import Content, save_checkpoint
from engine.events import CheckpointSaved, Event
from engine.recipe.tables import TrainTable
from engine.runfolder import EventWriter, RunFolder
from engine.training.handlers.validation import Best, ValidationEvents, ValidationOutcome
from engine.training.state import TrainerState

WORTH = 50.0  # training goes on for so many times the cost of a write of checkpoints before the next: 2 % of the time


def _save(path: Path, content: Content, why: str, **best: Any) -> CheckpointSaved:
    seconds, place = round(save_checkpoint(path, content), 4), f"checkpoints/{path.name}"
    epoch, iteration = content["epoch"], content["iteration"]
    return CheckpointSaved(path=place, epoch=epoch, iteration=iteration, why=why, seconds=seconds, **best)


class BestCheckpoint:
    """Keeps the weights of the best validation so far, and writes them to ``best.pt`` when it is told to.

    `LastCheckpoint` tells it to, right before it writes ``last.pt``: the two always fit each other.
    """

    def __init__(self, folder: RunFolder, emit: Callable[[Event], object], snapshot: TrainerState, best: Best) -> None:
        self._folder = folder
        self._emit = emit
        self._snapshot = snapshot
        self._best = best
        self._waiting: Content | None = None
        self._held = False  # what waits is a copy already

    def attach(self, trainer: Engine) -> None:
        trainer.add_event_handler(ValidationEvents.VALIDATED, self._look)

    def write(self) -> None:
        """Write ``best.pt`` if it is not written yet."""
        content, self._waiting = self._waiting, None
        if content is None:
            return
        self._emit(_save(self._folder.best, content, "best", metric=content["metric"], value=content["value"]))

    def hold(self) -> None:
        """Training goes on before `write`: keep the weights as they are now."""
        if self._waiting is not None and not self._held:
            self._waiting["model"] = {name: value.clone() for name, value in self._waiting["model"].items()}
            self._held = True

    def _look(self, trainer: Engine) -> None:
        outcome: ValidationOutcome = trainer.state.validation
        if outcome.best:
            self._held = False
            self._waiting = {
                **self._snapshot.facts,
                "epoch": outcome.epoch,
                "iteration": outcome.iteration,
                "metric": self._best.metric,
                "value": outcome.value,
                "model": self._snapshot.weights(),
            }


@dataclass(slots=True, eq=False)
class LastCheckpoint:
    """Writes ``last.pt`` by epochs, by iterations, by minutes and on request.

    A checkpoint is taken either inside an epoch or after everything that ends it. One that is asked
    for in between, while validation runs, is marked ``epoch_open``: whoever resumes from it ends the
    epoch first. With it stands the place in the stream to which a resumed run goes back.

    Where epochs are so short that a write would cost more than 2 % of the time, the write at the end
    of an epoch waits for a later one. Those by iterations, by minutes, on request, at a stop and at the
    end of training never wait.
    """

    folder: RunFolder
    emit: Callable[[Event], object]
    writer: EventWriter
    snapshot: TrainerState
    best: BestCheckpoint | None
    train: TrainTable
    _trainer: Engine | None = None
    _written: float = field(default_factory=time.monotonic)
    _cost: float = 0.0  # seconds of the last write
    _owed: bool = False  # an epoch's write waits
    _opened: float = 0.0
    _closing: float = 0.0  # seconds that the end of an epoch, with its validation, took last
    _open: Content | None = None
    _saved: tuple[int, bool] = (0, False)  # iteration, and whether its epoch was open

    def attach(self, trainer: Engine) -> None:
        """Listen to iterations and epochs; attach after every handler with a state of its own, and
        before the desk that may stop the trainer."""
        self._trainer = trainer
        trainer.add_event_handler(Events.ITERATION_COMPLETED, self._after_iteration)
        trainer.add_event_handler(Events.EPOCH_COMPLETED, self._after_epoch)

    @property
    def epoch_open(self) -> bool:
        """Whether an epoch's last iteration is done and what ends an epoch is not."""
        return self._open is not None

    def save(self, why: str) -> None:
        """Write ``last.pt`` for the iteration that was completed last.

        In the middle of a validation the weights, and all that a resume needs, are still those of
        that iteration; only the stream has gone on, so its earlier place is used.
        """
        assert self._trainer is not None  # noqa: S101  attach comes first
        state = self._trainer.state
        place = (state.iteration, self._open is not None)
        if state.iteration == 0 or place == self._saved:
            return
        start = time.monotonic()
        self.write_best()
        content = self.snapshot.take(epoch=state.epoch, iteration=state.iteration, length=state.epoch_length)
        if self._open is not None:
            content |= self._open
        else:
            content |= {"epoch_open": False, "stream": list(self.writer.position)}
        self.writer.sync()
        self.emit(_save(self.folder.last, content, why))
        self._saved, self._owed = place, False
        self._written = time.monotonic()
        self._cost = self._written - start

    def write_best(self) -> None:
        """Write ``best.pt`` if it waits for ``last.pt``."""
        if self.best is not None:
            self.best.write()

    def _worth(self) -> bool:
        return time.monotonic() - self._written >= WORTH * self._cost

    def _after_iteration(self, trainer: Engine) -> None:
        iteration, length = trainer.state.iteration, trainer.state.epoch_length
        if iteration % length == 0:
            # The epoch's own end, with its validation, comes next: from here on it is open.
            self._open = {"epoch_open": True, "stream": list(self.writer.position), "rng": self.snapshot.rng()}
            self._opened = time.monotonic()
            if self._closing >= WORTH * self._cost > 0 and self._worth() and self._due(trainer.state.epoch):
                self.save("last")  # a long validation comes: what was trained is safe before it
            return
        minutes = self.train.checkpoint_minutes
        by_clock = minutes is not None and time.monotonic() - self._written >= minutes * 60
        if self._counted(iteration) or by_clock:
            self.save("last")

    def _counted(self, iteration: int) -> bool:
        every = self.train.checkpoint_iterations
        return every is not None and iteration % every == 0

    def _due(self, epoch: int) -> bool:
        return self._owed or epoch % self.train.checkpoint_epochs == 0

    def _after_epoch(self, trainer: Engine) -> None:
        self._open = None
        self._closing = time.monotonic() - self._opened
        epoch = trainer.state.epoch
        last = trainer.should_terminate or epoch == trainer.state.max_epochs
        if last or self._counted(trainer.state.iteration) or (self._due(epoch) and self._worth()):
            self.save("last")
            return
        self._owed = self._due(epoch)
        if self.best is not None:
            self.best.hold()
