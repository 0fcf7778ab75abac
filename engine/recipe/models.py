"""``[model]``: a table for each network. Its code is in `engine.models`."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field

from engine.recipe.base import CLASSIFICATION, SEGMENTATION, NamedTable, RelativePath, any_of, only

Features = tuple[Annotated[int, Field(ge=1, le=4096)], ...]


class ModelTable(NamedTable):
    """The network.

    ``head`` is how the names of the final layer's weights begin: the part that another number of classes changes.
    ``dims`` is how many axes its images can have. ``loose`` are keys by which no weight gets another meaning: with
    others of them, training may start from the weights of a run.
    """

    head: ClassVar[str] = "final."
    dims: ClassVar[frozenset[int]] = frozenset({2, 3})
    loose: ClassVar[frozenset[str]] = frozenset(
        {"weights", "pretrained", "imagenet_weights", "dropout", "init", "output", "deep_supervision"}
    )
    harmless = {"pretrained": False}  # noqa: RUF012  (a ClassVar of the base)

    name: str
    weights: RelativePath | None = None
    """File with weights to start from (a state dict): beside the recipe, or below the data root. A run keeps them in
    its folder, in start/. `--from RUN` takes those of a run."""

    def bare(self) -> Self:
        """The same network with random weights: nothing is read or fetched for it."""
        off = {"weights": None, "pretrained": False}
        return self.model_copy(update={key: value for key, value in off.items() if key in type(self).model_fields})


class SegmenterTable(ModelTable):
    """A network that gives a mask."""

    tasks = SEGMENTATION

    output: Literal["auto", "sigmoid", "softmax"] = "auto"
    """One sigmoid channel (one foreground class only) or softmax with background. auto: sigmoid for one
    foreground class, else softmax."""


class _Dropout(ModelTable):
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Share of features dropped in training."""


class _UNet(SegmenterTable, _Dropout):
    channels: Features | None = Field(default=None, min_length=2, max_length=8)
    """Features of each level, from the top. Default: unet3d 32 to 512, segresnet 16 to 128; resunet from 16 and
    dynunet from 32 up, with as many levels as data.size allows."""


class _Normed(_UNet):
    norm: Literal["instance", "batch", "group", "none"] = "instance"
    """The normalisation."""


class _Supervised(_Normed):
    deep_supervision: bool = False
    """In training, logits of every level of the decoder: each has half the weight of the one above it in the loss."""


class ResNetTable(_Dropout):
    """ResNet (He et al. 2016), as torchvision has it; of volumes the same with one axis more."""

    tasks = CLASSIFICATION
    head = "fc."

    name: Literal["resnet18", "resnet34", "resnet50", "resnet101"]
    pretrained: bool = False
    """Start from torchvision's ImageNet weights."""
    imagenet_weights: Annotated[
        Literal["V1", "V2"], only("model.name", "resnet50", "resnet101"), any_of("model.pretrained")
    ] = "V1"
    """Which of them: V2, of a newer and longer training, exists of resnet50 and resnet101."""
    stem: Literal[4, 2, 1] = 4
    """By how much the first layers shrink each axis: 4 as in torchvision, 2 without its pooling, 1 without its stride
    too. The other layers shrink by 8 more: of images of 64 or fewer, as many volumes are, 4 leaves almost nothing."""
    width: Annotated[float, Field(ge=0.125, le=4.0)] = 1.0
    """Features of every layer, as a share of those of He et al.: half of them take a third of the time."""
    norm: Literal["batch", "group", "instance"] = "batch"
    """The normalisation; ImageNet's weights are of batch norm. group (8 groups, or as many below as part the features
    evenly): for batches of few images, as volumes often ask for, whose mean and deviation say little of the others."""


class EfficientNetTable(_Dropout):
    """EfficientNet-Lite0 (Tan and Le 2019; Liu 2020) of pictures: its ImageNet weights are installed with medtui."""

    tasks = CLASSIFICATION
    head = "fc."
    dims = frozenset({2})

    name: Literal["efficientnet_lite0"]
    pretrained: bool = False
    """Start from its ImageNet weights; nothing is fetched."""


class UNet3dTable(_UNet):
    """The plain 3-D U-Net of the experiments, without norm."""

    dims = frozenset({3})

    name: Literal["unet3d"]
    upsample: Literal["convolution", "nearest"] = "convolution"
    """Nearest upsampling, and a 2x2x2 convolution that halves the features; nearest: without it, as in the
    experiments."""
    init: Literal["he", "glorot"] = "he"
    """The first weights: normal by He et al. 2015, or uniform by Glorot and Bengio 2010. Biases are 0."""


class ResUNetTable(_Supervised):
    """Residual U-Net with norm, in 2-D or 3-D."""

    head = "final"

    name: Literal["resunet"]
    residual_units: Annotated[int, Field(ge=0, le=8)] = 2
    """Convolutions in the residual block of a level; 0: one, without a shortcut around it."""
    patch: Literal[1, 2] = 2
    """Voxels along an axis that are taken as one, inside; 2 is several times faster than 1."""


class SegResNetTable(_Normed):
    """MONAI's SegResNet (Myronenko 2018, without the autoencoder)."""

    head = "conv_final.2."

    name: Literal["segresnet"]


class DynUNetTable(_Supervised):
    """MONAI's DynUNet, the network of nnU-Net (Isensee et al. 2021)."""

    head = "output_"

    name: Literal["dynunet"]
