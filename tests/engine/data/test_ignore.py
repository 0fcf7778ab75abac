"""Voxels whose truth is not known: how masks say so, and what becomes of them on their way to the network."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from engine.data import check_dataset, open_dataset
from engine.data.cache import load
from engine.data.cases import Dataset
from engine.data.crops import affine_draw, affine_move, crop_start, foreground_voxels, known_voxels, turned
from engine.data.known import only_known
from engine.data.read import read_case
from engine.data.resampling import resample_label
from engine.data.survey import survey
from engine.errors import DataError, RecipeError
from engine.network import class_counts
from engine.recipe import AugmentTable, DataTable
from tests.engine.data import builders as b


def sparse(value: int = 255) -> np.ndarray:
    """`builders.mask` of two classes, known in every second plane of the last axis."""
    label = b.mask()
    label[5:] *= 2
    label[:, :, 1::2] = value
    return label


def pairs(root: Path, label: np.ndarray, **keys: object) -> tuple[Dataset, DataTable]:
    folder = b.pairs(root / "d", ("train", "test"))
    for path in sorted((folder / "labels").rglob("*.nii.gz")):
        b.rewrite(path, label)
    table = b.table("nifti_pairs", **{"classes": ("one", "two"), **keys})
    return open_dataset(table, "segmentation", root), table


def test_the_value_of_what_is_not_known_gets_the_index_behind_the_classes(tmp_path: Path) -> None:
    dataset, table = pairs(tmp_path, sparse(), ignore=255)
    raw = read_case(dataset, dataset.cases[0])
    wanted = sparse()
    np.testing.assert_array_equal(raw.label, np.where(wanted == 255, 3, wanted))
    assert (dataset.ignored, raw.present) == (3, (0, 1))
    dataset = check_dataset(dataset, table)
    assert [case.facts.known for case in dataset.cases] == [0.5] * 8
    assert "voxels of mask value 255 are not known and count nowhere: 50.0% of a case on average" in dataset.notes
    assert survey(dataset, table).known == (0.5, 0.5, 0.5)
    own = sum(np.bincount(np.where(wanted == 255, 3, wanted).ravel(), minlength=4)[:3] for _ in range(4))
    assert class_counts(dataset) == own.tolist()


def test_without_the_key_the_value_is_refused_and_the_key_named(tmp_path: Path) -> None:
    dataset, table = pairs(tmp_path, sparse())
    with pytest.raises(DataError, match=r"label value 255(.|\n)*data\.ignore = 255 where it stands for voxels"):
        check_dataset(dataset, table)


def test_other_values_are_refused_with_the_key_too(tmp_path: Path) -> None:
    dataset, table = pairs(tmp_path, np.where(sparse() == 2, 7, sparse()).astype(np.uint8), ignore=255)
    with pytest.raises(DataError, match=r"label value 7(.|\n)*0, 1, 2, 255 \(not known\)"):
        check_dataset(dataset, table)


def test_a_value_is_a_class_or_not_known(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match='a mask value that is no class: 2 is "two"'):
        pairs(tmp_path, sparse(), ignore=2)


@pytest.mark.parametrize(
    "labels", [{"background": 0, "organ": 1, "ignore": 2}, {"0": "air", "1": "organ", "2": "Ignore"}]
)
def test_the_ignore_label_of_nnunet_is_read_by_itself(labels: dict, tmp_path: Path) -> None:
    folder = b.nnunet(tmp_path / "d")
    value = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps({**value, "labels": labels}))
    label = b.mask()
    label[:, :, 5:] = 2
    for path in folder.glob("labels*/*.nii.gz"):
        b.rewrite(path, label)
    table = b.table("nnunet")
    dataset = check_dataset(open_dataset(table, "segmentation", tmp_path), table)
    assert (dataset.classes, dataset.label_values, dataset.ignore, dataset.ignored) == (("organ",), (1,), 2, 2)
    assert {case.facts.known for case in dataset.cases} == {0.5}


def test_black_and_white_stay_a_mask_of_one_class_unless_white_is_not_known(tmp_path: Path) -> None:
    white = 255 * b.mask()
    dataset, _ = pairs(tmp_path, white, classes=("one",))
    np.testing.assert_array_equal(read_case(dataset, dataset.cases[0]).label, b.mask())
    table = b.table("nifti_pairs", classes=("one",), ignore=255)
    dataset = open_dataset(table, "segmentation", tmp_path)
    raw = read_case(dataset, dataset.cases[0])
    np.testing.assert_array_equal(raw.label, 2 * b.mask())
    assert raw.present == ()


def test_black_and_white_may_have_grey_for_what_is_not_known(tmp_path: Path) -> None:
    trimap = 255 * b.mask()
    trimap[:, :, 1::2] = 128
    dataset, table = pairs(tmp_path, trimap, classes=("one",), ignore=128)
    raw = read_case(dataset, dataset.cases[0])
    np.testing.assert_array_equal(raw.label, np.select([trimap == 128, trimap == 255], [2, 1], 0))
    assert (raw.label.dtype, raw.present, dataset.ignored) == (np.uint8, (0,), 2)
    assert [case.facts.known for case in check_dataset(dataset, table).cases] == [0.5] * 8


def test_a_case_of_which_nothing_is_known_is_left_out_by_its_name(tmp_path: Path) -> None:
    dataset, table = pairs(tmp_path, sparse(), ignore=255)
    assert dataset.cases[1].label is not None
    b.rewrite(dataset.cases[1].label, np.full(b.SHAPE, 255, np.uint8))
    checked = check_dataset(dataset, table)
    assert dataset.cases[1].id not in {case.id for case in checked.cases}
    assert len(checked.cases) == 7
    assert f"left out: no voxel is known of 1 case: {dataset.cases[1].id}" in checked.notes
    for case in dataset.split("train"):
        b.rewrite(case.label, np.full(b.SHAPE, 255, np.uint8))
    with pytest.raises(DataError, match="no case for training has a voxel of another mask value than"):
        check_dataset(dataset, table)


def test_resampling_makes_no_class_of_what_is_not_known() -> None:
    label = np.full((12, 12, 12), 3, np.uint8)
    label[:, :, ::4] = 0
    label[2:8, 2:8, ::4] = 1
    finer = resample_label(label, (12, 12, 24))
    assert set(np.unique(finer)) == {0, 1, 3}  # no 2, which lies between 1 and 3
    np.testing.assert_array_equal(finer == 1, np.repeat(label == 1, 2, axis=2))
    np.testing.assert_array_equal(finer == 3, np.repeat(label == 3, 2, axis=2))


def test_moves_bring_it_along_and_make_no_class_of_it() -> None:
    rng = np.random.default_rng(0)
    label = np.full((16, 16, 16), 3, np.uint8)
    label[4:10, 4:10, 4:10] = 1
    image = (label == 1).astype(np.float32)[None]
    move = affine_move(
        label.shape, (0, 0, 0), label.shape, affine_draw(AugmentTable(rotate_degrees=30.0), 3, rng), (1.0,) * 3
    )
    _, moved = move.both(image, label)
    assert set(moved.unique().tolist()) == {1, 3}  # beyond the border lies what is at the border
    _, moved = turned(torch.from_numpy(image), torch.from_numpy(label), 20.0, (0, 1))
    assert set(moved.unique().tolist()) == {0, 1, 3}  # here it is background, as without


def test_crops_lie_about_what_is_known(tmp_path: Path) -> None:
    size, shape = (8, 8, 8), (40, 40, 40)
    label = np.full(shape, 3, np.uint8)
    label[20:23, 20:23, 20:23] = 0
    label[21, 21, 21] = 1
    foreground, known = foreground_voxels(label, 3), known_voxels(label, 3)
    assert [len(own) for own in (*foreground, *known)] == [1, 27]
    rng = np.random.default_rng(0)
    for crop in ("random", "foreground"):
        table = DataTable(source="decathlon", root="d", size=size, crop=crop)
        starts = np.array([crop_start(shape, foreground, table, rng, known) for _ in range(100)])
        assert starts.min() >= 16
        assert starts.max() <= 18
    assert known_voxels(np.full(shape, 3, np.uint8), 3) == known_voxels(np.zeros(shape, np.uint8), 3) == ()
    dataset, keys = pairs(tmp_path, sparse(), ignore=255, crop="random")
    assert [len(own) for own in load(dataset, dataset.cases[0], keys, resize=False).known] == [12 * 14 * 5]


def test_what_is_not_known_is_background_in_both_masks() -> None:
    truth, mask = np.array([0, 1, 2, 2], np.uint8), np.array([1, 1, 1, 0], np.uint8)
    assert [each.tolist() for each in only_known(truth, mask, 2)] == [[0, 1, 0, 0], [1, 1, 0, 0]]
    assert only_known(truth, mask, None) == (truth, mask)


def test_borders_of_pictures_as_voc_and_cityscapes_have_them(tmp_path: Path) -> None:
    for name in "abcd":
        b.picture(tmp_path / "d" / "images" / f"{name}.png", ord(name))
        label = np.zeros((16, 20), np.uint8)
        label[2:9, 3:12], label[3:8, 4:11], label[10:14, 5:9] = 255, 1, 2
        (tmp_path / "d" / "masks").mkdir(exist_ok=True)
        Image.fromarray(label).save(tmp_path / "d" / "masks" / f"{name}.png")
    table = b.table("image_pairs", classes=("car", "road"), ignore=255, size=(16, 16), split="fraction")
    dataset = check_dataset(open_dataset(table, "segmentation", tmp_path), table)
    raw = read_case(dataset, dataset.cases[0])
    assert np.bincount(raw.label.ravel()).tolist() == [320 - 63 - 16, 35, 16, 63 - 35]
