"""The whole recipe, and the rules that hold between its tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from engine import measures
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
SEGMENTATION_MODELS = ("unet3d", "resunet", "segresnet", "dynunet")
CLASSIFICATION_MODELS = ("resnet18", "resnet34", "resnet50", "resnet101")
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
        return self.train.monitor or measures.default_monitor(self.task)

    @property
    def monitor_up(self) -> bool:
        """Whether more of `monitor` is better."""
        return measures.better_up(self.monitor)


class Contradiction(NamedTuple):
    """Settings that are legal each by itself and cannot go together.

    Attributes:
        keys: all keys concerned; the first is the one to name.
        found: what was found.
        allowed: what is legal beside the other keys.
    """

    keys: tuple[str, ...]
    found: str
    allowed: str


def contradictions(recipe: Recipe) -> Iterator[Contradiction]:
    """Every pair of settings that cannot go together."""
    yield from _by_task(recipe)
    yield from _weights(recipe)
    yield from _monitor(recipe)
    yield from _sizes(recipe)
    yield from _intensity(recipe)
    yield from _splits(recipe)
    yield from _outputs(recipe)


def _by_task(recipe: Recipe) -> Iterator[Contradiction]:
    segmentation = recipe.task == "segmentation"
    task = f'with task "{recipe.task}"'
    sources = VOLUME_SOURCES if segmentation else IMAGE_SOURCES
    if recipe.data.source not in sources:
        yield Contradiction(("data.source", "task"), f'"{recipe.data.source}" {task}', _one_of(sorted(sources)))
    models = SEGMENTATION_MODELS if segmentation else CLASSIFICATION_MODELS
    if recipe.model.name not in models:
        yield Contradiction(("model.name", "task"), f'"{recipe.model.name}" {task}', _one_of(models))
    losses = _SEGMENTATION_LOSSES if segmentation else _CLASSIFICATION_LOSSES
    if recipe.loss.name not in losses:
        yield Contradiction(("loss.name", "task"), f'"{recipe.loss.name}" {task}', _one_of(losses))
    if not segmentation and recipe.model.output != "auto":
        yield Contradiction(("model.output", "task"), f'"{recipe.model.output}" {task}', '"auto"')


def _weights(recipe: Recipe) -> Iterator[Contradiction]:
    if recipe.model.pretrained and recipe.model.name not in CLASSIFICATION_MODELS:
        yield Contradiction(
            ("model.pretrained", "model.name"),
            f'true with model "{recipe.model.name}"',
            "false: ImageNet weights exist for resnet* only",
        )
    if recipe.model.pretrained and recipe.model.weights:
        yield Contradiction(("model.weights", "model.pretrained"), "a file, and pretrained = true", "one of the two")


def _monitor(recipe: Recipe) -> Iterator[Contradiction]:
    metrics = measures.monitorable(recipe.task)
    if recipe.monitor not in metrics:
        yield Contradiction(
            ("train.monitor", "task"), f'"{recipe.monitor}" with task "{recipe.task}"', _one_of(metrics)
        )
    elif measures.find(recipe.monitor).surface and not recipe.evaluate.surface_validation:
        yield Contradiction(
            ("train.monitor", "evaluate.surface_validation"),
            f'"{recipe.monitor}" with evaluate.surface_validation = false',
            "surface_validation = true, or another metric",
        )


def _sizes(recipe: Recipe) -> Iterator[Contradiction]:
    axes = len(recipe.data.size)
    if recipe.task == "classification" and axes != 2:
        yield Contradiction(("data.size", "task"), f"{axes} numbers", "2 numbers, height and width, for classification")
    if recipe.task == "segmentation" and axes != 3:
        yield Contradiction(("data.size", "task"), f"{axes} numbers", "3 numbers: segmentation is in 3-D")
    if recipe.data.spacing is not None and len(recipe.data.spacing) != axes:
        yield Contradiction(
            ("data.spacing", "data.size"),
            f"{len(recipe.data.spacing)} numbers",
            f"{axes} numbers, one an axis of data.size",
        )
    if any(axis >= axes for axis in recipe.augment.flip):
        yield Contradiction(("augment.flip", "data.size"), f"{list(recipe.augment.flip)}", f"axes from 0 to {axes - 1}")


def _intensity(recipe: Recipe) -> Iterator[Contradiction]:
    window = recipe.data.window
    if (recipe.data.intensity == "window") != (window is not None):
        yield Contradiction(
            ("data.window", "data.intensity"),
            f'intensity = "{recipe.data.intensity}" {"without" if window is None else "with"} a window',
            'intensity = "window" and window = [low, high], or neither',
        )
    if window is not None and window[0] >= window[1]:
        yield Contradiction(("data.window",), f"{list(window)}", "[low, high] with low below high")
    if recipe.data.intensity == "imagenet" and recipe.task == "segmentation":
        yield Contradiction(
            ("data.intensity", "task"),
            '"imagenet" for volumes',
            '"zscore", "minmax", "window" or "none": ImageNet has means of colour images only',
        )


def _splits(recipe: Recipe) -> Iterator[Contradiction]:
    data = recipe.data
    if data.split == "kfold" and data.fold >= data.folds:
        yield Contradiction(
            ("data.fold", "data.folds", "data.split"), f"{data.fold} of {data.folds} folds", f"0 to {data.folds - 1}"
        )
    if data.split == "fraction" and data.validation_fraction + data.test_fraction >= 0.95:
        yield Contradiction(
            ("data.test_fraction", "data.validation_fraction", "data.split"),
            "less than 5 % of the cases would be left for training",
            "validation_fraction + test_fraction below 0.95",
        )
    if data.classes is not None and len(set(data.classes)) != len(data.classes):
        yield Contradiction(("data.classes",), "a name twice", "every class once")


def _outputs(recipe: Recipe) -> Iterator[Contradiction]:
    classes = recipe.data.classes
    if recipe.model.output == "sigmoid" and classes is not None and len(classes) > 1:
        yield Contradiction(
            ("model.output", "data.classes"), f'"sigmoid" with {len(classes)} foreground classes', '"softmax" or "auto"'
        )
    if recipe.loss.name in {"bce", "dice_bce"} and recipe.model.output == "softmax":
        yield Contradiction(
            ("loss.name", "model.output"),
            f'"{recipe.loss.name}" with model.output = "softmax"',
            "cross_entropy, dice or dice_ce",
        )
    weights = recipe.loss.class_weights
    if (
        isinstance(weights, tuple)
        and classes is not None
        and recipe.task == "classification"
        and len(weights) != len(classes)
    ):
        yield Contradiction(
            ("loss.class_weights", "data.classes", "task"), f"{len(weights)} numbers", f"{len(classes)}, one a class"
        )


def _one_of(names: Sequence[str]) -> str:
    return "one of " + ", ".join(f'"{name}"' for name in names)
