"""The tables whose keys depend on no name: loop, augmentation, evaluation (by task), figures, machine.

The docstring under a field is its documentation: ``medtui schema`` and the reference print it.
A builder in the engine is handed its own table and never the whole recipe.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from engine.measures import monitorable
from engine.recipe.base import (
    CLASSIFICATION,
    SEGMENTATION,
    ClassName,
    Count,
    NamedTable,
    Positive,
    Share,
    Table,
    When,
    above,
    any_of,
    only,
)
from engine.recipe.losses import SIGMOID
from engine.recipe.sources import VALIDATED

_SEGMENTATION = only("task", "segmentation")
_CLASSIFICATION = only("task", "classification")
_AFFINE, _INTENSITY = above("augment.affine_probability"), above("augment.intensity_probability")
_BATCHES = above("train.batch_size", 1)
_MIXED = (above("augment.mix_probability"), _BATCHES)
_PREVIEWS = any_of("figures.previews")


def _coloured(size: tuple[int, ...], channels: int | None) -> bool | None:
    return len(size) == 2 and (None if channels is None else channels == 3)


def grown(side: int, share: float) -> int:
    """Pixels of a side at ``share`` of it: a multiple of 16, and 32 or more where it has them; all of it at 1."""
    return side if share == 1 else max(round(share * side / 16) * 16, min(side, 32))


_GROWS = When(
    ("data.size", "augment.grow_from"),
    lambda size, share: share == 1 or any(grown(side, share) != side for side in size),
    "a data.size that becomes smaller by it, in multiples of 16 from 32 on",
)
_COLOURS = When(("data.size", "data.channels"), _coloured, "pictures in colour: a data.size of 2 numbers")
_VOLUMES = When(("data.size",), lambda size: len(size) == 3, "volumes: 3 numbers in data.size")
_PICTURES = When(("data.size",), lambda size: len(size) == 2, "pictures: 2 numbers in data.size")
_Axis = Annotated[int, Field(ge=0, le=2)]


def _monitors() -> list[str]:
    return list(dict.fromkeys([*monitorable("classification"), *monitorable("segmentation")]))


def _known_monitor(name: str) -> str:
    if name not in _monitors():
        raise ValueError("no metric of that name can be monitored")
    return name


Monitor = Annotated[
    str, AfterValidator(_known_monitor), Field(json_schema_extra=lambda schema: schema.update(enum=_monitors()))
]
"""The name of a metric; packages may add to them, so the names are known when they are asked for."""


class TrainTable(Table):
    """The loop."""

    epochs: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """Passes over the training cases. Either this or `minutes`."""
    minutes: Annotated[float, Field(gt=0.0, le=100_000.0)] | None = None
    """In place of `epochs`: as many as end in this many minutes here, caching and validations included, the test
    afterwards not. The first steps, which are thrown away, measure the speed; the epochs are then written into the
    run's recipe and stay as they are."""
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
    validate_every: Annotated[Count, VALIDATED] = 1
    """Epochs between validations."""
    monitor: Annotated[Monitor | None, VALIDATED] = None
    """The validation metric that chooses best.pt. Default: dice, or balanced_accuracy."""
    early_stop: Annotated[Count | None, VALIDATED] = None
    """Validations without a better `monitor` after which training ends."""
    checkpoint_epochs: Count = 1
    """Epochs between two writes of last.pt. Where that would cost more than 2 % of the time, the write waits for a
    later epoch."""
    checkpoint_iterations: Count | None = None
    """Also write last.pt every this many iterations."""
    checkpoint_minutes: Annotated[float, Field(gt=0.0, le=10_000.0)] | None = 15.0
    """Also write last.pt when this many minutes have passed since the last one."""
    max_minutes: Annotated[float, Field(gt=0.0, le=1_000_000.0)] | None = None
    """End training after the epoch in which this many minutes have passed, wherever the schedule is by then;
    `minutes` makes it fit."""

    @property
    def planned(self) -> int:
        """Epochs of the run; 0 until `minutes` were turned into epochs."""
        return self.epochs or 0


