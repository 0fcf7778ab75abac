"""Bad data folders: each gets one DataError, which names the file and what is wrong in it."""

from __future__ import annotations

import gzip
import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest

from engine.data import check_dataset, open_dataset
from engine.errors import DataError
from tests.engine.data import builders as b
from tests.phantoms import phantom_root

Bad = tuple[str, str, dict[str, object]]


def _decathlon(spoil: Callable[[Path], object], **changes: object) -> Callable[[Path], Bad]:
    def build(root: Path) -> Bad:
        spoil(b.decathlon(root / "d"))
        return "decathlon", "segmentation", {"split": "fraction", **changes}

    return build


def _isic(spoil: Callable[[Path], object], **changes: object) -> Callable[[Path], Bad]:
    def build(root: Path) -> Bad:
        phantom_root(root, "isic2018", cases=30)
        spoil(root / "isic2018")
        return "isic2018", "classification", {"root": "isic2018", **changes}

    return build


def _csv(rows: list[str], header: str = "path,label", **changes: object) -> Callable[[Path], Bad]:
    def build(root: Path) -> Bad:
        for index in range(6):
            b.picture(root / "d" / f"{index}.png", index)
        b.csv_table(root / "d", rows, header)
        return "csv", "classification", changes

    return build


def _atrium(spoil: Callable[[Path], object]) -> Callable[[Path], Bad]:
    def build(root: Path) -> Bad:
        phantom_root(root, "left_atrium", cases=4)
        spoil(root / "left_atrium")
        return "left_atrium", "segmentation", {"root": "left_atrium"}

    return build


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _edit(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text().replace(old, new, 1))


def _nan(path: Path) -> None:
    array = b.volume()
    array[0, 0, :2] = np.nan
    b.rewrite(path, array)


def _flat(path: Path) -> None:
    image = nibabel.Nifti1Image(b.volume(), None)
    image.header.set_sform(b.affine(1, 1, 0), code=1)
    path.write_bytes(gzip.compress(image.to_bytes()))


def _isic_csv(folder: Path, part: str) -> Path:
    return folder / f"ISIC2018_Task3_{part}_GroundTruth" / f"ISIC2018_Task3_{part}_GroundTruth.csv"


def _first_row(folder: Path) -> str:
    return _isic_csv(folder, "Training").read_text().splitlines()[1]


def _h5_without_label(folder: Path) -> None:
    with h5py.File(folder / "PHANTOM00000" / "mri_norm2.h5", "a") as file:
        del file["label"]


def _labels(folder: Path, value: object) -> None:
    text = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps({**text, "labels": value}))


IMAGE, LABEL = "imagesTr/c1.nii.gz", "labelsTr/c1.nii.gz"

