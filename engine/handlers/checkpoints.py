"""Writes ``best.pt`` and ``last.pt``."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
from ignite.engine import Engine, Events

from engine.checkpoint import save_checkpoint
from engine.ema import Ema
from engine.engines import TrainStep
from engine.events import CheckpointSaved, Event
from engine.handlers.validation import Best, ValidationEvents, ValidationOutcome
from engine.runfolder import EventWriter, RunFolder


class Stateful(Protocol):
    """A handler whose memory belongs into a checkpoint."""

    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class Snapshot:
    """Everything that decides how training goes on, as one dictionary of plain data and tensors."""

    def __init__(self, step: TrainStep, parts: Mapping[str, Stateful], facts: Mapping[str, Any]) -> None:
        self.step = step
        self.parts = parts
        self.facts = dict(facts)

    def weights(self) -> dict[str, Any]:
        """The state dict that is evaluated: the averaged one where there is one."""
        ema = self.step.ema
        return (ema.module if ema else self.step.weights).state_dict()

    def take(self, *, epoch: int, iteration: int) -> dict[str, Any]:
        """The content of ``last.pt``."""
        step = self.step
        cuda = torch.cuda.get_rng_state_all() if step.device.device.type == "cuda" else []
        return {
            **self.facts,
            "epoch": epoch,
            "iteration": iteration,
            "model": self.weights(),
            "raw": step.weights.state_dict() if step.ema else None,
            "ema_steps": step.ema.steps if step.ema else 0,
            "optimizer": step.optimizer.state_dict(),
            "schedule": step.schedule.state_dict(),
            "scaler": step.scaler.state_dict(),
            "rng": {"torch": torch.get_rng_state(), "cuda": cuda},
            "parts": {name: part.state_dict() for name, part in self.parts.items()},
        }

    def restore(self, content: Mapping[str, Any]) -> None:
        """Bring everything back to the moment of `take`."""
        step = self.step
        step.weights.load_state_dict(content["raw"] if step.ema else content["model"])
        if step.ema:
            step.ema.module.load_state_dict(content["model"])
            step.ema.steps = content["ema_steps"]
        step.optimizer.load_state_dict(content["optimizer"])
        step.schedule.load_state_dict(content["schedule"])
        step.scaler.load_state_dict(content["scaler"])
        for name, part in self.parts.items():
            part.load_state_dict(content["parts"][name])
        torch.set_rng_state(content["rng"]["torch"])
        if content["rng"]["cuda"] and step.device.device.type == "cuda":
            torch.cuda.set_rng_state_all(content["rng"]["cuda"])


class BestCheckpoint:
    """Writes ``best.pt`` after each validation that was the best so far."""

    def __init__(self, folder: RunFolder, emit: Callable[[Event], object], snapshot: Snapshot, best: Best) -> None:
        self._folder = folder
        self._emit = emit
        self._snapshot = snapshot
        self._best = best

    def attach(self, trainer: Engine) -> None:
        """Listen to validations."""
        trainer.add_event_handler(ValidationEvents.VALIDATED, self._look)

    def _look(self, trainer: Engine) -> None:
        outcome: ValidationOutcome = trainer.state.validation
        if not outcome.best:
            return
        content = {
            **self._snapshot.facts,
            "epoch": outcome.epoch,
            "iteration": outcome.iteration,
            "metric": self._best.metric,
            "value": outcome.value,
            "model": self._snapshot.weights(),
        }
        saved = save_checkpoint(self._folder.best, content)
        self._emit(
            CheckpointSaved(
                path="checkpoints/best.pt",
                epoch=outcome.epoch,
                iteration=outcome.iteration,
                why="best",
                metric=self._best.metric,
                value=outcome.value,
                seconds=round(saved.seconds, 4),
            )
        )


class LastCheckpoint:
    """Writes ``last.pt`` by epochs, by iterations, by minutes and on request.

    A checkpoint is taken either inside an epoch or after everything that ends it. One that is asked
    for in between, while validation runs, is marked ``epoch_open``: whoever resumes from it ends the
    epoch first. With it stands the place in the stream to which a resumed run goes back.
    """

    def __init__(
        self,
        folder: RunFolder,
        emit: Callable[[Event], object],
        writer: EventWriter,
        snapshot: Snapshot,
        *,
        epochs: int,
        iterations: int | None,
        minutes: float | None,
    ) -> None:
        self._folder = folder
        self._emit = emit
        self._writer = writer
        self._snapshot = snapshot
        self._every = epochs
        self._iterations = iterations
        self._seconds = None if minutes is None else minutes * 60
        self._trainer: Engine | None = None
        self._written = time.monotonic()
        self._open: dict[str, Any] | None = None
        self._saved = (0, False)  # iteration, and whether its epoch was open

    def attach(self, trainer: Engine) -> None:
        """Listen to iterations and epochs; attach after every handler with a state of its own, and
        before the desk that may stop the trainer."""
        self._trainer = trainer
        trainer.add_event_handler(Events.ITERATION_COMPLETED, self._after_iteration)
        trainer.add_event_handler(Events.EPOCH_COMPLETED, self._after_epoch)

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
        content = self._snapshot.take(epoch=state.epoch, iteration=state.iteration)
        if self._open is not None:
            content |= self._open
        else:
            content |= {"epoch_open": False, "stream": list(self._writer.position)}
        self._write(content, why)
        self._saved = place

    def _write(self, content: dict[str, Any], why: str) -> None:
        self._writer.sync()
        saved = save_checkpoint(self._folder.last, content)
        self._written = time.monotonic()
        self._emit(
            CheckpointSaved(
                path="checkpoints/last.pt",
                epoch=content["epoch"],
                iteration=content["iteration"],
                why=why,
                seconds=round(saved.seconds, 4),
            )
        )

    def _after_iteration(self, trainer: Engine) -> None:
        iteration, length = trainer.state.iteration, trainer.state.epoch_length
        if iteration % length == 0:
            # The epoch's own end, with its validation, comes next: from here on it is open.
            self._open = {"epoch_open": True, "stream": list(self._writer.position), "rng": self._rng()}
            return
        by_count = self._iterations is not None and iteration % self._iterations == 0
        by_clock = self._seconds is not None and time.monotonic() - self._written >= self._seconds
        if by_count or by_clock:
            self.save("last")

    def _rng(self) -> dict[str, Any]:
        cuda = torch.cuda.get_rng_state_all() if self._snapshot.step.device.device.type == "cuda" else []
        return {"torch": torch.get_rng_state(), "cuda": cuda}

    def _after_epoch(self, trainer: Engine) -> None:
        self._open = None
        epoch = trainer.state.epoch
        if epoch % self._every == 0 or trainer.should_terminate or epoch == trainer.state.max_epochs:
            self.save("last")


def evaluated_weights(step: TrainStep) -> torch.nn.Module:
    """The network that validation measures: the averaged one where there is one."""
    ema: Ema | None = step.ema
    return ema.module if ema else step.weights
