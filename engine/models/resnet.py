"""ResNets for classification, with torchvision's names of weights and torchvision's output."""

from torch import Tensor, nn
from torch.nn import functional

from engine.models.base import build
from engine.models.weights import load_imagenet
from engine.recipe.models import ResNetTable


@build.register
def build_resnet(table: ResNetTable, channels: int, outputs: int, size: tuple[int, ...]) -> nn.Module:  # noqa: ARG001  (takes any size)
    """MONAI's ResNet with the settings that make it torchvision's (He et al. 2016); with its weights where asked for.

    With MONAI's defaults the same weights load and compute something else (a stem of stride 1), or
    have four keys more (a bias in the shortcuts). ``table.dropout`` is of the pooled features. Errors: `load_imagenet`.
    """
    from monai.networks import nets

    model: nn.Module = getattr(nets, table.name)(
        spatial_dims=2,
        n_input_channels=channels,
        num_classes=outputs,
        shortcut_type="B",
        bias_downsample=False,
        conv1_t_stride=2,
    )
    if table.dropout:  # in front of the last layer, whose weights keep their plain names

        def drop(layer: nn.Module, inputs: tuple[Tensor]) -> Tensor:
            return functional.dropout(inputs[0], table.dropout, layer.training)

        model.fc.register_forward_pre_hook(drop)  # type: ignore[union-attr]
    if table.pretrained:
        load_imagenet(model, table.name, table.imagenet_weights)
    return model
