"""Phantoms: the same bytes for the same seed, marked as what they are, and not to be had by a threshold."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from engine.data import open_dataset
from engine.data.catalog import DATASETS, find_dataset
from engine.data.phantom import PHANTOMS, ensure_phantom, make_phantom
from engine.data.phantom_volumes import atrium, hippocampus
from engine.errors import UsageError
from tests.phantoms import data_table

CASES = {"left_atrium": 4, "hippocampus": 4, "isic2018": 30, "lesions": 8, "nodules": 8}


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("name", PHANTOMS)
def test_the_same_seed_gives_the_same_bytes(name: str, tmp_path: Path) -> None:
    first = contents(make_phantom(name, tmp_path / "a", seed=3, cases=CASES[name]))
    assert contents(make_phantom(name, tmp_path / "b", seed=3, cases=CASES[name])) == first
    other = contents(make_phantom(name, tmp_path / "c", seed=4, cases=CASES[name]))
    assert other.keys() == first.keys()
    assert {path for path in first if other[path] == first[path]}.isdisjoint({"PHANTOM"})
    assert "phantom" in (tmp_path / "a" / "PHANTOM").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]


def test_the_phantom_that_is_there_is_left_alone(tmp_path: Path) -> None:
    folder = make_phantom("left_atrium", tmp_path / "x", cases=4)
    before = (folder / "train.list").stat().st_mtime_ns
    make_phantom("left_atrium", folder, cases=4)
    assert (folder / "train.list").stat().st_mtime_ns == before
    with pytest.raises(UsageError, match="holds something else"):
        make_phantom("left_atrium", folder, cases=5)


def test_a_folder_of_other_things_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds something else"):
        make_phantom("isic2018", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("name", "keys"), [("liver", {}), ("left_atrium", {"cases": 3}), ("left_atrium", {"seed": -1})]
)
def test_what_cannot_be_made_is_refused(name: str, keys: dict[str, int], tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        make_phantom(name, tmp_path / "x", **keys)
    assert not (tmp_path / "x").exists()


def best_threshold_dice(image: np.ndarray, label: np.ndarray) -> float:
    scores = []
    for threshold in np.quantile(image, np.linspace(0.5, 0.999, 60)):
        found = image > threshold
        scores.append(2 * np.count_nonzero(found & (label > 0)) / (found.sum() + np.count_nonzero(label)))
    return max(scores)


@pytest.mark.parametrize("make", [atrium, hippocampus])
def test_no_threshold_finds_the_object(make) -> None:
    scores = []
    for seed in range(4):
        image, label = make(np.random.default_rng(seed))
        assert image.shape == label.shape
        scores.append(best_threshold_dice(image.astype(np.float64), label))
    assert max(scores) < 0.75


def test_hippocampi_differ_by_orders_of_magnitude_and_have_two_parts() -> None:
    made = [hippocampus(np.random.default_rng(seed)) for seed in range(12)]
    tops = [float(image.max()) for image, _ in made]
    assert max(tops) / min(tops) > 30
    assert all(np.unique(label).tolist() == [0, 1, 2] for _, label in made)


def test_isic_has_every_class_in_every_split_and_unequal_counts(tmp_path: Path) -> None:
    make_phantom("isic2018", tmp_path / "isic2018", cases=60)
    dataset = open_dataset(data_table("isic2018"), "classification", tmp_path)
    counts = dataset.counts()
    assert all(min(own.values()) >= 1 for own in counts.values())
    assert counts["train"]["NV"] > 2 * counts["train"]["DF"]
    assert sum(sum(own.values()) for own in counts.values()) == 60


def test_the_catalog_tells_what_is_there(tmp_path: Path) -> None:
    make_phantom("hippocampus", tmp_path / "hippocampus-phantom", cases=4)
    found = {name: data.describe(tmp_path) for name, data in DATASETS.items()}
    assert found["hippocampus-phantom"]["present"] is True
    assert found["left_atrium-phantom"]["present"] is False
    assert found["isic2018"]["present"] is False
    assert found["isic2018"]["licence"] == "CC BY-NC 4.0"
    assert find_dataset("hippocampus") is DATASETS["hippocampus"]
    with pytest.raises(UsageError, match="no data set"):
        find_dataset("liver")


def test_a_recipe_of_a_phantom_makes_it_once_and_nothing_else(tmp_path: Path) -> None:
    table = data_table("isic2018", root="isic2018-phantom")
    assert ensure_phantom(table, tmp_path) == tmp_path / "isic2018-phantom"
    assert ensure_phantom(table, tmp_path) is None
    for other in (
        data_table("isic2018", root="isic2018"),
        data_table("isic2018", root="mine-phantom"),
        data_table("isic2018", root="left_atrium-phantom"),
    ):
        assert ensure_phantom(other, tmp_path) is None
    assert [path.name for path in tmp_path.iterdir()] == ["isic2018-phantom"]