BAD: dict[str, tuple[Callable[[Path], Bad], tuple[str, ...]]] = {
    "no folder": (lambda root: ("decathlon", "segmentation", {}), ("no data set at", "--data")),
    "no dataset.json": (_decathlon(lambda d: (d / "dataset.json").unlink()), ("has no dataset.json",)),
    "no JSON": (_decathlon(lambda d: (d / "dataset.json").write_text("{")), ("not valid JSON",)),
    "labels with regions": (_decathlon(lambda d: _labels(d, {"whole": [1, 2]})), ("labels", "[evaluate.regions]")),
    "path climbs out": (
        _decathlon(lambda d: _edit(d / "dataset.json", "./imagesTr/c0", "../../c0")),
        ('found "../../c0.nii.gz"', "below the folder"),
    ),
    "no test labels": (_decathlon(lambda d: None, split="kfold", folds=6), ("6 folds need 6 groups or more; found 5",)),
    "missing label": (_decathlon(lambda d: (d / LABEL).unlink()), (LABEL, "no such file")),
    "dangling link": (
        _decathlon(lambda d: ((d / IMAGE).unlink(), (d / IMAGE).symlink_to(d / "gone.nii.gz"))),
        (IMAGE, "a link to a file that is not there"),
    ),
    "other shape": (
        _decathlon(lambda d: b.rewrite(d / LABEL, b.mask((12, 14, 11)))),
        (LABEL, "shape 12x14x11", "12x14x10, the shape of its image"),
    ),
    "other affine": (
        _decathlon(lambda d: b.rewrite(d / LABEL, b.mask(), b.affine(1, 1, 1.5))),
        (LABEL, "affine other than that of its image"),
    ),
    "affine not invertible": (
        _decathlon(lambda d: _flat(d / IMAGE)),
        (IMAGE, "affine that is not invertible"),
    ),
    "NaN": (_decathlon(lambda d: _nan(d / IMAGE)), (IMAGE, "2 NaN or infinite values")),
    "constant image": (_decathlon(lambda d: b.rewrite(d / IMAGE, b.volume() * 0 + 7)), (IMAGE, "every voxel is 7")),
    "truncated NIfTI": (_decathlon(lambda d: _truncate(d / IMAGE)), (IMAGE, "cannot be read")),
    "no NIfTI at all": (_decathlon(lambda d: (d / IMAGE).write_text("hello")), (IMAGE, "cannot be read")),
    "called otherwise": (
        _decathlon(lambda d: (d / IMAGE).rename(d / IMAGE[:-3])),
        (IMAGE, "no such file; beside it is c1.nii"),
    ),
    "not packed, and called so": (
        _decathlon(lambda d: (d / IMAGE).write_bytes(gzip.decompress((d / IMAGE).read_bytes()))),
        (IMAGE, "it is not packed: call it .nii"),
    ),
    "a key twice": (
        _decathlon(lambda d: _edit(d / "dataset.json", '"labels": {', '"labels": {"1": "tumour", ')),
        ('the key "1" is there twice',),
    ),
    "a class without a name": (_decathlon(lambda d: _labels(d, {"0": "back", "1": None})), ("mask value 1 without a",)),
    "another format": (
        _decathlon(lambda d: (d / IMAGE).rename(d / "imagesTr" / "c1.mgz")),
        ("c1.mgz", "not read", "convert to NIfTI"),
    ),
    "empty file": (_decathlon(lambda d: (d / IMAGE).write_bytes(b"")), (IMAGE, "cannot be read")),
    "empty label": (_decathlon(lambda d: b.rewrite(d / LABEL, b.mask() * 0)), (LABEL, "the label is empty")),
    "label value": (_decathlon(lambda d: b.rewrite(d / LABEL, b.mask(value=3))), (LABEL, "label value 3", "0, 1")),
    "label below 0": (_decathlon(lambda d: b.rewrite(d / LABEL, -b.mask().astype(np.int8))), ("label value -1",)),
    "smoothed label": (
        _decathlon(lambda d: b.rewrite(d / LABEL, (b.volume() * 40).clip(0, 255).astype(np.uint8))),
        ("look like a mask that was smoothed", "nearest neighbour"),
    ),
    "label not whole": (
        _decathlon(lambda d: b.rewrite(d / LABEL, b.mask() * np.float32(0.4))),
        (LABEL, "label value 0.4"),
    ),
    "2-D image": (
        _decathlon(lambda d: b.rewrite(d / IMAGE, b.volume(shape=(9, 9)))),
        (IMAGE, "shape 9x9", "third axis of 1"),
    ),
    "channels": (
        _decathlon(lambda d: b.rewrite(d / IMAGE, b.volume(shape=(*b.SHAPE, 2)))),
        (IMAGE, "2 channels", "1, as the data set says"),
    ),
    "case twice": (
        _decathlon(lambda d: _edit(d / "dataset.json", "imagesTr/c0", "imagesTr/c1")),
        ("1 id of more than one case", "c1"),
    ),
    "no train.list": (_atrium(lambda d: (d / "train.list").unlink()), ("has no train.list",)),
    "id that climbs out": (
        _atrium(lambda d: _edit(d / "train.list", "PHANTOM00000", "../x")),
        ("train.list:1", "../x"),
    ),
    "case with a name too long": (
        _atrium(lambda d: _edit(d / "train.list", "PHANTOM00000", "X" * 300)),
        ("X/mri_norm2.h5", "name too long"),
    ),
    "case not there": (_atrium(lambda d: _edit(d / "train.list", "PHANTOM00000", "X")), ("X/mri_norm2.h5", "no such")),
    "truncated h5": (
        _atrium(lambda d: _truncate(d / "PHANTOM00000" / "mri_norm2.h5")),
        ("PHANTOM00000/mri_norm2.h5", "cannot be read"),
    ),
    "h5 without label": (_atrium(_h5_without_label), ('no data set "label"',)),
    "id in both lists": (
        _atrium(lambda d: (d / "test.list").write_text("PHANTOM00000\n")),
        ("1 id of more than one case", "PHANTOM00000", "(train)", "(test)"),
    ),
    "ISIC: header": (
        _isic(lambda d: _edit(_isic_csv(d, "Training"), "MEL,NV", "NV,MEL")),
        ("GroundTruth.csv:1", "image,MEL,NV"),
    ),
    "ISIC: not one-hot": (
        _isic(lambda d: _edit(_isic_csv(d, "Training"), _first_row(d), _first_row(d).replace("0.0", "1.0"))),
        ("GroundTruth.csv:2", "a single 1"),
    ),
    "ISIC: missing image": (
        _isic(lambda d: (d / "ISIC2018_Task3_Training_Input" / f"{_first_row(d)[:12]}.jpg").unlink()),
        ("Training_Input/ISIC_0000000.jpg", "no such file"),
    ),
    "ISIC: truncated image": (
        _isic(lambda d: _truncate(d / "ISIC2018_Task3_Test_Input" / os.listdir(d / "ISIC2018_Task3_Test_Input")[0])),
        ("Test_Input/ISIC_", "cannot be read"),
    ),
    "ISIC: classes": (_isic(lambda d: None, classes=("MEL", "NV")), ("data.classes", "MEL, NV, BCC")),
    "CSV: no column": (_csv(["0.png,a"], "file,label"), ('no column "path"', "file, label")),
    "CSV: path climbs out": (_csv(["../0.png,a"]), ("table.csv:2", "../0.png")),
    "CSV: no label": (_csv(["0.png,a", "1.png,"]), ("table.csv:3", "label", "found nothing")),
    "CSV: split": (
        _csv(["0.png,a,train", "1.png,a,tset"], "path,label,s", split_column="s"),
        ("table.csv:3", 'found "tset"', "train, validation or test"),
    ),
    "CSV: no split given": (_csv(["0.png,a", "1.png,b"]), ("gives no split for 2 of 2 cases", 'split = "fraction"')),
    "CSV: group in two splits": (
        _csv(
            ["0.png,a,train,p1", "1.png,b,test,p1", "2.png,a,test,p2"],
            "path,label,s,g",
            split_column="s",
            group_column="g",
        ),
        ("1 group in more than one split", "group p1", "train: 0; test: 1"),
    ),
    "CSV: nothing to train on": (
        _csv(["0.png,a,test", "1.png,b,test"], "path,label,s", split_column="s"),
        ("no case is left for training",),
    ),
    "CSV: an image twice": (_csv(["0.png,a", "1.png,b", "./0.png,b"]), ("table.csv:4", "image of table.csv:2 again")),
    "CSV: paths of Windows": (_csv(["C:\\x\\0.png,a"]), ("table.csv:2", "below the folder")),
    "CSV: no ending": (_csv(["0,a", "1,b"]), ("table.csv:2", 'found "0"', "with its ending")),
    "CSV: other ending": (
        _csv(["0.PNG,a", "1.jpg,b"], split="kfold", folds=2),
        ("0.PNG: image: no such file; beside it is 0.png", "beside it is 1.png"),
    ),
    "CSV: endless class": (_csv([f"0.png,{'x' * 300}"]), ("is that the column of the class?",)),
    "CSV: class of no name": (_csv(["0.png,a"], classes=("b", "c")), ("table.csv:2", 'class "a"', "b, c")),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_folder_is_one_clear_error(name: str, tmp_path: Path) -> None:
    build, wanted = BAD[name]
    source, task, changes = build(tmp_path)
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    table = b.table(source, **changes)
    with pytest.raises(DataError) as caught:
        check_dataset(open_dataset(table, task, tmp_path), table)
    text = str(caught.value)
    for part in wanted:
        assert part in text
    assert caught.value.exit_code == 2
    assert "Traceback" not in text
    assert sorted(str(path) for path in tmp_path.rglob("*")) == before


def test_all_that_is_wrong_comes_in_one_list(tmp_path: Path) -> None:
    folder = b.decathlon(tmp_path / "d")
    _truncate(folder / "imagesTr" / "c0.nii.gz")
    (folder / "labelsTr" / "c0.nii.gz").unlink()
    b.rewrite(folder / "labelsTr" / "c2.nii.gz", b.mask(value=9))
    table = b.table("decathlon", split="fraction")
    with pytest.raises(DataError) as caught:
        check_dataset(open_dataset(table, "segmentation", tmp_path), table)
    places = {problem.where for problem in caught.value.problems}
    assert places == {"imagesTr/c0.nii.gz", "labelsTr/c0.nii.gz", "labelsTr/c2.nii.gz"}
    assert "2 cases of 5" in caught.value.message


def test_a_long_list_is_cut_and_says_so(tmp_path: Path) -> None:
    b.csv_table(tmp_path / "d", [f"{index}.png,class {index}" for index in range(70)])
    with pytest.raises(DataError) as caught:
        open_dataset(b.table("csv", split="fraction", classes=("a", "b")), "classification", tmp_path)
    assert len(str(caught.value).splitlines()) < 110
    assert "\n  and 20 more" in str(caught.value)


def test_what_is_wrong_in_every_case_is_said_once(tmp_path: Path) -> None:
    b.csv_table(tmp_path / "d", [f"{index}.png,a" for index in range(70)])
    table = b.table("csv", split="fraction")
    with pytest.raises(DataError) as caught:
        check_dataset(open_dataset(table, "classification", tmp_path), table)
    _, line, hint = str(caught.value).splitlines()
    assert re.fullmatch(r"  \d+\.png, \d+\.png, \d+\.png and 67 more: image: no such file", line)
    assert hint.startswith("it is so in every case")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"root": "dd"}, "data.root names it in the folder that --data or $MEDTUI_DATA gives; there is d"),
        ({"images": "scans"}, "data.images; there are images, labels"),
        ({"labels": "masks"}, "data.labels; there are images, labels"),
    ],
)
def test_a_folder_that_is_not_there_names_those_that_are(change: dict[str, str], said: str, tmp_path: Path) -> None:
    b.pairs(tmp_path / "d", ("train",))
    with pytest.raises(DataError) as caught:
        open_dataset(b.table("nifti_pairs", classes=("organ",), **change), "segmentation", tmp_path)
    assert caught.value.hint.endswith(said)