class AugmentTable(Table):
    """Random changes of the training cases; all off by default."""

    rotate_degrees: Annotated[float, Field(ge=0.0, le=180.0), _AFFINE] = 0.0
    """Rotation within plus or minus this many degrees (volumes: about every axis)."""
    rotate_plane: Annotated[tuple[_Axis, _Axis] | None, _VOLUMES, any_of("augment.rotate_degrees")] = None
    """Volumes: turn the crop itself, in the plane of these two axes only, as scipy.ndimage.rotate does: cubic
    splines, and 0 outside."""
    scale: Annotated[float, Field(ge=0.0, lt=1.0), _AFFINE] = 0.0
    """Zoom within 1 - scale and 1 + scale."""
    translate: Annotated[float, Field(ge=0.0, lt=1.0), _AFFINE] = 0.0
    """Shift within plus or minus this share of the size."""
    affine_probability: Annotated[Share, any_of("augment.rotate_degrees", "augment.scale", "augment.translate")] = 1.0
    """How often rotation, zoom and shift are applied."""
    flip: tuple[_Axis, ...] = ()
    """Axes that may be mirrored, counted from 0; each half of the time."""
    rotate90: Annotated[bool, _CLASSIFICATION, _PICTURES] = False
    """Rotations by 90, 180 and 270 degrees."""
    draw: Annotated[
        Literal["sample", "batch"],
        any_of(*(f"augment.{name}" for name in ("rotate_degrees", "scale", "translate", "flip", "rotate90"))),
        _BATCHES,
    ] = "sample"
    """batch: one rotation, zoom, shift and flip for all samples of a batch."""
    crop_scale: Annotated[float, Field(gt=0.0, le=1.0), _CLASSIFICATION, _PICTURES] = 1.0
    """Crop a random share of the area, at least this, and scale it to size."""
    grow_from: Annotated[float, Field(gt=0.0, le=1.0), _CLASSIFICATION, _GROWS] = 1.0
    """Side of the images at the beginning, as a share of data.size; it grows evenly and is 1 after two thirds of the
    epochs (progressive learning, Tan and Le 2021). Small images are quick, and first things are learned from them."""
    mixup: Annotated[float, Field(ge=0.0, le=10.0), _CLASSIFICATION, *_MIXED] = 0.0
    """Mean of two images and of their losses (Zhang et al. 2018), with a share from Beta(mixup, mixup)."""
    cutmix: Annotated[float, Field(ge=0.0, le=10.0), _CLASSIFICATION, *_MIXED] = 0.0
    """A rectangle of another image, of a volume a box (Yun et al. 2019), its share from Beta(cutmix, cutmix), and as
    much of its loss.
    With mixup too, one of the two is drawn for each batch."""
    mix_probability: Annotated[Share, any_of("augment.mixup", "augment.cutmix")] = 1.0
    """How often a batch is mixed."""
    noise: Annotated[float, Field(ge=0.0, le=10.0), _INTENSITY] = 0.0
    """Deviation of Gaussian noise, after normalisation."""
    blur: Annotated[float, Field(ge=0.0, le=10.0), _INTENSITY] = 0.0
    """Largest sigma of a Gaussian blur, in voxels."""
    brightness: Annotated[float, Field(ge=0.0, lt=1.0), _INTENSITY] = 0.0
    """Multiply intensities within 1 - brightness and 1 + brightness."""
    contrast: Annotated[float, Field(ge=0.0, lt=1.0), _INTENSITY] = 0.0
    """Scale intensities about their mean within 1 - contrast and 1 + contrast."""
    saturation: Annotated[float, Field(ge=0.0, lt=1.0), _INTENSITY, _COLOURS] = 0.0
    """Pictures in colour: scale colours about grey within 1 - saturation and 1 + saturation."""
    gamma: Annotated[float, Field(ge=0.0, lt=1.0), _INTENSITY] = 0.0
    """Gamma within 1 - gamma and 1 + gamma."""
    intensity_probability: Annotated[
        Share,
        any_of(*(f"augment.{name}" for name in ("noise", "blur", "brightness", "contrast", "saturation", "gamma"))),
    ] = 0.5
    """How often each of noise, blur, brightness, contrast, saturation and gamma is applied."""


class EvaluateTable(NamedTable):
    """How the test split, and validation, are measured."""

    key: ClassVar[str] = "task"
    tasks: ClassVar[frozenset[str]] = frozenset()

    test: bool = True
    """Measure the test split at the end of the run. Off where settings are still being chosen: `medtui evaluate`
    measures it later."""
    checkpoint: Literal["best", "last"] = "best"
    """Which weights are tested. Without a validation split: last."""
    flips: bool = False
    """Average the predictions over mirrored inputs (test-time augmentation)."""
    batch_size: Annotated[int, Field(ge=1, le=4096)] | None = None
    """Windows or images in one forward pass. Default: train.batch_size."""
    bootstrap: Annotated[int, Field(ge=0, le=100_000)] = 1000
    """Resamples behind those 95 % intervals that need them (docs/statistics.md), of which masks have none; 0 for no
    intervals."""
    reported: dict[Monitor, float] = Field(default={})
    """What others reported for this experiment, by metric: {dice = 0.9}. The report shows it beside the test."""


