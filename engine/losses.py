"""Losses: logits and class indices to one number.

Every loss takes logits ``(B, O, *S)`` and a target ``(B, *S)`` of class indices (int64) and gives a
scalar. ``output`` says what the logits are: ``"sigmoid"`` is one channel, the foreground, with a
target of 0 and 1; ``"softmax"`` is a channel a class (segmentation: the background first).

All of them compute in float32 (in float64 when the logits are), also inside autocast, from the
logarithm of the probabilities, and with operations that CUDA has deterministic kernels for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from engine.errors import Problem, RecipeError
from engine.recipe import LossTable

Loss = Callable[[Tensor, Tensor], Tensor]
Output = Literal["sigmoid", "softmax"]

_TINY = 1e-12


def build_loss(table: LossTable, *, task: str, output: str, labels: int, counts: Sequence[int] | None = None) -> Loss:
    """The loss of a recipe.

    Args:
        table: ``[loss]``.
        task: "segmentation" or "classification".
        output: "sigmoid" or "softmax", as `engine.models.output_kind` says.
        labels: how many indices the target has (segmentation: with the background).
        counts: voxels or cases of each class in the training split, in the order of the target's
            indices (segmentation: the background first). Needed for ``class_weights = "balanced"``
            only.

    Raises:
        RecipeError: the loss does not fit the output, or the weights do not fit the classes.
    """
    if output not in ("sigmoid", "softmax"):
        raise ValueError(f'output is "{output}"; it must be "sigmoid" or "softmax"')
    kind: Output = "sigmoid" if output == "sigmoid" else "softmax"
    _refuse(table, task, kind)
    weights = class_weights(table, labels, counts)
    entropy = CrossEntropy(kind, weights, table.label_smoothing)
    focal = Focal(kind, weights, table.gamma)
    dice = Dice(kind, weights, table.include_background, table.batch_dice, table.smooth)
    match table.name:
        case "cross_entropy" | "bce":
            return entropy
        case "focal":
            return focal
        case "dice":
            return dice
        case "cross_entropy_focal":
            return Sum(entropy, focal, table.weights)
        case "dice_ce" | "dice_bce":
            return Sum(dice, entropy, table.weights)


def class_weights(table: LossTable, labels: int, counts: Sequence[int] | None = None) -> tuple[float, ...] | None:
    """A weight for each index of the target, or None when all weigh the same.

    "balanced" is ``n / (classes * count)`` with ``n`` the sum of the counts (scikit-learn's
    ``class_weight="balanced"``); a class that no training case has gets 0: it is never a target.
    """
    if table.class_weights == "none":
        return None
    if table.class_weights == "balanced":
        if counts is None:
            raise ValueError('class_weights = "balanced" needs the counts of the classes')
        total = float(sum(counts))
        return tuple(total / (len(counts) * count) if count else 0.0 for count in counts)
    given = table.class_weights
    if len(given) != labels:
        raise _wrong(
            "loss.class_weights", f"found {len(given)} numbers", f"{labels}, one a class; masks: the background first"
        )
    return tuple(given)


def _refuse(table: LossTable, task: str, output: Output) -> None:
    """What only shows once the number of classes is known."""
    if output == "softmax" and table.name in ("bce", "dice_bce"):
        other = "cross_entropy" if table.name == "bce" else "dice_ce"
        raise _wrong(
            "loss.name",
            f'found "{table.name}", and the network has a softmax over several classes',
            f'"{other}"; binary cross entropy is for one sigmoid channel',
        )
    if task == "classification" and table.name.startswith("dice"):
        raise _wrong("loss.name", f'found "{table.name}" with task "classification"', '"cross_entropy" or "focal"')
    if output == "sigmoid" and table.include_background:
        raise _wrong("loss.include_background", "found true, and one sigmoid channel has no background", "false")
    if output == "sigmoid" and table.name == "dice" and table.class_weights != "none":
        raise _wrong("loss.class_weights", "found weights for the Dice of a single class", '"none"')


def _wrong(key: str, what: str, allowed: str) -> RecipeError:
    return RecipeError("the recipe cannot be used:", problems=(Problem("recipe", what, allowed, key),))


@dataclass(frozen=True)
class CrossEntropy:
    """Mean cross entropy over cases and voxels; with weights, their weighted mean.

    For a sigmoid this is binary cross entropy. Label smoothing spreads that share of the target
    evenly over all classes (Szegedy et al. 2016), as `torch.nn.functional.cross_entropy` does.

    Args:
        output: what the logits are.
        weights: one for each index of the target, or None.
        smoothing: 0 for none.
    """

    output: Output
    weights: tuple[float, ...] | None = None
    smoothing: float = 0.0

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        """Logits ``(B, O, *S)`` and indices ``(B, *S)`` to a scalar."""
        logits, target = _flat(logits, target)
        with _full_precision(logits):
            if self.output == "sigmoid":
                return self._binary(logits[:, 0], target)
            if logits.is_cuda and torch.are_deterministic_algorithms_enabled():
                # CUDA has a deterministic kernel for rows of classes, and none for (B, O, N).
                logits, target = logits.movedim(1, 2).flatten(0, 1), target.flatten()
            weight = None if self.weights is None else logits.new_tensor(self.weights)
            return functional.cross_entropy(logits, target, weight, label_smoothing=self.smoothing)

    def _binary(self, logits: Tensor, target: Tensor) -> Tensor:
        soft = target.to(logits.dtype)
        if self.smoothing:
            soft = soft * (1.0 - self.smoothing) + 0.5 * self.smoothing
        if self.weights is None:
            return functional.binary_cross_entropy_with_logits(logits, soft)
        absent, present = self.weights
        loss = -present * soft * functional.logsigmoid(logits) - absent * (1.0 - soft) * functional.logsigmoid(-logits)
        return loss.sum() / loss.new_tensor(self.weights)[target].sum().clamp_min(_TINY)


@dataclass(frozen=True)
class Focal:
    """Focal loss, ``-(1 - p_t)^gamma log p_t`` (Lin et al. 2017), mean over cases and voxels.

    ``p_t`` is the probability of the true class; with ``gamma = 0`` this is the cross entropy. With
    weights (their alpha_t), the weighted mean.

    Args:
        output: what the logits are.
        weights: one for each index of the target, or None.
        gamma: the focusing exponent, 0 or more.
    """

    output: Output
    weights: tuple[float, ...] | None = None
    gamma: float = 2.0

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        """Logits ``(B, O, *S)`` and indices ``(B, *S)`` to a scalar."""
        logits, target = _flat(logits, target)
        with _full_precision(logits):
            if self.output == "sigmoid":
                sign = target.to(logits.dtype) * 2.0 - 1.0
                log_pt = functional.logsigmoid(logits[:, 0] * sign)
            else:
                log_pt = logits.log_softmax(1).gather(1, target.unsqueeze(1)).squeeze(1)
            loss = -log_pt
            if self.gamma:
                # The floor keeps the slope finite where p_t is 1 and gamma is below 1.
                loss = loss * (-torch.expm1(log_pt)).clamp_min(_TINY) ** self.gamma
            return _mean(loss, target, self.weights)


@dataclass(frozen=True)
class Dice:
    """One minus the soft Dice coefficient (Milletari et al. 2016, without their squares).

    ``1 - (2 sum(p g) + smooth) / (sum(p) + sum(g) + smooth)``, for each class of each case, then the
    mean over both; with weights, the weighted mean over the classes.

    Args:
        output: what the logits are.
        weights: one for each index of the target, or None.
        include_background: softmax: whether class 0 counts.
        batch_dice: sum over the batch as one volume, in place of the mean over its cases.
        smooth: see above; with 0, a class that is neither there nor predicted still scores 1.
    """

    output: Output
    weights: tuple[float, ...] | None = None
    include_background: bool = False
    batch_dice: bool = False
    smooth: float = 1e-5

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        """Logits ``(B, O, *S)`` and indices ``(B, *S)`` to a scalar."""
        logits, target = _flat(logits, target)
        with _full_precision(logits):
            overlap, sizes = self._sums(logits, target)
            if self.batch_dice:
                overlap, sizes = overlap.sum(0, keepdim=True), sizes.sum(0, keepdim=True)
            smooth = max(self.smooth, _TINY)
            loss = 1.0 - (2.0 * overlap + smooth) / (sizes + smooth)
            if self.weights is None or self.output == "sigmoid":
                return loss.mean()
            weights = loss.new_tensor(self.weights[-loss.shape[1] :])
            return (loss * weights).sum(1).mean() / weights.sum().clamp_min(_TINY)

    def _sums(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """``sum(p g)`` and ``sum(p) + sum(g)`` of each case and class, ``(B, C)`` both."""
        if self.output == "sigmoid":
            shares = logits.sigmoid()
            truths = target.to(shares.dtype).unsqueeze(1)
        else:
            first = 0 if self.include_background else 1
            shares = logits.softmax(1)[:, first:]
            classes = torch.arange(first, logits.shape[1], device=target.device)
            truths = (target.unsqueeze(1) == classes[:, None]).to(shares.dtype)
        return torch.linalg.vecdot(shares, truths), shares.sum(2) + truths.sum(2)


@dataclass(frozen=True)
class Sum:
    """The weighted sum of two losses."""

    first: Loss
    second: Loss
    weights: tuple[float, float] = (1.0, 1.0)

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        """Logits ``(B, O, *S)`` and indices ``(B, *S)`` to a scalar."""
        return self.weights[0] * self.first(logits, target) + self.weights[1] * self.second(logits, target)


def _flat(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """``(B, O, N)`` in float32 or better, and ``(B, N)``."""
    if logits.shape[0] != target.shape[0] or logits.shape[2:] != target.shape[1:]:
        raise ValueError(f"logits {tuple(logits.shape)} and target {tuple(target.shape)}: (B, O, *S) and (B, *S)")
    if logits.dtype != torch.float64:
        logits = logits.float()
    return logits.flatten(2) if logits.ndim > 2 else logits.unsqueeze(2), target.reshape(len(target), -1)


def _full_precision(logits: Tensor) -> torch.autocast:
    return torch.autocast(logits.device.type, enabled=False)


def _mean(loss: Tensor, target: Tensor, weights: tuple[float, ...] | None) -> Tensor:
    """Mean, or weighted mean by the class of each element."""
    if weights is None:
        return loss.mean()
    each = loss.new_tensor(weights)[target]
    return (loss * each).sum() / each.sum().clamp_min(_TINY)
