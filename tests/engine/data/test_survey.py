"""What `medtui check` says of a data set: counted by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.data import check_dataset, open_dataset
from engine.data.survey import Survey, survey
from tests.engine.data.builders import affine, csv_table, mask, pairs, picture, rewrite, table, volume


def look(root: Path, source: str, task: str, **changes: object) -> Survey:
    keys = table(source, **changes)
    return survey(check_dataset(open_dataset(keys, task, root), keys), keys)


def volumes(root: Path, **changes: object) -> Survey:
    return look(root, "nifti_pairs", "segmentation", classes=("organ",), **changes)


def put(folder: Path, name: str, image: np.ndarray, label: np.ndarray, grid: np.ndarray) -> None:
    rewrite(folder / "images" / "train" / f"{name}.nii.gz", image, grid)
    rewrite(folder / "labels" / "train" / f"{name}.nii.gz", label, grid)


def test_volumes_are_counted_and_measured(tmp_path: Path) -> None:
    pairs(tmp_path / "d", ("train", "test"))
    found = volumes(tmp_path)
    assert found.cases == {"train": 4, "validation": 0, "test": 4}
    assert found.classes == {"train": {"organ": 4}, "test": {"organ": 4}}
    assert found.sizes == [(12, 12, 12), (14, 14, 14), (10, 10, 10)]
    assert found.spacings == [(1, 1, 1), (2, 2, 2), (3, 3, 3)]
    assert found.orientations == {"RAS": 8}
    assert found.values[0] == pytest.approx(min(volume(n).min() for n in (0, 1, 2, 3, 100, 101, 102, 103)))
    assert (found.groups, found.grouped, found.round_trip) == (0, 0, {})
    assert [advice.what for advice in found.advice] == [
        "classes with fewer than 5 train cases: organ 4",
        "classes with fewer than 10 test cases: organ 4",
    ]


def test_mixed_spacing_and_turned_axes_are_said_with_what_to_do(tmp_path: Path) -> None:
    folder = pairs(tmp_path / "d", ("train", "test"))
    put(folder, "train0", volume(7), mask(), affine(1, 2, 6))
    put(folder, "train1", volume(8), mask(), affine(-1, 2, 3))
    found = volumes(tmp_path)
    assert found.orientations == {"RAS": 7, "LAS": 1}
    words = {advice.what: advice.remedy for advice in found.advice}
    assert words["voxels of different sizes, in mm: 1, 2, 3 to 6"].startswith("data.spacing = [1, 2, 3]")
    assert "axes that run in different directions: RAS 7, LAS 1" in words
    assert "spacing far from that of the others: train0 (z 23)" in words  # 0.6745 * ln 2 / 0.02


def test_a_class_without_cases_and_a_crop_beyond_every_image_are_said(tmp_path: Path) -> None:
    pairs(tmp_path / "d", ("train",), cases=10)
    keys = {"classes": ("organ", "tumour"), "size": (16, 16, 24), "split": "fraction"}
    found = look(tmp_path, "nifti_pairs", "segmentation", **keys).advice
    words = [f"{advice.what}. {advice.remedy}" for advice in found]
    assert words[0].startswith("no case has the class: tumour. names in data.classes stand for the values 1, 2, ...")
    assert not any("tumour 0" in text for text in words)
    assert any("data.size = [16, 16, 24] is larger than every image (12 x 14 x 10)" in text for text in words)


def test_patients_that_the_split_does_not_know_are_said(tmp_path: Path) -> None:
    folder = pairs(tmp_path / "d", ("train",), cases=10)
    (folder / "list.csv").write_text("ID;Patient_ID\ntrain0;7\n")
    (advice, *_) = volumes(tmp_path, split="fraction").advice
    assert advice.what.startswith('list.csv has a column "Patient_ID" that the split does not know')
    assert advice.remedy == 'data.group_column = "Patient_ID", with data.source = "csv"'


def test_a_split_of_the_table_that_is_not_used_is_said(tmp_path: Path) -> None:
    folder = pairs(tmp_path / "d", ("train",), cases=10)
    (folder / "list.csv").write_text("Image;Partition\ntrain0;test\n")
    (advice, *_) = volumes(tmp_path, split="fraction").advice
    assert advice.what.startswith('list.csv has a column "Partition", which is not used')


def test_masks_that_look_inverted_are_named(tmp_path: Path) -> None:
    folder = pairs(tmp_path / "d", ("train",), cases=10)
    assert not any("inverted" in advice.remedy for advice in volumes(tmp_path, split="fraction").advice)
    for index in (2, 7):
        put(folder, f"train{index}", volume(index), 1 - mask(), affine(1, 2, 3))
    found = [advice.what for advice in volumes(tmp_path, split="fraction").advice if "inverted" in advice.remedy]
    assert [text.partition(": ")[0] for text in found] == ["2 of 10 masks fill the corners and most of the image"]


def test_two_groups_of_intensities_are_said(tmp_path: Path) -> None:
    folder = pairs(tmp_path / "d", ("train",), cases=10)
    groups = [advice.what for advice in volumes(tmp_path, split="fraction").advice if "in two groups" in advice.what]
    assert groups == []
    for index in range(4):
        put(folder, f"train{index}", volume(index) + 1024, mask(), affine(1, 2, 3))  # without the offset of HU
    (said,) = [advice.what for advice in volumes(tmp_path, split="fraction").advice if "in two groups" in advice.what]
    assert said.startswith("mean values in two groups: 6 cases about ")
    assert said.endswith(", 4 about 1024")


def test_a_case_far_from_the_others_is_named(tmp_path: Path) -> None:
    folder = pairs(tmp_path / "d", ("train",), cases=12)
    put(folder, "train5", 1000 * volume(5) + 9000, mask(), affine(1, 2, 3))
    wide = (12, 14, 40)
    put(folder, "train6", volume(6, wide), mask(wide), affine(1, 2, 3))
    far = [advice.what for advice in volumes(tmp_path, split="fraction").advice if " far from " in advice.what]
    assert [text.split(" (z")[0] for text in far] == [
        "size far from that of the others: train6",
        "mean value far from that of the others: train5",
    ]


def test_the_round_trip_of_the_truth_is_one_minus_what_resampling_loses(tmp_path: Path) -> None:
    pairs(tmp_path / "d", ("train", "test"))
    assert volumes(tmp_path, spacing=(1.0, 2.0, 3.0)).round_trip == {"organ": 1.0}
    assert 0 < volumes(tmp_path, spacing=(2.0, 4.0, 6.0)).round_trip["organ"] < 1
    coarse = volumes(tmp_path, spacing=(8.0, 16.0, 24.0))  # two voxels or less a side: the organ is gone
    assert coarse.round_trip == {"organ": 0.0}
    assert any("data.spacing loses some of the truth" in advice.what for advice in coarse.advice)


def test_the_round_trip_knows_nothing_of_what_is_not_known(tmp_path: Path) -> None:
    label = np.zeros((12, 14, 10), np.uint8)
    label[2:10], label[5] = 1, 255
    folder = pairs(tmp_path / "d", ("train", "test"))
    for path in (folder / "labels").rglob("*.nii.gz"):
        rewrite(path, label, affine(1, 2, 3))
    # voxels of 2 mm join the plane 5 to its neighbour: the organ comes back whole, and over that plane too
    assert volumes(tmp_path, ignore=255, spacing=(2.0, 2.0, 3.0)).round_trip == {"organ": 1.0}
    coarse = volumes(tmp_path, ignore=255, spacing=(8.0, 16.0, 24.0)).advice
    assert [advice.remedy for advice in coarse if "loses some" in advice.what] == ["a finer data.spacing loses less"]


def test_classes_with_one_case_and_two_test_positives_are_said(tmp_path: Path) -> None:
    rows = []
    for index in range(30):
        split = "train" if index < 16 else "test"
        label = "rare" if index in {0, 16, 17} else "usual"
        picture(tmp_path / "d" / f"p{index}.png", index)
        rows.append(f"p{index}.png,{label},{split},g{index // 2}")
    csv_table(tmp_path / "d", rows, "path,label,split,patient")
    keys = {"table": "table.csv", "split_column": "split", "group_column": "patient"}
    found = look(tmp_path, "csv", "classification", **keys)
    assert found.classes == {"train": {"rare": 1, "usual": 15}, "test": {"rare": 2, "usual": 12}}
    assert (found.groups, found.grouped) == (15, 30)
    assert [advice.what for advice in found.advice] == [
        "classes with fewer than 5 train cases: rare 1",
        "classes with fewer than 10 test cases: rare 2",
    ]
