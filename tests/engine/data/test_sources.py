"""Every layout: what is found in it, and that its cases can be read."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest

from engine.data import Dataset, check_dataset, data_root, fingerprint, open_dataset
from engine.data.dataset import open_elsewhere
from engine.data.familiar import ranges, unfamiliar
from engine.data.phantom_volumes import write_nifti
from engine.data.read import read_case
from engine.data.sources import open_source
from engine.data.sources.dataset_json import labels_of
from engine.data.sources.index import foreground, missing, spelled
from engine.errors import DataError, Problem
from engine.recipe import DataTable
from tests.engine.data import builders as b
from tests.phantoms import TASKS, data_table, phantom_root

GROUPS = ["p1", "P1", "nan", "NA", "none", "n/a", "", "NULL"]


def opened(root: Path, source: str, task: str, **changes: object) -> Dataset:
    table = b.table(source, **changes)
    return check_dataset(open_dataset(table, task, root), table)


def sizes(dataset: Dataset) -> tuple[int, int, int]:
    return tuple(len(dataset.split(name)) for name in ("train", "validation", "test"))


@pytest.mark.parametrize("name", TASKS)
def test_phantoms_open_as_the_data_sets_they_stand_for(name: str, tmp_path: Path) -> None:
    table = data_table(name, validation_fraction=0.2)
    dataset = open_dataset(table, TASKS[name], phantom_root(tmp_path, name, cases=40 if name == "isic2018" else 12))
    assert dataset.phantom
    assert not dataset.published_split
    assert all(sizes(dataset))
    assert check_dataset(dataset, table) == dataset


def test_left_atrium_keeps_its_lists(tmp_path: Path) -> None:
    root = phantom_root(tmp_path, "left_atrium", cases=8)
    dataset = open_dataset(data_table("left_atrium"), "segmentation", root)
    wanted = (root / "left_atrium" / "test.list").read_text().split()
    assert [case.id for case in dataset.split("test")] == wanted
    assert (dataset.spacing_unit, dataset.classes, dataset.label_values) == ("voxel", ("left atrium",), (1,))
    assert "no validation split" in " ".join(dataset.notes)


def test_decathlon_names_classes_and_channels(tmp_path: Path) -> None:
    folder = b.decathlon(tmp_path / "d")
    labels = {"0": "background", "1": "edema", "2": "core", "4": "enhancing"}
    rows = [{"image": "imagesTr/c0.nii.gz", "label": "labelsTr/c0.nii.gz"}]
    b.write_json(folder, {"name": "Brain", "modality": {"0": "T1", "1": "T2"}, "labels": labels}, rows)
    image = np.stack([b.volume(0), b.volume(1)], axis=-1)
    label = b.mask(value=4)
    label[0, 0, 0] = 2
    write_nifti(folder / "imagesTr" / "c0.nii.gz", image, b.affine(1, 2, 3))
    write_nifti(folder / "labelsTr" / "c0.nii.gz", label, b.affine(1, 2, 3))
    dataset = opened(tmp_path, "decathlon", "segmentation")
    sample = read_case(dataset, dataset.cases[0])
    assert (dataset.name, dataset.classes, dataset.label_values) == ("Brain", ("edema", "core", "enhancing"), (1, 2, 4))
    assert sample.image.dtype == np.float32
    np.testing.assert_array_equal(sample.image, np.moveaxis(image, -1, 0))
    np.testing.assert_array_equal(sample.label, np.where(label == 4, 3, np.where(label == 2, 2, 0)))
    assert sample.spacing == (1.0, 2.0, 3.0)


def test_names_of_the_recipe_keep_the_values_that_the_data_set_gives_them() -> None:
    said = {1: "edema", 2: "core", 4: "enhancing"}
    turned = DataTable(source="decathlon", root="x", size=(8, 8, 8), classes=("enhancing", "edema", "core"))
    assert foreground(turned, said) == (("enhancing", "edema", "core"), (4, 1, 2))
    renamed = DataTable(source="decathlon", root="x", size=(8, 8, 8), classes=("a", "b", "c"))
    assert foreground(renamed, said) == (("a", "b", "c"), (1, 2, 3))
    other_case = DataTable(source="decathlon", root="x", size=(8, 8, 8), classes=("Core ", "EDEMA"))
    assert foreground(other_case, said)[1] == (2, 1)
    clash = DataTable(source="decathlon", root="x", size=(8, 8, 8), classes=("core", "oedema"))
    with pytest.raises(DataError) as caught:
        foreground(clash, said)
    assert "core = 2, oedema = 2" in caught.value.problems[0].what


@pytest.mark.parametrize(
    ("labels", "wanted"),
    [
        ({"0": "background", "1.0": "lesion", "2": "organ"}, {1: "lesion", 2: "organ"}),
        ({"background": 0, "lesion": "255", "organ": 2.0}, {255: "lesion", 2: "organ"}),
        ({"1": "lesion", "2": "lesion"}, 'the name "lesion" twice'),
        ({"1": "lesion", "2": " Lesion"}, 'the name " Lesion" twice'),
        ({"lesion": 1.5}, "found 'lesion': 1.5"),
        ({"lesion": True}, "found 'lesion': True"),
        ({"lesion": 10**400}, f"found 'lesion': {10**400}"),  # more than a float holds
    ],
)
def test_labels_of_a_dataset_json(labels: dict[str, object], wanted: object) -> None:
    problems: list[Problem] = []
    said = labels_of(labels, problems)
    assert (problems[0].what if problems else said) == wanted


def test_nnunet_joins_channel_files_and_takes_the_test_part(tmp_path: Path) -> None:
    b.nnunet(tmp_path / "d")
    dataset = opened(tmp_path, "nnunet", "segmentation")
    assert sizes(dataset) == (4, 0, 2)
    assert dataset.channels == 2
    sample = read_case(dataset, dataset.split("train")[1])
    np.testing.assert_array_equal(sample.image, np.stack([b.volume(10), b.volume(11)]))


def of_fold(root: Path, source: str, folds: int | None, fold: int = 0) -> tuple[list[str], str]:
    table = b.table(source, validation_folds=folds, validation_fold=fold)
    dataset = open_dataset(table, "segmentation", root)
    return [case.id for case in dataset.split("validation")], " ".join(dataset.notes)


def test_folds_of_a_datalist_are_the_validation_folds(tmp_path: Path) -> None:
    folder = b.decathlon(tmp_path / "d")
    path = folder / "dataset.json"
    value = json.loads(path.read_text())
    for row, fold in zip(value["training"], (1, 0, 2, 1, 0), strict=True):
        row["fold"] = fold
    path.write_text(json.dumps(value))
    found = [of_fold(tmp_path, "decathlon", 3, fold) for fold in range(3)]
    assert [ids for ids, _ in found] == [["c1", "c4"], ["c0", "c3"], ["c2"]]
    assert "validation folds: the 3 of the data set" in found[0][1]
    with pytest.raises(DataError, match="fold 3 of 3 is empty"):
        of_fold(tmp_path, "decathlon", 3, 3)
    for folds in (None, 2):
        assert (
            "the 3 folds of the data set are not used: data.validation_folds = 3"
            in of_fold(tmp_path, "decathlon", folds)[1]
        )
    del value["training"][1]["fold"]
    path.write_text(json.dumps(value))
    assert "not every case" in of_fold(tmp_path, "decathlon", 3)[1]
    for wrong in ("first", True):
        value["training"][1]["fold"] = wrong
        path.write_text(json.dumps(value))
        with pytest.raises(DataError) as caught:
            of_fold(tmp_path, "decathlon", 3)
        found = f"found fold {wrong!r}"
        assert caught.value.problems == (Problem("dataset.json", found, "a whole number from 0 to 99", "training"),)


def test_folds_of_nnunet_are_the_validation_folds(tmp_path: Path) -> None:
    path = b.nnunet(tmp_path / "d") / "splits_final.json"
    parts = [["Tr2", "Tr0"], ["Tr1", "Tr3"]]
    path.write_text(json.dumps([{"train": parts[1 - fold], "val": part} for fold, part in enumerate(parts)]))
    assert [of_fold(tmp_path, "nnunet", 2, fold)[0] for fold in range(2)] == [sorted(part) for part in parts]
    path.write_text(json.dumps([{"val": parts[0]}, {"val": parts[0]}]))
    with pytest.raises(DataError, match=r'Tr2 is in "val" of the folds 0 and 1'):
        of_fold(tmp_path, "nnunet", 2)
    path.write_text("{}")
    with pytest.raises(DataError, match="is no list of folds"):
        of_fold(tmp_path, "nnunet", 2)


def test_nnunet_names_the_channel_that_lacks(tmp_path: Path) -> None:
    folder = b.nnunet(tmp_path / "d", test=False)
    (folder / "imagesTr" / "Tr1_0001.nii.gz").unlink()
    (folder / "labelsTr" / "Tr2.nii.gz").unlink()
    with pytest.raises(DataError) as caught:
        opened(tmp_path, "nnunet", "segmentation")
    assert {p.where for p in caught.value.problems} == {"imagesTr/Tr1_0001.nii.gz", "labelsTr/Tr2.nii.gz"}


@pytest.mark.parametrize(("parts", "wanted"), [(("",), (3, 0, 1)), (("train", "val", "test"), (4, 4, 4))])
def test_nifti_pairs(tmp_path: Path, parts: tuple[str, ...], wanted: tuple[int, int, int]) -> None:
    b.pairs(tmp_path / "d", parts)
    split = "given" if len(parts) > 1 else "fraction"
    dataset = opened(tmp_path, "nifti_pairs", "segmentation", classes=("organ",), split=split)
    assert sizes(dataset) == wanted
    assert dataset.spacing_unit == "mm"


@pytest.mark.parametrize(
    ("channels", "mask", "named"), [(("flair", "t1", "t1ce", "t2"), "seg", True), (("imaging",), "segmentation", False)]
)
def test_case_folders_have_a_file_a_channel(tmp_path: Path, channels: tuple[str, ...], mask: str, named: bool) -> None:
    b.case_folders(tmp_path / "d", channels, mask, named=named)
    keys = {"channels": channels, "mask": mask, "classes": ("organ",), "split": "fraction"}
    dataset = opened(tmp_path, "case_folders", "segmentation", **keys)
    assert sizes(dataset) == (3, 0, 1)
    assert {case.id for case in dataset.cases} == {f"BraTS20_00{at}" for at in range(4)}
    assert dataset.channel_names == (channels if len(channels) > 1 else ())
    case = next(case for case in dataset.cases if case.id == "BraTS20_002")
    read = read_case(dataset, case)
    for channel, values in enumerate(read.image):
        np.testing.assert_array_equal(values, b.volume(20 + channel))
    np.testing.assert_array_equal(read.label, b.mask())
    turned = opened(tmp_path, "case_folders", "segmentation", **keys | {"channels": channels[::-1]})
    case = next(case for case in turned.cases if case.id == "BraTS20_002")
    np.testing.assert_array_equal(read_case(turned, case).image, read.image[::-1])


def test_case_folders_of_patients_and_of_splits(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for patient in ("p1", "p2"):
            b.case_folders(tmp_path / "d" / part / f"{part}_{patient}", ("ct",), "mask", cases=2)
    table = b.table("case_folders", channels=("CT",), mask="Mask", classes=("organ",))
    cases = open_source(table, tmp_path / "d", "segmentation").cases
    assert Counter(case.split for case in cases) == {"train": 4, "test": 4}
    assert {case.group for case in cases if case.split == "train"} == {"train_p1", "train_p2"}
    assert len({case.id for case in cases}) == 8
    assert all(path.is_file() for case in cases for path in case.files)


def test_case_folders_say_what_lacks(tmp_path: Path) -> None:
    folder = b.case_folders(tmp_path / "d", ("t1", "t2"), "seg")
    (folder / "BraTS20_001" / "BraTS20_001_t2.nii.gz").unlink()
    (folder / "BraTS20_003" / "BraTS20_003_seg.nii.gz").unlink()
    keys = {"channels": ("t1", "t2"), "classes": ("organ",), "split": "fraction"}
    with pytest.raises(DataError) as caught:
        opened(tmp_path, "case_folders", "segmentation", **keys)
    lacking = {"BraTS20_001/BraTS20_001_t2.nii.gz", "BraTS20_003/BraTS20_003_seg.nii.gz"}
    assert {p.where for p in caught.value.problems} == lacking
    with pytest.raises(DataError, match=r"has a file called flair.nii.gz.*") as caught:
        opened(tmp_path, "case_folders", "segmentation", **keys | {"channels": ("flair",), "mask": "truth"})
    assert caught.value.hint.endswith("called alike there: t1, seg, t2")
    with pytest.raises(DataError, match=r'"T1", is one of data.channels'):
        opened(tmp_path, "case_folders", "segmentation", **keys | {"mask": "T1"})


def test_nifti_pairs_need_names_for_their_classes(tmp_path: Path) -> None:
    b.pairs(tmp_path / "d")
    with pytest.raises(DataError, match=r"data\.classes"):
        opened(tmp_path, "nifti_pairs", "segmentation", split="fraction")


def test_nifti_pairs_name_the_mask_without_an_image(tmp_path: Path) -> None:
    folder = b.pairs(tmp_path / "d")
    (folder / "images" / "1.nii.gz").unlink()
    with pytest.raises(DataError, match=r"images/1\.nii\.gz: image: no such file"):
        opened(tmp_path, "nifti_pairs", "segmentation", classes=("organ",), split="fraction")


@pytest.mark.parametrize(("parts", "wanted"), [(("",), (6, 0, 2)), (("train", "validation", "test"), (8, 8, 8))])
def test_image_folder(tmp_path: Path, parts: tuple[str, ...], wanted: tuple[int, int, int]) -> None:
    b.image_folder(tmp_path / "d", parts)
    split = "given" if len(parts) > 1 else "fraction"
    dataset = opened(tmp_path, "image_folder", "classification", split=split)
    assert sizes(dataset) == wanted
    assert dataset.classes == ("cat", "dog")
    assert all(dataset.classes[case.target or 0] in case.id for case in dataset.cases)


def test_same_names_in_two_folders_get_longer_ids(tmp_path: Path) -> None:
    for label in ("a", "b"):
        for index in range(4):
            b.picture(tmp_path / "d" / label / f"{index}.png", index)
    dataset = opened(tmp_path, "image_folder", "classification", split="fraction")
    assert {case.id for case in dataset.cases} == {f"{label}__{index}.png" for label in "ab" for index in range(4)}


def test_csv_with_groups_and_splits(tmp_path: Path) -> None:
    for index in range(4):
        b.picture(tmp_path / "d" / "x" / f"{index}.png", index)
    rows = ["x/0.png,b,train,p1", "x/1.png,a,Train,p1", "x/2.png,a,val,", "x/3.png,b,test,p3"]
    b.csv_table(tmp_path / "d", rows, "path,label,part,patient")
    dataset = opened(tmp_path, "csv", "classification", split_column="part", group_column="patient")
    assert [(c.id, c.target, c.group, c.split) for c in dataset.cases] == [
        ("0", 1, "p1", "train"),
        ("1", 0, "p1", "train"),
        ("2", 0, None, "validation"),
        ("3", 1, "p3", "test"),
    ]


def test_a_datalist_of_monai_is_a_decathlon_without_labels(tmp_path: Path) -> None:
    folder = b.decathlon(tmp_path / "d")
    rows = [{"image": ["imagesTr/c0.nii.gz", "imagesTr/c1.nii.gz"], "label": "labelsTr/c0.nii.gz", "fold": 0}]
    b.write_json(folder, {}, rows)
    (folder / "dataset.json").write_text(json.dumps({"training": rows}))
    table = b.table("decathlon", classes=("organ",))
    dataset = open_dataset(table, "segmentation", tmp_path)
    assert (dataset.classes, dataset.label_values, dataset.channels) == (("organ",), (1,), 2)
    assert read_case(dataset, dataset.cases[0]).image.shape[0] == 2
    with pytest.raises(DataError) as caught:
        open_dataset(b.table("decathlon"), "segmentation", tmp_path)
    assert [problem.what for problem in caught.value.problems] == ["no labels, and no data.classes in the recipe"]


def test_a_decathlon_list_of_validation_is_used_and_what_has_no_label_is_counted(tmp_path: Path) -> None:
    folder = b.decathlon(tmp_path / "d")
    said = json.loads((folder / "dataset.json").read_text())
    said |= {"validation": [said["training"].pop()], "test": [said["training"].pop(), "./imagesTs/x.nii.gz"]}
    (folder / "dataset.json").write_text(json.dumps(said))
    dataset = opened(tmp_path, "decathlon", "segmentation")
    assert sizes(dataset) == (3, 1, 1)
    assert '"test" of dataset.json: 1 image without a label not used' in dataset.notes
    assert dataset.facts["data.own_validation"]
    del said["validation"]
    (folder / "dataset.json").write_text(json.dumps(said))
    drawn = opened(tmp_path, "decathlon", "segmentation", validation_fraction=0.4)
    assert sizes(drawn) == (2, 1, 1)
    assert not drawn.facts["data.own_validation"]


@pytest.mark.parametrize("name", ["val", "valid", "dev", "Validation"])
def test_folders_of_patients_are_groups_and_files_of_no_case_are_named(tmp_path: Path, name: str) -> None:
    places = itertools.product(("train", name, "test"), ("cat", "dog"), ("p1", "p2"))
    for index, (part, label, patient) in enumerate(places):
        b.picture(tmp_path / "d" / part / label / f"{part}-{patient}" / "a.jfif.png", index)
    b.picture(tmp_path / "d" / "more" / "cat" / "x.png")
    dataset = opened(tmp_path, "image_folder", "classification")
    assert sizes(dataset) == (4, 4, 4)
    assert {case.group for case in dataset.split("train")} == {"train-p1", "train-p2"}
    assert "files that are not used: 1 (more/cat/x.png)" in dataset.notes


def test_pairs_below_folders_of_patients_and_channels_beside_one_mask(tmp_path: Path) -> None:
    for index in range(4):
        for channel in range(2):
            path = tmp_path / "d" / "scans" / f"p{index // 2}" / f"case_{index}_{channel:04d}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_nifti(path, b.volume(10 * index + channel), b.affine())
        label = tmp_path / "d" / "masks" / f"p{index // 2}" / f"case_{index}.nii.gz"
        label.parent.mkdir(parents=True, exist_ok=True)
        write_nifti(label, b.mask(), b.affine())
    (tmp_path / "d" / "scans" / "old.mgz").write_text("x")
    changes = {"images": "scans", "labels": "masks", "classes": ("organ",), "split": "fraction", "test_fraction": 0.5}
    dataset = opened(tmp_path, "nifti_pairs", "segmentation", **changes)
    assert {case.id: case.group for case in dataset.cases} == {f"case_{i}": f"p{i // 2}" for i in range(4)}
    case = next(case for case in dataset.cases if case.id == "case_3")
    np.testing.assert_array_equal(read_case(dataset, case).image, np.stack([b.volume(30), b.volume(31)]))
    assert "files that are not used: 1 (scans/old.mgz)" in dataset.notes


def test_the_background_is_no_class_of_the_recipe() -> None:
    """Counted with it, nnU-Net's habit, every class would be one value off."""
    with pytest.raises(DataError, match="first of them is the mask value 1"):
        foreground(b.table("nifti_pairs", classes=("Background", "liver")), {})


