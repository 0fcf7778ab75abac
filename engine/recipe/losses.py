"""``[loss]``: a table for each loss. Its code is in `engine.losses`."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from engine.recipe.base import CLASSIFICATION, SEGMENTATION, NamedTable, NotNegative, Positive, When, above, only


def sigmoid(output: str | None, classes: tuple[str, ...] | None) -> bool | None:
    """Whether a network has one sigmoid channel, of what a recipe says; None where only the data can tell.

    Args:
        output: ``model.output``, or None for a network that leaves it to the classes.
        classes: ``data.classes``: of a segmentation, the foreground classes.
    """
    if output in ("sigmoid", "softmax"):
        return output == "sigmoid"
    return False if classes is not None and len(classes) > 1 else None


def softmax(output: str | None, classes: tuple[str, ...] | None) -> bool | None:
    """The opposite of `sigmoid`."""
    known = sigmoid(output, classes)
    return None if known is None else not known


OUTPUT = ("model.output", "data.classes")
SIGMOID = When(OUTPUT, sigmoid, "a network with one sigmoid channel, for one foreground class")
SOFTMAX = When(OUTPUT, softmax, 'a network with a softmax: model.output = "softmax", or several classes')


def _several(classes: tuple[str, ...] | None, background: bool) -> bool | None:
    return background or (None if classes is None else len(classes) > 1)


_SEVERAL = When(("data.classes", "loss.include_background"), _several, "several classes, or loss.include_background")


class LossTable(NamedTable):
    """What is minimised.

    ``outputs`` says what the logits may be: "sigmoid" (one channel, the foreground) or "softmax" (a channel a class).
    """

    outputs: ClassVar[frozenset[str]] = frozenset({"sigmoid", "softmax"})

    name: str

    @classmethod
    def fitting(cls, task: str, output: str) -> list[str]:
        """Names of the losses for a task and an output."""
        losses = {name: member for name, member in cls.members.items() if issubclass(member, LossTable)}
        return [name for name, loss in losses.items() if task in loss.tasks and output in loss.outputs]


class WeightedLossTable(LossTable):
    """A loss that can weigh the classes."""

    class_weights: Literal["none", "balanced"] | tuple[Positive, ...] = "none"
    """balanced: n / (classes * count of the class), from the training split. Or a number a class; masks: the
    background first."""


class _Smoothed(LossTable):
    label_smoothing: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Cross entropy: share of the target spread over all classes."""


class _Focused(LossTable):
    gamma: Annotated[float, Field(ge=0.0, le=10.0)] = 2.0
    """The focusing exponent."""


class _Overlap(LossTable):
    batch_dice: Annotated[bool, above("train.batch_size", 1)] = False
    """Dice over the batch as one volume, in place of the mean over its cases."""
    smooth: NotNegative = 1e-5
    """Added to numerator and denominator of the Dice."""


class _Background(LossTable):
    include_background: Annotated[bool, SOFTMAX] = False
    """Count the background as a class of the Dice."""


class _Summed(LossTable):
    weights: tuple[NotNegative, NotNegative] = (1.0, 1.0)
    """The weight of the first and of the second part of the sum."""


class CrossEntropyTable(_Smoothed, WeightedLossTable):
    """Cross entropy, mean over cases and voxels."""

    name: Literal["cross_entropy"]
    logit_adjustment: Annotated[NotNegative, only("task", "classification")] = 0.0
    """In training, this factor times the logarithm of each class's share of the training cases is added to its logit
    (tau of Menon et al. 2021, 1 there), so that no class is favoured for being frequent."""


class FocalTable(_Focused, WeightedLossTable):
    """Focal loss (Lin et al. 2017)."""

    tasks = CLASSIFICATION
    name: Literal["focal"]


class CrossEntropyFocalTable(_Summed, _Focused, _Smoothed, WeightedLossTable):
    """Weighted sum of cross entropy and focal loss."""

    tasks = CLASSIFICATION
    name: Literal["cross_entropy_focal"]


class BceTable(_Smoothed, WeightedLossTable):
    """Binary cross entropy, for one sigmoid channel."""

    tasks = SEGMENTATION
    outputs = frozenset({"sigmoid"})
    name: Literal["bce"]


class DiceTable(_Overlap, _Background):
    """One minus the soft Dice coefficient (Milletari et al. 2016, without their squares)."""

    tasks = SEGMENTATION
    name: Literal["dice"]
    class_weights: Annotated[Literal["none", "balanced"] | tuple[Positive, ...], SOFTMAX, _SEVERAL] = "none"
    """As for cross_entropy; the number of the background counts with `include_background` only."""


class DiceCrossEntropyTable(_Summed, _Overlap, _Background, _Smoothed, WeightedLossTable):
    """Weighted sum of Dice loss and cross entropy."""

    tasks = SEGMENTATION
    name: Literal["dice_ce"]


class DiceBceTable(_Summed, _Overlap, _Smoothed, WeightedLossTable):
    """Weighted sum of Dice loss and binary cross entropy, for one sigmoid channel."""

    tasks = SEGMENTATION
    outputs = frozenset({"sigmoid"})
    name: Literal["dice_bce"]
