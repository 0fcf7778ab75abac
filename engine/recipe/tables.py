"""One strict, frozen, documented model for each table of a recipe.

The docstring under a field is its documentation: ``medtui schema`` and the reference print it.
A builder in the engine is handed its own table and never the whole recipe.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from engine.measures import monitorable

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0, le=1e6)]
NotNegative = Annotated[float, Field(ge=0.0, le=1e6)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
ClassName = Annotated[str, Field(min_length=1, max_length=80)]
RelativePath = Annotated[str, Field(min_length=1, max_length=1000)]


def _monitors() -> list[str]:
    return list(dict.fromkeys([*monitorable("classification"), *monitorable("segmentation")]))


def _known_monitor(name: str) -> str:
    if name not in _monitors():
        raise ValueError("no metric of that name can be monitored")
    return name


Monitor = Annotated[
    str,
    AfterValidator(_known_monitor),
    Field(json_schema_extra=lambda schema: schema.update(enum=_monitors())),
]
"""The name of a metric; packages may add to them, so the names are known when they are asked for."""


class Table(BaseModel):
    """Strict: no unknown key, no silent conversion (``"3"`` is not 3; 1 is a fine 1.0)."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True, allow_inf_nan=False
    )


class DataTable(Table):
    """Where the cases come from, how they are split, and what a case looks like to the network."""

    source: Literal["left_atrium", "decathlon", "nnunet", "nifti_pairs", "isic2018", "image_folder", "csv"]
    """The layout of the data on disk."""
    root: RelativePath
    """Folder of the data set, relative to --data, else $MEDTUI_DATA, else ./data."""
    images: RelativePath = "images"
    """nifti_pairs: folder of the images, below root."""
    labels: RelativePath = "labels"
    """nifti_pairs: folder of the masks, below root; same file names as the images."""
    table: RelativePath = "table.csv"
    """csv: the table, below root. Its paths are relative to root."""
    path_column: str = "path"
    """csv: column with the path of the image."""
    label_column: str = "label"
    """csv: column with the class name, or for segmentation the path of the mask."""
    group_column: str | None = None
    """csv: column whose cases must stay together in one split (patient, lesion)."""
    split_column: str | None = None
    """csv: column with train, validation or test; used when split is "given"."""
    classes: tuple[ClassName, ...] | None = Field(default=None, max_length=1000)
    """Names of the classes in order; segmentation: of the foreground classes. Names that the data set
    has too keep its label values, others stand for the values 1, 2, 3, ... Default: what the data set says."""
    split: Literal["given", "fraction", "kfold"] = "given"
    """given: the data set's own lists. fraction, kfold: drawn here, by group where one is known."""
    validation_fraction: Annotated[float, Field(ge=0.0, le=0.9)] = 0.0
    """Share of the training cases held out for validation, where the data set gives none."""
    test_fraction: Annotated[float, Field(ge=0.0, le=0.9)] = 0.2
    """fraction: share of all cases held out for the test."""
    folds: Annotated[int, Field(ge=2, le=100)] = 5
    """kfold: number of folds. Fold `fold` is the test split."""
    fold: Annotated[int, Field(ge=0, le=99)] = 0
    """kfold: which fold is held out, counted from 0."""
    split_seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0
    """Seed of the draw. Apart from `seed`, so that seeds can vary over one split."""
    limit_train: Count | None = None
    """Use at most so many training cases (drawn evenly over the classes); for a quick look."""
    limit_validation: Count | None = None
    """Use at most so many validation cases."""
    limit_test: Count | None = None
    """Use at most so many test cases."""
    size: tuple[Annotated[int, Field(ge=8, le=4096)], ...] = Field(min_length=2, max_length=3)
    """What the network sees: the crop of a volume (3 numbers) or the size of an image (2)."""
    crop: Literal["center", "random", "foreground"] = "center"
    """Segmentation, training: where the crop is taken. foreground: around a voxel of a foreground
    class in a share of `foreground_share` of the crops, else anywhere."""
    foreground_share: Share = 0.5
    """See crop."""
    samples_per_case: Annotated[int, Field(ge=1, le=1000)] = 1
    """Crops taken of each case in an epoch."""
    resize: Literal["stretch", "crop"] = "stretch"
    """Classification: stretch the whole image to size, or scale its shorter side and crop the centre."""
    spacing: tuple[Positive, ...] | None = Field(default=None, min_length=2, max_length=3)
    """Resample volumes to this voxel size in mm. Predictions go back to their own geometry."""
    intensity: Literal["none", "zscore", "minmax", "imagenet", "window"] = "zscore"
    """zscore, minmax: of each image by itself. imagenet: means and deviations of ImageNet.
    window: clip to `window`, then 0 to 1."""
    window: tuple[float, float] | None = None
    """intensity = "window": lower and upper bound, such as [-100.0, 300.0] HU."""
    balance: Literal["none", "class"] = "none"
    """Classification: class draws every class equally often."""
    cache: Literal["auto", "memory", "none"] = "auto"
    """Keep loaded cases in memory. auto: when they take less than half of what is free."""
    unreadable: Literal["refuse", "skip"] = "refuse"
    """What to do with a case that cannot be used: refuse the run, or leave it out and say so."""