@pytest.mark.parametrize("encoding", ["utf-8-sig", "cp1252", "utf-16", "utf-16-be", "utf-16-le", "utf-32"])
@pytest.mark.parametrize("separator", [";", "\t", ",", "|"])
def test_tables_as_spreadsheets_write_them(tmp_path: Path, encoding: str, separator: str) -> None:
    names = [f"Größe {index}.png" for index in range(8)]
    for index, name in enumerate(names):
        b.picture(tmp_path / "d" / name, index)
    rows = [["path", "Befund", "mm"], *([name, "gut" if name < "Größe 4" else "böse", '"1,5"'] for name in names)]
    text = "".join(f"{separator.join(row)}\r\n" for row in rows)
    mark = b"\xfe\xff" if encoding == "utf-16-be" else b""
    (tmp_path / "d" / "table.csv").write_bytes(mark + text.encode(encoding))
    dataset = opened(tmp_path, "csv", "classification", label_column="Befund", split="fraction")
    assert dataset.classes == ("böse", "gut")
    assert {case.images[0].name for case in dataset.cases} == {*names}


ROWS_OF_HOSPITALS = {
    "columns in another spelling": ("Path,LABEL,Patient-ID", "{n}.png,{c},P{p}"),
    "signs without a width": ("path,label\u200b,patient_id", "{n}.png,{c}\u200b,\ufeffP{p}"),
    "one-hot as pandas writes it": ("path,A,b,patientid", "{n}.png,{a},{b},P{p}"),
    "one-hot with decimal commas": ("path;a;B;PatientId", "{n}.png;{h},0;{k},0;P{p}"),
    "one-hot without zeros": ("path,a,b,patient id", "{n}.png,{x},{y},P{p}"),
}


