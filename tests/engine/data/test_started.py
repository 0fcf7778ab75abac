"""Weights to start from, and data that is not what they were trained on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engine.data.cases import Case, CaseFacts, Dataset
from engine.data.familiar import ranges
from engine.data.started import other_values, seen_before, seen_words
from engine.recipe import DataTable

FACTS = CaseFacts("image", "truth", (2, 32, 32, 32), (1.0, 1.0, 2.0), "RAS", -1000.0, 1500.0, 0.0, None, (0,))


def case(name: str, split: str = "train", **facts) -> Case:
    return Case(name, (Path(name),), split=split, facts=replace(FACTS, image=name, **facts))


def volumes(*cases: Case, names: tuple[str, ...] = ("T1", "T2")) -> Dataset:
    facts = {"name": "x", "classes": ("a",), "channels": 2, "channel_names": names}
    return Dataset(**facts, cases=cases, task="segmentation", source="decathlon", phantom=False)


def table(**keys) -> DataTable:
    return DataTable(source="decathlon", root="x", size=(16, 16, 16), **keys)


FIRST = volumes(case("a"), case("b", spacing=(1.0, 1.05, 2.0)))


def said(now: Dataset, new: DataTable | None = None, old: DataTable | None = None, names=("T1", "T2")) -> list[str]:
    old = old or table()
    before = ranges(FIRST, "train", resampled=old.spacing is not None)
    return list(other_values(new or table(), old, now, names, before))


def test_what_is_alike_is_not_said():
    assert said(FIRST) == []
    assert said(volumes(case("c", spacing=(1.04, 1.04, 2.1)), names=("t1 ", "T2"))) == []
    assert said(volumes(case("c"), names=())) == []
    thick = volumes(case("c", spacing=(1.0, 1.0, 5.0)))
    assert said(thick, table(spacing=(1.0, 1.0, 2.0)), table(spacing=(1.0, 1.0, 2.0))) == []
    assert said(volumes(case("c", low=0.0, high=1e5)), table(intensity="body"), table(intensity="body")) == []


@pytest.mark.parametrize(
    ("now", "new", "old", "words"),
    [
        (
            FIRST,
            table(intensity="body"),
            None,
            "data.intensity is body, and the weights were trained with zscore: --set",
        ),
        (
            FIRST,
            table(intensity="window", window=(-100.0, 300.0)),
            table(intensity="window", window=(-1000.0, 1000.0)),
            "-100 to 300, and the weights were trained with window -1000 to 1000: --set data.intensity=window --set",
        ),
        (
            volumes(case("c", spacing=(1.0, 1.0, 5.0))),
            None,
            None,
            "1 x 5 mm, and the weights were trained on 1 x 1 to 1.05 x 2 mm: --set 'data.spacing=[1.0, 1.025, 2.0]'",
        ),
        (FIRST, table(spacing=(2.0, 2.0, 2.0)), None, "voxels are 2 x 2 x 2 mm, and"),
        (FIRST, None, table(spacing=(1.0, 1.0, 1.0)), "trained on 1 x 1 x 1 mm: --set 'data.spacing=[1.0, 1.0, 1.0]'"),
        (
            volumes(case("c"), names=("T2", "T1")),
            None,
            None,
            "are T2, T1, and the weights were trained on T1, T2",
        ),
        (
            volumes(case("c", low=0.0, high=1e5)),
            table(intensity="none"),
            table(intensity="none"),
            "case c: values from 0 to 100000; the network was trained on values from -1000 to 1500",
        ),
    ],
)
def test_what_differs_is_one_line(now, new, old, words):
    (line,) = said(now, new, old)
    assert words in line


def test_cases_are_known_by_what_they_hold():
    data = volumes(case("a"), case("b", "validation"), case("c", "test"), case("d", "test"))
    seen = seen_before(data, {"a", "b", "d"})
    assert seen == {"validation": ["b"], "test": ["d"]}
    assert list(seen_words(data, seen, "first"))[1] == (
        "1 of 2 test cases was in training before, in first: d; for them the numbers are too good"
    )
