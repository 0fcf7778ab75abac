"""Batch norm over a batch that several processes share."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from engine.device import TOO_SMALL
from engine.distributed.sums import group_at_hand, total_of


class JointNorm(_BatchNorm):
    """torch's batch norm; in training the statistics are those of the whole batch, also on a CPU.

    torch's own SyncBatchNorm is for GPUs only. Names and shapes of the weights stay as they are.
    """

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002  (torch's name)
        """Any number of axes."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        """(B, C, *S) of this process to the same shape."""
        group = group_at_hand()
        if not (self.training and group):
            return super().forward(input)
        normed: Tensor
        normed, mean, squares, count = _Norm.apply(input, self.weight, self.bias, (self.eps, group[0]))
        self._follow(mean, squares / (count - 1))
        return normed

    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        """Running statistics, as torch keeps them: of the variance the unbiased one."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        share = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_(variance.to(self.running_var.dtype), share)


class _Norm(torch.autograd.Function):
    """Batch norm over a group of processes; sums in double precision, as torch's kernels for CPUs have them."""

    @staticmethod
    def forward(
        ctx: Any, features: Tensor, weight: Tensor | None, bias: Tensor | None, how: tuple[float, Any]
    ) -> tuple[Tensor, Tensor, Tensor, float]:
        """Normalised (B, C, *S); mean (C,), squared distances from it (C,), and elements of a channel, of all."""
        (eps, group), values, axes = how, _precise(features), [0, *range(2, features.ndim)]
        own = values.sum(axes, dtype=torch.float64)
        *sums, count = total_of(torch.cat([own, own.new_tensor([values.numel() / values.shape[1]])]), group)
        if count < 2:
            raise ValueError(TOO_SMALL)
        mean = torch.stack(sums) / count
        shape = (-1, *[1] * (features.ndim - 2))
        middle = mean.to(values.dtype).view(shape)
        centred = values - middle
        squares = total_of(centred.square().sum(axes, dtype=torch.float64), group)
        scale = (squares / count + eps).rsqrt().to(values.dtype).view(shape)
        ctx.save_for_backward(features, weight, middle, scale)
        ctx.count, ctx.group, ctx.axes = float(count), group, axes
        normed = centred * scale
        if weight is not None:
            normed = normed * weight.view(shape)
        if bias is not None:
            normed = normed + bias.view(shape)
        ctx.mark_non_differentiable(mean, squares)
        return normed.to(features.dtype), mean, squares, float(count)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, Tensor | None, Tensor | None, None]:
        features, weight, mean, scale = ctx.saved_tensors
        slope, normed = _precise(gradients[0]), (_precise(features) - mean) * scale
        own = torch.stack([part.sum(ctx.axes, dtype=torch.float64) for part in (slope, slope * normed)])
        shift, along = ((part / ctx.count).to(slope.dtype).view(mean.shape) for part in total_of(own, ctx.group))
        given = scale if weight is None else scale * weight.view(mean.shape)
        inner = ((slope - shift - normed * along) * given).to(features.dtype)
        own = own.to(slope.dtype)
        return inner, None if weight is None else own[1], None if weight is None else own[0], None


def _precise(values: Tensor) -> Tensor:
    """In float32 or better."""
    return values if values.dtype == torch.float64 else values.float()


def join_norms(model: nn.Module) -> None:
    """Put a `JointNorm` with the same weights in the place of each batch norm inside ``model``."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, _BatchNorm) and not isinstance(child, JointNorm):
                norm = JointNorm(child.num_features, child.eps, child.momentum, child.affine, child.track_running_stats)
                norm.__dict__.update(child.__dict__)
                setattr(module, name, norm)
