"""A residual U-Net with norm."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from engine.models.base import build, require_multiples, require_room
from engine.models.layers import CONVOLUTIONS, Output, initialise, norm_layer, supervised, with_levels
from engine.recipe.models import ResUNetTable

SLOPE = 0.01
_TOP = 16
_LEVELS = 5
_SMALLEST = 4


@build.register
def build_resunet(table: ResUNetTable, channels: int, outputs: int, size: tuple[int, ...]) -> nn.Module:
    """The residual U-Net of a recipe.

    Raises:
        RecipeError: the levels do not divide the size, or leave a single voxel of it.
    """
    model = ResUNet(table, channels, outputs, table.channels or plan_channels(size, table.patch), len(size))
    multiples = [model.multiple] * len(size)
    require_multiples(size, multiples, table.name)
    require_room(size, multiples, table.name)
    return model


def plan_channels(size: Sequence[int], patch: int) -> tuple[int, ...]:
    """The default features: 16, 32, ... 256, as many levels as leave 4 voxels along the shortest axis."""
    smallest = min(size) // patch
    levels = 1
    while levels < _LEVELS and smallest >> levels >= _SMALLEST:
        levels += 1
    return tuple(_TOP * 2**level for level in range(levels))


class ResUNet(nn.Module):
    """U-Net of residual blocks (after Ronneberger et al. 2015, He et al. 2016, Kerfoot et al. 2018).

    With ``patch = 2`` a block of 2x2x2 voxels comes in as one voxel with eight times the channels (in 2-D 2x2
    pixels, four times), and the logits go out likewise (Shi et al. 2016), so that no convolution works at the full
    resolution and none of it is lost. Down goes by convolutions of stride 2, up by transposed ones.

    Args:
        table: the recipe's; of its dropout, the share of the features of each level.
        in_channels: channels ``C`` of the image.
        out_channels: channels ``O`` of the logits.
        channels: features of each level, from the top.
        spatial_dims: 2 or 3. Shapes below are of 3-D.

    Raises:
        RecipeError: there is no level to be supervised.
    """

    def __init__(
        self, table: ResUNetTable, in_channels: int, out_channels: int, channels: Sequence[int], spatial_dims: int
    ) -> None:
        super().__init__()
        conv, transposed = CONVOLUTIONS[spatial_dims]
        self.patch: int = table.patch
        patch = self.patch
        self.multiple = patch * 2 ** (len(channels) - 1)

        def block(given: int, features: int, stride: int) -> Block:
            return Block(table, given, features, stride, spatial_dims)

        widths = (in_channels * patch**spatial_dims, *channels)
        self.down = nn.ModuleList(block(a, b, 2 if i else 1) for i, (a, b) in enumerate(pairwise(widths)))
        self.up = nn.ModuleList(transposed(below, here, 2, 2) for here, below in pairwise(channels))
        self.join = nn.ModuleList(block(2 * here, here, 1) for here in channels[:-1])
        self.final = conv(channels[0], out_channels * patch**spatial_dims, 1)
        initialise(self, SLOPE)
        below = supervised(channels) if table.deep_supervision else ()
        self.final_below = nn.ModuleList(conv(features, out_channels, 1) for features in below)
        initialise(self.final_below, SLOPE)

    @property
    def cam_layer(self) -> nn.Module:
        return self.join[0] if len(self.join) else self.down[0]

    def forward(self, image: Tensor) -> Output:
        """``(B, C, H, W, D)`` to logits ``(B, O, H, W, D)``; each axis a multiple of ``multiple``."""
        features = self.down[0](fold(image, self.patch))
        skips, levels = [], []
        for level in self.down[1:]:
            skips.append(features)
            features = level(features)
        for up, join in zip(reversed(self.up), reversed(self.join), strict=True):
            features = join(torch.cat((skips.pop(), up(features)), 1))
            levels.append(features)
        return with_levels(self, unfold(self.final(features), self.patch), self.final_below, levels)


class Block(nn.Module):
    """Convolutions with norm and leaky ReLU, and a shortcut around them.

    Args:
        table, spatial_dims: see `ResUNet`.
        given: features of the input.
        features: of the output.
        stride: of the first convolution, 1 or 2.
    """

    def __init__(self, table: ResUNetTable, given: int, features: int, stride: int, spatial_dims: int) -> None:
        super().__init__()
        conv, _ = CONVOLUTIONS[spatial_dims]
        units, bias = table.residual_units, table.norm == "none"
        self.convolutions = nn.ModuleList(
            conv(features if i else given, features, 3, 1 if i else stride, padding=1, bias=bias)
            for i in range(max(units, 1))
        )
        self.norms = nn.ModuleList(norm_layer(table.norm, features, spatial_dims) for _ in self.convolutions)
        self.shortcut: nn.Module | None = None
        if units:
            same = given == features and stride == 1
            self.shortcut = nn.Identity() if same else conv(given, features, stride, stride)
        self.activation = nn.LeakyReLU(SLOPE, inplace=True)
        self.dropout = nn.Dropout(table.dropout) if table.dropout else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        """``(B, C, H, W, D)`` to ``(B, features, H / stride, W / stride, D / stride)``."""
        out = features
        for index, (convolution, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            out = norm(convolution(self.activation(out) if index else out))
        if self.shortcut is not None:
            out = out + self.shortcut(features)
        activated: Tensor = self.dropout(self.activation(out))
        return activated


def fold(image: Tensor, patch: int) -> Tensor:
    """``(B, C, H, W, D)`` to ``(B, C * patch**3, H / patch, W / patch, D / patch)``; nothing is lost."""
    if patch == 1:
        return image
    batch, channels, *size = image.shape
    small, axes = [side // patch for side in size], len(size)
    blocks = image.reshape(batch, channels, *(part for side in small for part in (side, patch)))
    order = (0, 1, *range(3, 3 + 2 * axes, 2), *range(2, 2 + 2 * axes, 2))
    return blocks.permute(order).reshape(batch, channels * patch**axes, *small)


def unfold(features: Tensor, patch: int) -> Tensor:
    """The way back of `fold`."""
    if patch == 1:
        return features
    batch, channels, *small = features.shape
    axes = len(small)
    blocks = features.reshape(batch, channels // patch**axes, *[patch] * axes, *small)
    order = (0, 1, *(place for axis in range(2, 2 + axes) for place in (axis + axes, axis)))
    return blocks.permute(order).reshape(batch, channels // patch**axes, *(side * patch for side in small))
