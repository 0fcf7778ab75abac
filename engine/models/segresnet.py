"""SegResNet, MONAI's (Myronenko 2018, without the autoencoder)."""

from torch import nn

from engine.errors import misfit
from engine.models.base import build, require_multiples, require_room
from engine.models.layers import GROUPS, MONAI_NORMS
from engine.recipe.models import SegResNetTable

CHANNELS = (16, 32, 64, 128)
# The paper's numbers of residual blocks, from the top; a deeper network goes on with the last.
_BLOCKS = (1, 2, 2, 4)


@build.register
def build_segresnet(table: SegResNetTable, channels: int, outputs: int, size: tuple[int, ...]) -> nn.Module:
    """SegResNet with up-sampling by transposed convolution; ``table.dropout`` is of the first features.

    Raises:
        RecipeError: features that do not double, or a size that the levels do not divide.
    """
    from monai.networks.nets import SegResNet

    features = table.channels or CHANNELS
    wanted = [features[0] * 2**level for level in range(len(features))]
    if list(features) != wanted:
        raise misfit("model.channels", f"found {list(features)}", f"each twice the one above with segresnet: {wanted}")
    if table.norm == "group" and features[0] % GROUPS:
        raise misfit("model.channels", f"found {list(features)}", f"multiples of {GROUPS}, for its {GROUPS} groups")
    multiples = [2 ** (len(features) - 1)] * len(size)
    require_multiples(size, multiples, "segresnet")
    require_room(size, multiples, "segresnet")
    blocks = [*_BLOCKS, *[_BLOCKS[-1]] * len(features)][: len(features)]
    model: nn.Module = SegResNet(
        spatial_dims=len(size),
        init_filters=features[0],
        in_channels=channels,
        out_channels=outputs,
        dropout_prob=table.dropout or None,
        norm=MONAI_NORMS[table.norm],
        blocks_down=tuple(blocks),
        blocks_up=(1,) * (len(features) - 1),
        # Linear interpolation has no deterministic gradient on CUDA.
        upsample_mode="deconv",
    )
    return model