class ModelTable(Table):
    """The network."""

    name: Literal["resnet18", "resnet34", "resnet50", "resnet101", "unet3d", "resunet", "segresnet", "dynunet"]
    """resnet*: classification. unet3d: the plain 3-D U-Net of the experiments. resunet: residual
    U-Net with norm. segresnet, dynunet: MONAI's."""
    pretrained: bool = False
    """resnet*: start from torchvision's ImageNet weights."""
    weights: RelativePath | None = None
    """File with weights to start from (a state dict), relative to the data root."""
    channels: tuple[Annotated[int, Field(ge=1, le=4096)], ...] | None = Field(default=None, min_length=2, max_length=8)
    """U-Nets: features of each level, from the top. Default: unet3d 32 to 512, segresnet 16 to 128; resunet
    from 16 and dynunet from 32 up, with as many levels as data.size allows."""
    residual_units: Annotated[int, Field(ge=0, le=8)] = 2
    """resunet: convolutions in the residual block of a level; 0: one, without a shortcut around it."""
    patch: Literal[1, 2] = 2
    """resunet: voxels along an axis that are taken as one, inside; 2 is several times faster than 1."""
    norm: Literal["instance", "batch", "group", "none"] = "instance"
    """resunet, segresnet, dynunet: the normalisation."""
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Share of features dropped in training."""
    output: Literal["auto", "sigmoid", "softmax"] = "auto"
    """Segmentation: one sigmoid channel (one foreground class only) or softmax with background.
    auto: sigmoid for one foreground class, else softmax."""


class LossTable(Table):
    """What is minimised."""

    name: Literal["cross_entropy", "focal", "cross_entropy_focal", "bce", "dice", "dice_ce", "dice_bce"]
    """Focal as Lin et al. 2017; cross_entropy_focal, dice_ce, dice_bce: weighted sums."""
    gamma: Annotated[float, Field(ge=0.0, le=10.0)] = 2.0
    """focal: the focusing exponent."""
    weights: tuple[NotNegative, NotNegative] = (1.0, 1.0)
    """Sums: the weight of the first and of the second part."""
    class_weights: Literal["none", "balanced"] | tuple[Positive, ...] = "none"
    """balanced: n / (classes * count of the class), from the training split. Or a number a class."""
    label_smoothing: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """cross_entropy: share of the target spread over all classes."""
    include_background: bool = False
    """dice with softmax: count the background as a class."""
    batch_dice: bool = False
    """dice: over the batch as one volume, in place of the mean over its cases."""
    smooth: NotNegative = 1e-5
    """dice: added to numerator and denominator."""


class OptimizerTable(Table):
    """How weights are updated."""

    name: Literal["adam", "adamw", "sgd"] = "adam"
    """The optimizer."""
    lr: Annotated[float, Field(gt=0.0, le=100.0)] = 1e-3
    """Learning rate (the highest, where a schedule changes it)."""
    weight_decay: Annotated[float, Field(ge=0.0, le=10.0)] = 0.0
    """L2 (adam, sgd) or decoupled (adamw) weight decay."""
    momentum: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.9
    """sgd: momentum."""
    nesterov: bool = False
    """sgd: Nesterov's form."""
    betas: tuple[Annotated[float, Field(ge=0.0, lt=1.0)], Annotated[float, Field(ge=0.0, lt=1.0)]] = (0.9, 0.999)
    """adam, adamw: decay of the two moments."""


