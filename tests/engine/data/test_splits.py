"""Splits: nothing lost, no group cut, the same every time."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.data.cases import Case
from engine.data.splits import assign
from engine.errors import DataError
from engine.recipe import DataTable


def cases_of(groups: list[tuple[int, int]]) -> list[Case]:
    """(class, images) a group -> cases."""
    return [
        Case(f"g{g}i{i}", (Path(f"g{g}i{i}.png"),), target=target, group=f"g{g}")
        for g, (target, count) in enumerate(groups)
        for i in range(count)
    ]


def table(**changes: object) -> DataTable:
    return DataTable(**{"source": "csv", "root": "d", "size": (8, 8), "split": "fraction", **changes})


def splits_of(cases: tuple[Case, ...]) -> dict[str, str]:
    return {case.id: case.split for case in cases}


GROUPS = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 4)), min_size=8, max_size=40)


@settings(max_examples=60, deadline=None)
@given(groups=GROUPS, seed=st.integers(0, 50), test=st.floats(0, 0.5), validation=st.floats(0, 0.4))
def test_fraction_loses_nothing_and_cuts_no_group(
    groups: list[tuple[int, int]], seed: int, test: float, validation: float
) -> None:
    cases = cases_of(groups)
    recipe = table(split_seed=seed, test_fraction=test, validation_fraction=validation)
    assigned = assign(cases, recipe)
    assert sorted(case.id for case in assigned) == sorted(case.id for case in cases)
    for group in {case.group for case in assigned}:
        assert len({case.split for case in assigned if case.group == group}) == 1
    assert splits_of(assign(cases[::-1], recipe)) == splits_of(assigned)
    assert any(case.split == "train" for case in assigned)
    assert any(case.split == "test" for case in assigned) == (test > 0)
    assert any(case.split == "validation" for case in assigned) == (validation > 0)


@settings(max_examples=40, deadline=None)
@given(groups=GROUPS, seed=st.integers(0, 50), folds=st.integers(2, 8))
def test_every_case_is_in_the_test_of_one_fold(groups: list[tuple[int, int]], seed: int, folds: int) -> None:
    cases = cases_of(groups)
    tested: list[str] = []
    for fold in range(folds):
        assigned = assign(cases, table(split="kfold", folds=folds, fold=fold, split_seed=seed))
        own = {case.group for case in assigned if case.split == "test"}
        assert own.isdisjoint({case.group for case in assigned if case.split == "train"})
        tested += [case.id for case in assigned if case.split == "test"]
    assert sorted(tested) == sorted(case.id for case in cases)


@settings(max_examples=40, deadline=None)
@given(counts=st.lists(st.integers(1, 30), min_size=2, max_size=5), limit=st.integers(1, 60), seed=st.integers(0, 9))
def test_limits_are_even_over_the_classes(counts: list[int], limit: int, seed: int) -> None:
    cases = cases_of([(target, 1) for target, count in enumerate(counts) for _ in range(count)])
    assigned = assign(cases, table(limit_train=limit, test_fraction=0.0, split_seed=seed))
    kept = [sum(case.target == target for case in assigned) for target in range(len(counts))]
    assert sum(kept) == min(limit, sum(counts))
    least = min((k for k, count in zip(kept, counts, strict=True) if k < count), default=None)
    if least is not None:
        assert max(kept) - least <= 1


def test_fraction_is_stratified() -> None:
    cases = cases_of([(0, 1)] * 80 + [(1, 1)] * 20)
    assigned = assign(cases, table(test_fraction=0.25))
    tests = [case.target for case in assigned if case.split == "test"]
    assert (tests.count(0), tests.count(1)) == (20, 5)


def test_one_more_case_moves_few_others() -> None:
    cases = cases_of([(0, 1)] * 100)
    before = splits_of(assign(cases[:-1], table()))
    after = splits_of(assign(cases, table()))
    assert sum(after[name] != split for name, split in before.items()) <= 2


def test_other_seeds_draw_other_splits() -> None:
    cases = cases_of([(0, 1)] * 40)
    drawn = {tuple(sorted(splits_of(assign(cases, table(split_seed=seed))).items())) for seed in range(5)}
    assert len(drawn) == 5


def test_a_given_validation_split_is_kept() -> None:
    cases = [Case(str(i), (Path(str(i)),), split=split) for i, split in enumerate(["train"] * 6 + ["validation"])]
    assigned = assign(cases, table(split="given", validation_fraction=0.5))
    assert [case.id for case in assigned if case.split == "validation"] == ["6"]


def test_too_few_groups_are_refused() -> None:
    with pytest.raises(DataError, match="too few to hold some out"):
        assign(cases_of([(0, 5)]), table())


@settings(max_examples=40, deadline=None)
@given(groups=GROUPS, seed=st.integers(0, 50), folds=st.integers(2, 8))
def test_every_case_but_those_of_the_test_is_in_one_validation_fold(
    groups: list[tuple[int, int]], seed: int, folds: int
) -> None:
    cases = cases_of(groups)
    test = splits_of(assign(cases, table(split_seed=seed, test_fraction=0.2)))
    validated: list[str] = []
    for fold in range(folds):
        recipe = table(split_seed=seed, test_fraction=0.2, validation_folds=folds, validation_fold=fold)
        try:
            found = assign(cases, recipe)
        except DataError:
            assert len({case.group for case in cases if test[case.id] == "train"}) < folds
            return
        splits = splits_of(found)
        assert {name for name in splits if splits[name] == "test"} == {name for name in test if test[name] == "test"}
        own = {case.group for case in found if case.split == "validation"}
        assert own.isdisjoint({case.group for case in found if case.split == "train"})
        validated += [name for name in splits if splits[name] == "validation"]
    assert sorted(validated) == sorted(name for name in test if test[name] == "train")


def test_validation_folds_are_even_over_the_classes() -> None:
    cases = cases_of([(0, 1)] * 40 + [(1, 1)] * 10)
    found = assign(cases, table(test_fraction=0.0, validation_folds=5, validation_fold=4))
    assert sorted(case.target for case in found if case.split == "validation") == [0] * 8 + [1] * 2
