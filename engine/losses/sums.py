"""Weighted sums of two losses."""

from dataclasses import dataclass, replace

from torch import Tensor

from engine.losses.base import Loss, Output, Weights, build, ignoring
from engine.losses.cross_entropy import CrossEntropy
from engine.losses.dice import Dice
from engine.losses.focal import Focal
from engine.recipe.losses import CrossEntropyFocalTable, DiceBceTable, DiceCrossEntropyTable


@build.register
def build_cross_entropy_focal(table: CrossEntropyFocalTable, output: Output, weights: Weights) -> Loss:
    """Cross entropy and focal loss."""
    entropy = CrossEntropy(output, weights, table.label_smoothing)
    return Sum(entropy, Focal(output, weights, table.gamma), table.weights)


@build.register
def build_dice_cross_entropy(table: DiceCrossEntropyTable | DiceBceTable, output: Output, weights: Weights) -> Loss:
    """Dice and cross entropy, binary or over classes."""
    background = isinstance(table, DiceCrossEntropyTable) and table.include_background
    dice = Dice(output, weights, background, table.batch_dice, table.smooth)
    return Sum(dice, CrossEntropy(output, weights, table.label_smoothing), table.weights)


@dataclass(frozen=True)
class Sum:
    """The weighted sum of two losses."""

    first: Loss
    second: Loss
    weights: tuple[float, float] = (1.0, 1.0)

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        """Logits ``(B, O, *S)`` and indices ``(B, *S)`` to a scalar."""
        return self.weights[0] * self.first(logits, target) + self.weights[1] * self.second(logits, target)

    def ignoring(self, labels: int) -> "Sum":
        """The same without what has the index ``labels``."""
        return replace(self, first=ignoring(self.first, labels), second=ignoring(self.second, labels))
