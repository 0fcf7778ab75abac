"""DynUNet, MONAI's version of the network of nnU-Net (Isensee et al. 2021)."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from engine.errors import misfit
from engine.models.base import build, require_multiples
from engine.models.layers import GROUPS, MONAI_NORMS, Output, supervised, with_levels
from engine.recipe.models import DynUNetTable

# nnU-Net's: 32 features at the top, never more than 320, and no axis below 4 voxels.
_TOP = 32
_MOST = 320
_SMALLEST = 4
_LEVELS, _FEWEST = 6, 3


def plan_strides(size: Sequence[int], levels: int | None = None) -> list[tuple[int, ...]]:
    """Strides of each level, the first one 1.

    An axis is halved while that leaves a whole number of at least 4 voxels; so a flat volume is
    halved in its plane only. Without ``levels``, up to 6 as long as some axis can be halved.
    """
    left = list(size)
    strides = [(1,) * len(size)]
    while len(strides) < (levels or _LEVELS):
        stride = tuple(2 if n % 2 == 0 and n // 2 >= _SMALLEST else 1 for n in left)
        if max(stride) == 1:
            break
        left = [n // s for n, s in zip(left, stride, strict=True)]
        strides.append(stride)
    return strides


def _levels(size: Sequence[int], features: Sequence[int] | None) -> tuple[list[tuple[int, ...]], list[int]]:
    if features and len(features) < _FEWEST:
        raise misfit("model.channels", f"found {list(features)}", f"{_FEWEST} levels or more for dynunet")
    strides = plan_strides(size, len(features) if features else None)
    levels = len(features or ()) or _FEWEST
    if len(strides) < levels:
        require_multiples(size, [2 ** (levels - 1)] * len(size), f"a dynunet of {levels} levels")
        least = _SMALLEST * 2 ** (levels - 1)
        raise misfit("data.size", f"found {list(size)}", f"at least {least} along some axis for dynunet")
    return strides, list(features) if features else [min(_TOP * 2**level, _MOST) for level in range(len(strides))]


@build.register
def build_dynunet(table: DynUNetTable, channels: int, outputs: int, size: tuple[int, ...]) -> nn.Module:
    """DynUNet with strides from the size of its input.

    Raises:
        RecipeError: the size allows fewer levels than the recipe's features have, or fewer than three.
    """
    from monai.networks.blocks.dynunet_block import UnetOutBlock
    from monai.networks.nets import DynUNet

    strides, filters = _levels(size, table.channels)
    if table.norm == "group" and any(n % GROUPS for n in filters):
        raise misfit("model.channels", f"found {filters}", f"multiples of {GROUPS}, for its {GROUPS} groups")
    model = DynUNet(
        spatial_dims=len(size),
        in_channels=channels,
        out_channels=outputs,
        kernel_size=[(3,) * len(size)] * len(strides),
        strides=strides,
        upsample_kernel_size=strides[1:],
        filters=filters,
        norm_name=MONAI_NORMS[table.norm],
        dropout=table.dropout or None,
    )
    if table.dropout:
        # MONAI drops logits too.
        head = UnetOutBlock(len(size), filters[0], outputs)
        head.apply(DynUNet.initialize_weights)
        model.output_block = head
    return DeepDynUNet(model, outputs) if table.deep_supervision else model


class DeepDynUNet(nn.Module):
    """The parts of a DynUNet under their own names, with logits of every level of the decoder in training.

    Raises:
        RecipeError: there is no level to be supervised.
    """

    input_block: nn.Module
    downsamples: nn.ModuleList
    bottleneck: nn.Module
    upsamples: nn.ModuleList
    output_block: nn.Module

    def __init__(self, network: Any, out_channels: int) -> None:
        from monai.networks.blocks.dynunet_block import UnetOutBlock

        super().__init__()
        for name, part in network.named_children():
            self.add_module(name, part)
        below = supervised(network.filters)
        dims = network.spatial_dims
        self.output_below = nn.ModuleList(UnetOutBlock(dims, features, out_channels) for features in below)
        self.output_below.apply(network.initialize_weights)

    def forward(self, image: Tensor) -> Output:
        """``(B, C, *S)`` to logits ``(B, O, *S)``."""
        skips = [self.input_block(image)]
        for down in self.downsamples:
            skips.append(down(skips[-1]))
        levels = [self.bottleneck(skips[-1])]
        for up in self.upsamples:
            levels.append(up(levels[-1], skips.pop()))
        return with_levels(self, self.output_block(levels[-1]), self.output_below, levels[1:])