@pytest.mark.parametrize("name", ROWS_OF_HOSPITALS)
def test_tables_as_hospitals_write_them(tmp_path: Path, name: str) -> None:
    header, row = ROWS_OF_HOSPITALS[name]
    rows = []
    for n in range(8):
        b.picture(tmp_path / "d" / f"{n}.png", n)
        first = n % 2 == 0
        shares = {"a": first, "b": not first, "h": int(first), "k": int(not first)}
        blanks = {"x": "1" if first else "", "y": "" if first else "1"}
        rows.append(row.format(n=n, c="ab"[n % 2], p=n // 2, **shares, **blanks))
    b.csv_table(tmp_path / "d", rows, header)
    keys = {"classes": ("a", "b"), "group_column": "patient_id", "split": "fraction"}
    dataset = opened(tmp_path, "csv", "classification", **keys)
    assert {case.id: (case.target, case.group) for case in dataset.cases} == {
        str(n): (n % 2, f"P{n // 2}") for n in range(8)
    }


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"PK\x03\x04" + bytes(900), "a workbook: unpack it, or save the sheet as CSV"), (b"<html>404", "a web page")],
)
def test_a_table_that_is_no_text_is_said_to_be_what_it_is(tmp_path: Path, content: bytes, said: str) -> None:
    b.csv_table(tmp_path / "d", [])
    (tmp_path / "d" / "table.csv").write_bytes(content)
    with pytest.raises(DataError, match=said):
        opened(tmp_path, "csv", "classification", split="fraction")


