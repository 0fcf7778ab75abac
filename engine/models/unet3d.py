"""The plain 3-D U-Net of the experiments."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from engine.models.base import build, require_multiples
from engine.models.layers import UpConv, halve, initialise
from engine.recipe.models import UNet3dTable

CHANNELS = (32, 64, 128, 256, 512)


@build.register
def build_unet3d(table: UNet3dTable, channels: int, outputs: int, size: tuple[int, ...]) -> nn.Module:
    """The U-Net of a recipe.

    Raises:
        RecipeError: the levels do not divide the size.
    """
    model = UNet3d(table, channels, outputs)
    require_multiples(size, [model.multiple] * 3, table.name)
    return model


class UNet3d(nn.Module):
    """U-Net in 3-D, without norm (after Ronneberger et al. 2015 and Cicek et al. 2016).

    Every level has two 3x3x3 convolutions with ReLU. Down goes by max pooling, up by nearest
    upsampling with a 2x2x2 convolution that halves the features, and concatenation with the level's
    own: 22,575,329 weights with one input channel and the default levels. Plain, as the experiments had
    it, all features are upsampled and stand before the level's own: 23,532,289 weights.

    There is no norm to mend the scale of the features, so the weights begin as He et al. 2015 say
    and not as torch's default, with which they shrink sixfold in variance a layer.

    Args:
        table: the recipe's. Plain: nearest upsampling has no convolution of its own.
        in_channels: channels ``C`` of the image.
        out_channels: channels ``O`` of the logits.
    """

    def __init__(self, table: UNet3dTable, in_channels: int, out_channels: int) -> None:
        super().__init__()
        channels, dropout, self.plain = table.channels or CHANNELS, table.dropout, table.upsample == "nearest"
        self.down = nn.ModuleList(_level(a, b, dropout) for a, b in pairwise((in_channels, *channels)))
        steps = list(pairwise(channels))
        self.up = nn.ModuleList(nn.Upsample(scale_factor=2) if self.plain else UpConv(low, here) for here, low in steps)
        self.join = nn.ModuleList(_level((low if self.plain else here) + here, here, dropout) for here, low in steps)
        self.final = nn.Conv3d(channels[0], out_channels, 1)
        initialise(self, glorot=table.init == "glorot")
        self.multiple = 2 ** (len(channels) - 1)

    @property
    def cam_layer(self) -> nn.Module:
        return self.join[0]

    def forward(self, image: Tensor) -> Tensor:
        """``(B, C, H, W, D)`` to logits ``(B, O, H, W, D)``; each axis a multiple of ``multiple``."""
        features = self.down[0](image)
        skips = []
        for level in self.down[1:]:
            skips.append(features)
            features = level(halve(features))
        for up, join in zip(reversed(self.up), reversed(self.join), strict=True):
            parts = (skips.pop(), up(features))
            features = join(torch.cat(parts[::-1] if self.plain else parts, 1))
        logits: Tensor = self.final(features)
        return logits


def _level(channels: int, out_channels: int, dropout: float) -> nn.Sequential:
    widths = ((channels, out_channels), (out_channels, out_channels))
    layers = [part for a, b in widths for part in (nn.Conv3d(a, b, 3, padding=1), nn.ReLU(inplace=True))]
    return nn.Sequential(*layers, nn.Dropout(dropout)) if dropout else nn.Sequential(*layers)
