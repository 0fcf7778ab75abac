"""Cases are known by what they hold: copies, links and other compressions are the same case."""

from __future__ import annotations

import os
import shutil
import struct
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from PIL import Image

from engine.data import check_dataset, fingerprint, open_dataset
from engine.data.cases import Dataset
from engine.data.identity import changed, digest, likeness, split_rows
from engine.errors import DataError
from engine.runfolder import RunFolder, SplitRow, read_splits, write_splits
from tests.engine.data.builders import csv_table, image_folder, mask, pairs, rewrite, table, write_nifti
from tests.engine.data.series import save, scan, slices

PARTS = ("train", "test")


def read(root: Path, source: str, task: str, **changes: object) -> Dataset:
    keys = table(source, **changes)
    return check_dataset(open_dataset(keys, task, root), keys)


def pictures(root: Path) -> Path:
    return image_folder(root / "d", PARTS)


def test_a_hash_is_of_shape_and_values_not_of_strides() -> None:
    values = np.arange(24, dtype=np.float32).reshape(4, 6)
    assert digest(values) == digest(np.asfortranarray(values)) == digest(values.copy())
    assert len({digest(values), digest(values.T), digest(values.reshape(6, 4)), digest(values + 1)}) == 4


@pytest.mark.parametrize("way", ["copy", "link", "hard link", "other compression"])
def test_the_same_picture_in_train_and_test_is_refused_with_both_names(tmp_path: Path, way: str) -> None:
    folder = pictures(tmp_path)
    source, copy = folder / "train" / "cat" / "cattrain0.png", folder / "test" / "dog" / "other.png"
    if way == "copy":
        shutil.copy(source, copy)
    elif way == "link":
        copy.symlink_to(source)
    elif way == "hard link":
        os.link(source, copy)
    else:
        copy = copy.with_suffix(".tif")
        Image.open(source).save(copy, compression="tiff_lzw")
    with pytest.raises(DataError) as caught:
        read(tmp_path, "image_folder", "classification")
    assert f"cattrain0 (train: cattrain0.png), other (test: {copy.name})" in str(caught.value)
    assert 'data.duplicates = "drop"' in str(caught.value)
    dataset = read(tmp_path, "image_folder", "classification", duplicates="drop")
    assert "cattrain0" not in {case.id for case in dataset.split("train")}
    assert "other" in {case.id for case in dataset.split("test")}
    assert any("left out: case cattrain0" in note for note in dataset.notes)
    assert any("different truths" in note for note in dataset.notes)


def as_converters_write(image: SimpleITK.Image, path: Path, slope: float, intercept: float) -> Path:
    """``image`` as NIfTI with its rows from the bottom, as dcm2niix has them, and the slope in the header."""
    SimpleITK.WriteImage(image, os.fspath(path))
    read = nibabel.load(path)
    values = np.rint((np.asarray(read.dataobj) - intercept) / slope).astype(np.int16)
    turned = nibabel.Nifti1Image(values, read.affine).as_reoriented([[0, 1], [1, -1], [2, 1]])
    turned.header.set_data_dtype(np.int16)
    content = bytearray(turned.to_bytes())
    content[112:120] = struct.pack("<ff", slope, intercept)
    path = path.with_name(path.name.replace(".nii", "_flipped.nii"))
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("slope", [1.0, 0.3])
@pytest.mark.parametrize("seed", range(3))
def test_a_series_of_dicom_and_its_copy_as_nifti_are_one_image(tmp_path: Path, seed: int, slope: float) -> None:
    image = SimpleITK.Cast(scan(seed, (9, 10, 11)), SimpleITK.sitkFloat64) * slope
    save(tmp_path / "d" / "dicom", slices(image, slope, -1024 * slope))
    as_converters_write(image, tmp_path / "d" / "a.nii", slope, -1024 * slope)
    rewritten = nibabel.as_closest_canonical(nibabel.load(tmp_path / "d" / "a_flipped.nii"))
    values = rewritten.get_fdata().astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(values, rewritten.affine), tmp_path / "d" / "b.nii.gz")
    SimpleITK.WriteImage(scan(seed + 10, (9, 10, 11)), os.fspath(tmp_path / "d" / "other.nrrd"))
    rows = ["a_flipped.nii,x,test", "dicom,x,train", "b.nii.gz,y,train", "other.nrrd,y,train"]
    csv_table(tmp_path / "d", rows, "path,label,part")
    keys = {"source": "csv", "task": "classification", "split_column": "part", "split": "given", "size": (8, 8, 8)}
    with pytest.raises(DataError) as caught:
        read(tmp_path, **keys)
    assert [problem.where for problem in caught.value.problems] == ["the same image"]
    assert all(f"{name} (" in str(caught.value) for name in ("dicom", "a_flipped", "b"))
    dataset = read(tmp_path, duplicates="drop", **keys)
    assert {case.id for case in dataset.cases} == {"a_flipped", "other"}
    assert any("the same image has different truths" in note for note in dataset.notes)


def test_volumes_of_one_hot_voxel_are_not_alike() -> None:
    made = []
    for seed in (1, 2):
        volume = np.random.default_rng(seed).integers(0, 500, (1, 20, 20, 20)).astype(np.float32)
        made.append(likeness(volume, np.eye(4)))
        volume[0, 0, 0, 0] = 32_000
        assert likeness(volume, np.eye(4)) == ""
    assert made[0] != made[1] != "" != made[0]
    assert likeness(volume, None) == ""