def test_images_in_a_format_that_is_not_read_are_said_once_and_not_missing(tmp_path: Path) -> None:
    folder = b.pairs(tmp_path / "d")
    for path in (folder / "images").iterdir():
        path.unlink()
        path.with_name(path.name[0]).write_bytes(bytes(128) + b"DICM")
    with pytest.raises(DataError, match=r"(?s)no image that can be read in .*images, beside 4 masks") as caught:
        opened(tmp_path, "nifti_pairs", "segmentation", classes=("organ",), split="fraction")
    assert [problem.what for problem in caught.value.problems] == ["slices of DICOM side by side"]


def test_accents_have_one_form(tmp_path: Path) -> None:
    names, forms = ("José", "b", "Jose\u0301"), ("é", "e\u0301")
    rows = [f"{n}.png,{names[n % 3]},{forms[n % 2]}{n // 4}" for n in range(12)]
    for n in range(12):
        b.picture(tmp_path / "d" / f"{n}.png", n)
    b.csv_table(tmp_path / "d", rows, "path,label,patient")
    dataset = opened(tmp_path, "csv", "classification", group_column="patient", split="fraction")
    assert dataset.classes == ("José", "b")
    assert {case.group for case in dataset.cases} == {"é0", "é1", "é2"}
    (tmp_path / "d" / "é.png").write_bytes(b"")
    b.csv_table(tmp_path / "d", ["e\u0301.png,a", "0.png,b"])
    with pytest.raises(DataError) as caught:
        opened(tmp_path, "csv", "classification", split="fraction")
    assert "in another Unicode form" in str(caught.value.problems)