class SegmentationEvaluateTable(EvaluateTable):
    """Masks."""

    tasks = SEGMENTATION

    mode: Literal["whole", "center_crop"] = "whole"
    """whole: the whole volume by sliding window. center_crop: only the crop of data.size
    in the centre, as the experiments did; numbers of the two are not comparable."""
    validation_mode: Annotated[Literal["same", "whole", "center_crop"], VALIDATED] = "same"
    """Mode of the validations during training."""
    overlap: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.5
    """Share by which sliding windows overlap: in mode whole, and in `medtui predict` in every mode."""
    threshold: Annotated[float, Field(gt=0.0, lt=1.0), SIGMOID] = 0.5
    """Probability from which a voxel is foreground."""
    largest_component: bool = False
    """Keep the largest connected component of each class only."""
    connectivity: Annotated[Literal[26, 6], any_of("evaluate.largest_component")] = 26
    """Neighbours that belong to the component of a voxel. 26: those that share a face, an edge or a corner with it
    (8 in 2-D). 6: those that share a face (4 in 2-D)."""
    surface_validation: Annotated[bool, VALIDATED] = False
    """Measure surface distances in every validation, not in the test only."""
    nsd_tolerance: Annotated[float, Field(gt=0.0, le=1000.0)] | None = None
    """Distance up to which two surfaces agree, in the unit of the data. Default: 2 mm, or 1 voxel."""
    all_voxel_distances: bool = False
    """Also assd_all_voxels and hd95_all_voxels, in which every voxel of a mask counts as its surface,
    as in the experiments; not comparable with distances of surfaces."""
    regions: dict[ClassName, tuple[ClassName, ...]] = Field(default={})
    """Unions of classes that are measured too, as BraTS and KiTS score them: {"whole tumour" = ["oedema", "core"]};
    of one class, where it belongs to their mean. Names of their own. dice_regions, their mean Dice, can be
    `train.monitor`."""
    save_predictions: bool = True
    """Write the masks of the test split to predictions/."""


class ClassificationEvaluateTable(EvaluateTable):
    """Probabilities of classes."""

    tasks = CLASSIFICATION

    logit_adjustment: Annotated[float, Field(ge=-2.0, le=2.0)] = 0.0
    """Divide the probability of each class by its share of the training cases to this power (Menon et al. 2021): above
    0, rare classes are predicted more often. `medtui sweep --folds` chooses it on cases out of fold."""


class FiguresTable(Table):
    """What is drawn."""

    enabled: bool = True
    """Draw figures and write the report at the end."""
    cam: Literal["gradcam", "gradcam++", "hirescam", "scorecam", "eigencam", "layercam"] = "gradcam"
    """The class activation method (pytorch-grad-cam)."""
    cam_examples: Annotated[int, Field(ge=1, le=32), _CLASSIFICATION] = 4
    """Right and wrong examples a class, each."""
    turntable: Annotated[Literal["none", "gif", "mp4"], _SEGMENTATION, _VOLUMES] = "none"
    """A turning view of the worst, median and best surface."""
    previews: bool = True
    """Write small images for the dashboard at each validation."""
    preview_cases: Annotated[int, Field(ge=1, le=64), _PREVIEWS, VALIDATED] = 4
    """How many cases a validation shows, the worst first."""
    case_names: bool = True
    """Show case names; off: numbers in their place."""
    dpi: Annotated[int, Field(ge=50, le=600)] = 150
    """Resolution of PNG files."""


WEB_ADDRESS = r"^https?://[^\s/?#@]+([/?#]\S*)?$"


class RuntimeTable(Table):
    """The machine. Nothing here changes what is learned, but for rounding."""

    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda|cuda:\d{1,2}|mps)$")] = "auto"
    """auto, cpu, cuda, cuda:0, cuda:1, ..."""
    workers: Literal["auto"] | Annotated[int, Field(ge=0, le=128)] = "auto"
    """Processes that load data. auto: by the cores and by the cache."""
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Threads of the CPU kernels. Default: `OMP_NUM_THREADS`, else all cores that the process may use."""
    channels_last: Literal["auto"] | bool = "auto"
    """Memory layout. auto: on CPUs, and on GPUs with mixed precision, where it was found to be faster."""
    compile: bool = False
    """torch.compile the network: faster steps after minutes of compiling."""
    deterministic: bool = True
    """Choose kernels that give the same results from run to run; where there is none, the log says so."""
    webhook: Annotated[str, Field(pattern=WEB_ADDRESS, max_length=2000)] | None = None
    """An http:// or https:// address without a user and password; it is sent a JSON message when the run finishes or
    fails, and for each finding that is an error. It is kept in a file of the run folder that only its owner reads, and
    shown nowhere; no message delays the training."""
