"""How fast a run trains and validates here, and how many epochs that makes of ``train.minutes``."""

import math
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import islice

import torch

from engine.data.cases import Dataset
from engine.distributed import broadcast, world
from engine.errors import counted
from engine.evaluation.evaluator import evaluate_split, open_evaluation
from engine.evaluation.tester import validation_job
from engine.network import Network
from engine.recipe import Recipe
from engine.training.engines import build_step, make_trainer
from engine.training.stream import EpochStream

_WARM_UP = 2
_FEWEST, _MOST = 3, 200
_SHARE, _LEAST_S, _MOST_S, _MOST_SHARE = 0.02, 2.0, 30.0, 0.05
"""Of the minutes, that are spent on measuring steps, and its limits."""
_MARGIN = 0.97  # of the minutes, that are planned with: checkpoints, previews and the stream take the rest


@dataclass(frozen=True, slots=True)
class Pace:
    """What an epoch costs, by measurement."""

    step_s: float  # an optimizer step, the making of its batches included
    steps: int  # of an epoch
    validation_s: float  # a validation; 0 without a validation split
    every: int  # epochs between two validations

    @property
    def epoch_s(self) -> float:
        return self.steps * self.step_s + self.validation_s / self.every

    def epochs(self, minutes: float, spent_s: float = 0.0) -> int:
        """Epochs that end within ``minutes``, of which ``spent_s`` are gone; at least 1."""
        return max(1, math.floor((minutes * 60 * _MARGIN - spent_s) / self.epoch_s))

    def words(self, minutes: float, epochs: int) -> str:
        """For the log, with what to do where not even one epoch ends in time."""
        validation = f" and {self.validation_s:.2g} s a validation" if self.validation_s else ""
        said = (
            f"train.minutes = {minutes:g}: {counted(epochs, 'epoch')} of {counted(self.steps, 'step')}, "
            f"at {self.step_s:.3g} s a step{validation}; the test afterwards comes on top"
        )
        if epochs * self.epoch_s > minutes * 60:
            said += f". One epoch takes {self.epoch_s / 60:.3g} minutes: give it more"
        return said


def measure_pace(
    recipe: Recipe,
    network: Network,
    dataset: Dataset,
    stream: EpochStream,
    minutes: float,
    *,
    clock: Callable[[str], object] | None = None,
) -> Pace:
    """Time some steps and a validation on a copy of ``network``; nothing that training depends on changes.

    Several processes take the same number of steps, and go by the clock of the first.

    Args:
        network: before its first step.
        dataset: whose batches ``stream`` gives.
        clock: of the parts of the steps that count, see `TrainStep`.
    """
    copy = replace(network, model=deepcopy(network.model))
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        step = build_step(recipe, copy, dataset.labels, len(stream))
        trainer, groups = make_trainer(step, stream), iter(stream)

        def seconds(count: int, *, grown: bool = True) -> float:
            trainer.state.epoch = 1 + grown  # pictures as in the last epoch, or in the first
            trainer.state.max_epochs = 1
            start = time.perf_counter()
            for group in islice(groups, count):
                step(trainer, group)
            return broadcast(time.perf_counter() - start) / count

        seconds(_WARM_UP)
        room = min(max(_SHARE * minutes * 60, _LEAST_S), _MOST_S, _MOST_SHARE * minutes * 60)
        count = min(max(_FEWEST, round(room / seconds(1))), _MOST)
        step.clock = clock or step.clock
        step_s = seconds(count)
        if step.changes and step.changes.grows:
            small = step.changes.small_share
            step_s = (1 - small) * step_s + small * min(step_s, seconds(count, grown=False))
        validation_s = _validation_s(recipe, copy, dataset) if dataset.split("validation") else 0.0
    stream.trainer = None
    return Pace(step_s, len(stream), validation_s, recipe.train.validate_every)


def _validation_s(recipe: Recipe, network: Network, dataset: Dataset) -> float:
    """Seconds of a validation, from its first case, or from some batches of pictures; the first time warms up."""
    cases = dataset.split("validation")
    few = cases[: world() * (1 if dataset.dense else 4 * recipe.train.batch_size)]
    job = validation_job(recipe, network, replace(dataset, cases=few), network.model)
    for _ in range(2):
        start = time.perf_counter()
        evaluate_split(open_evaluation(job))
        took = time.perf_counter() - start
    return broadcast(took) * len(cases) / len(few)
