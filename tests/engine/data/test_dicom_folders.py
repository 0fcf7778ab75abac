"""Folders of classes, and of pairs, as clinics export DICOM: series in folders, files without an ending, odd names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.data import check_dataset, open_dataset
from engine.data.familiar import is_stretched
from engine.data.survey import survey
from engine.errors import DataError, RecipeError
from engine.planning.layouts import find_layout
from tests.engine.data import builders as b
from tests.engine.data.dicoms import dicom
from tests.engine.data.series import enhanced, save, scan, slices

NAMES = ("IM0001", "1.2.840.113.7", "1.2.840.113.8", "x.DCM", "y.IMA", "z.png")


def x_rays(folder: Path) -> Path:
    for kind in ("left", "right"):
        for at, name in enumerate(NAMES):
            if name.endswith(".png"):
                b.picture(folder / kind / name, at + len(kind))
            else:
                dicom(folder / kind / name, np.random.default_rng(at + 9 * len(kind)).integers(0, 4000, (9, 8), "u2"))
        (folder / kind / "README").write_text("words")
    return folder


def classes_of_series(folder: Path, place: str = "p{}/t1", cases: int = 4) -> Path:
    """A series in its folder for each case; beside it what an export puts there."""
    for kind in ("benign", "malignant"):
        for at in range(cases):
            held = folder / kind / place.format(at)
            if at == 1:
                enhanced(held / "many.dcm", scan(at + 9 * len(kind), (10, 12, 14)), [*range(10)])
            else:
                save(held, slices(scan(at + 9 * len(kind), (10, 12, 14))), "{}" if at % 2 else "IM{}.dcm")
            (held / "thumbnail.jpg").write_bytes(b"")
            (folder / kind / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
    return folder


def test_pictures_of_classes_may_have_no_ending(tmp_path: Path) -> None:
    layout, _ = find_layout(x_rays(tmp_path / "d"))
    assert (layout.source, layout.index.spatial_dims, layout.whole) == ("image_folder", 2, 12)
    keys = b.table("image_folder", split="fraction")
    dataset = check_dataset(open_dataset(keys, "classification", tmp_path), keys)
    assert len({case.facts.image for case in dataset.cases if case.facts}) == 12
    assert {"left__1.2.840.113.7", "right__1.2.840.113.8"} <= {case.id for case in dataset.cases}


def test_pairs_may_have_no_ending(tmp_path: Path) -> None:
    for at, name in enumerate(("IM1", "IM2", "1.2.3.4", "1.2.3.5", "5.DCM")):
        dicom(tmp_path / "d" / "images" / name, np.random.default_rng(at).integers(0, 4000, (9, 8), "u2"))
        (tmp_path / "d" / "masks").mkdir(exist_ok=True)
        mask = np.zeros((9, 8), np.uint8)
        mask[2 : 4 + at] = 1
        Image.fromarray(mask).save(tmp_path / "d" / "masks" / f"{name.removesuffix('.DCM')}_mask.png")
    keys = b.table("image_pairs", size=(8, 8), classes=("a",), split="fraction")
    dataset = check_dataset(open_dataset(keys, "segmentation", tmp_path), keys)
    assert {case.id for case in dataset.cases} == {"IM1", "IM2", "1.2.3.4", "1.2.3.5", "5"}


@pytest.mark.parametrize("place", ["p{}", "p{}/t1", "p{}/DICOM/S01/SER02"])
def test_series_of_classes_are_volumes_where_volumes_are_wanted(place: str, tmp_path: Path) -> None:
    layout, others = find_layout(classes_of_series(tmp_path / "d", place))
    assert (layout.source, layout.index.spatial_dims, layout.whole, others) == ("image_folder", 3, 8, ())
    keys = b.table("image_folder", size=(8, 8, 8), split="fraction")
    dataset = check_dataset(open_dataset(keys, "classification", tmp_path), keys)
    assert {case.facts.shape for case in dataset.cases if case.facts} == {(1, 14, 12, 10)}
    assert dataset.spacing_unit == "mm"
    patients = {case.group for case in dataset.cases}
    assert patients == ({None} if place == "p{}" else {"p0", "p1", "p2", "p3"})


def test_slices_of_classes_are_pictures_where_pictures_are_wanted(tmp_path: Path) -> None:
    for at in range(3):
        for kind in ("a", "b"):
            save(tmp_path / "d" / kind, slices(scan(at + 9 * (kind == "b"), (4, 9, 8))), f"p{at}_{{}}")
    layout, _ = find_layout(tmp_path / "d")  # in one heap: which of them make a volume nothing says
    assert (layout.index.spatial_dims, layout.whole) == (2, 24)
    with pytest.raises(RecipeError, match="2 numbers, height and width: d holds pictures"):
        open_dataset(b.table("image_folder", size=(8, 8, 8), split="fraction"), "classification", tmp_path)
    classes_of_series(tmp_path / "s", cases=2)
    keys = b.table("image_folder", root="s", split="fraction")
    assert len(open_dataset(keys, "classification", tmp_path).cases) == 2 * (10 + 1 + 2)  # thumbnails are pictures too


def test_folders_of_x_rays_are_no_series(tmp_path: Path) -> None:
    for at in range(4):
        for kind in ("a", "b"):
            for view in ("LCC", "RCC"):
                values = np.random.default_rng(at + 9 * len(view + kind)).integers(0, 4000, (9, 8), "u2")
                dicom(tmp_path / "d" / kind / f"p{at}" / f"{view}.dcm", values)
    layout, _ = find_layout(tmp_path / "d")
    assert (layout.source, layout.index.spatial_dims, layout.whole) == ("image_folder", 2, 16)
    assert {case.group for case in layout.index.cases} == {"p0", "p1", "p2", "p3"}


def test_of_volumes_with_one_name_in_a_class_one_is_a_case(tmp_path: Path) -> None:
    for kind in ("a", "b"):
        for at in range(3):
            place = tmp_path / "d" / kind
            place.mkdir(parents=True, exist_ok=True)
            b.write_nifti(place / f"{kind}{at}.nii.gz", b.volume(at), b.affine())
        (tmp_path / "d" / kind / f"{kind}1.NRRD").touch()
    keys = b.table("image_folder", size=(8, 8, 8), split="fraction")
    dataset = open_dataset(keys, "classification", tmp_path)
    assert len(dataset.cases) == 6
    assert dataset.notes[0] == "files that are not used: 2 (a/a1.NRRD, b/b1.NRRD)"


def test_volumes_that_are_numbered_in_each_class_are_classes(tmp_path: Path) -> None:
    for kind in ("a", "b"):
        for at in range(4):
            (tmp_path / "d" / kind).mkdir(parents=True, exist_ok=True)
            (tmp_path / "p" / kind / f"patient {at}").mkdir(parents=True)
            b.write_nifti(tmp_path / "d" / kind / f"{at:03d}.nii.gz", b.volume(at + 9 * (kind == "b")), b.affine())
            b.write_nifti(tmp_path / "p" / kind / f"patient {at}" / "ct.nii.gz", b.volume(at), b.affine())
    b.write_nifti(tmp_path / "d" / "b" / "003.nii.gz", b.volume(5), b.affine(1, 1, 2))
    keys = {"split": "fraction", "size": (8, 8, 8)}
    for resize, said in (
        ("stretch", 'where size tells the class: data.resize = "crop" with data.sp'),
        ("crop", "data.sp"),
    ):
        table = b.table("image_folder", resize=resize, **keys)
        dataset = check_dataset(open_dataset(table, "classification", tmp_path), table)
        (remedy,) = (each.remedy for each in survey(dataset, table).advice if "voxels of different" in each.what)
        assert remedy.startswith(said)
        assert is_stretched(dataset, table) == (resize == "stretch")
    for name in ("d", "p"):
        layout, _ = find_layout(tmp_path / name)
        assert (layout.source, layout.index.classes, layout.whole) == ("image_folder", ("a", "b"), 8)


def test_a_table_of_series_says_what_to_name_in_place_of_a_slice_or_of_a_folder_above(tmp_path: Path) -> None:
    for at in range(4):
        save(tmp_path / "d" / "scans" / f"p{at}" / "ct", slices(scan(at)))
    rows = [f"scans/p{at}/ct,{'ab'[at % 2]}" for at in range(4)]
    keys = b.table("csv", size=(8, 8, 8), split="fraction")
    for row, said in (
        ("scans/p0/a.png,a", r'"a.png" beside volumes.*\n.*all volumes, or all pictures'),
        ("scans/p9,a", r'found "p9"\n.*or a folder that holds a DICOM series'),
    ):
        b.csv_table(tmp_path / "d", [*rows, row])
        with pytest.raises(DataError, match=said):
            open_dataset(keys, "classification", tmp_path)
    b.csv_table(tmp_path / "d", [*rows[:3], "scans/p3,b"])
    with pytest.raises(DataError, match=r"scans/p3: image cannot be read: it holds no DICOM slices: name ct in it"):
        check_dataset(open_dataset(keys, "classification", tmp_path), keys)
