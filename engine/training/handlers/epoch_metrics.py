"""Sums up an epoch of training."""

import time
from collections.abc import Callable

import torch
from ignite.engine import Engine, Events
from torch import Tensor

from engine.checkpoint import StateDict
from engine.events import EpochDone, Event, Log, Metrics
from engine.training.engines import StepOutput


class EpochMetrics:
    """Emits an `EpochDone` with the mean loss and the metrics of the training batches themselves.

    They are counted while the weights still change and, in segmentation, over the crops that were
    drawn, pooled over the epoch: a sign of life, not a result.
    """

    def __init__(self, emit: Callable[[Event], object], task: str, classes: tuple[str, ...]) -> None:
        self._emit = emit
        self._task = task
        self._classes = classes
        self._start = time.perf_counter()
        self._labels = len(classes) + (task == "segmentation")
        self._reset()

    def attach(self, trainer: Engine) -> None:
        trainer.add_event_handler(Events.EPOCH_STARTED, self._begin)
        trainer.add_event_handler(Events.ITERATION_COMPLETED, self._count)
        trainer.add_event_handler(Events.EPOCH_COMPLETED, self._write)

    def state_dict(self) -> StateDict:
        """The running sums, for a checkpoint in the middle of an epoch."""
        return {"confusion": self._confusion.clone(), "loss": self._loss, "cases": self._cases}

    def load_state_dict(self, state: StateDict) -> None:
        self._confusion, self._loss, self._cases = state["confusion"].clone(), state["loss"], state["cases"]

    def _reset(self) -> None:
        self._confusion = torch.zeros(self._labels, self._labels, dtype=torch.int64)
        self._loss = 0.0
        self._cases = 0

    def _begin(self, trainer: Engine) -> None:
        # What was counted of an epoch before it was interrupted belongs to it.
        if trainer.state.iteration % trainer.state.epoch_length == 0:
            self._reset()
        self._start = time.perf_counter()

    def _count(self, trainer: Engine) -> None:
        output: StepOutput = trainer.state.output
        self._confusion += output.confusion
        self._loss += output.loss * output.cases
        self._cases += output.cases

    def _write(self, trainer: Engine) -> None:
        metrics: Metrics = {"loss": self._loss / max(self._cases, 1)}
        values = _dice(self._confusion) if self._task == "segmentation" else _recall(self._confusion)
        name = "dice" if self._task == "segmentation" else "recall"
        seconds = time.perf_counter() - self._start
        known = [value for value in values if value is not None]
        if self._task == "classification":
            metrics["accuracy"] = float(self._confusion.diagonal().sum()) / max(int(self._confusion.sum()), 1)
            metrics["balanced_accuracy"] = sum(known) / len(known) if known else None
        else:
            metrics["dice"] = sum(known) / len(known) if known else None
        self._emit(
            EpochDone(
                epoch=trainer.state.epoch,
                iteration=trainer.state.iteration,
                metrics=metrics,
                per_class={label: {name: value} for label, value in zip(self._classes, values, strict=True)},
                seconds=round(seconds, 3),
            )
        )
        words = ", ".join(f"{name} {value:.4g}" for name, value in metrics.items() if isinstance(value, float))
        self._emit(Log(message=f"epoch {trainer.state.epoch}: training {words}; {seconds:.1f} s"))


def _dice(confusion: Tensor) -> list[float | None]:
    """Dice of each foreground class from (K+1, K+1) voxel counts; None for a class that never was."""
    hits = confusion.diagonal()
    sums = confusion.sum(0) + confusion.sum(1)
    return [2 * float(h) / float(s) if s else None for h, s in zip(hits[1:], sums[1:], strict=True)]


def _recall(confusion: Tensor) -> list[float | None]:
    """Recall of each class from (K, K) counts; None for a class that never was."""
    return [float(h) / float(s) if s else None for h, s in zip(confusion.diagonal(), confusion.sum(1), strict=True)]
