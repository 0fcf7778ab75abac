"""A loss over several batches, as it is over one that holds them all.

Each term of a loss is a mean: over elements by the weights of their classes, or over cases. The mean over
several batches is theirs, each by what it divides by; so the terms of a sum are weighed apart.
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor
from torch.nn import functional

from engine.distributed import add_up, world
from engine.losses.base import Loss
from engine.losses.sums import Sum


@runtime_checkable
class Weighted(Protocol):
    """A loss that is no plain mean over cases."""

    def weight(self, target: Tensor) -> float:
        """What the loss of a batch with indices ``(B, *S)`` divides by."""


def terms_of(loss: Loss) -> list[tuple[float, Loss]]:
    """The losses of which ``loss`` is a weighted sum, each with its factor; itself where it is none."""
    if not isinstance(loss, Sum):
        return [(1.0, loss)]
    parts = zip(loss.weights, (loss.first, loss.second), strict=True)
    return [(outer * inner, term) for outer, part in parts for inner, term in terms_of(part)]


def weight_of(loss: Loss, target: Tensor) -> float:
    """By how much a batch with indices ``target`` (B, *S) counts in the mean over several."""
    return float(loss.weight(target)) if isinstance(loss, Weighted) else float(len(target))


def shares_of(loss: Loss, targets: Sequence[Tensor]) -> list[list[float]]:
    """For each batch, by its indices (B, *S), the factor of each of `terms_of` in the loss of all batches.

    The factors of a term over all batches, those of other processes too, have its own factor as their sum.
    """
    terms = terms_of(loss)
    if len(targets) == 1 and world() == 1:
        return [[factor for factor, _ in terms]]
    weights = [[weight_of(term, target) for _, term in terms] for target in targets]
    totals = add_up([sum(column) for column in zip(*weights, strict=True)])
    return [
        [
            factor * weight / total if total else 0.0
            for (factor, _), weight, total in zip(terms, row, totals, strict=True)
        ]
        for row in weights
    ]


def shared_loss(loss: Loss, logits: Tensor, target: Tensor, shares: Sequence[float]) -> Tensor:
    """What a batch adds to the loss of all batches, by its row of `shares_of`: a scalar.

    Args:
        loss: of a recipe.
        logits: (B, O, *S).
        target: int64 (B, *S).
        shares: a factor a term.
    """
    first, *others = (share * term(logits, target) for share, (_, term) in zip(shares, terms_of(loss), strict=True))
    return sum(others, first)


def deep_loss(loss: Loss, levels: Sequence[Tensor], target: Tensor, shares: Sequence[float]) -> Tensor:
    """`shared_loss` of the logits of every level, each with half the weight of the one before; the weights sum to 1.

    A level is compared with ``target`` at the voxels in the middle of its own (Isensee et al. 2021), and its terms
    are weighed as at the top.

    Args:
        loss: of a recipe.
        levels: (B, O, *S), then (B, O, *smaller).
        target: int64 (B, *S).
        shares: a factor a term, by `shares_of`.
    """
    total = shared_loss(loss, levels[0], target, shares)
    if len(levels) == 1:
        return total
    whole = target.unsqueeze(1).float()
    for depth, logits in enumerate(levels[1:], start=1):
        smaller = functional.interpolate(whole, logits.shape[2:], mode="nearest-exact").squeeze(1).long()
        total = total + 0.5**depth * shared_loss(loss, logits, smaller, shares)
    return total / (2 - 0.5 ** (len(levels) - 1))
