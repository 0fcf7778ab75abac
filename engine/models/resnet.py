"""ResNets for classification, with torchvision's names of weights and torchvision's output."""

from torch import Tensor, nn
from torch.nn.utils import skip_init

from engine.models.base import build
from engine.models.layers import norm_layer
from engine.models.weights import load_imagenet
from engine.recipe.models import ResNetTable


@build.register
def build_resnet(table: ResNetTable, channels: int, outputs: int, size: tuple[int, ...]) -> nn.Module:
    """MONAI's ResNet with the settings that make it torchvision's (He et al. 2016); with its weights where asked for.

    With MONAI's defaults the same weights load and compute something else (a stem of stride 1), or
    have four keys more (a bias in the shortcuts). ``table.dropout`` is of the pooled features. Errors: `load_imagenet`.
    """
    from monai.networks import nets

    model: nn.Module = getattr(nets, table.name)(
        spatial_dims=len(size),
        n_input_channels=channels,
        num_classes=outputs,
        shortcut_type="B",
        bias_downsample=False,
        conv1_t_stride=1 if table.stem == 1 else 2,
        no_max_pool=table.stem < 4,
        widen_factor=table.width,
    )
    if table.norm != "batch":
        _change_norms(model, table.norm, len(size))
    if table.dropout:
        model.fc = _dropping(model.fc, table.dropout)  # type: ignore[arg-type]
    if table.pretrained:
        load_imagenet(model, table.name, table.imagenet_weights)
    return model


def _change_norms(model: nn.Module, name: str, axes: int) -> None:
    """Put another norm in the place of each batch norm: the ``norm`` of MONAI 1.6's ResNet reaches its first alone."""
    for module in list(model.modules()):
        for key, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d | nn.BatchNorm3d):
                setattr(module, key, norm_layer(name, child.num_features, axes))


class DropLinear(nn.Linear):
    """A linear layer behind a dropout; its weights have their plain names."""

    dropout: nn.Module

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  (torch's name)
        """``(B, C)`` to ``(B, O)``."""
        return super().forward(self.dropout(input))


def _dropping(layer: nn.Linear, share: float) -> DropLinear:
    """``layer`` with a dropout of ``share`` before it; nothing random is drawn."""
    sizes, device = (layer.in_features, layer.out_features), layer.weight.device  # meta, where weights are counted
    dropping: DropLinear = skip_init(DropLinear, *sizes, device=device)  # type: ignore[no-untyped-call]
    dropping.load_state_dict(layer.state_dict())
    dropping.dropout = nn.Dropout(share)
    return dropping
