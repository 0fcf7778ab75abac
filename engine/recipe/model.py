"""The whole recipe, and the rules that hold between its tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from engine.recipe.tables import (
    AugmentTable,
    DataTable,
    EvaluateTable,
    FiguresTable,
    LossTable,
    ModelTable,
    OptimizerTable,
    RuntimeTable,
    ScheduleTable,
    Table,
    TrainTable,
)

IMAGE_SOURCES = frozenset({"isic2018", "image_folder", "csv"})
VOLUME_SOURCES = frozenset({"left_atrium", "decathlon", "nnunet", "nifti_pairs", "csv"})
SEGMENTATION_METRICS = ("loss", "dice", "jaccard", "asd", "assd", "hd95")
CLASSIFICATION_METRICS = ("loss", "accuracy", "balanced_accuracy", "f1", "auc")
_SEGMENTATION_LOSSES = ("bce", "dice", "dice_ce", "dice_bce", "cross_entropy")
_CLASSIFICATION_LOSSES = ("cross_entropy", "focal", "cross_entropy_focal")


class Recipe(Table):
    """An experiment: what to train, on what, how, and how it is measured."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    """Letters, digits, dot, dash and underscore, 64 at most; it becomes part of the run folder's name."""
    task: Literal["segmentation", "classification"]
    """What the network does."""
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0
    """Seed of everything that is drawn in training."""
    description: Annotated[str, Field(max_length=2000)] = ""
    """What a reader of the report should know."""
    data: DataTable
    model: ModelTable
    loss: LossTable
    optimizer: OptimizerTable = OptimizerTable()
    schedule: ScheduleTable = ScheduleTable()
    train: TrainTable
    augment: AugmentTable = AugmentTable()
    evaluate: EvaluateTable = EvaluateTable()
    figures: FiguresTable = FiguresTable()
    runtime: RuntimeTable = RuntimeTable()

    @property
    def monitor(self) -> str:
        """The validation metric that chooses best.pt."""
        return self.train.monitor or ("dice" if self.task == "segmentation" else "balanced_accuracy")

    @property
    def monitor_up(self) -> bool:
        """Whether more of `monitor` is better."""
        return self.monitor not in {"loss", "asd", "assd", "hd95"}


def contradictions(recipe: Recipe) -> Iterator[tuple[str, str, str]]:
    """(key, what was found, what is allowed) of every pair of settings that cannot go together."""
    segmentation = recipe.task == "segmentation"
    sources = VOLUME_SOURCES if segmentation else IMAGE_SOURCES
    if recipe.data.source not in sources:
        yield "data.source", f'"{recipe.data.source}" with task "{recipe.task}"', _one_of(sorted(sources))
    resnet = recipe.model.name.startswith("resnet")
    if resnet == segmentation:
        names = "unet3d, resunet, segresnet, dynunet" if segmentation else "resnet18, resnet34, resnet50, resnet101"
        yield "model.name", f'"{recipe.model.name}" with task "{recipe.task}"', names
    if recipe.model.pretrained and not resnet:
        yield (
            "model.pretrained",
            f'true with model "{recipe.model.name}"',
            "false: ImageNet weights exist for resnet* only",
        )
    if recipe.model.pretrained and recipe.model.weights:
        yield "model.weights", "a file, and pretrained = true", "one of the two"
    losses = _SEGMENTATION_LOSSES if segmentation else _CLASSIFICATION_LOSSES
    if recipe.loss.name not in losses:
        yield "loss.name", f'"{recipe.loss.name}" with task "{recipe.task}"', _one_of(losses)
    metrics = SEGMENTATION_METRICS if segmentation else CLASSIFICATION_METRICS
    if recipe.monitor not in metrics:
        yield "train.monitor", f'"{recipe.monitor}" with task "{recipe.task}"', _one_of(metrics)
    elif recipe.monitor in {"asd", "assd", "hd95"} and not recipe.evaluate.surface_validation:
        yield (
            "train.monitor",
            f'"{recipe.monitor}" with evaluate.surface_validation = false',
            "surface_validation = true, or another metric",
        )
    yield from _sizes(recipe)
    yield from _outputs(recipe)


def _sizes(recipe: Recipe) -> Iterator[tuple[str, str, str]]:
    axes = len(recipe.data.size)
    if recipe.task == "classification" and axes != 2:
        yield "data.size", f"{axes} numbers", "2 numbers, height and width, for classification"
    if recipe.model.name == "unet3d" and axes != 3:
        yield "data.size", f'{axes} numbers with model "unet3d"', "3 numbers"
    if recipe.task == "segmentation" and axes != 3:
        yield "data.size", f"{axes} numbers", "3 numbers: segmentation is in 3-D"
    if recipe.data.spacing is not None and len(recipe.data.spacing) != axes:
        yield "data.spacing", f"{len(recipe.data.spacing)} numbers", f"{axes} numbers, one an axis of data.size"
    if any(axis >= axes for axis in recipe.augment.flip):
        yield "augment.flip", f"{list(recipe.augment.flip)}", f"axes from 0 to {axes - 1}"
    if (recipe.data.intensity == "window") != (recipe.data.window is not None):
        yield (
            "data.window",
            "window and intensity do not fit",
            'intensity = "window" and window = [low, high], or neither',
        )
    if recipe.data.window is not None and recipe.data.window[0] >= recipe.data.window[1]:
        yield "data.window", f"{list(recipe.data.window)}", "[low, high] with low below high"
    if recipe.data.split == "kfold" and recipe.data.fold >= recipe.data.folds:
        yield "data.fold", f"{recipe.data.fold} of {recipe.data.folds} folds", f"0 to {recipe.data.folds - 1}"
    if recipe.data.split == "fraction" and recipe.data.validation_fraction + recipe.data.test_fraction >= 0.95:
        yield (
            "data.test_fraction",
            "less than 5 % of the cases would be left for training",
            "validation_fraction + test_fraction below 0.95",
        )


def _outputs(recipe: Recipe) -> Iterator[tuple[str, str, str]]:
    classes = recipe.data.classes
    sigmoid = recipe.model.output == "sigmoid"
    if recipe.task == "classification" and recipe.model.output != "auto":
        yield "model.output", f'"{recipe.model.output}" with task "classification"', '"auto"'
    if sigmoid and classes is not None and len(classes) > 1:
        yield "model.output", f'"sigmoid" with {len(classes)} foreground classes', '"softmax" or "auto"'
    if recipe.loss.name in {"bce", "dice_bce"} and recipe.model.output == "softmax":
        yield "loss.name", f'"{recipe.loss.name}" with model.output = "softmax"', "cross_entropy, dice or dice_ce"
    if classes is not None and len(set(classes)) != len(classes):
        yield "data.classes", "a name twice", "every class once"
    weights = recipe.loss.class_weights
    if (
        isinstance(weights, tuple)
        and classes is not None
        and recipe.task == "classification"
        and len(weights) != len(classes)
    ):
        yield "loss.class_weights", f"{len(weights)} numbers", f"{len(classes)}, one a class"


def _one_of(names: list[str] | tuple[str, ...]) -> str:
    return "one of " + ", ".join(f'"{name}"' for name in names)
