"""From the tables of a recipe to the network and its loss."""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from engine.data import Dataset
from engine.data.read import read_case
from engine.device import Device, measured, open_device
from engine.distributed import world
from engine.losses import build_loss
from engine.models import build_model, count_parameters, output_kind
from engine.models.weights import Start, first_weights
from engine.plugins import load_plugins
from engine.recipe import Recipe, region_indices

_AMP: dict[str, Literal["off", "bf16", "fp16"]] = {"float32": "off", "bf16": "bf16", "fp16": "fp16"}
Criterion = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Network:
    """A network on its device, its loss, and how its output is read."""

    model: nn.Module
    criterion: Criterion
    kind: str  # sigmoid or softmax
    outputs: int  # logits of an image or a voxel
    device: Device
    start: str = ""  # what was loaded of weights to start from, and what is new
    doubts: tuple[str, ...] = ()  # what has to be said of these weights
    origin: Mapping[str, Any] = field(default_factory=dict)  # of which run or file they are, for the manifest
    facts: Mapping[str, Any] = field(default_factory=dict)  # what only the data decided, see `engine.recipe.dead`
    levels: Sequence[Sequence[int]] = ((),)  # sizes of the logits of a training sample; more with deep supervision
    counts: tuple[int, ...] = ()  # cases (or voxels) of each class in training, where the recipe asks for them

    @property
    def parameters(self) -> int:
        return count_parameters(self.model)


def build_network(
    recipe: Recipe,
    dataset: Dataset,
    root: Path,
    precision: str | None = None,
    counts: Sequence[int] = (),
    *,
    start: Start | None = None,
) -> Network:
    """The untrained network of a recipe; its weights depend on ``seed`` only.

    Args:
        root: the data root, for weights to start from.
        precision: what ``train.amp = "auto"`` was found to mean, in the words of `precision_of`; None: find out.
        counts: `Network.counts`, where ``dataset`` has no training split to count in.
        start: the weights to start from, where they were read before.

    Raises:
        RecipeError: the network and the data, or the device, do not go together.
        DataError: weights to start from are not there.
    """
    load_plugins("medtui.metrics")  # what cannot be loaded is said here, not at the first validation
    device, decided = _device(recipe, precision)
    torch.manual_seed(recipe.seed)
    region_indices(recipe.evaluate, dataset.classes)  # what the data has not is said here too
    classes = len(dataset.classes)
    model = build_model(
        recipe.model,
        task=recipe.task,
        channels=dataset.channels,
        classes=classes,
        spatial_dims=dataset.spatial_dims,
        size=recipe.data.size,
        root=root,
        start=start,
    )
    layout = device.layout(dataset.spatial_dims + 2)
    model = model.to(device=device.device).to(memory_format=layout)
    if not decided:
        own = max(1, recipe.train.batch_size // world())
        device = measured(device, model, (own, dataset.channels, *recipe.data.size))
    kind = output_kind(recipe.model, recipe.task, classes)
    adjusted = any(getattr(table, "logit_adjustment", 0.0) for table in (recipe.loss, recipe.evaluate))
    counted = adjusted or getattr(recipe.loss, "class_weights", "none") == "balanced"
    counts = tuple(counts or class_counts(dataset)) if counted else ()
    criterion = build_loss(
        recipe.loss,
        task=recipe.task,
        output=kind,
        labels=dataset.labels,
        counts=counts,
        ignored=dataset.ignored is not None,
    )
    deep = getattr(recipe.model, "deep_supervision", False)
    levels = level_sizes(model, (2, dataset.channels, *recipe.data.size)) if deep else [()]
    outputs, facts = 1 if kind == "sigmoid" else dataset.labels, {"model.output": kind, **dataset.facts}
    begun = first_weights(model)
    return Network(model, criterion, kind, outputs, device, begun, facts=facts, levels=levels, counts=counts)


def _device(recipe: Recipe, precision: str | None) -> tuple[Device, bool]:
    """The device, with the ``precision`` that was found before; whether nothing of it is left to be found out."""
    found, _, dtype = str(precision or "").partition(" ")
    device = open_device(recipe.runtime, recipe.train.amp)
    if recipe.train.amp == "auto" and found == device.device.type and dtype in _AMP:
        return open_device(recipe.runtime, _AMP[dtype]), True
    return device, recipe.train.amp != "auto" or device.device.type != "cpu"


def level_sizes(model: nn.Module, shape: Sequence[int]) -> list[Sequence[int]]:
    """Sizes of the logits that a ``model`` with deep supervision gives of images of ``shape`` (B, C, *S), from the
    top."""
    outline = deepcopy(model).to("meta")
    output = outline(torch.empty(*shape, device="meta", dtype=next(model.parameters()).dtype))
    return [logits.shape[2:] for logits in output]


def fetch_weights(recipe: Recipe, dataset: Dataset, root: Path, start: Start | None = None) -> None:
    """Get the weights that training starts from, if any: where it will run there may be no network. Raises as above."""
    if recipe.model != recipe.model.bare():
        rehearse(recipe, dataset, root, start)


def rehearse(recipe: Recipe, dataset: Dataset, root: Path, start: Start | None = None) -> None:
    """Make the network from what one case's header says: what does not fit is said before all cases are read. Raises
    as above."""
    here = recipe.runtime.model_copy(update={"device": "cpu"})
    train = recipe.train.model_copy(update={"amp": "off"})
    alone = recipe.model_copy(update={"runtime": here, "train": train})
    build_network(alone, dataset, root, counts=[1] * dataset.labels, start=start)


def precision_of(device: Device) -> str:
    """Device and number type, such as ``cpu bf16``: what the manifest keeps for `build_network`."""
    return f"{device.device.type} {device.precision}"


def class_counts(dataset: Dataset) -> list[int]:
    """Cases of each class in the training split; segmentation: voxels, background first.

    With one sigmoid channel too, the background is counted: the loss weighs the two against each other.
    """
    if not dataset.dense:
        return list(dataset.counts()["train"].values())
    total = np.zeros(dataset.labels, np.int64)
    for case in dataset.split("train"):
        label = read_case(dataset, case).label
        if label is not None:
            total += np.bincount(label.ravel(), minlength=len(total))[: len(total)]  # without what is not known
    return [int(n) for n in total]
