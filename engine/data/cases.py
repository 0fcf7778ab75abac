"""What the rest of the engine sees of a data set: cases, and the dataset that they make."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SPLITS = ("train", "validation", "test")
MOST_LABELS = 65_535  # the greatest value of a mask, and the most classes


@dataclass(frozen=True, slots=True)
class CaseFacts:
    """What reading a case showed, see `engine.data.check_dataset`."""

    image: str  # hash of the decoded values of all channels: the same however the file is called or compressed
    truth: str  # hash of the mask's class indices, or of the name of the class; "" where no truth is known
    shape: tuple[int, ...]  # of the image, (C, *S)
    spacing: tuple[float, ...] | None  # voxel size along the axes of S in mm; None where the file has none
    orientation: str  # where the axes of S run to, such as "RAS"; "" where the file does not say
    low: float  # least value of the image, as the file has it; in shades where it names its black and white
    high: float  # its greatest value
    mean: float  # its mean, over rows or slices that lie evenly in it
    # pictures of more than 8 bits that do not name their black and white: whether all values are whole; else None
    whole: bool | None
    present: tuple[int, ...]  # indices into `Dataset.classes` of the classes that the truth holds
    blank: float = 0.0  # share of the voxels, in the same rows, that are 0 or the least value: air, or what was padded
    outside: bool = False  # whether the foreground of the mask fills its corners and more than half of it
    known: float = 1.0  # share of the voxels whose truth is known, see `Dataset.ignore`
    remarks: tuple[tuple[str, str], ...] = ()  # what is odd in a file, and how messages name that file
    # of volumes that say how they lie: a hash of what they show, the same whichever way their axes run, and whether
    # their values were rescaled, as those of a series of DICOM and its copy as NIfTI; else ""
    alike: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """One case: its files, and where it belongs."""

    id: str  # unique in the dataset
    images: tuple[Path, ...]  # one file a channel (most have one; a file may also hold several channels)
    label: Path | None = None  # the mask file (segmentation); for h5 the same file as the image
    target: int | None = None  # index of the class (classification)
    group: str | None = None  # patient or lesion; a group is never split
    split: str = ""  # "train", "validation" or "test"; "" before splits are assigned
    fold: int | None = None  # of the validation folds that the data set gives
    # of its content; None before the case was read
    facts: CaseFacts | None = field(default=None, compare=False, repr=False)
    # what a table says of patient and scanner: site, sex, age, ..., see `engine.data.traits`
    traits: dict[str, str] = field(default_factory=dict, compare=False, repr=False)

    @property
    def group_key(self) -> str:
        """What a split must not cut: the group where it is known, else the case itself."""
        return f"case {self.id}" if self.group is None else f"group {self.group}"

    @property
    def files(self) -> tuple[Path, ...]:
        return self.images if self.label is None or self.label in self.images else (*self.images, self.label)


@dataclass(frozen=True, kw_only=True)
class DatasetIndex:
    """A data set as its folder describes it, before splits are assigned."""

    name: str  # of the data set, for the report
    cases: tuple[Case, ...]  # with `Case.split` where the data set gives one; of a `Dataset` by split, then by id
    classes: tuple[str, ...]  # classification: the classes; segmentation: the foreground classes
    label_values: tuple[int, ...] = ()  # segmentation: the mask value of each foreground class
    channels: int = 1  # of an image; 0 where only an image can tell
    spatial_dims: int = 3  # 3 for volumes, 2 for pictures
    spacing_unit: str = "mm"  # of distances: "mm" when the files carry a spacing, else "voxel" or "pixel"
    published_split: bool | None = None  # True only if the split is the published one; None where that is not known
    notes: tuple[str, ...] = ()  # what the report must say (cases that were left out, ...)
    # what the data set calls the channels, as its files have them; empty where it does not say
    channel_names: tuple[str, ...] = ()
    # what it calls several classes together, and their mask values; empty where it has no such name
    regions: tuple[tuple[str, tuple[int, ...]], ...] = ()

    @property
    def unions(self) -> dict[str, list[str]]:
        """The regions by the names of their classes, as [evaluate] has them; without those of which a class lacks."""
        named = dict(zip(self.label_values, self.classes, strict=False))
        return {name: [named[v] for v in values] for name, values in self.regions if {*values} <= {*named}}


@dataclass(frozen=True, kw_only=True)
class Dataset(DatasetIndex):
    """A data set as a run uses it: its cases, each in a split, and what they have in common."""

    task: str  # "segmentation" or "classification"
    source: str  # DataTable.source
    phantom: bool  # whether the data is made, and no patient's
    own_validation: bool = False  # whether the validation split, if any, is the data set's and not drawn
    ignore: int | None = None  # segmentation: the mask value of voxels whose truth is not known; None: all are
    root: Path = Path()  # folder of the data set; files are named relative to it in messages
    # pictures: the values that stand for black and white in files of more than 8 bits, but for those that name them
    # themselves; the same for every picture; None before they are known
    value_range: tuple[float, float] | None = None
    # which channel of the files stands first, second, ... in an image; empty: as in the files
    channel_order: tuple[int, ...] = ()

    @property
    def dense(self) -> bool:
        """Whether every voxel has a class, and is trained on in crops; else the image has one as a whole."""
        return self.task == "segmentation"

    @property
    def labels(self) -> int:
        """How many indices a truth may hold: the classes, and of a mask the background."""
        return len(self.classes) + self.dense

    @property
    def ignored(self) -> int | None:
        """What masks of `engine.data.read` hold for voxels whose truth is not known, one beyond the classes; None
        where all are."""
        return None if self.ignore is None else self.labels

    @property
    def colour(self) -> bool:
        """Whether images have the channels red, green and blue."""
        return self.spatial_dims == 2 and self.channels == 3

    @property
    def facts(self) -> dict[str, Any]:
        """What decides whether some keys of a recipe do anything, see `engine.recipe.sources` and ``tables``."""
        known = {"data.classes": self.classes, "data.channels": self.channels, "data.spacing_unit": self.spacing_unit}
        splits = {case.split for case in self.cases}
        found = {"data.validated": "validation" in splits, "data.tested": "test" in splits}
        return {**known, **found, "data.own_validation": self.own_validation}

    def split(self, name: str) -> tuple[Case, ...]:
        """The cases of the split ``name``, ordered by id."""
        return tuple(case for case in self.cases if case.split == name)

    def counts(self) -> dict[str, dict[str, int]]:
        """Split -> class -> number of cases (segmentation: under the one name "cases")."""
        return {name: self._count(name) for name in SPLITS}

    def _count(self, name: str) -> dict[str, int]:
        cases = self.split(name)
        if self.dense:
            return {"cases": len(cases)}
        targets = Counter(case.target for case in cases)
        return {label: targets[index] for index, label in enumerate(self.classes)}

    def where(self, path: Path) -> str:
        """How messages name ``path``: relative to the folder of the data set."""
        return str(path).removeprefix(f"{self.root}/")  # much faster than Path.relative_to, for every file
