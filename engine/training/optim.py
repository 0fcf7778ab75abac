"""Optimizers, learning-rate schedules, and the average of the weights."""

import copy
import math
from collections.abc import Callable, Iterable
from functools import partial, singledispatch
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from engine.checkpoint import StateDict
from engine.plugins import load_plugins
from engine.recipe import optim

# Smith and Topin 2018, with the numbers that most libraries use.
_CYCLE_START = 1 / 25
_CYCLE_RISE = 0.3


def build_optimizer(table: optim.OptimizerTable, model: nn.Module) -> Optimizer:
    """The optimizer of a recipe, over the parameters of ``model`` that are trained.

    torch chooses the kernels: all weights at once on CUDA. Its fused CPU kernels are left alone: they take the
    memory of weights and of moments as it lies, and go wrong without a word when one of them changes between the
    default layout and channels_last.
    """
    load_plugins("medtui.code")
    return optimizer(table, [parameter for parameter in model.parameters() if parameter.requires_grad])


@singledispatch
def optimizer(table: optim.OptimizerTable, parameters: list[nn.Parameter]) -> Optimizer:
    """The optimizer of a table: each registers its own with ``@optimizer.register``."""
    raise NotImplementedError(f"{type(table).__name__} has no code that is registered")


@optimizer.register
def _adam(table: optim.AdamTable, parameters: list[nn.Parameter]) -> Optimizer:
    return Adam(parameters, lr=table.lr, weight_decay=table.weight_decay, betas=table.betas, eps=table.epsilon)


@optimizer.register
def _adamw(table: optim.AdamWTable, parameters: list[nn.Parameter]) -> Optimizer:
    groups = _decay_groups(parameters, table.weight_decay)
    return AdamW(groups, lr=table.lr, weight_decay=table.weight_decay, betas=table.betas, eps=table.epsilon)


@optimizer.register
def _sgd(table: optim.SgdTable, parameters: list[nn.Parameter]) -> Optimizer:
    # Nesterov's form of no momentum is no momentum, and torch refuses it.
    nesterov = table.nesterov and table.momentum > 0
    return SGD(parameters, lr=table.lr, weight_decay=table.weight_decay, momentum=table.momentum, nesterov=nesterov)


def _decay_groups(parameters: Iterable[nn.Parameter], decay: float) -> list[dict[str, Any]]:
    """Weights of convolutions and of linear layers, and without decay, as is usual for adamw, norms and biases."""
    listed = list(parameters)
    groups = [
        {"params": [p for p in listed if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in listed if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def build_schedule(
    table: optim.ScheduleTable, optimizer: Optimizer, *, iterations: int, iterations_per_epoch: int
) -> LRScheduler:
    """The schedule of a recipe, to be stepped once after every optimizer step.

    Args:
        optimizer: its ``lr`` is the highest that the schedule reaches.
        iterations: optimizer steps of the whole training, warm-up included.

    The learning rate depends on the number of steps alone, so a state dict resumes it exactly.
    """
    load_plugins("medtui.code")
    warmup = min(round(table.warmup_epochs * iterations_per_epoch), iterations)
    return Schedule(optimizer, partial(shape, table), warmup, max(iterations, 1))


class Schedule(LRScheduler):
    """Linear warm-up, then a shape over the steps that remain.

    In warm-up, step ``t`` of ``warmup`` (from 0) has ``(t + 1) / warmup`` of the learning rate with
    which the shape begins, so that no step is taken with none.

    Args:
        optimizer: its learning rates are multiplied.
        factor: from progress after warm-up (0 to 1) to a share of the learning rate.
        warmup: optimizer steps of warm-up.
        iterations: optimizer steps in all.
    """

    def __init__(self, optimizer: Optimizer, factor: Callable[[float], float], warmup: int, iterations: int) -> None:
        self.factor = factor
        self.warmup = warmup
        self.iterations = iterations
        super().__init__(optimizer)

    def share(self, step: int) -> float:
        """The learning rate of optimizer step ``step`` (from 0), as a share of the highest."""
        if step < self.warmup:
            return self.factor(0.0) * (step + 1) / self.warmup
        left = self.iterations - self.warmup
        return self.factor(min((step - self.warmup) / left, 1.0) if left else 1.0)

    def get_lr(self) -> list[float | Tensor]:
        """The learning rate of each parameter group, for the next step."""
        return [float(rate) * self.share(self.last_epoch) for rate in self.base_lrs]

    def state_dict(self) -> StateDict:
        """Plain numbers; the shape comes from the recipe."""
        return {"last_epoch": self.last_epoch, "base_lrs": list(self.base_lrs)}

    def load_state_dict(self, state_dict: StateDict) -> None:
        """Go to the step that was saved. The optimizer's own state holds its learning rates."""
        self.last_epoch = state_dict["last_epoch"]
        self.base_lrs = list(state_dict["base_lrs"])
        self._last_lr = self.get_lr()


@singledispatch
def shape(table: optim.ScheduleTable, progress: float) -> float:
    """From progress (0 to 1) to a share of ``optimizer.lr``: each registers its own with ``@shape.register``."""
    raise NotImplementedError(f"{type(table).__name__} has no code that is registered")


@shape.register
def _constant(table: optim.ConstantTable, progress: float) -> float:  # noqa: ARG001  (one signature for all)
    return 1.0


@shape.register
def _half_cosine(table: optim.CosineTable, progress: float) -> float:
    return _cosine(1.0, table.final_share, progress)


@shape.register
def _polynomial(table: optim.PolynomialTable, progress: float) -> float:
    left: float = (1.0 - progress) ** table.power
    return table.final_share + (1.0 - table.final_share) * left


@shape.register
def _one_cycle(table: optim.OneCycleTable, progress: float) -> float:
    if progress < _CYCLE_RISE:
        return _cosine(_CYCLE_START, 1.0, progress / _CYCLE_RISE)
    return _cosine(1.0, table.final_share, (progress - _CYCLE_RISE) / (1.0 - _CYCLE_RISE))


def _cosine(start: float, end: float, progress: float) -> float:
    return end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * progress))


class Ema:
    """A copy of a network whose weights follow those of the trained one.

    After each step, ``average = decay * average + (1 - decay) * weights``; early on the decay is
    the smaller ``(1 + step) / (10 + step)``, so that the random start is soon forgotten (as in
    TensorFlow's ExponentialMovingAverage). Buffers are copied.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self.module = copy.deepcopy(model).eval().requires_grad_(requires_grad=False)
        self._averages: list[Tensor] = list(self.module.parameters())
        self._weights: list[Tensor] = list(model.parameters())
        self._copies = list(self.module.buffers())
        self._buffers = list(model.buffers())

    @torch.no_grad()
    def update(self) -> None:
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(self._averages, self._weights, 1.0 - decay)
        for kept, buffer in zip(self._copies, self._buffers, strict=True):
            kept.copy_(buffer)
