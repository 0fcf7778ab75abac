"""A folder that holds all files of a study: each series is a volume, as SimpleITK finds them; localizers are none."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK

from engine.data import check_dataset, dicom_folders, open_dataset
from engine.data.dicom_folders import named_volumes, series_in, series_name, volumes_in
from engine.data.remarks import remarks
from engine.data.volumes import read_header, read_volume
from engine.errors import DataError
from engine.planning.layouts import find_layout
from tests.engine.data import builders as b
from tests.engine.data.series import enhanced, save, scan, slices
from tests.engine.data.test_series import assert_is, by_itk

PLANES = ([1, 0, 0, 0, 1, 0], [1, 0, 0, 0, 0, -1], [0, 1, 0, 0, 0, -1])


def study(
    folder: Path, seed: int = 0, numbers: tuple[int | None, ...] = (2, 5), shape: tuple[int, int, int] = (6, 7, 8)
) -> Path:
    """A series of ``shape`` for each of ``numbers``, a localizer, a picture of the screen and a report."""
    for at, number in enumerate(numbers):
        made = slices(scan(100 * seed + at, shape))
        for one in made:
            one.Modality = "CT"
            one.SeriesNumber = number
        save(folder, made, f"{'AB'[at % 2]}{at}_{{:04d}}.dcm")
    localizer = slices(scan(100 * seed + 50, (3, 9, 9)))
    for one, plane in zip(localizer, PLANES, strict=True):
        one.SeriesNumber, one.ImageOrientationPatient = 1, plane
    save(folder, localizer, "L{}.dcm")
    (screen,) = slices(scan(3, (1, 9, 9)))
    screen.PhotometricInterpretation, screen.SamplesPerPixel, screen.SeriesNumber = "RGB", 3, 999
    (report,) = slices(scan(3, (1, 9, 9)))
    del report.Rows, report.Columns, report.PixelData
    save(folder, [screen, report], "S{}.dcm")
    return folder


def test_each_series_is_the_volume_that_itk_finds_in_the_folder(tmp_path):
    folder = study(tmp_path / "1.2.study", numbers=(2, 5, 6))
    found = volumes_in(folder)
    assert [series_name(path) for path in found] == ["1.2.study__2", "1.2.study__5", "1.2.study__6"]
    for path in found:
        assert_is(read_volume(path), by_itk(folder, str(pydicom.dcmread(path).SeriesInstanceUID)))
        assert read_header(path).shape == (8, 7, 6)
        (said,) = remarks(path)
        assert said.startswith("in its folder lie series of no volume, which are not read: 3 slices of number 1 (MR")
        assert "Secret" not in said
    known = SimpleITK.ImageSeriesReader.GetGDCMSeriesIDs(os.fspath(folder))
    assert {str(pydicom.dcmread(path).SeriesInstanceUID) for path in found} <= {*known}
    assert {*named_volumes(folder.glob("B*")).values()} == {found[1]}


def test_numbers_are_those_of_volumes_whatever_else_has_none(tmp_path):
    folder = study(tmp_path / "p1")
    for path in folder.glob("[LS]*"):
        held = pydicom.dcmread(path)
        held.SeriesNumber = None
        held.save_as(path)
    assert [series_name(path) for path in volumes_in(folder)] == ["p1__2", "p1__5"]


@pytest.mark.parametrize("numbers", [(3, 3), (None, 3), (None, None)])
def test_series_without_numbers_of_their_own_are_counted(numbers, tmp_path):
    folder = study(tmp_path / "p1", numbers=numbers)
    names = [series_name(path) for path in volumes_in(folder)]
    assert len({*names}) == 2
    assert all(name.startswith("p1__") and name[4:].isdigit() for name in names)


def test_of_several_one_must_be_named_and_of_one_beside_a_localizer_none(tmp_path):
    folder = study(tmp_path / "p1")
    with pytest.raises(
        ValueError, match=r"2 series \(6 slices of number 2 \(CT of 8x7, A0_0000.dcm\), 6 .*name a file"
    ):
        read_volume(folder)
    alone = study(tmp_path / "p2", numbers=(7,))
    assert volumes_in(alone) == [alone]
    files = [alone / name for name in ("A0_0003.dcm", "L1.dcm", "A9.dcm")]
    localizer = min(alone.glob("L*"))
    assert [*named_volumes(files).values()] == [alone, localizer, alone / "A9.dcm"]  # the last is not there
    wanted = by_itk(alone, str(pydicom.dcmread(alone / "A0_0000.dcm").SeriesInstanceUID))
    assert_is(read_volume(alone), wanted)
    with pytest.raises(ValueError, match="lie in 3 directions, as those of a localizer do"):
        read_volume(alone / "L1.dcm")
    with pytest.raises(ValueError, match=r"S\d.dcm: it is in colours: a volume is in grey"):
        read_volume(next(path for path in alone.glob("S*") if pydicom.dcmread(path).get("Rows")))
    with pytest.raises(FileNotFoundError):
        read_volume(alone / "A9.dcm")


def test_files_of_many_frames_side_by_side_are_a_volume_each(tmp_path):
    for at in range(3):
        enhanced(tmp_path / "mr" / f"{at}.dcm", scan(at), [*range(6)])
    for at, path in enumerate(volumes_in(tmp_path / "mr")):
        reader = SimpleITK.ImageFileReader()
        reader.SetFileName(os.fspath(tmp_path / "mr" / f"{at}.dcm"))
        reader.SetOutputPixelType(SimpleITK.sitkFloat32)
        assert path.name == f"{at}.dcm"
        assert_is(read_volume(path), reader.Execute())


def test_series_of_classes_lie_side_by_side_in_folders_of_patients(tmp_path):
    for at in range(6):
        kind = ("benign", "malignant")[at % 2]
        study(tmp_path / "d" / kind / f"p{at}", at, (2, 5) if at > 1 else (2,))
    layout, others = find_layout(tmp_path / "d")
    assert (layout.source, layout.index.spatial_dims, layout.whole, others) == ("image_folder", 3, 10, ())
    table = layout.table("d", split="fraction", test_fraction=0.4)
    dataset = check_dataset(open_dataset(table, "classification", tmp_path), table)
    assert {case.facts.shape for case in dataset.cases if case.facts} == {(1, 8, 7, 6)}
    assert {case.id for case in dataset.cases} == {
        *("p0", "p1"),
        *(f"p{at}__{number}" for at in range(2, 6) for number in (2, 5)),
    }
    assert {case.group for case in dataset.cases if "p2" in case.id} == {"p2"}
    assert not [note for note in dataset.notes if "not used" in note]
    assert any("series of no volume, which are not read" in note for note in dataset.notes)


def test_a_table_names_a_file_of_the_series_that_is_meant(tmp_path):
    for at in range(4):
        study(tmp_path / "d" / f"p{at}", at)
    keys = b.table("csv", size=(8, 8, 8), split="fraction")
    b.csv_table(tmp_path / "d", [f"p{at}/B1_0004.dcm,{'ab'[at % 2]}" for at in range(4)])
    assert find_layout(tmp_path / "d", "csv")[0].index.spatial_dims == 3
    dataset = check_dataset(open_dataset(keys, "classification", tmp_path), keys)
    assert sorted(case.id for case in dataset.cases) == [f"p{at}__5" for at in range(4)]
    assert dataset.spacing_unit == "mm"
    np.testing.assert_allclose(
        [case.facts.spacing for case in sorted(dataset.cases, key=lambda case: case.id) if case.facts],
        [scan(100 * at + 1).GetSpacing() for at in range(4)],
        atol=1e-6,
    )
    b.csv_table(tmp_path / "d", [f"p{at}/{name}.dcm,a" for at in range(4) for name in ("B1_0001", "B1_0002")])
    assert find_layout(tmp_path / "d", "csv")[0].index.spatial_dims == 2  # several of one series: pictures
    b.csv_table(tmp_path / "d", [f"p{at},{'ab'[at % 2]}" for at in range(4)])
    with pytest.raises(DataError, match=r"p0, .*: image cannot be read: it holds 2 series"):
        check_dataset(open_dataset(keys, "classification", tmp_path), keys)


def test_series_may_lie_beside_the_table(tmp_path):
    study(tmp_path / "d")
    b.csv_table(tmp_path / "d", ["A0_0002.dcm,a", "B1_0004.dcm,b"])
    dataset = open_dataset(b.table("csv", size=(8, 8, 8), split="fraction"), "classification", tmp_path)
    assert sorted(case.id for case in dataset.cases) == ["d__2", "d__5"]


def _remembered(folder: Path) -> bool:
    return series_in(folder)[0].files[0] is series_in(folder)[0].files[0]


def test_headers_are_remembered_until_a_file_changes(tmp_path):
    made = slices(scan(1))
    folder = save(tmp_path / "s", made)
    assert not _remembered(folder)  # a file that has just changed may change again within a tick of the clock
    time.sleep(2.1)
    before = read_volume(folder)
    assert _remembered(folder)
    names = sorted(path for path in folder.iterdir() if pydicom.dcmread(path).InstanceNumber in {1, 6})
    old = names[0].stat()
    held = pydicom.dcmread(names[0])
    held.RescaleIntercept = str(held.RescaleIntercept).replace("4", "5")  # -1025: as many bytes
    held.PixelSpacing = [round(float(side) + 0.5, 3) for side in held.PixelSpacing]
    held.save_as(names[0])
    os.utime(names[0], ns=(old.st_atime_ns, old.st_mtime_ns))
    with pytest.raises(ValueError, match="pixels of different size"):
        read_volume(folder)
    names[0].unlink()
    values, _ = read_volume(folder)
    assert values.shape == (8, 7, 5)
    save(folder, made)
    np.testing.assert_array_equal(read_volume(folder)[0], before[0])


def test_what_is_remembered_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(dicom_folders, "_MOST_KEPT", 13)
    places = [save(tmp_path / str(at), slices(scan(at))) for at in range(3)]
    time.sleep(2.1)
    for place in places:
        read_header(place)
    assert [_remembered(place) for place in places[::-1]] == [True] * 3
    first = series_in(places[0])[0].files[0]
    read_header(places[1])
    read_header(places[2])
    assert series_in(places[0])[0].files[0] is not first


def test_threads_read_a_folder_at_once(tmp_path):
    folder = study(tmp_path / "s")
    time.sleep(2.1)
    wanted = {path: read_volume(path)[0] for path in volumes_in(folder)}
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda path: (path, read_volume(path)[0]), 8 * [*wanted]))
    for path, values in found:
        np.testing.assert_array_equal(values, wanted[path])
