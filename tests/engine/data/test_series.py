"""A series of DICOM is the volume that SimpleITK reads; what lacks or does not fit is one line without a patient."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom.dataset import Dataset

from engine.data import check_dataset, open_dataset
from engine.data.dicom_folders import is_series, is_slice
from engine.data.remarks import remarks
from engine.data.volumes import read_header, read_volume
from engine.errors import DataError
from engine.planning.layouts import find_layout
from tests.engine.data import builders as b
from tests.engine.data.series import enhanced, save, scan, slices


def by_itk(folder: Path, series: str = "") -> SimpleITK.Image:
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(os.fspath(folder), series))
    reader.SetOutputPixelType(SimpleITK.sitkFloat32)
    return reader.Execute()


def assert_is(found: tuple[np.ndarray, np.ndarray], image: SimpleITK.Image) -> None:
    values, affine = found
    np.testing.assert_allclose(values, SimpleITK.GetArrayFromImage(image).T, rtol=1e-6)
    axes = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    np.testing.assert_allclose(affine[:3, :3], np.diag([-1, -1, 1]) @ axes, atol=1e-6)
    np.testing.assert_allclose(affine[:3, 3], np.array(image.GetOrigin()) * (-1, -1, 1), atol=1e-6)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", ["IM{:04d}.dcm", "IM{:04d}", "1.2.840.{}", "{}.IMA"])
def test_a_series_is_what_itk_reads_and_what_nifti_holds(seed, name, tmp_path):
    image = scan(seed)
    folder = save(tmp_path / "1.2.3", slices(image), name, seed=seed, packed=seed % 2 == 1)
    (folder / "notes.txt").write_text("none of DICOM")
    found = read_volume(folder)
    if seed % 2 == 0:  # GDCM does not unpack slices of so few pixels
        assert_is(found, by_itk(folder))
    SimpleITK.WriteImage(image, os.fspath(tmp_path / "a.nii.gz"))
    values, affine = read_volume(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(found[0], values)
    np.testing.assert_allclose(found[1], affine, atol=2e-5)
    header = read_header(folder)
    assert header.shape == values.shape
    np.testing.assert_array_equal(header.affine, found[1])
    assert remarks(folder) == ()


@pytest.mark.parametrize("seed", range(3))
def test_slices_that_run_against_the_normal_are_turned_about(seed, tmp_path):
    image = scan(seed, mirrored=True)
    values, affine = read_volume(save(tmp_path / "s", slices(image)))
    SimpleITK.WriteImage(image, os.fspath(tmp_path / "a.nii.gz"))
    # the same in space: both as close to RAS+ as their axes allow
    found, wanted = (
        nibabel.as_closest_canonical(each)
        for each in (nibabel.Nifti1Image(values, affine), nibabel.load(tmp_path / "a.nii.gz"))
    )
    np.testing.assert_array_equal(found.get_fdata(), wanted.get_fdata())
    np.testing.assert_allclose(found.affine, wanted.affine, atol=2e-5)


def test_each_slice_is_rescaled_by_its_own_header(tmp_path):
    made = slices(scan(1))
    for at, one in enumerate(made):
        one.RescaleSlope, one.RescaleIntercept = 0.25 * (at + 1), at - 100
    folder = save(tmp_path / "pet", made)
    assert_is(read_volume(folder), by_itk(folder))
    stored = made[3].pixel_array
    np.testing.assert_allclose(read_volume(folder)[0][:, :, 3], stored.T * 1.0 + (3 - 100), rtol=1e-6)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("slope", [1.0, 2.0])
def test_a_file_of_many_frames_is_a_volume(slope, packed, tmp_path):
    image = SimpleITK.Cast(SimpleITK.Abs(scan(2)), SimpleITK.sitkInt16) * 2
    order = list(range(6))
    path = enhanced(tmp_path / "e" / "one.dcm", image, order, slope, packed=packed)
    found = read_volume(path.parent)
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(os.fspath(path))
    reader.SetOutputPixelType(SimpleITK.sitkFloat32)
    assert_is(found, reader.Execute())
    assert_is(found, SimpleITK.Cast(image, SimpleITK.sitkFloat32))
    mixed = enhanced(tmp_path / "m" / "one.dcm", image, [3, 1, 0, 5, 4, 2], slope, packed=packed)
    np.testing.assert_array_equal(read_volume(mixed.parent)[0], found[0])  # which GDCM does not put in order


def test_files_of_many_frames_and_of_one_are_one_volume(tmp_path):
    image = scan(4)
    whole = enhanced(tmp_path / "s" / "many.dcm", image, [0, 2, 1])
    for one in slices(image, 0.5)[3:]:
        one.SeriesInstanceUID = pydicom.dcmread(whole).SeriesInstanceUID
        one.save_as(tmp_path / "s" / f"{one.InstanceNumber}.dcm", enforce_file_format=True)
    values, wanted = read_volume(tmp_path / "s")[0], SimpleITK.GetArrayFromImage(image).T
    np.testing.assert_allclose(values, wanted, atol=1)  # whole numbers by a slope of 2
    np.testing.assert_array_equal(values[..., 3:], wanted[..., 3:])


def test_sizes_of_pixels_that_differ_by_rounding_are_one(tmp_path):
    made = slices(scan(0))
    for at, one in enumerate(made):
        one.PixelSpacing = [round(float(side) + 1e-6 * (at % 2), 6) for side in one.PixelSpacing]
    assert read_volume(save(tmp_path / "s", made))[0].shape == (8, 7, 6)


def _without(at: int) -> Callable[[list[Dataset]], None]:
    return lambda made: made.pop(at)


def _set(at: int, **values: object) -> Callable[[list[Dataset]], None]:
    def change(made: list[Dataset]) -> None:
        for name, value in values.items():
            setattr(made[at], name, value)

    return change


def _copied(made: list[Dataset]) -> None:
    made[2].ImagePositionPatient = made[3].ImagePositionPatient


def _aside(made: list[Dataset]) -> None:
    place = np.array(made[2].ImagePositionPatient, float)
    made[2].ImagePositionPatient = (place + np.array(made[2].ImageOrientationPatient[:3], float) * 5).round(4).tolist()


def _cut(made: list[Dataset]) -> None:
    made[2].PixelData = made[2].PixelData[:50]


def _two(made: list[Dataset]) -> None:
    for one in made[:2]:
        one.SeriesInstanceUID, one.SeriesNumber = "1.2", 9


def _contours(made: list[Dataset]) -> None:
    for one in made:
        one.SOPClassUID = "1.2.840.10008.5.1.4.1.1.481.3"
        del one.Rows


BAD = {
    "a slice lacks": (_without(2), r"are missing: .* mm lie between IM\d+.dcm and IM\d+.dcm, where .* are usual"),
    "two series": (_two, r"2 series \(.*4 slices of number 3.*\): put each into a folder of its own"),
    "a mask": (_set(2, SOPClassUID="1.2.840.10008.5.1.4.1.1.66.4"), r"IM\d+.dcm: it is a DICOM Segmentation, which is"),
    "contours": (_contours, "no DICOM slices, but RT Structure Set Storage: not read; take it out"),
    "a localizer": (
        _set(1, ImageOrientationPatient=[1, 0, 0, 0, 0, 1]),
        "2 directions, as those of a localizer do .*take",
    ),
    "another size": (_set(1, Rows=4, Columns=14), "2 sizes: 14x4, 8x7"),
    "other pixels": (_set(1, PixelSpacing=[1.5, 7]), "pixels of different size: .* to 7x1.5 mm"),
    "colours": (_set(1, PhotometricInterpretation="RGB", SamplesPerPixel=3), r"it is in colours"),
    "twice": (_copied, "at one place"),
    "aside": (_aside, "not in one line"),
    "no place": (_set(1, ImagePositionPatient=None), r"IM\d+.dcm: it does not say the place of its slice"),
    "frames": (_set(1, NumberOfFrames=4), "IM.*: it holds 4 frames, and not where"),
    "one slice": (lambda made: made.__delitem__(slice(1, None)), "one slice, where a volume is wanted"),
    "cut off": (_cut, r"IM\d+.dcm: it is cut off: 50 of 112 bytes"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_volume_is_one_line_without_a_patient(name, tmp_path, capfd):
    spoil, said = BAD[name]
    made = slices(scan(4))
    spoil(made)
    folder = save(tmp_path / "s", made)
    with pytest.raises((OSError, ValueError), match=said) as told:
        read_volume(folder)
    text = str(told.value)
    assert "\n" not in text
    assert not any(word in text for word in ("Secret", "4711", "1970"))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("word", ["value", "header", "tail"])
def test_a_damaged_slice_is_one_line_without_a_patient(word, tmp_path):
    folder = save(tmp_path / "s", slices(scan(4)))
    path = sorted(folder.iterdir())[2]
    content = path.read_bytes()
    at = content.index(b"\x28\x00\x30\x00DS")
    word_there = content[: at + 8] + b"Secret" + content[at + 14 :]
    path.write_bytes({"value": word_there, "header": content[:at], "tail": content[:-9]}[word])
    with pytest.raises((OSError, ValueError), match=r"damaged|size of a pixel|cut off|Rows") as told:
        read_volume(folder)
    assert "Secret" not in str(told.value)


def test_how_much_lacks_is_said_in_mm(tmp_path):
    image = scan(0)
    image.SetSpacing((1, 1, 2.5))
    made = slices(image)
    with pytest.raises(ValueError, match=r"7\.5 mm lie between .*, where 2\.5 mm are usual, so that 5 mm lack$"):
        read_volume(save(tmp_path / "s", [*made[:3], *made[5:], *_on(made)]))


def _on(made: list[Dataset]) -> list[Dataset]:
    """Three slices more behind the last one."""
    step = np.array(made[1].ImagePositionPatient, float) - np.array(made[0].ImagePositionPatient, float)
    more = slices(scan(0))[:3]
    for at, one in enumerate(more, 1):
        for name in ("SeriesInstanceUID", "PixelSpacing", "ImageOrientationPatient"):
            setattr(one, name, made[-1][name].value)
        one.ImagePositionPatient = (np.array(made[-1].ImagePositionPatient, float) + at * step).round(6).tolist()
    return more


def test_a_tilted_gantry_is_noted(tmp_path):
    made = slices(scan(0))
    for at, one in enumerate(made):
        shift = np.array(one.ImageOrientationPatient[3:], float) * 0.5 * at
        one.ImagePositionPatient = (np.array(one.ImagePositionPatient, float) + shift).round(8).tolist()
    assert "not at right angles" in remarks(save(tmp_path / "s", made))[0]


def test_folders_that_hold_none(tmp_path):
    (tmp_path / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
    (tmp_path / "README").write_text("words")
    (tmp_path / "a.nii.gz").write_bytes(bytes(128) + b"DICM")
    assert not is_series(tmp_path)
    assert not is_series(tmp_path / "README")
    (tmp_path / "IM1").write_bytes(bytes(128) + b"DICM")
    assert is_slice(tmp_path / "IM1")
    assert is_series(tmp_path)


def with_masks(folder: Path, image: str, mask: str, cases: int = 5) -> Path:
    """A series a case, and a mask in its geometry."""
    for index in range(cases):
        scanned = scan(index, (10, 12, 14))
        save(folder / image.format(index), slices(scanned), "{}")
        values = np.zeros((10, 12, 14), np.uint8)
        values[3:6, 2:7, 4:9] = 1
        label = SimpleITK.GetImageFromArray(values)
        label.CopyInformation(scanned)
        (folder / mask.format(index)).parent.mkdir(parents=True, exist_ok=True)
        SimpleITK.WriteImage(label, os.fspath(folder / mask.format(index)))
    return folder


@pytest.mark.parametrize(
    ("image", "mask", "source"),
    [
        ("p{}/t1", "p{}/seg.nrrd", "case_folders"),
        ("images/p{}.old", "labels/p{}.old_seg.nii.gz", "nifti_pairs"),
        ("scans/1.2.{}", "masks/{}.mha", "csv"),
    ],
)
def test_a_series_stands_where_a_volume_may(image, mask, source, tmp_path):
    folder = with_masks(tmp_path / "d", image, mask)
    if source == "csv":
        b.csv_table(folder, [f"{image.format(index)},{mask.format(index)}" for index in range(5)])
    layout, others = find_layout(folder)
    assert (layout.source, layout.whole, others) == (source, 5, ())
    table = layout.table("d", split="fraction", test_fraction=0.4)
    dataset = open_dataset(table, "segmentation", tmp_path)
    assert dataset.spacing_unit == "mm"
    assert not [note for note in dataset.notes if "not used" in note]
    facts = {case.id: case.facts for case in check_dataset(dataset, table).cases}
    assert len({fact.image for fact in facts.values()}) == 5
    assert all(fact.shape == (1, 14, 12, 10) and fact.present == (0,) for fact in facts.values())
    name = {"csv": "1.2.3", "nifti_pairs": "p3.old", "case_folders": "p3"}[source]
    np.testing.assert_allclose(facts[name].spacing, scan(3, (10, 12, 14)).GetSpacing(), atol=1e-4)


def test_two_series_in_a_folder_of_a_case_are_told_without_a_patient(tmp_path):
    folder = with_masks(tmp_path / "d", "p{}/t1", "p{}/seg.nrrd")
    save(folder / "p1" / "t1", slices(scan(7, (10, 12, 14)))[:4], "b{}")
    table = find_layout(folder)[0].table("d", split="fraction", test_fraction=0.4)
    with pytest.raises(DataError) as told:
        check_dataset(open_dataset(table, "segmentation", tmp_path), table)
    assert "p1/t1: image cannot be read: it holds 2 series" in str(told.value)
    assert not any(word in str(told.value) for word in ("Secret", "4711", "1970"))


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90"])
def test_slices_are_unpacked(syntax, tmp_path, capfd):
    gdcm = pytest.importorskip("gdcm")
    image = scan(3, (4, 33, 40))
    folder = save(tmp_path / "s", slices(image))
    for path in folder.iterdir():
        reader, writer, change = gdcm.ImageReader(), gdcm.ImageWriter(), gdcm.ImageChangeTransferSyntax()
        reader.SetFileName(os.fspath(path))
        assert reader.Read()
        change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(syntax)))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer.SetFileName(os.fspath(path))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
    assert_is(read_volume(folder), SimpleITK.Cast(image, SimpleITK.sitkFloat32))
    path = sorted(folder.iterdir())[1]
    path.write_bytes(path.read_bytes()[:-600])
    with pytest.raises(ValueError, match=f"{path.name}: its (pixels cannot be read: packed as|header is damaged)"):
        read_volume(folder)
    assert "Secret" not in "".join(capfd.readouterr())


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [12, 16])
def test_where_0_is_white_values_are_turned_about_as_by_itk(signed, bits, tmp_path):
    made = slices(scan(3))
    for at, one in enumerate(made):
        one.PhotometricInterpretation, one.PixelRepresentation = "MONOCHROME1", int(signed)
        one.BitsStored, one.HighBit = bits, bits - 1
        one.RescaleSlope, one.RescaleIntercept = (2 + at, -1000) if bits == 12 else (1, 0)
        low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if signed else (0, 2**bits)
        values = np.random.default_rng(at).integers(low, high, (one.Rows, one.Columns))
        one.PixelData = values.astype("i2" if signed else "u2").tobytes()
    folder = save(tmp_path / "s", made)
    found = read_volume(folder)[0]
    stored = made[2].pixel_array.astype(float)
    wanted = (-1 - stored if signed else 2**bits - 1 - stored) * made[2].RescaleSlope + made[2].RescaleIntercept
    np.testing.assert_array_equal(found[:, :, 2].T, wanted)
    if bits == 16 or not signed:  # GDCM refuses to turn signed values of fewer bits
        assert_is(read_volume(folder), by_itk(folder))
    with pytest.raises(ValueError, match="a mask in which 0 is white"):
        read_volume(folder, "label")


def test_so_are_those_of_many_frames(tmp_path):
    image = SimpleITK.Cast(SimpleITK.Abs(scan(2)), SimpleITK.sitkInt16) * 2
    path = enhanced(tmp_path / "e" / "one.dcm", image, [3, 1, 0, 5, 4, 2])
    wanted = read_volume(path.parent)[0]
    held = pydicom.dcmread(path)
    held.PhotometricInterpretation = "MONOCHROME1"
    held.PixelData = (65535 - held.pixel_array).astype("u2").tobytes()
    held.save_as(path)
    np.testing.assert_array_equal(read_volume(path.parent)[0], wanted)