class ScheduleTable(Table):
    """How the learning rate changes, by iteration."""

    name: Literal["constant", "cosine", "polynomial", "one_cycle"] = "constant"
    """The shape."""
    warmup_epochs: Annotated[float, Field(ge=0.0, le=1000.0)] = 0.0
    """Epochs of linear rise from 0 before it."""
    final_share: Share = 0.0
    """cosine, polynomial, one_cycle: lr at the end as a share of optimizer.lr."""
    power: Annotated[float, Field(gt=0.0, le=10.0)] = 0.9
    """polynomial: the exponent."""


class TrainTable(Table):
    """The loop."""

    epochs: Annotated[int, Field(ge=1, le=100_000)]
    """Passes over the training cases."""
    batch_size: Annotated[int, Field(ge=1, le=4096)]
    """Cases (or crops) in one forward pass."""
    accumulate: Annotated[int, Field(ge=1, le=1024)] = 1
    """Batches whose gradients make one optimizer step."""
    clip_norm: Positive | None = None
    """Largest norm of the gradient."""
    amp: Literal["off", "auto", "bf16", "fp16"] = "off"
    """Mixed precision. auto: bf16 on a GPU that has it, else fp16 there; on a CPU bf16 where it has units for it (AMX,
    AVX512-BF16) and a measurement of this very network finds it faster, else off."""
    ema: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    """Decay a step of the averaged weights that validation, test and best.pt use."""
    validate_every: Count = 1
    """Epochs between validations."""
    monitor: Monitor | None = None
    """The validation metric that chooses best.pt. Default: dice, or balanced_accuracy."""
    early_stop: Count | None = None
    """Validations without a better `monitor` after which training ends."""
    checkpoint_epochs: Count = 1
    """Epochs between two writes of last.pt. Where that would cost more than 2 % of the time, the write waits for a
    later epoch."""
    checkpoint_iterations: Count | None = None
    """Also write last.pt every so many iterations."""
    checkpoint_minutes: Annotated[float, Field(gt=0.0, le=10_000.0)] | None = 15.0
    """Also write last.pt when so many minutes have passed since the last one."""
    max_minutes: Annotated[float, Field(gt=0.0, le=1_000_000.0)] | None = None
    """End training after the epoch in which so many minutes have passed; schedules follow the clock
    no more than `epochs`, so choose both to fit."""


