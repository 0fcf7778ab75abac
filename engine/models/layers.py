"""Layers that several networks share."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.instancenorm import _InstanceNorm

from engine.device import ONE_VOXEL
from engine.errors import misfit

GROUPS = 8
MONAI_NORMS = {
    "instance": ("instance", {"affine": True}),
    "batch": "batch",
    "group": ("group", {"num_groups": GROUPS}),
    "none": "",
}
"""A norm of a recipe as MONAI's networks take it."""
CONVOLUTIONS: dict[int, tuple[type[nn.Conv2d | nn.Conv3d], type[nn.ConvTranspose2d | nn.ConvTranspose3d]]] = {
    2: (nn.Conv2d, nn.ConvTranspose2d),
    3: (nn.Conv3d, nn.ConvTranspose3d),
}
"""Convolution and transposed convolution, by the axes of the image."""


def norm_layer(name: str, channels: int, spatial_dims: int = 3) -> nn.Module:
    """A normalisation with weight and bias: "instance", "batch", "group" or "none".

    Groups are 8, or as many below as the features can be parted into evenly.
    """
    match name:
        case "instance":
            return InstanceNorm(channels, spatial_dims)
        case "batch":
            return nn.BatchNorm2d(channels) if spatial_dims == 2 else nn.BatchNorm3d(channels)
        case "group":
            groups = next(count for count in range(GROUPS, 0, -1) if channels % count == 0)
            return nn.GroupNorm(groups, channels)
        case "none":
            return nn.Identity()
    raise ValueError(f'"{name}" is no norm')


class InstanceNorm(_InstanceNorm):
    """Instance norm with weight and bias, in 2-D or 3-D; on a CPU, without leaving channels_last.

    torch's own copies a channels_last tensor to the default layout and back. The statistics of one
    case are those of a batch norm over a batch of one, whose CPU kernel takes either layout.

    Args:
        channels: features ``C`` of the input ``(B, C, *S)``.
        spatial_dims: how many axes S has.
    """

    def __init__(self, channels: int, spatial_dims: int = 3) -> None:
        super().__init__(channels, affine=True)
        self._axes = spatial_dims + 2

    def _get_no_batch_dim(self) -> int:
        return self._axes - 1

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002 - torch's name
        if input.dim() != self._axes:
            raise ValueError(f"expected {self._axes} axes, got {input.dim()}")

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        """``(B, C, *S)`` to the same shape."""
        if input.is_cuda or input.is_contiguous():
            return super().forward(input)
        if input.shape[2:].numel() == 1:
            raise ValueError(f"{ONE_VOXEL}: {[*input.shape]}")  # as torch's own, and not as its batch norm
        parts = torch.split(input, 1)
        cases = [functional.batch_norm(case, None, None, self.weight, self.bias, True) for case in parts]
        return torch.cat(cases) if len(cases) > 1 else cases[0]


Output = Tensor | tuple[Tensor, ...]
"""Logits, or in training with deep supervision those of every level of the decoder, from the top."""


def supervised(channels: Sequence[int]) -> Sequence[int]:
    """Features of the levels of a decoder below its top one, of the features of all levels.

    Raises:
        RecipeError: there are none.
    """
    if len(channels) < 3:
        raise misfit("model.deep_supervision", f"found true with {len(channels)} levels", "3 levels or more, or false")
    return channels[1:-1]


def with_levels(model: nn.Module, logits: Tensor, heads: nn.ModuleList, levels: Sequence[Tensor]) -> Output:
    """``logits`` of the top level; while ``model`` trains, with those that ``heads`` make of the levels below it.

    Args:
        heads: one a level, from the top; none without deep supervision.
        levels: features of all levels of the decoder, from the bottom.
    """
    if not (model.training and len(heads)):
        return logits
    return logits, *(head(features) for head, features in zip(heads, reversed(levels[:-1]), strict=True))


def halve(features: Tensor) -> Tensor:
    """Max pooling by 2, ``(B, C, H, W, D)`` to ``(B, C, H/2, W/2, D/2)``."""
    if features.is_cuda and torch.are_deterministic_algorithms_enabled():
        # Older CUDA kernels of max_pool3d have no deterministic gradient. Where two voxels are equal
        # this one shares the gradient between them; after a ReLU that happens at 0 only, which has none.
        batch, channels, *axes = features.shape
        blocks = [part for axis in axes for part in (axis // 2, 2)]
        return features.reshape(batch, channels, *blocks).amax((3, 5, 7))
    return functional.max_pool3d(features, 2)


class UpConv(nn.Module):
    """Nearest upsampling by 2, then a 2x2x2 convolution: the "up-convolution" of the U-Net.

    ``(B, C, H, W, D)`` to ``(B, O, 2H, 2W, 2D)``; the upsampled features are padded with zeros on
    the far side. Both steps together are one transposed convolution with kernel 3 and stride 2, so
    the upsampled features are never made: along an axis with weights ``a, b``, output ``2i`` is
    ``(a + b) x[i]`` and output ``2i + 1`` is ``a x[i] + b x[i + 1]``. That takes 27 products in
    place of 64.

    Args:
        channels: features ``C`` of the input.
        out_channels: features ``O`` of the output.
    """

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_channels, channels, 2, 2, 2))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        nn.init.kaiming_normal_(self.weight, nonlinearity="linear")

    def forward(self, features: Tensor) -> Tensor:
        """``(B, C, H, W, D)`` to ``(B, O, 2H, 2W, 2D)``."""
        kernel: Tensor = self.weight
        for axis in (2, 3, 4):
            a, b = torch.split(kernel, 1, axis)
            kernel = torch.cat((b, a + b, a), axis)
        kernel = kernel.transpose(0, 1)
        return functional.conv_transpose3d(features, kernel, self.bias, stride=2, padding=1, output_padding=1)


def initialise(model: nn.Module, slope: float = 0.0, *, glorot: bool = False) -> None:
    """First weights of the convolutions: He et al. 2015 for (leaky) ReLU of ``slope``, or Glorot and Bengio 2010.

    Glorot: uniform within ``sqrt(6 / (fan in + fan out))``, those of an `UpConv` too.
    """
    for module in model.modules():
        if glorot and isinstance(module, nn.Conv3d | UpConv):
            nn.init.xavier_uniform_(module.weight)
        elif isinstance(module, nn.Conv2d | nn.Conv3d):
            nn.init.kaiming_normal_(module.weight, a=slope)
        if isinstance(module, nn.Conv2d | nn.Conv3d) and module.bias is not None:
            nn.init.zeros_(module.bias)