def test_a_large_offset_takes_nothing_of_what_differs() -> None:
    values = np.random.default_rng(0).integers(0, 9, (1, 20, 20, 20)).astype(np.float32)
    assert likeness(values + 10_000_000, np.eye(4)) == likeness(values / 2, np.eye(4)) != ""
    values[0, :10] = values[0, 10:]
    assert likeness(values + 10_000_000, np.eye(4)) == likeness(values / 2, np.eye(4)) != ""


def test_images_are_one_where_others_tell_so(tmp_path: Path) -> None:
    """Two affines of the same values, and a copy turned about of one: all are one image."""
    values = np.random.default_rng(0).normal(size=(8, 9, 10)).astype(np.float32)
    (tmp_path / "d").mkdir()
    for name, kept, affine in (
        ("c", values[:, ::-1], np.diag([1, -1, 1, 1])),
        ("b", values, np.diag([-1, 1, 1, 1])),
        ("a", values, np.eye(4)),
    ):
        write_nifti(tmp_path / "d" / f"{name}.nii", kept, affine)
    csv_table(tmp_path / "d", ["c.nii,x,test", "b.nii,x,train", "a.nii,x,train"], "path,label,part")
    keys = {"source": "csv", "task": "classification", "split_column": "part", "split": "given", "size": (8, 8, 8)}
    with pytest.raises(DataError) as caught:
        read(tmp_path, **keys)
    assert len(caught.value.problems) == 1
    assert all(f"{name}.nii" in str(caught.value) for name in "abc")


def test_a_copy_within_a_split_is_noted(tmp_path: Path) -> None:
    folder = pictures(tmp_path)
    shutil.copy(folder / "train" / "cat" / "cattrain0.png", folder / "train" / "cat" / "again.png")
    notes = read(tmp_path, "image_folder", "classification").notes
    assert "1 image is more than once in a split: again = cattrain0" in notes


def test_one_mask_for_different_images_is_noted(tmp_path: Path) -> None:
    pairs(tmp_path / "d", PARTS, cases=1)
    keys = {"source": "nifti_pairs", "task": "segmentation", "classes": ("organ",)}
    assert "different images have the same mask: train0 = test0" in read(tmp_path, **keys).notes
    rewrite(tmp_path / "d" / "labels" / "test" / "test0.nii.gz", np.flip(mask(), 1))
    assert not [note for note in read(tmp_path, **keys).notes if "same mask" in note]


def test_volumes_that_are_packed_or_not_are_the_same_and_spacing_is_in_the_fingerprint(tmp_path: Path) -> None:
    folder = pairs(tmp_path / "d", PARTS)
    before = read(tmp_path, "nifti_pairs", "segmentation", classes=("organ",))
    place = folder / "images" / "train" / "train0.nii.gz"
    image = nibabel.load(place)
    values, grid = np.asarray(image.dataobj), image.affine
    place.unlink()
    nibabel.save(nibabel.Nifti1Image(values, grid), place.with_suffix(""))
    packed = read(tmp_path, "nifti_pairs", "segmentation", classes=("organ",))
    assert fingerprint(packed) == fingerprint(before)
    assert not changed(split_rows(before.cases), split_rows(packed.cases))
    for name in ("images", "labels"):
        path = next((folder / name / "train").glob("train0.nii*"))
        array = np.asarray(nibabel.load(path).dataobj)
        path.unlink()
        nibabel.save(nibabel.Nifti1Image(array, 2 * grid), folder / name / "train" / "train0.nii.gz")
    assert fingerprint(read(tmp_path, "nifti_pairs", "segmentation", classes=("organ",))) != fingerprint(before)


def test_what_changed_is_named(tmp_path: Path) -> None:
    folder = pairs(tmp_path / "d", PARTS)
    before = read(tmp_path, "nifti_pairs", "segmentation", classes=("organ",))
    other = mask()
    other[3, 4, 2] = 0
    rewrite(folder / "labels" / "train" / "train1.nii.gz", other)
    for name in ("images", "labels"):
        (folder / name / "test" / "test0.nii.gz").unlink()
    after = read(tmp_path, "nifti_pairs", "segmentation", classes=("organ",))
    assert changed(split_rows(before.cases), split_rows(after.cases)) == "other content: train1; gone: test0"
    first = {row.id: row for row in split_rows(before.cases)}["train1"]
    second = {row.id: row for row in split_rows(after.cases)}["train1"]
    assert first.image == second.image
    assert first.truth != second.truth


def test_the_table_of_splits_keeps_what_others_wrote(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert read_splits(folder) == ()
    own = [SplitRow("a", "p1", "train", "01", "02"), SplitRow('b,"', "", "test", "03", "")]
    write_splits(folder, own)
    write_splits(folder, [SplitRow("c", "", "elsewhere", "04", "05")])
    write_splits(folder, [SplitRow("d", "", "elsewhere", "06", "07")])
    assert read_splits(folder) == (*own, SplitRow("d", "", "elsewhere", "06", "07"))
    folder.splits.write_bytes(b"\xff\x00nothing")
    assert read_splits(folder) == ()
