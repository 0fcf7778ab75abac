"""The focal loss."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from engine.losses.base import TINY, Loss, Output, Weights, build, flat, full_precision, mean, weight_sum
from engine.recipe.losses import FocalTable


@build.register
def build_focal(table: FocalTable, output: Output, weights: Weights) -> Loss:
    """Focal loss by itself."""
    return Focal(output, weights, table.gamma)


@dataclass(frozen=True)
class Focal:
    """Focal loss, ``-(1 - p_t)^gamma log p_t`` (Lin et al. 2017), mean over cases and voxels.

    ``p_t`` is the probability of the true class; with ``gamma = 0`` this is the cross entropy. With
    weights (their alpha_t), the weighted mean.
    """

    output: Output  # what the logits are
    weights: Weights = None
    gamma: float = 2.0  # the focusing exponent, 0 or more

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        """Logits ``(B, O, *S)`` and indices ``(B, *S)`` to a scalar."""
        logits, target = flat(logits, target)
        with full_precision(logits):
            if self.output == "sigmoid":
                sign = target.to(logits.dtype) * 2.0 - 1.0
                log_pt = functional.logsigmoid(logits[:, 0] * sign)
            else:
                log_pt = logits.log_softmax(1).gather(1, target.unsqueeze(1)).squeeze(1)
            loss = -log_pt
            if self.gamma:
                # The floor keeps the slope finite where p_t is 1 and gamma is below 1.
                loss = loss * (-torch.expm1(log_pt)).clamp_min(TINY) ** self.gamma
            return mean(loss, target, self.weights)

    def weight(self, target: Tensor) -> float:
        """What the mean divides by; see `engine.losses.terms`."""
        return weight_sum(target, self.weights)