@pytest.mark.parametrize(
    ("header", "row", "said"),
    [("path,label,path", "0.png,a,1.png", '2 columns "path"'), ("path,label", "0.png,a,b", "3 cells")],
)
def test_a_table_of_which_the_columns_are_not_known_is_refused(
    tmp_path: Path, header: str, row: str, said: str
) -> None:
    b.csv_table(tmp_path / "d", [row], header)
    with pytest.raises(DataError) as caught:
        opened(tmp_path, "csv", "classification", split="fraction")
    assert said in str(caught.value.problems)


def test_odd_geometry_is_noted_by_file(tmp_path: Path) -> None:
    b.pairs(tmp_path / "d")
    for index in range(2):
        image = nibabel.Nifti1Image(b.volume(index), b.affine(1, 2, 3))
        image.set_qform(b.affine(1, 2, 4), 1)
        nibabel.save(image, tmp_path / "d" / "images" / f"{index}.nii.gz")
    dataset = opened(tmp_path, "nifti_pairs", "segmentation", classes=("organ",), split="fraction")
    assert any(note.endswith("qform and sform disagree: the sform is used") for note in dataset.notes)
    assert any(note.startswith("2 files (images/") for note in dataset.notes)


def test_images_that_are_far_from_those_of_the_training_are_named(tmp_path: Path) -> None:
    folder = b.pairs(tmp_path / "d", ("train", "test"))
    padded = np.pad(b.volume(20), [(0, 0), (3, 3), (3, 3)])
    for index, image in enumerate((padded, b.volume(21) * 100, b.volume(22) / 100, b.volume(23))):
        path = f"{index}.nii.gz"
        write_nifti(folder / "images" / "test" / f"test{path}", image, b.affine(1, 2, 3))
        write_nifti(folder / "labels" / "test" / f"test{path}", b.mask(image.shape), b.affine(1, 2, 3))
    dataset = opened(tmp_path, "nifti_pairs", "segmentation", classes=("organ",))
    known = ranges(dataset, "train")
    assert known["blank"][1] < 0.01
    table = b.table("nifti_pairs")
    notes = unfamiliar(replace(dataset, cases=dataset.split("test")), known, table)
    assert notes[0].startswith("2 cases (test1, ...): values from -")
    assert "case test0: 56% of the image is 0" in notes[1]
    assert unfamiliar(replace(dataset, cases=dataset.split("train")), known, table) == ()
    assert unfamiliar(dataset, {}, table) == ()
    coarse = [replace(case, facts=replace(case.facts, spacing=(1.0, 2.0, 4.0))) for case in dataset.split("train")]
    (said,) = unfamiliar(replace(dataset, cases=tuple(coarse)), known, table)
    assert "voxels of 1 x 2 x 4 mm; the network was trained on 1 x 2 x 3 mm" in said
    assert unfamiliar(replace(dataset, cases=tuple(coarse)), ranges(dataset, "train", resampled=True), table) == ()
    stretched = replace(dataset, cases=tuple(coarse), task="classification")
    assert unfamiliar(stretched, known, table) == ()
    rounded = known | {"spacing 1": (2.0, 2.00000001)}  # as oblique scans have it
    assert "on 1 x 2 x 3 mm" in unfamiliar(replace(dataset, cases=tuple(coarse)), rounded, table)[0]


