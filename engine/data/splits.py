"""Which case is for training, which for validation, which for the test.

A draw depends on the ids, the groups, the classes and `DataTable.split_seed` alone: not on the
order of the files, not on a random generator's version. A new case changes little of it.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from engine.data.cases import SPLITS, Case
from engine.errors import DataError, Problem, counted, some
from engine.recipe import DataTable

T = TypeVar("T")
Unit = tuple[Case, ...]  # the cases that must stay together: a group, or one case


def assign(cases: Sequence[Case], table: DataTable) -> tuple[Case, ...]:
    """``cases`` with every `Case.split` set as the recipe says, ordered by split and id.

    Raises:
        DataError: an id twice; a group in two of the given splits; no split given; too few cases.
    """
    refuse_duplicates(cases)
    if table.split == "given":
        _refuse_no_split(cases)
        refuse_leaks(cases)
        assigned = list(cases)
    elif table.split == "fraction":
        assigned = _holdout(cases, table.test_fraction, "test", table.split_seed)
    else:
        assigned = _fold(cases, table.folds, table.fold, "test", table.split_seed)
    if table.validation_folds:
        rest = [case for case in assigned if case.split == "test"]
        pool = [case for case in assigned if case.split != "test"]
        folds, fold = table.validation_folds, table.validation_fold
        if fold < folds and gives_folds(pool, folds):
            assigned = rest + [replace(c, split="validation" if c.fold == fold else "train") for c in pool]
        else:
            assigned = rest + _fold(pool, folds, fold, "validation", table.split_seed)
    elif table.validation_fraction > 0 and not any(case.split == "validation" for case in assigned):
        train = [case for case in assigned if case.split == "train"]
        rest = [case for case in assigned if case.split != "train"]
        assigned = rest + _holdout(train, table.validation_fraction, "validation", table.split_seed)
    limits = {"train": table.limit_train, "validation": table.limit_validation, "test": table.limit_test}
    limited = [case for name in SPLITS for case in _limit(assigned, name, limits[name], table.split_seed)]
    if not any(case.split == "train" for case in limited):
        drawn = "lower data.test_fraction or data.validation_fraction"
        given = 'the data set gives none for it; data.split = "fraction" draws a split'
        raise DataError("no case is left for training", given if table.split == "given" else drawn)
    return tuple(limited)


def gives_folds(cases: Iterable[Case], folds: int | None) -> bool:
    """Whether the data set itself has put every case into one of as many ``folds``."""
    return {case.fold for case in cases} == set(range(folds or 0))


def refuse_duplicates(cases: Iterable[Case]) -> None:
    """Raise a DataError that names every id that stands for more than one case."""
    seen: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        seen[case.id].append(case)
    twice = []
    for name, group in sorted(seen.items()):
        if len(group) > 1:
            files = (case.images[0].name + (f" ({case.split})" if case.split else "") for case in group[:5])
            twice.append(Problem(name, f"stands for {' and '.join(files)}"))
    if twice:
        message = f"{counted(len(twice), 'id')} of more than one case:"
        raise DataError(message, "every case needs an id of its own", tuple(twice))


def refuse_leaks(cases: Iterable[Case]) -> None:
    """Raise a DataError that names every group of which cases lie in more than one given split."""
    members: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        if case.group is not None:
            members[case.group].append(case)
    leaks = []
    for group, found in sorted(members.items()):
        splits = [name for name in SPLITS if any(case.split == name for case in found)]
        if len(splits) > 1:
            ids = [f"{name}: {some(sorted(case.id for case in found if case.split == name))}" for name in splits]
            leaks.append(Problem(f"group {group}", "; ".join(ids)))
    if leaks:
        raise DataError(
            f"{counted(len(leaks), 'group')} in more than one split:",
            'what is learned of a group in training would be tested on it; use data.split = "fraction" or "kfold"',
            tuple(leaks),
        )


def _refuse_no_split(cases: Sequence[Case]) -> None:
    bare = sum(not case.split for case in cases)
    if bare:
        raise DataError(
            f"the data set gives no split for {bare} of {counted(len(cases), 'case')}",
            'set data.split = "fraction" or "kfold" to draw one (csv: or name data.split_column)',
        )


def _holdout(cases: Sequence[Case], share: float, name: str, seed: int) -> list[Case]:
    """``share`` of ``cases`` in the split ``name`` and the rest in train, by unit, evenly over the classes."""
    if not cases:
        return []
    units = _units(cases)
    if share > 0 and len(units) < 2:
        raise DataError(
            f"{counted(len(cases), 'case')} in {counted(len(units), 'group')}: too few to hold some out for {name}",
            "use more cases, or set the fraction to 0",
        )
    chosen: list[Unit] = []
    debt = 0.0
    for stratum in _strata(units).values():
        ordered = _shuffled(stratum, seed, name)
        debt += share * sum(map(len, stratum))
        while ordered and debt >= len(ordered[-1]) / 2:
            debt -= len(ordered[-1])
            chosen.append(ordered.pop())
    if share > 0 and not chosen:
        chosen = [_shuffled(units, seed, name)[0]]
    if len(chosen) == len(units):
        chosen = chosen[1:]
    held = {case.id for unit in chosen for case in unit}
    return [replace(case, split=name if case.id in held else "train") for case in cases]


def _fold(cases: Sequence[Case], folds: int, wanted: int, name: str, seed: int) -> list[Case]:
    units = _units(cases)
    hint = "lower data.folds" if name == "test" else "lower data.validation_folds (medtui sweep: --folds)"
    if len(units) < folds:
        raise DataError(f"{folds} folds need {folds} groups or more; found {len(units)}", hint)
    sizes = [0] * folds
    held: set[str] = set()
    for stratum in _strata(units).values():
        own = [0] * folds
        for unit in _shuffled(stratum, seed, "fold" if name == "test" else "validation fold"):
            fold = min(range(folds), key=lambda index: (own[index], sizes[index], index))
            own[fold] += len(unit)
            sizes[fold] += len(unit)
            if fold == wanted:
                held.update(case.id for case in unit)
    if not held:
        raise DataError(f"fold {wanted} of {folds} is empty", hint)
    return [replace(case, split=name if case.id in held else "train") for case in cases]


def _limit(cases: Sequence[Case], split: str, most: int | None, seed: int) -> list[Case]:
    """At most ``most`` cases of ``split``, in turn from each class, ordered by id."""
    own = sorted((case for case in cases if case.split == split), key=lambda case: case.id)
    if most is None or len(own) <= most:
        return own
    classes: dict[int, list[Case]] = defaultdict(list)
    for case in own:
        classes[-1 if case.target is None else case.target].append(case)
    queues = [_ordered(classes[target], seed, "limit", lambda case: case.id) for target in sorted(classes)]
    kept: list[Case] = []
    turn = 0
    while len(kept) < most:
        kept += [queue[turn] for queue in queues if turn < len(queue)][: most - len(kept)]
        turn += 1
    return sorted(kept, key=lambda case: case.id)


def _units(cases: Iterable[Case]) -> list[Unit]:
    members: dict[str, list[Case]] = defaultdict(list)
    for case in sorted(cases, key=lambda case: case.id):
        members[case.group_key].append(case)
    return [tuple(members[name]) for name in sorted(members)]


def _strata(units: Iterable[Unit]) -> dict[int, list[Unit]]:
    """Units by the class that most of their cases have (the smaller index where two tie)."""
    strata: dict[int, list[Unit]] = defaultdict(list)
    for unit in units:
        targets = [-1 if case.target is None else case.target for case in unit]
        strata[min(targets, key=lambda target: (-targets.count(target), target))].append(unit)
    return dict(sorted(strata.items()))


def _shuffled(units: Sequence[Unit], seed: int, purpose: str) -> list[Unit]:
    return _ordered(units, seed, purpose, lambda unit: unit[0].group_key)


def _ordered(items: Iterable[T], seed: int, purpose: str, name: Callable[[T], str]) -> list[T]:
    def key(item: T) -> bytes:
        return hashlib.blake2b(f"{seed}:{purpose}:{name(item)}".encode("utf-8", "surrogateescape")).digest()

    return sorted(items, key=key)
