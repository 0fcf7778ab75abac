"""The machine that a recipe is planned for, and how fast a network learns on it: both by looking."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.data import Dataset
from engine.errors import MemoryShortError, counted
from engine.hardware import cores, total_memory

if TYPE_CHECKING:
    from engine.recipe import Recipe

LITE = "efficientnet_lite0"
"""The network whose ImageNet weights are installed with medtui."""
_MINUTES = 0.2  # of training, as if: `engine.training.pace` spends half a second on it, and three steps at least
_BATCHES = 2  # of cases that steps are timed on, over and over: cached, as in a training from its second epoch on


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
    validation_s: float = 0.0  # of all validation cases; 0 where none was timed


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


def measure(recipe: Recipe, dataset: Dataset, root: Path, precision: str = "", *, watched: bool = False) -> Pace | None:
    """Time steps of ``recipe`` as a training does, its loader included; None where memory runs out.

    Args:
        precision: what was found before, see `Pace`; without it, it is found out first.
        watched: a validation is timed too, by one of its cases.

    Raises:
        DataError: a case cannot be read.
        RunError: the step fails, but not for want of memory.
    """
    import torch

    from engine.data.loaders import build_train_loader
    from engine.device import memory_errors
    from engine.network import build_network, precision_of
    from engine.training.pace import measure_pace
    from engine.training.stream import EpochStream

    count, cases = recipe.train.batch_size, dataset.split("train")
    some = cases[:: max(1, len(cases) // (_BATCHES * count))][: _BATCHES * count]
    few = replace(dataset, cases=(*some, *(dataset.split("validation") if watched else ())))
    try:
        with memory_errors(""):
            network = build_network(recipe, few, root, precision or None, counts=[1] * dataset.labels)
            gpu = network.device.device if network.device.device.type == "cuda" else None
            if gpu:
                torch.cuda.reset_peak_memory_stats(gpu)
            loader = build_train_loader(few, recipe.data, recipe.augment, recipe.runtime, batch_size=count, seed=0)
            try:
                found = measure_pace(recipe, network, few, EpochStream(loader, 1), _MINUTES)
            finally:
                loader.close()
            peak = torch.cuda.max_memory_allocated(gpu) if gpu else 0
    except MemoryShortError:
        return None
    return Pace(found.step_s, int(peak), precision_of(network.device), found.validation_s)


def ready_weights() -> frozenset[str]:
    """The networks of which ImageNet weights are here already: in the cache, or installed with medtui."""
    from engine.models.efficientnet import packaged_weights
    from engine.models.weights import imagenet_file

    files = {LITE: packaged_weights(), **{name: imagenet_file(name)[1] for name in ("resnet18", "resnet50")}}
    return frozenset(name for name, path in files.items() if path.is_file())