def test_missing_groups_are_no_group_and_names_that_agree_but_for_case_are_noted(tmp_path: Path) -> None:
    rows = [f"{index}.png,{'Benign' if index % 2 else 'malignant'},{group}" for index, group in enumerate(GROUPS)]
    for index in range(len(GROUPS)):
        b.picture(tmp_path / "d" / f"{index}.png", index)
    b.csv_table(tmp_path / "d", [*rows[:-1], rows[-1].replace("Benign", "benign ")], "path,label,patient")
    changes = {"group_column": "patient", "split": "fraction"}
    dataset = opened(tmp_path, "csv", "classification", **changes)
    groups = {case.id: case.group for case in dataset.cases}
    assert [groups[str(index)] for index in range(len(GROUPS))] == ["p1", "P1", *[None] * 6]
    notes = "; ".join(dataset.notes)
    assert "classes that differ by case, spaces or zeros only: Benign, benign" in notes
    assert "groups that differ by case, spaces or zeros only: P1, p1" in notes
    assert "training cases have no group" in notes
    assert [missing(cell) for cell in ("#REF!", "#WERT!", "#NV", "#7", "n.a")] == [True] * 3 + [False] * 2
    numbers = ["007", "7", "7.0", "70", "P07", "p7", "0.7", "700"]  # as a spreadsheet rewrites them
    assert [*map(spelled, numbers)] == ["7", "7", "7", "70", "p7", "p7", "0.7", "700"]
    merged = opened(tmp_path, "csv", "classification", classes=("benign", "malignant"), **changes)
    assert sorted(case.target or 0 for case in merged.cases) == [0] * 4 + [1] * 4


