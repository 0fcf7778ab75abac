"""Exponential moving average of a network's weights."""

import copy

import torch
from torch import Tensor, nn


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
