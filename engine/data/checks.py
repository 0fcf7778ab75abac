"""Every case read before training: all that is wrong in one list, by file."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from nibabel.orientations import aff2axcodes

from engine.data.cases import Case, CaseFacts, Dataset
from engine.data.daemons import Daemons
from engine.data.identity import digest, likeness, without_copies
from engine.data.known import known_share, without_unknown
from engine.data.pictures import Range, full_range
from engine.data.read import Masks, RawCase, read_case
from engine.data.remarks import remarks
from engine.data.unread import unread
from engine.data.volumes import Array
from engine.errors import DataError, Problem, counted, some
from engine.hardware import cores
from engine.recipe import DataTable


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong in one case. ``fatal``: the case cannot be used at all."""

    case: Case
    problems: tuple[Problem, ...]
    fatal: bool


def check_dataset(
    dataset: Dataset,
    table: DataTable,
    *,
    progress: Callable[[int, int], None] | None = None,
    measured: bool = False,
) -> Dataset:
    """Read every case of ``dataset`` and return it with their `Case.facts`, less what cannot be used.

    The range of pictures of more than 8 bits is found too, see `Dataset.value_range`; one that is known
    already (a trained network's) stays, and values far from it are noted.

    Looked for: files that are missing or damaged, an image and a mask of other shapes or affines,
    another number of channels, no voxels, NaN or infinite values, an image of one value throughout,
    mask values that are no class, a mask without foreground; and the same image in two splits.

    With ``unreadable = "refuse"`` any of these is an error. With "skip", cases that cannot be used
    are left out, and noted. A mask without foreground can be used: "skip" keeps the case and notes
    it, since some data sets hold cases where there is nothing to find. A case of which no voxel's
    truth is known is left out in any case, and noted.

    Args:
        progress: called with (cases read, all cases), from this thread.
        measured: nothing learns from the cases: masks without foreground are kept, and noted.

    Raises:
        DataError: with every problem (50 shown), by file; or nothing is left to train on.
    """
    foreign = unread((path for case in dataset.cases for path in case.files), dataset.spatial_dims)
    if foreign and table.unreadable == "refuse":
        raise DataError(f"the data in {dataset.root} cannot be read:", problems=foreign)
    findings: list[Finding] = []
    cases: list[Case] = []
    total = len(dataset.cases)
    stored = replace(dataset, value_range=None)
    with Daemons(cores(), lambda: partial(examine, stored)) as pool:
        for done, (case, finding) in enumerate(pool.map(dataset.cases), 1):
            findings += [finding] if finding else []
            cases.append(case)
            if progress is not None:
                progress(done, total)
    dataset = _with_range(replace(dataset, cases=tuple(cases), notes=(*dataset.notes, *_remarked(cases))))
    refused = [finding for finding in findings if finding.fatal or not measured]
    if refused and table.unreadable == "refuse":
        raise _refused(dataset, refused, measured=measured)
    dataset = _skipped(dataset, findings) if findings else dataset
    return without_copies(dataset if dataset.ignore is None else without_unknown(dataset), table)


def examine(dataset: Dataset, case: Case) -> tuple[Case, Finding | None]:
    """``case`` with its facts where it can be read, and what is wrong in it."""
    try:
        sample = read_case(dataset, case)
    except DataError as error:
        return case, Finding(case, error.problems, fatal=True)
    flat = sample.image.reshape(len(sample.image), -1)
    with np.errstate(invalid="ignore"):
        lows, highs = flat.min(axis=1), flat.max(axis=1)
    problems = _image_problems(dataset, case, sample, lows, highs)
    if problems:
        return case, Finding(case, tuple(problems), fatal=True)
    facts = _facts(dataset, case, sample, float(lows.min()), float(highs.max()))
    case = replace(case, facts=facts)
    if sample.label is not None and case.label is not None and not sample.present and facts.known:
        problem = Problem(dataset.where(case.label), "the label is empty", "a mask with foreground")
        return case, Finding(case, (problem,), fatal=False)
    return case, None


