"""What the rest of the engine sees of a data set: cases, and the dataset that they make."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SPLITS = ("train", "validation", "test")
MOST_LABELS = 65_535
"""The greatest value of a mask, and the most classes."""


@dataclass(frozen=True, slots=True)
class CaseFacts:
    """What reading a case showed, see `engine.data.check_dataset`.

    Attributes:
        image: hash of the decoded values of all channels: the same however the file is called or compressed.
        truth: hash of the mask's class indices, or of the name of the class; "" where no truth is known.
        shape: of the image, (C, *S).
        spacing: voxel size along the axes of S in mm; None where the file has none.
        orientation: where the axes of S run to, such as "RAS"; "" where the file does not say.
        low: least value of the image, as the file has it.
        high: its greatest value.
        mean: its mean, over rows or slices that lie evenly in it.
        whole: pictures of more than 8 bits: whether all values are whole numbers; else None.
        present: indices into `Dataset.classes` of the classes that the truth holds.
        blank: share of the voxels, in the same rows, that are 0 or the least value: air, or what was padded.
        remarks: what is odd in a file, and how messages name that file.
    """

    image: str
    truth: str
    shape: tuple[int, ...]
    spacing: tuple[float, ...] | None
    orientation: str
    low: float
    high: float
    mean: float
    whole: bool | None
    present: tuple[int, ...]
    blank: float = 0.0
    remarks: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """One case: its files, and where it belongs.

    Attributes:
        id: unique in the dataset.
        images: one file a channel (most have one; a file may also hold several channels).
        label: the mask file (segmentation); for h5 the same file as the image.
        target: index of the class (classification).
        group: patient or lesion; a group is never split.
        split: "train", "validation" or "test"; "" before splits are assigned.
        facts: of its content; None before the case was read.
        traits: what a table says of patient and scanner: site, sex, age, ..., see `engine.data.traits`.
    """

    id: str
    images: tuple[Path, ...]
    label: Path | None = None
    target: int | None = None
    group: str | None = None
    split: str = ""
    facts: CaseFacts | None = field(default=None, compare=False, repr=False)
    traits: dict[str, str] = field(default_factory=dict, compare=False, repr=False)

    @property
    def group_key(self) -> str:
        """What a split must not cut: the group where it is known, else the case itself."""
        return f"case {self.id}" if self.group is None else f"group {self.group}"

    @property
    def files(self) -> tuple[Path, ...]:
        return self.images if self.label is None or self.label in self.images else (*self.images, self.label)


@dataclass(frozen=True)
class Dataset:
    """A data set as a run uses it: its cases, each in a split, and what they have in common.

    Attributes:
        task: "segmentation" or "classification".
        name: of the data set, for the report.
        source: DataTable.source.
        cases: ordered by split, then by id.
        classes: classification: the classes; segmentation: the foreground classes.
        label_values: segmentation: the mask value of each foreground class.
        channels: of an image.
        spatial_dims: 3 for volumes, 2 for pictures.
        spacing_unit: of distances: "mm" when the files carry a spacing, else "voxel" or "pixel".
        phantom: whether the data is made, and no patient's.
        published_split: True only if the split is the published one; None where that is not known.
        notes: what the report must say (cases that were left out, ...).
        root: folder of the data set; files are named relative to it in messages.
        value_range: pictures: the values that stand for black and white in files of more than 8 bits, the
            same for every picture; None before they are known.
        channel_names: what the data set calls the channels, as its files have them; empty where it does not say.
        channel_order: which channel of the files stands first, second, ... in an image; empty: as in the files.
    """

    task: str
    name: str
    source: str
    cases: tuple[Case, ...]
    classes: tuple[str, ...]
    label_values: tuple[int, ...]
    channels: int
    spatial_dims: int
    spacing_unit: str
    phantom: bool
    published_split: bool | None
    notes: tuple[str, ...] = ()
    root: Path = Path()
    value_range: tuple[float, float] | None = None
    channel_names: tuple[str, ...] = ()
    channel_order: tuple[int, ...] = ()

    @property
    def dense(self) -> bool:
        """Whether every voxel has a class, and is trained on in crops; else the image has one as a whole."""
        return self.task == "segmentation"

    @property
    def colour(self) -> bool:
        """Whether images have the channels red, green and blue."""
        return self.spatial_dims == 2 and self.channels == 3

    @property
    def facts(self) -> dict[str, Any]:
        """What decides whether some keys of a recipe do anything, see `engine.recipe.sources` and ``tables``."""
        validated = any(case.split == "validation" for case in self.cases)
        return {"data.channels": self.channels, "data.spacing_unit": self.spacing_unit, "data.validated": validated}

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
