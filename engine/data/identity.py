"""Which cases are the same: by the content of image and truth, whatever their files are called."""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

import numpy as np
import xxhash

from engine.data.cases import SPLITS, Case, Dataset
from engine.data.volumes import Array
from engine.errors import DataError, Problem, counted, some, well_formed
from engine.recipe import DataTable
from engine.runfolder import SplitRow


def digest(values: Array | str) -> str:
    """128 bits (hex) of an array's shape and values, or of a text. Meant for copies, not against forgery."""
    if isinstance(values, str):
        return str(xxhash.xxh3_128_hexdigest(values.encode("utf-8", "surrogateescape")))
    found = xxhash.xxh3_128(repr(values.shape).encode())
    found.update(np.ascontiguousarray(values).data)
    return str(found.hexdigest())


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
    same: dict[str, list[Case]] = defaultdict(list)
    for case in dataset.cases:
        if case.facts is not None and case.split:
            same[case.facts.image].append(case)
    copies = [found for found in same.values() if len(found) > 1]
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
    truths = [{case.facts.truth for case in found if case.facts} for found in copies]
    other = [" and ".join(case.id for case in found) for found, of in zip(copies, truths, strict=True) if len(of) > 1]
    if other:
        notes.append(f"the same image has different truths: {some(other)}")
    if dataset.dense and (shared := _shared_masks(dataset, gone)):
        notes.append(f"different images have the same mask: {some(shared)}")
    if not notes:
        return dataset
    cases = tuple(case for case in dataset.cases if case.id not in gone)
    return replace(dataset, cases=cases, notes=tuple(dict.fromkeys((*dataset.notes, *notes))))


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