def test_a_class_that_reads_like_none_is_one_where_the_recipe_names_it(tmp_path: Path) -> None:
    for index in range(8):
        b.picture(tmp_path / "d" / f"{index}.png", index)
    b.csv_table(tmp_path / "d", [f"{index}.png,{'none' if index % 2 else 'mild'}" for index in range(8)])
    with pytest.raises(DataError, match=r"(?s)table.csv:3.*found nothing.*data.classes may name"):
        opened(tmp_path, "csv", "classification", split="fraction")
    named = opened(tmp_path, "csv", "classification", split="fraction", classes=("none", "mild"))
    assert named.classes == ("none", "mild")


def test_csv_of_masks(tmp_path: Path) -> None:
    b.pairs(tmp_path / "d", cases=5)
    b.csv_table(tmp_path / "d", [f"images/{i}.nii.gz,labels/{i}.nii.gz" for i in range(5)])
    dataset = opened(tmp_path, "csv", "segmentation", classes=("organ",), split="fraction", size=(8, 8, 8))
    assert sizes(dataset) == (4, 0, 1)
    assert read_case(dataset, dataset.cases[0]).label is not None


def test_isic_lesions_stay_together_when_a_split_is_drawn(tmp_path: Path) -> None:
    root = phantom_root(tmp_path, "isic2018", cases=120)
    dataset = open_dataset(data_table("isic2018", split="kfold", validation_fraction=0.2), "classification", root)
    places: dict[str, set[str]] = {}
    for case in dataset.cases:
        places.setdefault(case.group_key, set()).add(case.split)
    assert len(places) < len(dataset.cases)
    assert all(len(splits) == 1 for splits in places.values())
    assert sum(dataset.counts()["test"].values()) == len(dataset.split("test"))


