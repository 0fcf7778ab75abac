"""What is known of a data set: by headers of all cases, and by the values of some."""

from __future__ import annotations

from dataclasses import replace

import nibabel
import numpy as np
import pytest

from engine.data import open_dataset
from engine.errors import DataError
from engine.planning.facts import gather, in_one_piece, percentiles, rounded, words_of_sizes
from engine.planning.layouts import find_layout
from engine.planning.mask_values import classes_of_masks, ignored_in
from tests.engine.data import builders
from tests.engine.planning.made_up import SEEN, volumes


def quiet(_what: str):
    return lambda _done, _all: None


def facts_of(folder):
    layout, _ = find_layout(folder)
    table = layout.table(folder.name, split="fraction")
    return gather(open_dataset(table, layout.task, folder.parent), table, layout, quiet)


def test_axes_are_those_of_the_network(tmp_path):
    folder = builders.decathlon(tmp_path / "d", cases=3)
    turned = np.array([[0, 0, 3.0, 0], [1.0, 0, 0, 0], [0, 2.0, 0, 0], [0, 0, 0, 1.0]])
    for name in ("imagesTr", "labelsTr"):
        path = folder / name / "c0.nii.gz"
        builders.rewrite(path, builders.volume(0) if name == "imagesTr" else builders.mask(), turned)
    image = nibabel.as_closest_canonical(nibabel.load(folder / "imagesTr" / "c0.nii.gz"))
    facts = facts_of(folder)
    at = facts.sizes.index(image.shape)
    assert facts.spacings[at] == pytest.approx(image.header.get_zooms())
    assert facts.mixed
    assert facts.size == builders.SHAPE
    assert words_of_sizes(facts) == "12 x 14 x 10 in the median (10 to 12 x 12 to 14 x 10 to 14)"


def test_values_of_a_case_are_seen(tmp_path):
    folder = builders.pairs(tmp_path / "d", cases=2)
    mask = builders.mask()
    mask[10, 12, 8] = 1  # away from the rest
    builders.rewrite(folder / "labels" / "0.nii.gz", mask)
    layout, _ = find_layout(folder)
    table = replace(layout, keys={**layout.keys, "classes": ("a",)}).table("d", split="fraction", test_fraction=0.0)
    facts = gather(open_dataset(table, "segmentation", tmp_path), table, layout, quiet)
    seen = next(each for each in facts.seen if each.low == builders.volume(0).min())
    assert (seen.mean, seen.deviation) == pytest.approx((builders.volume(0).mean(), builders.volume(0).std()), rel=1e-4)
    assert seen.pieces == ((0, 81, 80),)
    assert in_one_piece(facts) == 80 / 81
    values = np.concatenate([each.foreground for each in facts.seen])
    assert percentiles(facts) == pytest.approx(np.percentile(values, (0.5, 99.5)))


def test_a_mask_that_is_empty_is_counted_and_a_class_that_is_nowhere_too(tmp_path):
    folder = builders.decathlon(tmp_path / "d", cases=4)
    builders.rewrite(folder / "labelsTr" / "c1.nii.gz", 0 * builders.mask())
    builders.write_json(
        folder,
        {"labels": {"0": "background", "1": "organ", "2": "tumour"}},
        [{"image": f"imagesTr/c{at}.nii.gz", "label": f"labelsTr/c{at}.nii.gz"} for at in range(4)],
    )
    facts = facts_of(folder)
    assert facts.present == {"organ": 3, "tumour": 0}
    assert facts.empty == 1


def test_classes_are_named_by_the_values_of_masks_where_they_run_from_one(tmp_path):
    folder = builders.pairs(tmp_path / "d", cases=3)
    cases = find_layout(folder)[0].index.cases

    def classes(*values: int) -> tuple[str, ...]:
        for at, value in enumerate(values):
            builders.rewrite(folder / "labels" / f"{at}.nii.gz", builders.mask(value=value))
        return classes_of_masks(cases, 3, folder, quiet)[0]

    assert classes(1, 1, 1) == ("foreground",)
    assert classes(255, 255, 255) == ("foreground",)
    assert classes(2, 1, 3) == ("class 1", "class 2", "class 3")
    with pytest.raises(DataError, match="hold the values 1, 3, 4, and nothing names"):
        classes(1, 3, 4)
    with pytest.raises(DataError, match="are empty"):
        classes(0, 0, 0)
    for at in range(3):
        (folder / "labels" / f"{at}.nii.gz").write_bytes(b"no volume")
    with pytest.raises(DataError, match=r"(?s)no classes are known.*labels/0\.nii\.gz: label cannot be read"):
        classes()


def test_white_beside_classes_is_what_nobody_outlined(tmp_path):
    folder = builders.pairs(tmp_path / "d", cases=3)
    index = find_layout(folder)[0].index

    def put(*values: int) -> None:
        """In the first mask all of them, in the others the first."""
        for at in range(3):
            label = builders.mask(value=values[0])
            label[8 : 8 + len(values) * (at == 0), 0, 0] = values[: len(values) * (at == 0)]
            builders.rewrite(folder / "labels" / f"{at}.nii.gz", label)

    put(1, 2, 255)
    assert classes_of_masks(index.cases, 3, folder, quiet) == (("class 1", "class 2"), 255)
    assert ignored_in(replace(index, label_values=(1, 2)), quiet) == 255
    assert ignored_in(replace(index, label_values=(1, 2, 255)), quiet) is None
    put(1, 255)
    assert classes_of_masks(index.cases, 3, folder, quiet) == (("foreground",), 255)
    put(255)
    assert classes_of_masks(index.cases, 3, folder, quiet) == (("foreground",), None)
    assert ignored_in(replace(index, label_values=(1,)), quiet) is None
    layout, _ = find_layout(folder)
    put(1, 255)
    table = replace(layout, keys={**layout.keys, "classes": ("a",), "ignore": 255}).table("d", split="fraction")
    facts = gather(open_dataset(table, "segmentation", tmp_path), table, layout, quiet)
    assert {index for each in facts.seen for index, _, _ in each.pieces} == {0}


def test_a_class_in_pieces_counts_whatever_its_size():
    assert in_one_piece(volumes(seen=(replace(SEEN, pieces=((0, 10**6, 10**6), (1, 10, 4))),))) == 0.4


def test_numbers_are_rounded_as_a_person_would():
    assert [rounded(value) for value in (0.0, 1.23456, -98765, 0.00123456)] == [0.0, 1.23, -98800, 0.00123]


def test_the_truth_of_test_cases_decides_nothing_and_damage_in_them_is_told(tmp_path):
    folder = builders.pairs(tmp_path / "d", parts=("train", "test"), cases=3)
    for index in range(3):  # 100 times as bright, and in two pieces
        mask = builders.mask()
        mask[10, 12, 8] = 1
        builders.rewrite(folder / "labels" / "test" / f"test{index}.nii.gz", mask)
        builders.rewrite(folder / "images" / "test" / f"test{index}.nii.gz", 100 * builders.volume(100 + index))
    layout, _ = find_layout(folder)
    table = replace(layout, keys={**layout.keys, "classes": ("a",)}).table("d", split="given")
    dataset = open_dataset(table, "segmentation", tmp_path)
    facts = gather(dataset, table, layout, quiet)
    assert (facts.read, len(facts.seen), facts.whole) == (6, 3, True)
    assert in_one_piece(facts) == 1
    assert percentiles(facts)[1] < 5
    (folder / "images" / "test" / "test1.nii.gz").write_bytes(b"no volume")
    with pytest.raises(DataError, match="1 case of 6"):
        gather(dataset, table, layout, quiet)
