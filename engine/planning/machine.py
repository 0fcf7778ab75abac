"""The machine that a recipe is planned for, and how fast a network learns on it: both by looking."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.data import Dataset
from engine.errors import RunError, counted
from engine.hardware import cores, total_memory

if TYPE_CHECKING:
    from engine.recipe import Recipe

_STEPS, _MOST_S = 5, 4.0
"""Steps that are timed, after one that warms up, and seconds after which no further one is begun."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What computes."""

    cores: int
    memory: int  # bytes
    gpu: str = ""  # its name; "" without one
    gpu_memory: int = 0  # bytes

    def __str__(self) -> str:
        parts = [counted(self.cores, "core"), f"{self.memory / 2**30:.0f} GB of memory"]
        parts += [f"{self.gpu} with {self.gpu_memory / 2**30:.0f} GB"] if self.gpu else ["no GPU"]
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Pace:
    """What a step of a recipe costs here."""

    step_s: float
    memory: int = 0  # bytes of the GPU at the peak; 0 on a CPU
    precision: str = ""  # what ``train.amp = "auto"`` was found to mean


def this_machine() -> Machine:
    """The machine here, as this process may use it; loads PyTorch."""
    import warnings

    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a driver that is too old warns
        there = torch.cuda.is_available()
    if not there:
        return Machine(cores(), total_memory())
    facts = torch.cuda.get_device_properties(0)
    return Machine(cores(), total_memory(), facts.name, facts.total_memory)


def measure(recipe: Recipe, dataset: Dataset, root: Path, precision: str = "") -> Pace | None:
    """Time steps of ``recipe`` on random images, forward, backward and the optimizer's; None where memory runs out.

    Args:
        precision: what was found before, see `Pace`; without it, it is found out first.
    """
    import torch
    from ignite.engine import Engine

    from engine.device import memory_errors
    from engine.network import build_network, precision_of
    from engine.training.engines import build_step

    count, size = recipe.train.batch_size, recipe.data.size
    try:
        with memory_errors(""):
            network = build_network(recipe, dataset, root, precision or None, counts=[1] * dataset.labels)
            gpu = network.device.device if network.device.device.type == "cuda" else None
            if gpu:
                torch.cuda.reset_peak_memory_stats(gpu)
            step = build_step(recipe, network, dataset.labels, _STEPS)
            trainer = Engine(step)
            trainer.state.epoch = trainer.state.max_epochs = 1
            image = torch.randn(count, dataset.channels, *size)
            label = torch.randint(dataset.labels, (count, *size) if dataset.dense else (count,))
            taken: list[float] = []
            while len(taken) <= _STEPS and sum(taken[1:]) < _MOST_S:
                start = time.perf_counter()
                step(trainer, [{"image": image, "label": label, "id": [""] * count}])
                taken.append(time.perf_counter() - start)
            peak = torch.cuda.max_memory_allocated(gpu) if gpu else 0
    except RunError:
        return None
    return Pace(statistics.median(taken[1:]), int(peak), precision_of(network.device))


def ready_weights() -> frozenset[str]:
    """The ResNets of which ImageNet weights lie in the cache already."""
    from engine.models.weights import imagenet_file

    return frozenset(name for name in ("resnet18", "resnet50") if imagenet_file(name)[1].is_file())
