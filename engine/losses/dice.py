"""The soft Dice loss."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from engine.distributed.sums import joint
from engine.errors import misfit
from engine.losses.base import TINY, Loss, Output, Weights, build, flat, full_precision
from engine.recipe.losses import DiceTable


@build.register
def build_dice(table: DiceTable, output: Output, weights: Weights) -> Loss:
    """Dice by itself.

    Raises:
        RecipeError: a background or class weights for one sigmoid channel, which is one class.
    """
    if output == "sigmoid" and table.include_background:
        raise misfit("loss.include_background", "found true, and one sigmoid channel has no background", "false")
    if output == "sigmoid" and weights is not None:
        raise misfit("loss.class_weights", "found weights for the Dice of a single class", '"none"')
    return Dice(output, weights, table.include_background, table.batch_dice, table.smooth)


@dataclass(frozen=True)
class Dice:
    """One minus the soft Dice coefficient (Milletari et al. 2016, without their squares).

    ``1 - (2 sum(p g) + smooth) / (sum(p) + sum(g) + smooth)``, for each class of each case, then the
    mean over both; with weights, the weighted mean over the classes.
    """

    output: Output  # what the logits are
    weights: Weights = None
    include_background: bool = False  # softmax: whether class 0 counts
    batch_dice: bool = False  # sum over the batch as one volume, in place of the mean over its cases
    smooth: float = 1e-5  # with 0, a class that is neither there nor predicted still scores 1
    ignored: int | None = None  # index of what counts nowhere; a case with nothing else is none

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        """Logits ``(B, O, *S)`` and indices ``(B, *S)`` to a scalar."""
        logits, target = flat(logits, target)
        with full_precision(logits):
            overlap, sizes = self._sums(logits, target)
            if self.batch_dice:
                overlap, sizes = joint(overlap.sum(0, keepdim=True)), joint(sizes.sum(0, keepdim=True))
            smooth = max(self.smooth, TINY)
            loss = 1.0 - (2.0 * overlap + smooth) / (sizes + smooth)
            if self.ignored is not None and not self.batch_dice:  # the mean over cases of which something is known
                known = (target != self.ignored).any(1, keepdim=True).to(loss.dtype)
                loss = loss * (known * (len(known) / known.sum().clamp_min(1)))
            if self.weights is None or self.output == "sigmoid":
                return loss.mean()
            weights = loss.new_tensor(self.weights[-loss.shape[1] :])
            return (loss * weights).sum(1).mean() / weights.sum().clamp_min(TINY)

    def weight(self, target: Tensor) -> float:
        """Cases of which something is known; see `engine.losses.terms`."""
        return float(len(target) if self.ignored is None else (target != self.ignored).flatten(1).any(1).sum())

    def ignoring(self, labels: int) -> "Dice":
        """The same without what has the index ``labels``."""
        return replace(self, ignored=labels)

    def _sums(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        if self.output == "sigmoid":
            shares = logits.sigmoid()
            truths = (target if self.ignored is None else target == 1).to(shares.dtype).unsqueeze(1)
        else:
            first = 0 if self.include_background else 1
            shares = logits.softmax(1)[:, first:]
            classes = torch.arange(first, logits.shape[1], device=target.device)
            truths = (target.unsqueeze(1) == classes[:, None]).to(shares.dtype)
        if self.ignored is not None:
            shares = shares * (target != self.ignored).unsqueeze(1)
        return torch.linalg.vecdot(shares, truths), shares.sum(2) + truths.sum(2)
