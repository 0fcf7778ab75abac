"""``[data]``: a table for each layout on disk. Its code is in `engine.data.sources`."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from engine.recipe.base import (
    CLASSIFICATION,
    SEGMENTATION,
    ClassName,
    Count,
    NamedTable,
    Positive,
    RelativePath,
    Share,
    When,
    any_of,
    only,
)

_SEGMENTATION = only("task", "segmentation")
_CLASSIFICATION = only("task", "classification")
_KFOLD = only("data.split", "kfold")
_FileName = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^/\\]+$")]
_Level = Annotated[float, Field(ge=-1e9, le=1e9)]


def _drawn(split: str, *numbers: float | None) -> bool:
    return split != "given" or any(numbers)


def _validated(split: str, fraction: float, folds: int | None, found: bool | None) -> bool | None:
    """Whether there is a validation split; None where the data set may give one, and was not opened yet."""
    if found is not None:
        return found
    return True if fraction > 0 or folds else None if split == "given" else False


DRAWN = When(
    (
        "data.split",
        *(
            f"data.{name}"
            for name in ("validation_fraction", "validation_folds", "limit_train", "limit_validation", "limit_test")
        ),
    ),
    _drawn,
    'something to draw: data.split = "fraction" or "kfold", data.validation_fraction, data.validation_folds or a limit',
)
VALIDATED = When(
    ("data.split", "data.validation_fraction", "data.validation_folds", "data.validated"),
    _validated,
    "a validation split: data.validation_fraction above 0, or data.validation_folds",
)


def _undivided(split: str, own: bool | None) -> bool | None:
    """Whether a validation split has to be drawn; None where the data set was not opened yet."""
    return True if split != "given" else None if own is None else not own


def _tested(split: str, fraction: float, found: bool | None) -> bool | None:
    """Whether there is a test split; None where only the data set can tell."""
    drawn = None if split == "given" else split == "kfold" or fraction > 0
    return drawn if found is None else found


_TESTED = When(("data.split", "data.test_fraction", "data.tested"), _tested, "a test split: data.test_fraction above 0")
_SPACED = When(
    ("data.spacing_unit",),
    lambda unit: None if unit is None else unit != "voxel",
    "files that carry a spacing, as NIfTI does",
)
_GRIDDED = When(
    ("task", "data.resize", "data.size"),
    lambda task, resize, size: task == "segmentation" or (resize == "crop" and len(size) == 3),
    'task = "segmentation", or volumes (3 numbers in data.size) with data.resize = "crop"',
)
_SOLID = When(("data.size",), lambda size: len(size) == 3, "volumes: 3 numbers in data.size")
VOLUMES = frozenset({3})
PICTURES = frozenset({2})


class DataTable(NamedTable):
    """Where the cases come from, how they are split, and what a case looks like to the network.

    ``dims`` is how many axes the images of a source can have.
    """

    key: ClassVar[str] = "source"
    dims: ClassVar[frozenset[int]] = frozenset({2, 3})

    source: str
    root: RelativePath
    """Folder of the data set, relative to --data, else $MEDTUI_DATA, else ./data."""
    classes: tuple[ClassName, ...] | None = Field(default=None, min_length=1, max_length=1000)
    """Names of the classes in order; segmentation: of the foreground classes. Names that the data set
    has too, whatever their case, keep its label values, others stand for their place here, from 1. Default: what
    the data set says."""
    split: Literal["given", "fraction", "kfold"] = "given"
    """given: the data set's own lists. fraction, kfold: drawn here, by group where one is known."""
    validation_fraction: Annotated[
        float,
        Field(ge=0.0, le=0.9),
        When(("data.validation_folds",), lambda folds: folds is None, "no data.validation_folds"),
        When(("data.split", "data.own_validation"), _undivided, "data that has no validation split of its own"),
    ] = 0.0
    """Share of the training cases held out for validation, where the data set gives none."""
    validation_folds: Annotated[int, Field(ge=2, le=100)] | None = None
    """Cross-validation: the cases outside of the test split are divided into this many folds, by group where one is
    known and evenly over the classes, or as the data set says where it gives as many folds. Fold `validation_fold` is
    the validation split. `medtui sweep --folds` sets both."""
    validation_fold: Annotated[int, Field(ge=0, le=99), any_of("data.validation_folds")] = 0
    """Which fold is held out for validation, counted from 0."""
    test_fraction: Annotated[float, Field(ge=0.0, le=0.9), only("data.split", "fraction")] = 0.2
    """Share of all cases held out for the test."""
    folds: Annotated[int, Field(ge=2, le=100), _KFOLD] = 5
    """Number of folds. Fold `fold` is the test split."""
    fold: Annotated[int, Field(ge=0, le=99), _KFOLD] = 0
    """Which fold is held out, counted from 0."""
    split_seed: Annotated[int, Field(ge=0, le=2**32 - 1), DRAWN] = 0
    """Seed of the draw. Apart from `seed`, so that seeds can vary over one split."""
    limit_train: Count | None = None
    """Use at most this many training cases (drawn evenly over the classes); for a quick look."""
    limit_validation: Annotated[Count | None, VALIDATED] = None
    """Use at most this many validation cases."""
    limit_test: Annotated[Count | None, _TESTED] = None
    """Use at most this many test cases."""
    size: tuple[Annotated[int, Field(ge=8, le=4096)], ...] = Field(min_length=2, max_length=3)
    """What the network sees, 3 numbers of a volume and 2 of a picture: a crop of it, or in classification all of it."""
    crop: Annotated[Literal["center", "random", "foreground"], _SEGMENTATION] = "center"
    """Training: where the crop is taken. foreground: around a voxel of a foreground class in a share of
    `foreground_share` of the crops, else anywhere. Where there are voxels whose truth is not known (`ignore`), random
    is around one that is."""
    foreground_share: Annotated[Share, only("data.crop", "foreground")] = 0.5
    """See crop."""
    ignore: Annotated[int, Field(ge=1, le=65_535), _SEGMENTATION] | None = None
    """The mask value of voxels whose truth is not known, such as 255 for borders and objects nobody outlined, or what
    lies between annotated slices: they count in no loss and in no metric. Default: the "ignore" label of a
    dataset.json, else none."""
    samples_per_case: Annotated[int, Field(ge=1, le=1000), _SEGMENTATION] = 1
    """Crops taken of each case in an epoch."""
    resize: Annotated[Literal["stretch", "crop"], _CLASSIFICATION] = "stretch"
    """stretch: the whole image to size. crop: the centre; of a picture after its shorter side was scaled, of a volume
    with voxels of `spacing`, or else its own, and zeros around it where it is smaller."""
    spacing: Annotated[tuple[Positive, ...] | None, Field(min_length=2, max_length=3), _GRIDDED, _SPACED] = None
    """Resample volumes to this voxel size in mm; pictures to steps of this many of their own pixels. Predictions go
    back to their own geometry."""
    smooth: Annotated[bool, any_of("data.spacing"), _SOLID] = True
    """Volumes that go to a coarser `spacing`: smooth the image before, and give a voxel of the mask the class of most
    of it. Off: the nearest voxels alone, as medtui did before 26 November 2026; runs of then go on so."""
    intensity: Literal["none", "zscore", "body", "minmax", "imagenet", "window"] = "zscore"
    """zscore, minmax: of each image by itself. body: zscore by the voxels that are neither 0 nor the least value, so
    that air and padding do not count. imagenet: means and deviations of ImageNet.
    window: clip to `window`, then 0 to 1."""
    window: Annotated[tuple[_Level, _Level] | None, only("data.intensity", "window")] = None
    """Lower and upper bound, such as [-100.0, 300.0] HU."""
    balance: Annotated[Literal["none", "class"], _CLASSIFICATION] = "none"
    """class: draw every class equally often."""
    shuffle: Annotated[bool, only("data.balance", "none")] = True
    """A new order of the training cases in every epoch; off: always by their ids."""
    cache: Literal["auto", "memory", "none"] = "auto"
    """Keep loaded cases in memory. auto: when they take less than half of what is free."""
    unreadable: Literal["refuse", "skip"] = "refuse"
    """What to do with a case that cannot be used: refuse the run, or leave it out and say so. A case with an empty mask
    is refused too, and with skip kept as it is."""
    duplicates: Literal["refuse", "drop"] = "refuse"
    """What to do with an image that is in two splits: refuse the run, or leave its copies out of the earlier split
    (training before validation before test) and say so."""


