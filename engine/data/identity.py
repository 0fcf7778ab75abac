"""Which cases are the same: by the content of image and truth, whatever their files are called."""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import xxhash
from nibabel.orientations import apply_orientation, io_orientation

from engine.data.cases import SPLITS, Case, Dataset
from engine.data.headers import Affine
from engine.data.volumes import Array
from engine.errors import DataError, Problem, counted, some, well_formed
from engine.recipe import DataTable
from engine.runfolder import SplitRow

_LEVELS, _INSIDE = 15.3, 0.37  # of values, and how far below the least one the first of them begins
_SAMPLE, _EVEN = 1_000_000, 0.99  # voxels that are looked at, and the most of them that may be of one level


def digest(values: Array | str) -> str:
    """128 bits (hex) of an array's shape and values, or of a text. Meant for copies, not against forgery."""
    if isinstance(values, str):
        return str(xxhash.xxh3_128_hexdigest(values.encode("utf-8", "surrogateescape")))
    found = xxhash.xxh3_128(repr(values.shape).encode())
    found.update(np.ascontiguousarray(values).data)
    return str(found.hexdigest())


def likeness(volume: Array, affine: Affine | None) -> str:
    """128 bits (hex) of a volume (C, *S), the same for a copy whose axes run otherwise or whose values were rescaled.

    It is of coarse levels between the least and the greatest value, turned to RAS+: a copy as NIfTI keeps slope and
    values in 32 bits, so that finer ones would differ by rounding. "" without an affine, and where nearly all voxels
    are of one level, as beside a single hot one: others may look like that.
    """
    if affine is None:
        return ""
    image = np.asarray(volume, np.float32)
    low, high = float(image.min()), float(image.max())
    orientation = io_orientation(affine)
    if not high > low or not np.isfinite(orientation).all():
        return ""
    least, scale = np.float32(low), np.float32(_LEVELS / (high - low))
    sample = image.reshape(-1)[:: max(1, image.size // _SAMPLE)]
    if np.bincount(_levels(sample, least, scale)).max() > _EVEN * sample.size:
        return ""
    found = xxhash.xxh3_128()
    for channel in image:
        turned = apply_orientation(channel, orientation)
        found.update(repr(turned.shape).encode())
        for plane in turned:  # one by one: no second volume is held
            found.update(np.ascontiguousarray(_levels(plane, least, scale)).data)
    return str(found.hexdigest())


def _levels(values: npt.NDArray[np.float32], least: np.float32, scale: np.float32) -> npt.NDArray[np.uint8]:
    """Of values from ``least`` on; neither end lies at the edge of a level. Scaled first, a large one loses digits."""
    return ((values - least) * scale + np.float32(_INSIDE)).astype(np.uint8)


def split_rows(cases: Iterable[Case], split: str | None = None) -> list[SplitRow]:
    """Rows for ``splits.csv`` of cases that were read, under their own split or under the name ``split``."""
    return [
        SplitRow(
            well_formed(case.id),
            well_formed(case.group or ""),
            split or case.split,
            case.facts.image,
            case.facts.truth,
            {name: well_formed(value) for name, value in case.traits.items()},
        )
        for case in cases
        if case.facts is not None
    ]


def fingerprint(dataset: Dataset) -> str:
    """SHA-256 (hex) over classes and every case's id, split, group, spacing, image and truth, by content.

    The same data gives the same, whatever its files are called; the cases were read before.
    """
    digest = hashlib.sha256()
    ignore = () if dataset.ignore is None else (f"ignore {dataset.ignore}",)
    for part in (dataset.source, dataset.task, *dataset.classes, *map(str, dataset.label_values), *ignore):
        digest.update(part.encode("utf-8", "surrogateescape") + b"\0")
    for case in sorted(dataset.cases, key=lambda case: case.id):
        facts = case.facts and (case.facts.image, case.facts.truth, case.facts.spacing)
        line = repr((case.id, case.split, case.group, facts))
        digest.update(line.encode("utf-8", "surrogateescape") + b"\n")
    return digest.hexdigest()


def fingerprint_of_test(dataset: Dataset) -> str:
    """SHA-256 (hex) over images and truths of the test split: the same in whatever folds the others lie."""
    contents = sorted((case.facts.image, case.facts.truth) for case in dataset.split("test") if case.facts)
    return hashlib.sha256(repr(contents).encode()).hexdigest() if contents else ""


def changed(known: Iterable[SplitRow], found: Iterable[SplitRow]) -> str:
    """In what the rows ``found`` differ from those of a run's ``splits.csv``, for a message; "" where in nothing."""
    before, now = ({row.id: row for row in rows} for rows in (known, found))
    both = [name for name in before if name in now]
    parts = {
        "other content": [name for name in both if before[name].content != now[name].content],
        "another split": [name for name in both if before[name].split != now[name].split],
        "gone": [name for name in before if name not in now],
        "new": [name for name in now if name not in before],
    }
    return "; ".join(f"{what}: {some(names)}" for what, names in parts.items() if names)


def seen_in_training(dataset: Dataset, known: Iterable[SplitRow], label: str, before: Collection[str] = ()) -> Dataset:
    """``dataset``, which is to be measured as ``label``, with a note on images that the run was trained on, or the
    weights that it started from (``before``, by hashes)."""
    trained = {*before, *(row.image for row in known if row.split == "train")}
    seen = [case.id for case in dataset.cases if case.facts is not None and case.facts.image in trained]
    if not seen or label == "train":
        return dataset
    share = f"{len(seen)} of {counted(len(dataset.cases), 'case')}"
    note = f"{share} {'was' if len(seen) == 1 else 'were'} in training: {some(seen)}; for them the numbers are too good"
    return replace(dataset, notes=(*dataset.notes, note))


def without_copies(dataset: Dataset, table: DataTable) -> Dataset:
    """``dataset`` with notes on images that it holds more than once; a copy in another split is refused or left out.

    Raises:
        DataError: an image is in two splits, and ``data.duplicates`` is "refuse".
    """
    copies = _copies(dataset.cases)
    leaks = [found for found in copies if len({case.split for case in found}) > 1]
    if leaks and table.duplicates == "refuse":
        raise _leaking(leaks)
    kept = [max((case.split for case in found), key=SPLITS.index) for found in leaks]
    gone = {case.id for found, last in zip(leaks, kept, strict=True) for case in found if case.split != last}
    notes = [f"left out: case {', '.join(sorted(gone))}: the same image is in a later split"] if gone else []
    within = [[case for case in found if case.id not in gone] for found in copies]
    within = [found for found in within if len(found) > 1]
    if within:
        pairs = [" = ".join(case.id for case in found) for found in within]
        notes.append(f"{_are(len(within), 'image')} more than once in a split: {some(pairs)}")
    other = [" and ".join(case.id for case in found) for found in copies if _unlike_truths(found, dense=dataset.dense)]
    if other:
        notes.append(f"the same image has different truths: {some(other)}")
    if dataset.dense and (shared := _shared_masks(dataset, gone)):
        notes.append(f"different images have the same mask: {some(shared)}")
    if not notes:
        return dataset
    cases = tuple(case for case in dataset.cases if case.id not in gone)
    return replace(dataset, cases=cases, notes=tuple(dict.fromkeys((*dataset.notes, *notes))))


def _copies(cases: Iterable[Case]) -> list[list[Case]]:
    """The cases in splits whose images are the same, or `likeness` says so: each image that is there more than once."""
    same: dict[str, list[Case]] = {}
    for case in cases:
        if case.facts is None or not case.split:
            continue
        keys = [f"image {case.facts.image}", *([f"alike {case.facts.alike}"] if case.facts.alike else [])]
        known: list[list[Case]] = [*{id(found): found for found in map(same.get, keys) if found is not None}.values()]
        first = known[0] if known else []
        for other in known[1:]:  # two images that this one tells to be the same
            first += other
            same |= {key: first for key, found in same.items() if found is other}
        first.append(case)
        same |= dict.fromkeys(keys, first)
    return [found for found in {id(found): found for found in same.values()}.values() if len(found) > 1]


def _unlike_truths(copies: Sequence[Case], *, dense: bool) -> bool:
    """Whether one image has several truths; masks are compared where the images' own values are the same."""
    truths: dict[str, set[str]] = defaultdict(set)
    for facts in (case.facts for case in copies if case.facts):
        truths[facts.image if dense else ""].add(facts.truth)
    return any(len(found) > 1 for found in truths.values())


def _shared_masks(dataset: Dataset, gone: set[str]) -> list[str]:
    """Cases of other images whose masks agree in every value; empty masks, and images that are copies, apart."""
    same: dict[str, dict[str, str]] = defaultdict(dict)
    for case in dataset.cases:
        if case.facts is not None and case.facts.present and case.id not in gone:
            same[case.facts.truth].setdefault(case.facts.image, case.id)
    return [
        " = ".join(ids.values()) if len(ids) < 4 else some([*ids.values()]) for ids in same.values() if len(ids) > 1
    ]


def _leaking(leaks: Sequence[Sequence[Case]]) -> DataError:
    problems = [
        Problem("the same image", ", ".join(f"{case.id} ({case.split}: {case.images[0].name})" for case in found[:5]))
        for found in leaks
    ]
    return DataError(
        f"{_are(len(leaks), 'image')} in more than one split:",
        "what is learned in training would be tested on it: take the copies out of the data, or set "
        'data.duplicates = "drop" to leave those of training (and of validation) out',
        tuple(problems),
    )


def _are(number: int, what: str) -> str:
    return f"{counted(number, what)} {'is' if number == 1 else 'are'}"