def test_skip_leaves_out_what_cannot_be_used_and_says_so(tmp_path: Path) -> None:
    folder = b.decathlon(tmp_path / "d")
    _truncate(folder / IMAGE)
    for name in ("c2", "c3"):
        b.rewrite(folder / "labelsTr" / f"{name}.nii.gz", b.mask() * 0)
    table = b.table("decathlon", split="fraction", unreadable="skip")
    dataset = open_dataset(table, "segmentation", tmp_path)
    calls: list[tuple[int, int]] = []
    checked = check_dataset(dataset, table, progress=lambda done, total: calls.append((done, total)))
    assert {case.id for case in checked.cases} == {"c0", "c2", "c3", "c4"}
    notes = "\n".join(checked.notes)
    assert "left out: case c1: imagesTr/c1.nii.gz" in notes
    assert "kept with an empty label: 2 cases: c2, c3" in notes
    assert calls == [(done, 5) for done in range(1, 6)]


def test_skip_refuses_when_nothing_is_left(tmp_path: Path) -> None:
    folder = b.decathlon(tmp_path / "d")
    for path in (folder / "imagesTr").iterdir():
        _truncate(path)
    table = b.table("decathlon", split="fraction", unreadable="skip")
    with pytest.raises(DataError, match="no case is left for training"):
        check_dataset(open_dataset(table, "segmentation", tmp_path), table)
