"""What every loss is made of: its type, its registration, class weights and full precision."""

import math
from collections.abc import Callable, Sequence
from functools import singledispatch
from typing import Literal

import torch
from torch import Tensor

from engine.errors import misfit
from engine.recipe.losses import LossTable

Loss = Callable[[Tensor, Tensor], Tensor]
Output = Literal["sigmoid", "softmax"]
Weights = tuple[float, ...] | None
"""One for each index of the target, and 0 for the index of what is ignored, where there is one (`with_ignored`); None:
all weigh the same."""

TINY = 1e-12


@singledispatch
def build(table: LossTable, output: Output, weights: Weights) -> Loss:
    """The loss of a table, whose type decides: each loss registers its own with ``@build.register``."""
    raise NotImplementedError(f"{type(table).__name__} has no code that is registered")


def class_weights(table: LossTable, labels: int, counts: Sequence[int] | None = None) -> Weights:
    """A weight for each index of the target, or None when all weigh the same.

    "balanced" is ``n / (classes * count)`` with ``n`` the sum of the counts (scikit-learn's
    ``class_weight="balanced"``); a class that no training case has gets 0: it is never a target.
    """
    given = getattr(table, "class_weights", "none")
    if given == "none":
        return None
    if given == "balanced":
        if counts is None:
            raise ValueError('class_weights = "balanced" needs the counts of the classes')
        if not (total := float(sum(counts))):
            return (math.nan,) * labels  # nobody knows them here: there is no loss
        return tuple(total / (len(counts) * count) if count else 0.0 for count in counts)
    if len(given) != labels:
        allowed = f"{labels}, one a class; masks: the background first"
        raise misfit("loss.class_weights", f"found {len(given)} numbers", allowed)
    return tuple(given)


def ignoring(loss: Loss, labels: int) -> Loss:
    """``loss`` as if there were nothing of the index ``labels``, one beyond those of the classes.

    A loss says how by its method ``ignoring``, which takes ``labels`` too.

    Raises:
        RecipeError: it has none.
    """
    without = getattr(loss, "ignoring", None)
    if without is None:
        allowed = 'a loss with a method "ignoring": the data has voxels whose truth is not known (data.ignore)'
        raise misfit("loss.name", f"found {type(loss).__name__}", allowed)
    found: Loss = without(labels)
    return found


def with_ignored(weights: Weights, labels: int) -> Weights:
    """``weights`` with that of the index ``labels`` behind those of the classes: what has it counts nowhere."""
    return (*(weights or (1.0,) * labels), 0.0)


def flat(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """``(B, O, N)`` in float32 or better, and ``(B, N)``."""
    if logits.shape[0] != target.shape[0] or logits.shape[2:] != target.shape[1:]:
        raise ValueError(f"logits {tuple(logits.shape)} and target {tuple(target.shape)}: (B, O, *S) and (B, *S)")
    if logits.dtype != torch.float64:
        logits = logits.float()
    return logits.flatten(2) if logits.ndim > 2 else logits.unsqueeze(2), target.reshape(len(target), -1)


def full_precision(logits: Tensor) -> torch.autocast:
    """No autocast: a loss in half precision loses what training is after."""
    return torch.autocast(logits.device.type, enabled=False)


def weight_sum(target: Tensor, weights: Weights) -> float:
    """What `mean` divides by: the number of elements, or the sum of the weights of their classes."""
    if weights is None:
        return float(target.numel())
    counts = torch.bincount(target.flatten(), minlength=len(weights))
    return float(counts.cpu().double() @ torch.tensor(weights, dtype=torch.float64))


def mean(loss: Tensor, target: Tensor, weights: Weights) -> Tensor:
    """Mean, or weighted mean by the class of each element."""
    if weights is None:
        return loss.mean()
    each = loss.new_tensor(weights)[target]
    return (loss * each).sum() / each.sum().clamp_min(TINY)
