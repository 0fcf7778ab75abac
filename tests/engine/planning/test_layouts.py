"""How a folder is laid out is found out; what is in no layout, or in several, is said."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.data.phantom import PHANTOMS, make_phantom
from engine.errors import DataError, UsageError
from engine.planning.layouts import find_layout, place_of
from tests.engine.data import builders


def pair(folder: Path, images: str, masks: str, cases: int = 4) -> Path:
    for index in range(cases):
        builders.picture(folder / images / f"{index}.png", index)
        (folder / masks).mkdir(parents=True, exist_ok=True)
        pixels = np.zeros((16, 20), np.uint8)
        pixels[4:9, 5:12] = 255
        Image.fromarray(pixels).save(folder / masks / f"{index}_mask.png")
    return folder


@pytest.mark.parametrize("name", PHANTOMS)
def test_every_phantom_is_found_in_the_layout_that_it_was_made_in(name, tmp_path):
    make_phantom(name, tmp_path / name, seed=0, cases=8)
    layout, _ = find_layout(tmp_path / name)
    assert (layout.source, layout.task) == (PHANTOMS[name].source, PHANTOMS[name].task)


def test_the_folders_of_nnunet_and_of_pairs(tmp_path):
    assert find_layout(builders.nnunet(tmp_path / "n"))[0].source == "nnunet"
    pairs, _ = find_layout(builders.pairs(tmp_path / "p"))
    assert (pairs.source, pairs.named, pairs.whole) == ("nifti_pairs", False, 4)


@pytest.mark.parametrize(
    ("channels", "mask", "named"),
    [(("flair", "t1", "t1ce", "t2"), "seg", True), (("imaging",), "segmentation", False), (("ct", "pet"), "gt", True)],
)
def test_folders_a_case_are_known_by_what_their_files_are_called(channels, mask, named, tmp_path):
    layout, others = find_layout(builders.case_folders(tmp_path / "f", channels, mask, named=named))
    assert (layout.source, layout.keys["channels"], layout.keys["mask"]) == ("case_folders", channels, mask)
    assert (layout.whole, others) == (4, ())


def test_folders_of_pictures_are_classes_unless_they_are_masks(tmp_path):
    assert find_layout(builders.image_folder(tmp_path / "f"))[0].source == "image_folder"
    layout, others = find_layout(pair(tmp_path / "p", "photos", "masks"))
    assert (layout.source, layout.keys["images"], others) == ("image_pairs", "photos", ())
    assert find_layout(tmp_path / "p", "image_folder")[0].source == "image_folder"


def test_masks_that_belong_to_no_image_are_no_class(tmp_path):
    for at in range(3):
        for name in ("images/img_{}", "masks/mask_{}"):
            builders.picture(tmp_path / "apart" / f"{name.format(at)}.png", at)
        for name in ("image", "mask"):
            builders.picture(tmp_path / "cases" / f"p{at}" / f"{name}.png", at)
        builders.picture(tmp_path / "faces" / "with_mask" / f"{at}.png", at)
        builders.picture(tmp_path / "faces" / "without_mask" / f"{at}.png", at)
    with pytest.raises(
        DataError, match=r"masks by their names \(masks/mask_0.png\); where they are a class: --source"
    ) as told:
        find_layout(tmp_path / "apart")
    assert "no mask in masks has the name of an image" in str(told.value)
    with pytest.raises(DataError, match=r"3 images of 6 are masks by their names \(p0/mask.png\)"):
        find_layout(tmp_path / "cases")
    assert find_layout(tmp_path / "cases", "image_folder")[0].index.classes == ("p0", "p1", "p2")
    assert find_layout(tmp_path / "faces")[0].index.classes == ("with_mask", "without_mask")


def test_images_and_masks_in_one_folder_and_in_folders_of_odd_names(tmp_path):
    pair(tmp_path / "flat", ".", ".")
    layout, _ = find_layout(tmp_path / "flat")
    assert (layout.source, layout.keys["images"], layout.whole) == ("image_pairs", ".", 4)
    layout, _ = find_layout(pair(tmp_path / "odd", "Bilder [1] ü*", "Masken?"))
    assert (layout.keys["images"], layout.keys["labels"], layout.whole) == ("Bilder [1] ü*", "Masken?", 4)


def test_the_columns_of_a_table_are_told_by_what_they_hold(tmp_path):
    folder = tmp_path / "t"
    rows = []
    for index in range(6):
        builders.picture(folder / "scans" / f"{index}.png", index)
        rows.append(f"p{index // 2},scans/{index}.png,{'ab'[index % 2]},{'train' if index < 4 else 'test'}")
    builders.csv_table(folder, rows, header="Patient-ID,file,diagnosis,part")
    (folder / "table.csv").rename(folder / "cases.csv")
    layout, _ = find_layout(folder)
    wanted = {"source": "csv", "table": "cases.csv", "path_column": "file", "label_column": "diagnosis"}
    assert layout.keys == {**wanted, "group_column": "Patient-ID"}  # "part" is no name of a split's column
    assert layout.index.classes == ("a", "b")


@pytest.mark.parametrize(
    ("header", "row", "reason"),
    [
        ("path,label", "scans/{0}.png,a", "the image of table.csv:2 again"),
        ("path,label", "scans/{0}.png,", "label: found nothing"),
        ("path,severity", "scans/{0}.png,a", 'which column holds the classes? Call it "label"'),
        ("image,label", "{0}.png,a", "image does not hold paths below the folder: scans/0.png instead of 0.png"),
        ("id,label", "{0},a", "scans/0.png instead of 0"),
        ("path,label", "scans/{0},a", "scans/0.png instead of scans/0"),
        ("path,label,label", "scans/{0}.png,a,b", "a column is there twice"),
    ],
)
def test_why_a_table_is_not_read_is_said_and_one_folder_is_no_class(header, row, reason, tmp_path):
    for index in range(4):
        builders.picture(tmp_path / "d" / "scans" / f"{index}.png", index)
    builders.csv_table(tmp_path / "d", [row.format(at) for at in (0, 1, 2, 3, 0)], header)
    with pytest.raises(DataError, match=r"all images are in one folder, scans") as caught:
        find_layout(tmp_path / "d")
    assert reason in str(caught.value)


def test_folders_are_no_classes_where_a_table_that_cannot_be_read_has_some(tmp_path):
    folder = builders.image_folder(tmp_path / "d")
    rows = [f"{kind}{at},{'xy'[at % 2]}" for kind in ("cat", "dog") for at in range(4)]
    builders.csv_table(folder, rows, "id,diagnosis")
    with pytest.raises(UsageError, match=r'as "diagnosis", and is not read: table\.csv: id does not hold paths'):
        find_layout(folder)
    assert find_layout(folder, "image_folder")[0].index.classes == ("cat", "dog")
    builders.csv_table(folder, [f"cat{at},{30 + at}" for at in range(4)], "id,age")  # says nothing of classes
    assert find_layout(folder)[0].source == "image_folder"


def test_a_table_of_masks_is_a_segmentation(tmp_path):
    pair(tmp_path / "d", "a", "b")
    builders.csv_table(tmp_path / "d", [f"a/{at}.png,b/{at}_mask.png,train" for at in range(4)], "path,truth,split")
    layout, _ = find_layout(tmp_path / "d", "csv")
    assert (layout.task, layout.keys["label_column"], layout.keys["split_column"]) == ("segmentation", "truth", "split")


def test_a_one_hot_table_names_its_classes(tmp_path):
    for index in range(4):
        builders.picture(tmp_path / "d" / f"{index}.png", index)
    builders.csv_table(tmp_path / "d", [f"{at}.png,{at % 2},{1 - at % 2}" for at in range(4)], "path,nevus,melanoma")
    layout, _ = find_layout(tmp_path / "d")
    assert layout.keys["classes"] == ("nevus", "melanoma")


def test_several_readings_of_other_cases_are_for_the_user_to_choose_from(tmp_path):
    folder = builders.decathlon(tmp_path / "d")
    builders.pairs(folder)
    shutil.rmtree(folder / "labelsTr")
    (folder / "labelsTr").mkdir()
    with pytest.raises(DataError, match="is not in this layout"):
        find_layout(folder, "decathlon")
    pictures = builders.image_folder(tmp_path / "two")
    rows = [f"{kind}/{kind}{at}.png,{'xy'[at % 2]}" for kind in ("cat", "dog") for at in range(4)]
    builders.csv_table(pictures, rows)
    pair(pictures, "images", "masks", cases=8)
    with pytest.raises(UsageError, match="can be read in several ways") as caught:
        find_layout(pictures)
    assert "--source image_pairs: 8 cases" in str(caught.value)
    assert "--source csv: 8 cases, classification of x, y" in str(caught.value)


def test_folders_of_volumes_are_classes_where_they_are_not_cases_by_the_names_of_files(tmp_path):
    for at in range(4):
        for kind in ("benign", "malignant"):
            place = tmp_path / "classes" / kind
            place.mkdir(parents=True, exist_ok=True)
            builders.write_nifti(place / f"{kind}{at}.nii.gz", builders.volume(at), builders.affine())
        for name in ("t1", "t2"):
            (place := tmp_path / "cases" / f"p{at}").mkdir(parents=True, exist_ok=True)
            builders.write_nifti(place / f"{name}.nii.gz", builders.volume(at), builders.affine())
        (place := tmp_path / "masks" / f"p{at}").mkdir(parents=True)
        builders.write_nifti(place / f"{at}_seg.nii.gz", builders.mask(), builders.affine())
    layout, others = find_layout(tmp_path / "classes")
    assert (layout.source, layout.task, layout.index.spatial_dims, others) == ("image_folder", "classification", 3, ())
    assert (layout.index.classes, layout.whole) == (("benign", "malignant"), 8)
    with pytest.raises(DataError, match=r"called alike in each folder \(t1.nii.gz\): those are cases, and no classes"):
        find_layout(tmp_path / "cases")
    with pytest.raises(DataError, match=r"4 images of 4 are masks by their names"):
        find_layout(tmp_path / "masks")


def test_what_is_in_no_layout_is_described(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="there: nothing") as caught:
        find_layout(tmp_path / "empty")
    assert "the folder has no folder images" in str(caught.value)
    assert "names the classes" not in str(caught.value)
    assert "nnunet" in str(caught.value)
    assert "has no dataset.json" in str(caught.value)
    (tmp_path / "odd" / "a").mkdir(parents=True)
    (tmp_path / "odd" / "a" / "scan.mgz").touch()
    with pytest.raises(DataError, match="with SimpleITK or 3D Slicer") as caught:
        find_layout(tmp_path / "odd")
    assert "the folder a; 1 file (1 .mgz)" in str(caught.value)
    builders.pairs(tmp_path / "unpacked" / "unpacked" / "mine")
    with pytest.raises(DataError, match=r"perhaps what lies in it is meant: .*unpacked/unpacked/mine"):
        find_layout(tmp_path / "unpacked")
    with pytest.raises(UsageError, match='"nnu" is no layout'):
        find_layout(tmp_path, "nnu")


def test_a_folder_as_typed_or_below_the_data_root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "sub" / "mine").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "file").touch()
    root = Path("data")
    assert place_of(Path("sub/mine"), root) == (root, "sub/mine")
    assert place_of(Path("data/sub/mine"), root) == (root, "sub/mine")
    assert place_of(Path("other"), root) == (tmp_path, "other")
    (tmp_path / "other" / "inner").mkdir()
    assert place_of(Path("other/inner/.."), root) == (tmp_path.resolve(), "other")
    with pytest.raises(DataError, match="file is not a folder"):
        place_of(Path("file"), root)
    with pytest.raises(DataError, match="no folder absent, here or in data"):
        place_of(Path("absent"), root)
