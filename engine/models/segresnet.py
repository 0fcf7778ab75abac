"""SegResNet, MONAI's (Myronenko 2018, without the autoencoder)."""

from collections.abc import Sequence

from torch import nn

from engine.errors import misfit
from engine.models.base import build
from engine.models.layers import GROUPS, MONAI_NORMS
from engine.models.shapes import require_multiples, require_room
from engine.recipe.models import SegResNetTable

CHANNELS = (16, 32, 64, 128)
# The paper's numbers of residual blocks, from the top; a deeper network goes on with the last.
_BLOCKS = (1, 2, 2, 4)


@build.register
def build_of_recipe(table: SegResNetTable, channels: int, outputs: int, size: tuple[int, ...]) -> nn.Module:
    """The SegResNet of a recipe; errors are those of `build_segresnet`."""
    features = table.channels or CHANNELS
    return build_segresnet(channels, outputs, size, features=features, norm=table.norm, dropout=table.dropout)


def build_segresnet(
    channels: int,
    out_channels: int,
    size: Sequence[int],
    *,
    features: Sequence[int] = CHANNELS,
    norm: str = "group",
    dropout: float = 0.0,
) -> nn.Module:
    """SegResNet with up-sampling by transposed convolution.

    Args:
        size: voxels of the input along each axis.
        features: of each level, from the top; each twice the one above.
        norm: "instance", "batch", "group" (8 groups) or "none".
        dropout: share of the first features that is dropped in training.

    Raises:
        RecipeError: features that do not double, or a size that the levels do not divide.
    """
    from monai.networks.nets import SegResNet

    wanted = [features[0] * 2**level for level in range(len(features))]
    if list(features) != wanted:
        raise misfit("model.channels", f"found {list(features)}", f"each twice the one above with segresnet: {wanted}")
    if norm == "group" and features[0] % GROUPS:
        raise misfit("model.channels", f"found {list(features)}", f"multiples of {GROUPS}, for its {GROUPS} groups")
    multiples = [2 ** (len(features) - 1)] * len(size)
    require_multiples(size, multiples, "segresnet")
    require_room(size, multiples, "segresnet")
    blocks = [*_BLOCKS, *[_BLOCKS[-1]] * len(features)][: len(features)]
    model: nn.Module = SegResNet(
        spatial_dims=len(size),
        init_filters=features[0],
        in_channels=channels,
        out_channels=out_channels,
        dropout_prob=dropout or None,
        norm=MONAI_NORMS[norm],
        blocks_down=tuple(blocks),
        blocks_up=(1,) * (len(features) - 1),
        # Linear interpolation has no deterministic gradient on CUDA.
        upsample_mode="deconv",
    )
    return model
