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

Totals = list[list[float]]  # a row a level of deep supervision, a number a term


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


def totals_of(loss: Loss, targets: Sequence[Tensor], sizes: Sequence[Sequence[int]] = ((),)) -> Totals | None:
    """What each of `terms_of` divides by at each level over all batches, those of other processes too.

    Args:
        targets: int64 (B, *S) of each batch of this process; without a case where it has no share of one.
        sizes: of the logits of each level; the first is that of the targets, whatever it says.

    Returns:
        A row a level; None where one batch in one process is all.
    """
    if len(targets) == 1 and world() == 1:
        return None
    terms, sums = terms_of(loss), []
    for depth, size in enumerate(sizes):
        truths = [smaller(target, size) if depth else target for target in targets if len(target)]
        sums += [sum(weight_of(term, truth) for truth in truths) for _, term in terms]
    sums = add_up(sums)
    return [sums[at : at + len(terms)] for at in range(0, len(sums), len(terms))]


def smaller(target: Tensor, size: Sequence[int]) -> Tensor:
    """Indices (B, *S) at the voxels in the middle of those of a coarser grid (Isensee et al. 2021): (B, *size)."""
    return functional.interpolate(target.unsqueeze(1).float(), size, mode="nearest-exact").squeeze(1).long()


def deep_loss(loss: Loss, levels: Sequence[Tensor], target: Tensor, totals: Totals | None = None) -> Tensor:
    """What a batch adds to the loss of all batches: a scalar.

    The levels of deep supervision have half the weight of the one above each; the weights sum to 1.

    Args:
        loss: of a recipe.
        levels: logits (B, O, *S), then (B, O, *smaller).
        target: int64 (B, *S).
        totals: of all batches, by `totals_of`; None: this is the only one.
    """
    total = _part(loss, levels[0], target, totals[0] if totals else None)
    if len(levels) == 1:
        return total
    for depth, logits in enumerate(levels[1:], start=1):
        part = _part(loss, logits, smaller(target, logits.shape[2:]), totals[depth] if totals else None)
        total = total + 0.5**depth * part
    return total / (2 - 0.5 ** (len(levels) - 1))


def _part(loss: Loss, logits: Tensor, target: Tensor, totals: Sequence[float] | None) -> Tensor:
    """One level of `deep_loss`."""
    shares = [factor for factor, _ in terms_of(loss)]
    if totals is not None:
        weights = [weight_of(term, target) for _, term in terms_of(loss)]
        shares = [share * w / total if total else 0.0 for share, w, total in zip(shares, weights, totals, strict=True)]
    first, *others = (share * term(logits, target) for share, (_, term) in zip(shares, terms_of(loss), strict=True))
    return sum(others, first)
