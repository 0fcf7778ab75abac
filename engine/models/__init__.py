"""Networks: image to logits, by the name in ``[model]``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from torch import nn

from engine.models.shapes import refuse, require_multiples, require_room
from engine.recipe import ModelTable

__all__ = ["build_model", "cam_layer", "count_parameters", "output_channels", "output_kind"]

# How the names of the final layer's weights begin: the part that another number of classes changes.
_HEADS = {"unet3d": "final.", "resunet": "final.", "segresnet": "conv_final.2.", "dynunet": "output_block."}


def output_kind(table: ModelTable, task: str, classes: int) -> Literal["sigmoid", "softmax"]:
    """What makes probabilities of the logits.

    Args:
        table: ``[model]``.
        task: "segmentation" or "classification".
        classes: number of classes; for segmentation, of foreground classes.

    Raises:
        RecipeError: one sigmoid channel is asked for, for several classes.
    """
    if task == "classification":
        return "softmax"
    if table.output == "sigmoid" and classes > 1:
        raise refuse("model.output", f'found "sigmoid" with {classes} foreground classes', '"softmax" or "auto"')
    if table.output == "softmax" or classes > 1:
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
) -> nn.Module:
    """The network of a recipe, on the CPU, with its first weights: random, ImageNet's, or a file's.

    It takes images ``(B, channels, *size)`` and gives logits, ``(B, O, *size)`` for segmentation and
    ``(B, O)`` for classification, with ``O`` as `output_channels` says.

    Args:
        table: ``[model]``.
        task: "segmentation" or "classification".
        channels: of the images.
        classes: number of classes; for segmentation, of foreground classes.
        spatial_dims: axes of the images.
        size: what the network sees, ``data.size``.
        root: the data root, below which ``model.weights`` is looked for.

    Raises:
        RecipeError: the network cannot take this size or these features, or its weights cannot be had.
    """
    wanted = 2 if task == "classification" else 3
    if spatial_dims != wanted or len(size) != wanted:
        raise refuse("data.size", f"found {list(size)} for images of {spatial_dims} axes", f"{wanted} axes for {task}")
    outputs = output_channels(table, task, classes)
    if task == "classification":
        model = _classifier(table, channels, outputs)
    else:
        model = _segmenter(table, channels, outputs, size)
    if table.weights is not None:
        from engine.models.weights import load_file

        load_file(model, table.weights, root, _HEADS.get(table.name, "fc."))
    return model


def _classifier(table: ModelTable, channels: int, outputs: int) -> nn.Module:
    from engine.models.resnet import build_resnet

    if table.channels is not None:
        raise refuse("model.channels", f"found {list(table.channels)} with {table.name}", "no channels: it has its own")
    model = build_resnet(table.name, channels, outputs, table.dropout)
    if table.pretrained:
        from engine.models.weights import load_imagenet

        load_imagenet(model, table.name)
    return model


def _segmenter(table: ModelTable, channels: int, outputs: int, size: Sequence[int]) -> nn.Module:
    match table.name:
        case "unet3d":
            from engine.models.unet3d import CHANNELS, UNet3d

            plain = UNet3d(channels, outputs, table.channels or CHANNELS, table.dropout)
            require_multiples(size, [plain.multiple] * 3, table.name)
            return plain
        case "resunet":
            from engine.models.resunet import ResUNet, plan_channels

            features = table.channels or plan_channels(size, table.patch)
            residual = ResUNet(
                channels,
                outputs,
                features,
                units=table.residual_units,
                norm=table.norm,
                dropout=table.dropout,
                patch=table.patch,
            )
            require_multiples(size, [residual.multiple] * 3, table.name)
            require_room(size, [residual.multiple] * 3, table.name)
            return residual
        case "segresnet":
            from engine.models import segresnet

            features = table.channels or segresnet.CHANNELS
            return segresnet.build_segresnet(
                channels, outputs, size, features=features, norm=table.norm, dropout=table.dropout
            )
        case "dynunet":
            from engine.models.dynunet import build_dynunet

            return build_dynunet(
                channels, outputs, size, features=table.channels, norm=table.norm, dropout=table.dropout
            )
    raise ValueError(f'"{table.name}" is no network for segmentation')


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
