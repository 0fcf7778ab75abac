"""nnU-Net's labels that are regions: what a mask value is called then, and what cannot be told apart."""

from __future__ import annotations

import json

import pytest

from engine.data.dataset import open_dataset
from engine.data.sources.dataset_json import labels_of
from engine.errors import DataError, Problem
from tests.engine.data import builders

BRATS = {"background": 0, "whole tumour": [1, 2, 3], "tumour core": [2, 3], "enhancing": 3}


def with_labels(folder, labels):
    builders.nnunet(folder)
    value = json.loads((folder / "dataset.json").read_text())
    value |= {"labels": labels, "regions_class_order": [1, 2, 3]}
    (folder / "dataset.json").write_text(json.dumps(value))
    return folder


def opened(folder, **keys):
    return open_dataset(builders.table("nnunet", root=folder.name, **keys), "segmentation", folder.parent)


def test_each_value_is_what_is_left_of_the_smallest_region_that_has_it(tmp_path):
    dataset = opened(with_labels(tmp_path / "d", BRATS))
    assert dataset.label_values == (1, 2, 3)
    assert dataset.classes == ("rest of whole tumour", "rest of tumour core", "enhancing")
    names = [*dataset.classes]
    assert dataset.unions == {"whole tumour": names, "tumour core": names[1:]}


def test_a_recipe_names_the_values_as_it_likes(tmp_path):
    dataset = opened(with_labels(tmp_path / "d", BRATS), classes=("oedema", "necrosis", "enhancing"))
    assert dataset.label_values == (1, 2, 3)
    assert dataset.unions == {
        "whole tumour": ["oedema", "necrosis", "enhancing"],
        "tumour core": [*dataset.classes[1:]],
    }


def test_labels_of_one_value_have_no_regions(tmp_path):
    assert opened(builders.nnunet(tmp_path / "d")).unions == {}


@pytest.mark.parametrize(
    "labels",
    [
        {"whole": [1, 2]},  # 1 and 2 are in the same regions
        {"whole": [1, 2, 3], "core": [3]},  # so are 1 and 2 here
        {"whole": [1, 2], "core": 2, "ignore": 2},
        {"whole": [0, 1], "core": 1},
        {"whole": [1, "x"], "core": 1},
        {"whole": [], "core": 1},
        {"whole": [0]},
        {"whole": [[1]], "core": 1},
        {"w" * 200: [1, 2], "core": 1},
    ],
)
def test_what_cannot_be_told_apart_is_refused_with_the_way_out(labels, tmp_path):
    with pytest.raises(DataError, match=r"(?s)labels: .*a name for each mask value.*\[evaluate\.regions\]"):
        opened(with_labels(tmp_path / "d", {"background": 0, **labels}))


def test_the_order_of_labels_plays_no_part():
    problems: list[Problem] = []
    turned = dict(reversed(BRATS.items()))
    assert labels_of(turned, problems) == labels_of(BRATS, problems)
    assert not problems


def test_what_is_ignored_is_in_no_region(tmp_path):
    dataset = opened(with_labels(tmp_path / "d", {**BRATS, "ignore": 4}))
    assert (dataset.label_values, dataset.ignore) == ((1, 2, 3), 4)