def test_links_are_followed(tmp_path: Path) -> None:
    real = b.decathlon(tmp_path / "elsewhere")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "d").symlink_to(real)
    moved = real / "imagesTr" / "c0.nii.gz"
    moved.rename(tmp_path / "moved.nii.gz")
    moved.symlink_to(tmp_path / "moved.nii.gz")
    assert len(opened(tmp_path / "root", "decathlon", "segmentation", split="fraction").cases) == 5


def test_elsewhere_keeps_the_classes_of_the_network(tmp_path: Path) -> None:
    b.image_folder(tmp_path / "d")
    table = b.table("image_folder")
    dataset = open_elsewhere(table, "classification", tmp_path / "d", classes=("bird", "cat", "dog"))
    assert {(case.target, "dog" in case.id) for case in dataset.cases} == {(1, False), (2, True)}
    with pytest.raises(DataError, match="a folder of no class"):
        open_elsewhere(table, "classification", tmp_path, classes=("bird", "cat"))


def test_the_fingerprint_follows_the_data(tmp_path: Path) -> None:
    folder = b.image_folder(tmp_path / "d")
    before = fingerprint(opened(tmp_path, "image_folder", "classification", split="fraction"))
    assert fingerprint(opened(tmp_path, "image_folder", "classification", split="fraction")) == before
    assert fingerprint(opened(tmp_path, "image_folder", "classification", split="fraction", split_seed=3)) != before
    b.picture(folder / "cat" / "cat0.png", seed=9, size=(30, 30))
    assert fingerprint(opened(tmp_path, "image_folder", "classification", split="fraction")) != before


def test_the_data_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MEDTUI_DATA", raising=False)
    assert data_root(None) == Path("data")
    monkeypatch.setenv("MEDTUI_DATA", "/somewhere")
    assert data_root(None) == Path("/somewhere")
    assert data_root(Path("here")) == Path("here")
    assert data_root(Path("no\0path")) == Path("/somewhere")  # of a manifest that a stranger wrote


def test_only_data_with_a_published_split_can_lack_it(tmp_path: Path) -> None:
    b.image_folder(tmp_path / "d")
    assert opened(tmp_path, "image_folder", "classification", split="fraction").published_split is None
    b.decathlon(tmp_path / "x" / "d")
    assert opened(tmp_path / "x", "decathlon", "segmentation", split="fraction").published_split is False
    (tmp_path / "x" / "d" / "PHANTOM").touch()
    assert opened(tmp_path / "x", "decathlon", "segmentation", split="fraction").published_split is None