class AugmentTable(Table):
    """Random changes of the training cases; all off by default."""

    rotate_degrees: Annotated[float, Field(ge=0.0, le=180.0)] = 0.0
    """Rotation within plus or minus so many degrees (volumes: about every axis)."""
    scale: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Zoom within 1 - scale and 1 + scale."""
    translate: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Shift within plus or minus this share of the size."""
    affine_probability: Share = 1.0
    """How often rotation, zoom and shift are applied."""
    flip: tuple[Annotated[int, Field(ge=0, le=2)], ...] = ()
    """Axes that may be mirrored, counted from 0; each half of the time."""
    rotate90: bool = False
    """Classification: rotations by 90, 180 and 270 degrees."""
    crop_scale: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """Classification: crop a random share of the area, at least this, and scale it to size."""
    noise: Annotated[float, Field(ge=0.0, le=10.0)] = 0.0
    """Deviation of Gaussian noise, after normalisation."""
    blur: Annotated[float, Field(ge=0.0, le=10.0)] = 0.0
    """Largest sigma of a Gaussian blur, in voxels."""
    brightness: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Multiply intensities within 1 - brightness and 1 + brightness."""
    contrast: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Scale intensities about their mean within 1 - contrast and 1 + contrast."""
    saturation: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Classification: scale colours about grey within 1 - saturation and 1 + saturation."""
    gamma: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Gamma within 1 - gamma and 1 + gamma."""
    intensity_probability: Share = 0.5
    """How often each of noise, blur, brightness, contrast, saturation and gamma is applied."""


class EvaluateTable(Table):
    """How the test split, and validation, are measured."""

    mode: Literal["whole", "center_crop"] = "whole"
    """Segmentation. whole: the whole volume by sliding window. center_crop: only the crop of data.size
    in the centre, as the experiments did; numbers of the two are not comparable."""
    validation_mode: Literal["same", "whole", "center_crop"] = "same"
    """Segmentation: mode of the validations during training."""
    overlap: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.5
    """whole: share by which windows overlap."""
    checkpoint: Literal["best", "last"] = "best"
    """Which weights are tested. Without a validation split: last."""
    threshold: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.5
    """sigmoid: probability from which a voxel is foreground."""
    flips: bool = False
    """Average the predictions over mirrored inputs (test-time augmentation)."""
    largest_component: bool = False
    """Segmentation: keep the largest connected component of each class only."""
    surface_validation: bool = False
    """Measure surface distances in every validation, not in the test only."""
    batch_size: Annotated[int, Field(ge=1, le=4096)] | None = None
    """Windows or images in one forward pass. Default: train.batch_size."""
    save_predictions: bool = True
    """Segmentation: write the masks of the test split to predictions/."""
    bootstrap: Annotated[int, Field(ge=0, le=100_000)] = 1000
    """Resamples behind the 95 % confidence intervals; 0 for none."""


class FiguresTable(Table):
    """What is drawn."""

    enabled: bool = True
    """Draw figures and write the report at the end."""
    cam: Literal["gradcam", "gradcam++", "hirescam", "scorecam", "eigencam", "layercam"] = "gradcam"
    """The class activation method (pytorch-grad-cam)."""
    cam_examples: Annotated[int, Field(ge=1, le=32)] = 4
    """Classification: right and wrong examples a class, each."""
    turntable: Literal["none", "gif", "mp4"] = "none"
    """A turning view of the worst, median and best surface."""
    previews: bool = True
    """Write small images for the dashboard at each validation."""
    preview_cases: Annotated[int, Field(ge=1, le=64)] = 4
    """How many cases a validation shows, the worst first."""
    case_names: bool = True
    """Show case names; off: numbers in their place."""
    dpi: Annotated[int, Field(ge=50, le=600)] = 150
    """Resolution of PNG files."""


class RuntimeTable(Table):
    """The machine. Nothing here changes what is learned, but for rounding."""

    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda|cuda:\d{1,2}|mps)$")] = "auto"
    """auto, cpu, cuda, cuda:0, cuda:1, ..."""
    workers: Literal["auto"] | Annotated[int, Field(ge=0, le=128)] = "auto"
    """Processes that load data. auto: by the cores and by the cache."""
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Threads of the CPU kernels. Default: all cores that the process may use."""
    channels_last: Literal["auto"] | bool = "auto"
    """Memory layout. auto: on CPUs, and on GPUs with mixed precision, where it was found to be faster."""
    compile: bool = False
    """torch.compile the network: faster steps after minutes of compiling."""
    deterministic: bool = True
    """Choose kernels that give the same results from run to run; where there is none, the log says so."""