class DecathlonTable(DataTable):
    """Medical Segmentation Decathlon: dataset.json, imagesTr/, labelsTr/."""

    tasks = SEGMENTATION
    dims = VOLUMES
    source: Literal["decathlon"]


class NnunetTable(DataTable):
    """nnU-Net's raw data: dataset.json, imagesTr/, labelsTr/, imagesTs/, labelsTs/."""

    tasks = SEGMENTATION
    dims = VOLUMES
    source: Literal["nnunet"]


class NiftiPairsTable(DataTable):
    """Two folders of volumes (NIfTI, NRRD, MetaImage) with the same names."""

    tasks = SEGMENTATION
    dims = VOLUMES
    source: Literal["nifti_pairs"]
    images: RelativePath = "images"
    """Folder of the images, below root; "." is root itself."""
    labels: RelativePath = "labels"
    """Folder of the masks, below root; file names as those of the images, or with _mask, _seg, ... after them."""


class CaseFoldersTable(DataTable):
    """A folder a case, of volumes called alike in each: one a channel, and a mask (BraTS, KiTS)."""

    tasks = SEGMENTATION
    dims = VOLUMES
    source: Literal["case_folders"]
    channels: tuple[_FileName, ...] = Field(min_length=1, max_length=100)
    """What the files of the channels are called, in order, without the name of their folder before it and the ending
    behind it: ["flair", "t1", "t1ce", "t2"] for BraTS 2020, ["imaging"] for KiTS."""
    mask: _FileName = "seg"
    """What the mask is called, in the same way: "seg" for BraTS, "segmentation" for KiTS."""


