"""ResNets for classification, with torchvision's names of weights and torchvision's output."""

from torch import Tensor, nn
from torch.nn import functional

from engine.models.base import build
from engine.models.weights import load_imagenet
from engine.recipe.models import ResNetTable


@build.register
def build_of_recipe(table: ResNetTable, channels: int, outputs: int, size: tuple[int, ...]) -> nn.Module:  # noqa: ARG001  (takes any size)
    """The ResNet of a recipe, with ImageNet's weights where they are asked for; errors: `load_imagenet`."""
    model = build_resnet(table.name, channels, outputs, table.dropout)
    if table.pretrained:
        load_imagenet(model, table.name, table.imagenet_weights)
    return model


class DropoutLinear(nn.Linear):
    """A linear layer behind dropout, under the plain names ``weight`` and ``bias``.

    Args:
        in_features: features ``F`` of the input ``(B, F)``.
        out_features: classes ``O``.
        share: of the features that is dropped in training.
    """

    def __init__(self, in_features: int, out_features: int, share: float) -> None:
        super().__init__(in_features, out_features)
        self.share = share

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        """``(B, F)`` to ``(B, O)``."""
        return super().forward(functional.dropout(input, self.share, self.training))


def build_resnet(name: str, channels: int, classes: int, dropout: float = 0.0) -> nn.Module:
    """MONAI's ResNet with the settings that make it torchvision's (He et al. 2016).

    With MONAI's defaults the same weights load and compute something else (a stem of stride 1), or
    have four keys more (a bias in the shortcuts).

    Args:
        name: that of `ResNetTable`.
        classes: logits.
        dropout: share of the pooled features that is dropped in training.
    """
    from monai.networks import nets

    model: nn.Module = getattr(nets, name)(
        spatial_dims=2,
        n_input_channels=channels,
        num_classes=classes,
        shortcut_type="B",
        bias_downsample=False,
        conv1_t_stride=2,
    )
    if dropout:
        model.fc = DropoutLinear(model.fc.in_features, classes, dropout)  # type: ignore[arg-type, union-attr]
    return model