def _facts(dataset: Dataset, case: Case, sample: RawCase, low: float, high: float) -> CaseFacts:
    image = sample.image
    stored = image if sample.stored is None else sample.stored
    deep = dataset.spatial_dims == 2 and image.dtype != np.uint8 and sample.stored is None
    rows = image[:, :: max(1, image.shape[1] // 16)]  # some rows tell as much, at no cost
    truth = sample.label if case.target is None else dataset.classes[case.target]
    return CaseFacts(
        image=digest(stored),
        truth="" if truth is None else digest(truth),
        alike=likeness(image, sample.affine) if dataset.spatial_dims == 3 else "",
        remarks=tuple(
            (remark, dataset.where(path))
            for path in case.files
            for remark in remarks(path, masks=dataset.dense, mask=path == case.label, volumes=dataset.spatial_dims == 3)
        ),
        shape=image.shape,
        spacing=sample.spacing,
        orientation="" if sample.affine is None else "".join(axis or "?" for axis in aff2axcodes(sample.affine)),
        low=low,
        high=high,
        mean=float(rows.sum()) / rows.size,
        blank=np.count_nonzero((rows == 0) | (rows == image.dtype.type(low)) if low else rows == 0) / rows.size,
        whole=bool((image == np.rint(image)).all()) if deep else None,
        outside=truth is sample.label and _outside(sample.label, dataset.ignored),
        known=known_share(sample.label, dataset.ignored),
        present=sample.present if case.target is None else (case.target,),
    )


def _outside(mask: Masks | None, ignored: int | None) -> bool:
    """Whether the foreground of ``mask`` (*S) fills its corners and more than half of it."""
    if mask is not None and ignored is not None:
        mask = np.where(mask == ignored, 0, mask)
    if mask is None or not mask[np.ix_(*[[0, -1]] * mask.ndim)].all():
        return False
    return bool(2 * np.count_nonzero(mask) > mask.size)


def _with_range(dataset: Dataset) -> Dataset:
    """``dataset`` with the range of its pictures of more than 8 bits; with a note where it is unlike the one known."""
    deep = [case.facts for case in dataset.cases if case.facts is not None and case.facts.whole is not None]
    if not deep:
        return dataset
    low, high = min(facts.low for facts in deep), max(facts.high for facts in deep)
    if dataset.value_range is None:
        return replace(dataset, value_range=full_range(low, high, whole=all(facts.whole for facts in deep)))
    return replace(dataset, notes=(*dataset.notes, *_unlike(dataset.value_range, low, high)))


def _remarked(cases: list[Case]) -> list[str]:
    """A note for each oddity, with how many files have it and the first of them."""
    files: dict[str, list[str]] = {}
    for remark, where in (pair for case in cases if case.facts is not None for pair in case.facts.remarks):
        files.setdefault(remark, []).append(where)
    return [
        f"{names[0] if len(names) == 1 else f'{len(names)} files ({names[0]}, ...)'}: {remark}"
        for remark, names in files.items()
    ]


def _unlike(known: Range, low: float, high: float) -> list[str]:
    extent = known[1] - known[0]
    if low >= known[0] - extent / 20 and known[0] + extent / 8 <= high <= known[1] + extent / 20:
        return []
    return [f"values from {low:g} to {high:g}; the network was trained on a range from {known[0]:g} to {known[1]:g}"]


def _image_problems(dataset: Dataset, case: Case, sample: RawCase, lows: Array, highs: Array) -> list[Problem]:
    image = sample.image
    if image.dtype == np.uint8:
        return [Problem(dataset.where(case.images[0]), "every pixel is the same")] if (lows == highs).all() else []
    problems = []
    for at in np.flatnonzero((lows == highs) | ~np.isfinite(lows) | ~np.isfinite(highs)):
        index = dataset.channel_order[at] if dataset.channel_order else at
        place = dataset.where(case.images[index if len(case.images) == len(image) else 0])
        name = f"channel {index}: " if len(image) > len(case.images) else ""
        bad = image[at].size - int(np.isfinite(image[at]).sum())
        what, allowed = f"every voxel is {lows[at]:g}", "an image that shows something"
        if bad:
            what, allowed = f"{bad} NaN or infinite values", "finite numbers"
        problems.append(Problem(place, name + what, allowed))
    return problems


def _refused(dataset: Dataset, findings: list[Finding], *, measured: bool = False) -> DataError:
    hint = 'mend the files, or set data.unreadable = "skip" to leave such cases out'
    hint = "mend the files, or take these cases out" if measured else hint
    if not all(finding.fatal for finding in findings):
        hint += ", and to keep those with an empty label: slices beside the organ, patients without a lesion"
    if len(findings) == len(dataset.cases):
        way = "mend the files, or say with --source what they are"
        hint = f"it is so in every case: {way if measured else 'look first at what [data] in the recipe says of them'}"
    place = "" if dataset.root == Path() else f" in {dataset.root}"  # inputs that were named one by one
    return DataError(
        f"{counted(len(findings), 'case')} of {len(dataset.cases)}{place} cannot be used:",
        hint,
        tuple(problem for finding in findings for problem in finding.problems),
    )


def _skipped(dataset: Dataset, findings: list[Finding]) -> Dataset:
    dropped = [finding for finding in findings if finding.fatal]
    empty = [finding for finding in findings if not finding.fatal]
    gone = {finding.case.id for finding in dropped}
    cases = tuple(case for case in dataset.cases if case.id not in gone)
    trained = any(case.split == "train" for case in dataset.cases)
    if not cases or (trained and not any(case.split == "train" for case in cases)):
        error = _refused(dataset, dropped)
        left = "no case is left for training" if trained else "no case is left"
        raise DataError(f"{left}: {error.message}", "mend the files", error.problems)
    notes = list(dataset.notes)
    notes += [f"left out: case {finding.case.id}: {_text(finding)}" for finding in dropped]
    if empty:
        names = some([finding.case.id for finding in empty])
        notes.append(f"kept with an empty label: {counted(len(empty), 'case')}: {names}")
    return replace(dataset, cases=cases, notes=tuple(notes))


def _text(finding: Finding) -> str:
    wanted = (f" (allowed: {problem.allowed})" if problem.allowed else "" for problem in finding.problems)
    return "; ".join(f"{each.where}: {each.what}{more}" for each, more in zip(finding.problems, wanted, strict=True))
