"""Networks: image to logits, by the name in ``[model]``."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn

from engine.errors import misfit
from engine.hardware import free_memory
from engine.models.base import build
from engine.plugins import load_modules, load_plugins
from engine.recipe.models import ModelTable

if TYPE_CHECKING:
    from engine.models.weights import Start

load_modules(__name__, __path__)

_WIDE = 512
"""Channels from which on the weights of a network are counted before they are made, which loads much of torch."""


def output_kind(table: ModelTable, task: str, classes: int) -> Literal["sigmoid", "softmax"]:
    """What makes probabilities of the logits.

    Args:
        task: "segmentation" or "classification".
        classes: number of classes; for segmentation, of foreground classes.

    Raises:
        RecipeError: one sigmoid channel is asked for, for several classes.
    """
    if task == "classification":
        return "softmax"
    wanted = getattr(table, "output", "auto")
    if wanted == "sigmoid" and classes > 1:
        raise misfit("model.output", f'found "sigmoid" with {classes} foreground classes', '"softmax" or "auto"')
    if wanted == "softmax" or classes > 1:
        return "softmax"
    return "sigmoid"


def output_channels(table: ModelTable, task: str, classes: int) -> int:
    """Channels of the logits: one for sigmoid; for softmax a class each, with the background first.

    Args and errors are those of `output_kind`.
    """
    if output_kind(table, task, classes) == "sigmoid":
        return 1
    return classes + 1 if task == "segmentation" else classes


def build_model(
    table: ModelTable,
    *,
    task: str,
    channels: int,
    classes: int,
    spatial_dims: int,
    size: Sequence[int],
    root: Path,
    start: "Start | None" = None,
) -> nn.Module:
    """The network of a recipe, on the CPU, with its first weights: random, ImageNet's, or a file's.

    It takes images ``(B, channels, *size)`` and gives logits, ``(B, O, *size)`` for segmentation and
    ``(B, O)`` for classification, with ``O`` as `output_channels` says.

    Args:
        task: "segmentation" or "classification".
        classes: number of classes; for segmentation, of foreground classes.
        size: what the network sees, ``data.size``.
        root: the data root, below which ``model.weights`` is looked for.
        start: those weights, where they were read before.

    Raises:
        RecipeError: the network cannot take this size or these features, or its weights cannot be had.
    """
    load_plugins("medtui.code")
    if len(size) != spatial_dims:
        raise misfit("data.size", f"found {list(size)}", f"{spatial_dims} numbers: so many axes the images have")
    if spatial_dims not in table.dims:
        found = f'found "{table.name}" for images in {spatial_dims}-D'
        axes = " or ".join(f"{n}-D" for n in sorted(table.dims))
        raise misfit("model.name", found, f"a network for these; it is for {axes}")
    if task not in table.tasks:
        raise misfit("model.name", f'found "{table.name}" with task "{task}"', f"a network for {task}")
    outputs = output_channels(table, task, classes)
    if outputs < 2 and output_kind(table, task, classes) == "softmax":
        raise misfit("data.classes", "found one class", "two or more: of one, there is nothing to tell apart")
    _refuse_giant(table, channels, outputs, tuple(size))
    model = build(table, channels, outputs, tuple(size))
    if table.weights is not None:
        from engine.models.weights import load_start, read_start

        first = _of_channels(table, channels, outputs, tuple(size))
        load_start(model, start or read_start(root / table.weights), table.head, first, channels)
    return model


def _of_channels(table: ModelTable, channels: int, outputs: int, size: tuple[int, ...]) -> list[str]:
    """Names of the weights that other ``channels`` change: those of the first convolution, or of several that read
    the image."""
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            some, more = (build(table.bare(), count, outputs, size).state_dict() for count in (channels, channels + 1))
    except (RuntimeError, NotImplementedError):  # a network of a package, which needs values
        return []
    return [name for name in some if name in more and some[name].shape != more[name].shape]


def _refuse_giant(table: ModelTable, channels: int, outputs: int, size: tuple[int, ...]) -> None:
    """Count the weights of a network that has none yet: what does not fit memory twice (every use takes a copy) is
    refused before it fills it."""
    widths = [*(getattr(table, "channels", None) or ()), channels, outputs]
    if max(widths) <= _WIDE or getattr(table, "pretrained", False):
        return
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            count = sum(parameter.numel() for parameter in build(table, channels, outputs, size).parameters())
    except (RuntimeError, NotImplementedError):  # a network of a package, which needs values
        return
    if 8 * count > (free := free_memory()):
        found = f"found a network of {count / 1e6:,.0f} million weights, {4 * count / 1e9:.1f} GB"
        raise misfit("model", found, f"one that fits twice into the {free / 1e9:.1f} GB of memory that are free")


def cam_layer(model: nn.Module) -> nn.Module:
    """The last layer that makes features: the one whose gradients Grad-CAM weighs.

    Wrappers (of several processes, of torch.compile) are looked through.
    """
    inner = getattr(model, "module", getattr(model, "_orig_mod", None))
    if isinstance(inner, nn.Module):
        return cam_layer(inner)
    for name in ("layer4", "up_layers", "upsamples", "cam_layer"):
        layer = getattr(model, name, None)
        if isinstance(layer, nn.ModuleList):
            return layer[-1]
        if isinstance(layer, nn.Module):
            return layer
    raise ValueError(f"{type(model).__name__} is no network of engine.models")


def count_parameters(model: nn.Module) -> int:
    """Numbers that training changes."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
