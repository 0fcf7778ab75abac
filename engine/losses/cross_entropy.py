"""Cross entropy, binary and over classes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from engine.losses.base import TINY, Loss, Output, Weights, build, flat, full_precision, weight_sum, with_ignored
from engine.recipe.losses import BceTable, CrossEntropyTable


@build.register
def build_cross_entropy(table: CrossEntropyTable | BceTable, output: Output, weights: Weights) -> Loss:
    """Cross entropy; for one sigmoid channel the binary one."""
    return CrossEntropy(output, weights, table.label_smoothing)


@dataclass(frozen=True)
class CrossEntropy:
    """Mean cross entropy over cases and voxels; with weights, their weighted mean.

    For a sigmoid this is binary cross entropy. Label smoothing spreads that share of the target
    evenly over all classes (Szegedy et al. 2016), as `torch.nn.functional.cross_entropy` does.
    """

    output: Output  # what the logits are
    weights: Weights = None
    smoothing: float = 0.0
    offsets: tuple[float, ...] = ()  # added to the logits of each class, see `log_shares`

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        """Logits ``(B, O, *S)`` and indices ``(B, *S)`` to a scalar."""
        logits, target = flat(logits, target)
        with full_precision(logits):
            if self.output == "sigmoid":
                return self._binary(logits[:, 0], target)
            if self.offsets:
                logits = logits + logits.new_tensor(self.offsets)[:, None]
            if logits.is_cuda and torch.are_deterministic_algorithms_enabled():
                # CUDA has a deterministic kernel for rows of classes, and none for (B, O, N).
                logits, target = logits.movedim(1, 2).flatten(0, 1), target.flatten()
            if self.weights is None:
                return functional.cross_entropy(logits, target, label_smoothing=self.smoothing)
            # PyTorch's mean of cases that all weigh nothing is 0 / 0.
            weight = logits.new_tensor(self.weights)
            classes = logits.shape[1]
            summed = functional.cross_entropy(
                logits,
                target,
                weight[:classes],
                ignore_index=classes,
                reduction="sum",
                label_smoothing=self.smoothing,
            )
            return summed / weight[target].sum().clamp_min(TINY)

    def ignoring(self, labels: int) -> "CrossEntropy":
        """The same without what has the index ``labels``."""
        return replace(self, weights=with_ignored(self.weights, labels))

    def weight(self, target: Tensor) -> float:
        """What the mean divides by; see `engine.losses.terms`."""
        return weight_sum(target, self.weights)

    def _binary(self, logits: Tensor, target: Tensor) -> Tensor:
        soft = target.to(logits.dtype)
        if self.smoothing:
            soft = soft * (1.0 - self.smoothing) + 0.5 * self.smoothing
        if self.weights is None:
            return functional.binary_cross_entropy_with_logits(logits, soft)
        absent, present, *ignored = self.weights
        loss = -present * soft * functional.logsigmoid(logits) - absent * (1.0 - soft) * functional.logsigmoid(-logits)
        if ignored:
            loss = loss * (target < 2)
        return loss.sum() / loss.new_tensor(self.weights)[target].sum().clamp_min(TINY)


def log_shares(counts: Sequence[int], tau: float) -> tuple[float, ...]:
    """``tau`` times the logarithm of each class's share of all cases (Menon et al. 2021, equation 10).

    A class of which there is none counts as one case.
    """
    total = sum(counts) or math.nan  # of no cases: nobody knows the shares, there is no loss
    return tuple(tau * math.log(max(count, 1) / total) for count in counts)
