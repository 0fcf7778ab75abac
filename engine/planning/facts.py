"""What a plan stands on: the headers of all cases, the values of some, and the machine."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from nibabel.orientations import io_orientation
from scipy import ndimage

from engine.data import volumes
from engine.data.cases import Case, Dataset
from engine.data.checks import check_dataset
from engine.data.daemons import Daemons
from engine.data.known import only_known
from engine.data.pictures import picture_size
from engine.data.read import UNREADABLE, RawCase, read_case
from engine.errors import counted
from engine.hardware import cores
from engine.planning.layouts import Layout
from engine.planning.published import Published, published

if TYPE_CHECKING:
    from engine.recipe import DataTable

Progress = Callable[[str], Callable[[int, int], None]]
"""What is read -> told of so many done, of so many."""
_VOLUMES, _PICTURES = 40, 400  # of which the values are read; evenly over the cases
_VOXELS = 4000  # of an image, by which its values are judged
_CLIP = (0.5, 99.5)


@dataclass(frozen=True, slots=True)
class Seen:
    """What one image and its mask show."""

    mean: float
    deviation: float
    low: float
    blank: float  # share of the voxels that are 0 or the least value
    foreground: tuple[float, ...]  # values of some voxels of the foreground; of none where there is no mask
    pieces: tuple[tuple[int, int, int], ...]  # of each class there: its index, voxels, those of its largest piece


@dataclass(frozen=True, kw_only=True)
class Facts:
    """A data set as a plan needs it. Axes are those of the network: of volumes right, anterior, superior."""

    dataset: Dataset  # every case in its split; facts of the sampled ones are in ``seen``
    keys: dict[str, Any]  # of [data]: how it is read
    sizes: tuple[tuple[int, ...], ...]  # of the images, in voxels
    spacings: tuple[tuple[float, ...], ...]  # in mm; none where files have none
    read: int  # cases that were read whole: a sample
    seen: tuple[Seen, ...]  # of those of them that are not for the test, whose truth may decide nothing
    present: dict[str, int]  # class -> cases that have it: of all cases in a classification, else of those read
    empty: int  # masks without foreground among those read
    given: bool  # whether the data set has a split of its own
    named: bool  # whether the classes have names of their own

    @property
    def size(self) -> tuple[int, ...]:
        """The median size along each axis."""
        return tuple(round(float(np.median(side))) for side in zip(*self.sizes, strict=True))

    @property
    def spacing(self) -> tuple[float, ...] | None:
        """The median spacing along each axis."""
        return tuple(float(np.median(side)) for side in zip(*self.spacings, strict=True)) or None

    @property
    def mixed(self) -> bool:
        """Whether voxels differ between cases by more than a tenth along some axis."""
        return any(max(side) > 1.1 * min(side) for side in zip(*self.spacings, strict=True))

    @property
    def whole(self) -> bool:
        """Whether every case was read whole."""
        return self.read == len(self.dataset.cases)

    @property
    def published(self) -> Published | None:
        """The challenge whose files these are, where that is sure."""
        return published(self.dataset.cases, self.keys.get("channels", ()), self.dataset.label_values)

    def count(self, split: str) -> int:
        return len(self.dataset.split(split))


def gather(dataset: Dataset, table: DataTable, layout: Layout, progress: Progress) -> Facts:
    """Read the headers of all cases of ``dataset``, and a sample of them whole.

    Raises:
        DataError: with all that is wrong in the sampled cases, in the words of ``medtui check``.
    """
    cases = dataset.cases
    headers = list(each_of(partial(_header, dataset), cases, progress("reading the headers")))
    suspect = [case for case, found in zip(cases, headers, strict=True) if found is None]
    most = _VOLUMES if dataset.spatial_dims == 3 else _PICTURES
    sample = [*spread(learned(dataset).cases, most), *spread(dataset.split("test"), most // 4)]
    sample = [*sample, *(case for case in suspect[:_PICTURES] if case not in sample)]
    checked = check_dataset(
        replace(dataset, cases=tuple(sample)), table, progress=progress("reading a sample of the cases"), measured=True
    )
    seen = tuple(each_of(partial(_look, checked), learned(checked).cases, progress("measuring them")))
    known = [found for found in headers if found is not None]
    spacings = [spacing for _, spacing in known if spacing is not None]
    masks = Counter(index for case in checked.cases if case.facts for index in case.facts.present)
    counts = masks if dataset.dense else Counter(case.target for case in cases)
    return Facts(
        dataset=replace(dataset, notes=checked.notes, value_range=checked.value_range),
        keys=layout.keys,
        sizes=tuple(size for size, _ in known),
        spacings=tuple(spacings) if len(spacings) == len(known) else (),
        read=len(checked.cases),
        seen=seen,
        present={name: counts[index] for index, name in enumerate(dataset.classes)},
        empty=sum(case.facts is not None and not case.facts.present for case in checked.cases),
        given=table.split == "given",
        named=layout.named,
    )


def learned(dataset: Dataset) -> Dataset:
    """``dataset`` without its test cases."""
    return replace(dataset, cases=tuple(case for case in dataset.cases if case.split != "test"))


def each_of(look: Callable[[Case], Any], cases: Sequence[Case], progress: Callable[[int, int], None]) -> Any:
    """What ``look`` gives for each of the cases, by all cores."""
    with Daemons(cores(), lambda: look) as pool:
        for done, found in enumerate(pool.map(cases), 1):
            yield found
            progress(done, len(cases))


def spread(cases: Sequence[Case], most: int) -> list[Case]:
    """At most ``most`` of the cases, evenly over them."""
    step = max(1.0, len(cases) / most)
    return [cases[int(at * step)] for at in range(min(len(cases), most))]


def _header(dataset: Dataset, case: Case) -> tuple[tuple[int, ...], tuple[float, ...] | None] | None:
    """Size and spacing of an image along the axes of the network; None where its header cannot be read."""
    path = case.images[0]
    try:
        if not all(each.exists() for each in case.files):
            return None
        if dataset.spatial_dims == 2:
            return picture_size(path), None
        header = volumes.read_header(path)
        if header.affine is None:
            return header.shape, None
        order = np.argsort(io_orientation(header.affine)[:, 0])
        spacing = volumes.spacing_of(header.affine)
        return tuple(header.shape[axis] for axis in order), tuple(spacing[axis] for axis in order)
    except UNREADABLE:
        return None


def _look(dataset: Dataset, case: Case) -> Seen:
    raw = read_case(dataset, case)
    if raw.label is not None:
        raw = replace(raw, label=only_known(raw.label, raw.label, dataset.ignored)[0])
    image = raw.image[0].ravel()
    some = image[:: max(1, image.size // _VOXELS)].astype(np.float64)
    low = float(image.min())
    inside = image[raw.label.ravel() > 0] if raw.label is not None else image[:0]
    inside = inside[:: max(1, inside.size // _VOXELS)]
    return Seen(
        mean=float(some.mean()),
        deviation=float(some.std()),
        low=low,
        blank=float(np.mean((some == 0) | (some == low))),
        foreground=tuple(float(value) for value in inside),
        pieces=_pieces(raw),
    )


def _pieces(raw: RawCase) -> tuple[tuple[int, int, int], ...]:
    found = []
    boxes = ndimage.find_objects(raw.label) if raw.label is not None else []
    for index, box in enumerate(boxes):
        if box is None or raw.label is None:
            continue
        mask = raw.label[box] == index + 1
        labelled, _ = ndimage.label(mask, np.ones((3,) * mask.ndim))
        counts = np.bincount(labelled.ravel())[1:]
        found.append((index, int(counts.sum()), int(counts.max())))
    return tuple(found)


def percentiles(facts: Facts) -> tuple[float, float]:
    """The values between which 99 % of the sampled foreground lie: nnU-Net's window for CT (Isensee et al. 2021)."""
    low, high = np.percentile(np.concatenate([each.foreground for each in facts.seen]), _CLIP)
    return float(low), float(high)


def in_one_piece(facts: Facts) -> float:
    """The share of its class that the largest piece of it holds, of the class and the sampled mask with the least."""
    pieces = [piece for each in facts.seen for piece in each.pieces]
    return min((largest / whole for _, whole, largest in pieces), default=0.0)


def words_of_sizes(facts: Facts) -> str:
    """``36 x 50 x 35`` voxels; with the least and the greatest along each axis where images differ."""
    sides = [(min(side), max(side)) for side in zip(*facts.sizes, strict=True)]
    median = " x ".join(map(str, facts.size))
    if all(low == high for low, high in sides):
        return median
    return f"{median} in the median ({' x '.join(f'{low} to {high}' for low, high in sides)})"


def rounded(value: float, figures: int = 3) -> float:
    """``value`` with so many figures: what a person would have written."""
    return round(value, figures - 1 - math.floor(math.log10(abs(value)))) if value else 0.0


def cases_words(facts: Facts) -> str:
    """``118 volumes``."""
    return counted(len(facts.dataset.cases), "volume" if facts.dataset.spatial_dims == 3 else "picture")