class ImagePairsTable(DataTable):
    """Two folders of pictures (PNG, JPEG, TIFF, BMP, WebP, DICOM): images, and masks of classes or black and white."""

    tasks = SEGMENTATION
    dims = PICTURES
    source: Literal["image_pairs"]
    images: RelativePath = "images"
    """Folder of the images, below root; "." is root itself."""
    labels: RelativePath = "masks"
    """Folder of the masks, below root; file names as those of the images, or with _segmentation, _mask, ... after
    them. May be the folder of the images."""
    spacing: Annotated[tuple[Positive, ...] | None, Field(min_length=2, max_length=2)] = None
    """Resample pictures to steps of this many of their own pixels: [2.0, 2.0] halves their resolution. Predictions
    go back to their own size."""


class LeftAtriumTable(DataTable):
    """The 2018 Atrial Segmentation Challenge as UA-MT packed it."""

    tasks = SEGMENTATION
    dims = VOLUMES
    source: Literal["left_atrium"]
    spacing: Annotated[None, When((), lambda: False, "a source whose files carry a spacing, as NIfTI does")] = None
    """Nothing: the files of this source carry no spacing."""


class Isic2018Table(DataTable):
    """ISIC 2018 Task 3, in the folders of its release."""

    tasks = CLASSIFICATION
    dims = PICTURES
    source: Literal["isic2018"]


class ImageFolderTable(DataTable):
    """Folders of images, one a class; below train, validation and test where a split is given. Pictures or volumes."""

    tasks = CLASSIFICATION
    source: Literal["image_folder"]


class CsvTable(DataTable):
    """A CSV table of paths: an image and its class or mask a row."""

    source: Literal["csv"]
    table: RelativePath = "table.csv"
    """The table, below root: commas, semicolons, tabs or bars; UTF-8, UTF-16, UTF-32 or Windows-1252. Its paths are
    relative to root."""
    path_column: str = "path"
    """Column with the path of the image."""
    label_column: str = "label"
    """Column with the class name, or for segmentation the path of the mask. A table without it may have a column for
    each of data.classes, with 1 for the class of the case and 0 (one-hot)."""
    group_column: str | None = None
    """Column whose cases must stay together in one split (patient, lesion)."""
    split_column: Annotated[str | None, only("data.split", "given")] = None
    """Column with train, validation or test."""
