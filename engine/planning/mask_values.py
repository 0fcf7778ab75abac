"""What the values of masks mean, where nothing says it."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from engine.data import volumes
from engine.data.cases import Case, DatasetIndex
from engine.data.pictures import read_mask_picture
from engine.data.read import UNREADABLE, why
from engine.errors import DataError, Problem
from engine.planning.facts import Progress, each_of, spread
from engine.planning.published import published

_MASKS, _NAMED = 1000, 20  # masks that are looked at where nothing names the classes, and where something does
_MOST_CLASSES = 1000
_WHITE = (255, 65_535)


def classes_of_masks(
    cases: Sequence[Case], dims: int, folder: Path, progress: Progress, channels: Sequence[str] = ()
) -> tuple[tuple[str, ...], int | None]:
    """Names for the values 1, 2, ... that the masks of ``cases`` hold, where nothing else names them; see `ignored_in`.

    ``channels``: what their files are called, by which they may be a challenge's (`published`).

    Raises:
        DataError: they hold other values, or none, or none of them can be read.
    """
    some_cases = spread([case for case in cases if case.label is not None], _MASKS)
    problems: list[Problem] = []
    found = list(each_of(partial(_values, dims), some_cases, progress("looking for classes in the masks")))
    for case, held in zip(some_cases, found, strict=True):
        if isinstance(held, str):
            problems.append(Problem(str(case.label.relative_to(folder) if case.label else folder), held))
    held_by_each = [held for held in found if not isinstance(held, str)]
    ignore = _beside_classes(held_by_each)
    values = {value for held in held_by_each for value in held} - {0, ignore}
    if not values and problems:
        raise DataError(f"no classes are known of the masks in {folder}:", "mend the files", tuple(problems))
    if not values:
        raise DataError(
            f"all masks in {folder} are empty", "a mask holds 0 for the background, and 1, 2, ... for classes"
        )
    if values in ({255}, {65_535}, {1}):
        return ("foreground",), ignore
    whole = sorted(int(value) for value in values if float(value).is_integer() and value > 0)
    known = published(cases, channels, whole)
    names = {value: known.classes[value] if known else f"class {value}" for value in whole}
    if len(whole) < len(values) or whole[-1] > max(_MOST_CLASSES, len(whole)) or whole != [*range(1, len(whole) + 1)]:
        shown = ", ".join(f"{value:g}" for value in sorted(values)[:12]) + (", ..." if len(values) > 12 else "")
        said = ", ".join(f'"{names[value]}": {value}' for value in whole[:12])
        whose = f"as {known.name} numbers them" if known else "with names of your own"
        few = len(whole) == len(values) <= 12
        way = f'save it as dataset.json there, {whose}: {{"labels": {{{said}}}}}'
        way = way if few else "a mask holds class indices: 0 for the background, and 1, 2, ... for the classes"
        raise DataError(f"the masks in {folder} hold the values {shown}, and nothing names their classes", way)
    return tuple(names.values()), ignore


def ignored_in(index: DatasetIndex, progress: Progress) -> int | None:
    """The value of voxels whose truth is not known in masks with named classes: white that is none of them and lies
    beside them in a mask. None where there is none, by some of the masks."""
    some_cases = spread([case for case in index.cases if case.label is not None], _NAMED)
    found = each_of(partial(_values, index.spatial_dims), some_cases, progress("looking at the values of masks"))
    white = _beside_classes([held for held in found if not isinstance(held, str)])
    return None if white in index.label_values else white


def _beside_classes(masks: Sequence[set[float]]) -> int | None:
    """White that is in a mask with other values above 0: borders and objects that nobody outlined, as Pascal VOC and
    Cityscapes mark them. A mask of 0 and 255 is one of black and white."""
    return next((white for white in _WHITE if any(white in held and held - {0, white} for held in masks)), None)


def _values(dims: int, case: Case) -> set[float] | str:
    """What a mask holds, or why it cannot be read."""
    if case.label is None:
        return set()
    try:
        mask = read_mask_picture(case.label) if dims == 2 else volumes.read_volume(case.label, "label")[0]
    except UNREADABLE as error:
        return f"label cannot be read: {why(error)}"
    return {float(value) for value in np.unique(mask)[: _MOST_CLASSES + 1]}
