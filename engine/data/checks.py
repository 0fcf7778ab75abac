"""Every case read before training: all that is wrong in one list, by file."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from engine.data.cases import Case, Dataset
from engine.data.pictures import Range, full_range
from engine.data.read import RawCase, read_case
from engine.data.sources.index import shortened
from engine.data.unread import unread
from engine.errors import DataError, Problem
from engine.hardware import cores
from engine.recipe import DataTable


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong in one case. ``fatal``: the case cannot be used at all."""

    case: Case
    problems: tuple[Problem, ...]
    fatal: bool


@dataclass(frozen=True, slots=True)
class Depth:
    """The values of a picture of more than 8 bits: least, greatest, and whether its type holds whole numbers."""

    low: float
    high: float
    whole: bool


def check_dataset(dataset: Dataset, table: DataTable, *, progress: Callable[[int, int], None] | None = None) -> Dataset:
    """Read every case of ``dataset`` and return it, less what cannot be used where the recipe skips.

    The range of pictures of more than 8 bits is found too, see `Dataset.value_range`; one that is known
    already (a trained network's) stays, and values far from it are noted.

    Looked for: files that are missing or damaged, an image and a mask of other shapes or affines,
    another number of channels, no voxels, NaN or infinite values, an image of one value throughout,
    mask values that are no class, a mask without foreground.

    With ``unreadable = "refuse"`` any of these is an error. With "skip", cases that cannot be used
    are left out, and noted. A mask without foreground can be used: "skip" keeps the case and notes
    it, since some data sets hold cases where there is nothing to find.

    Args:
        dataset: what `open_dataset` gave.
        table: the recipe's [data].
        progress: called with (cases read, all cases), from this thread.

    Raises:
        DataError: with every problem (50 shown), by file; or nothing is left to train on.
    """
    foreign = unread((path for case in dataset.cases for path in case.files), dataset.spatial_dims)
    if foreign and table.unreadable == "refuse":
        raise DataError(f"the data in {dataset.root} cannot be read:", problems=foreign)
    findings: list[Finding] = []
    depths: list[Depth] = []
    total = len(dataset.cases)
    stored = replace(dataset, value_range=None)
    with ThreadPoolExecutor(max_workers=cores()) as pool:
        for done, (finding, depth) in enumerate(pool.map(lambda case: examine(stored, case), dataset.cases), 1):
            findings += [finding] if finding else []
            depths += [depth] if depth else []
            if progress is not None:
                progress(done, total)
    dataset = _with_range(dataset, depths)
    if not findings:
        return dataset
    if table.unreadable == "refuse":
        raise _refused(dataset, findings)
    return _skipped(dataset, findings)


def examine(dataset: Dataset, case: Case) -> tuple[Finding | None, Depth | None]:
    """What is wrong in ``case``, and the values of a picture of more than 8 bits; None where there is neither."""
    try:
        sample = read_case(dataset, case)
    except DataError as error:
        return Finding(case, error.problems, fatal=True), None
    problems = _image_problems(dataset, case, sample)
    if problems:
        return Finding(case, tuple(problems), fatal=True), None
    depth = None
    if dataset.spatial_dims == 2 and sample.image.dtype != np.uint8:
        low, high = float(sample.image.min()), float(sample.image.max())
        depth = Depth(low, high, bool((sample.image == np.rint(sample.image)).all()))
    if sample.label is not None and case.label is not None and not sample.label.any():
        allowed = 'a mask with foreground; unreadable = "skip" keeps the case as it is'
        return Finding(case, (Problem(dataset.where(case.label), "the label is empty", allowed),), fatal=False), depth
    return None, depth


def _with_range(dataset: Dataset, depths: list[Depth]) -> Dataset:
    """``dataset`` with the range of its pictures; with a note where that is unlike the one known."""
    if not depths:
        return dataset
    low, high = min(depth.low for depth in depths), max(depth.high for depth in depths)
    if dataset.value_range is None:
        ends = full_range(low, high, whole=all(depth.whole for depth in depths))
        return replace(dataset, value_range=ends)
    return replace(dataset, notes=(*dataset.notes, *_unlike(dataset.value_range, low, high)))


def _unlike(known: Range, low: float, high: float) -> list[str]:
    extent = known[1] - known[0]
    if low >= known[0] - extent / 20 and known[0] + extent / 8 <= high <= known[1] + extent / 20:
        return []
    return [f"values from {low:g} to {high:g}; the network was trained on a range from {known[0]:g} to {known[1]:g}"]


def _image_problems(dataset: Dataset, case: Case, sample: RawCase) -> list[Problem]:
    image = sample.image
    where = dataset.where(case.images[0])
    if image.dtype == np.uint8:
        return [Problem(where, "every pixel is the same")] if (image == image[:, :1, :1]).all() else []
    problems = []
    for index, channel in enumerate(image):
        place = dataset.where(case.images[index]) if len(case.images) == len(image) else where
        name = f"channel {index}: " if len(image) > len(case.images) else ""
        bad = channel.size - int(np.isfinite(channel).sum())
        if bad:
            problems.append(Problem(place, f"{name}{bad} NaN or infinite values", "finite numbers"))
        elif channel.min() == channel.max():
            problems.append(
                Problem(place, f"{name}every voxel is {channel.flat[0]:g}", "an image that shows something")
            )
    return problems


def _refused(dataset: Dataset, findings: list[Finding]) -> DataError:
    problems = [problem for finding in findings for problem in finding.problems]
    count = "1 case" if len(findings) == 1 else f"{len(findings)} cases"
    return DataError(
        f"{count} of {len(dataset.cases)} in {dataset.root} cannot be used:",
        'mend the files, or set data.unreadable = "skip" to leave such cases out',
        shortened(problems),
    )


def _skipped(dataset: Dataset, findings: list[Finding]) -> Dataset:
    dropped = [finding for finding in findings if finding.fatal]
    empty = [finding for finding in findings if not finding.fatal]
    gone = {finding.case.id for finding in dropped}
    cases = tuple(case for case in dataset.cases if case.id not in gone)
    trained = any(case.split == "train" for case in dataset.cases)
    if not cases or (trained and not any(case.split == "train" for case in cases)):
        error = _refused(dataset, dropped)
        raise DataError(
            f"no case is left{' for training' if trained else ''}: " + error.message, "mend the files", error.problems
        )
    notes = list(dataset.notes)
    notes += [f"left out: case {finding.case.id}: {_text(finding)}" for finding in dropped]
    notes += [f"kept with an empty label: case {finding.case.id}" for finding in empty]
    return replace(dataset, cases=cases, notes=tuple(notes))


def _text(finding: Finding) -> str:
    return "; ".join(f"{problem.where}: {problem.what}" for problem in finding.problems)
