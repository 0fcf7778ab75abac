"""Reading: damaged files are DataErrors whatever the damage; images come out as they are seen."""

from __future__ import annotations

import gzip
import struct
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import nibabel
import numpy as np
import pytest
import SimpleITK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from engine.data.cases import Case, Dataset
from engine.data.phantom_volumes import write_nifti
from engine.data.planes import volume_of
from engine.data.read import read_case, read_image
from engine.data.remarks import remarks
from engine.data.volumes import read_volume, spacing_of
from engine.errors import DataError
from tests.engine.data import builders as b
from tests.engine.data import series

NOWHERE = "its header says nothing of its orientation: x is taken to run to the left, as older programs do"
LONGER = "holds more values than its header says: the rest is not read"
TURNED = "turned upright, as its EXIF data says; a mask without such data must be upright itself"


def dataset(task: str, root: Path) -> Dataset:
    segmentation = task == "segmentation"
    return Dataset(
        task=task,
        name="x",
        source="csv",
        cases=(),
        classes=("a",),
        label_values=(1,) if segmentation else (),
        channels=1 if segmentation else 3,
        spatial_dims=3 if segmentation else 2,
        spacing_unit="mm",
        phantom=True,
        published_split=None,
        root=root,
    )


ENDINGS = (".nii", ".h5", ".jpg", ".png", ".tif", ".bmp")


@pytest.mark.parametrize("ending", ENDINGS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_is_a_data_error_or_harmless(ending: str, tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(_content(ending, tmp_path))
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        for _ in range(data.draw(st.integers(1, 6))):
            content[data.draw(st.integers(0, min(400, len(content) - 1)))] = data.draw(st.integers(0, 255))
    path = tmp_path / f"damaged{ending}"
    path.write_bytes(bytes(content))
    volume = ending in {".nii", ".h5"}
    case = Case("damaged", (path,), path if ending == ".h5" else None, target=0)
    try:
        read_case(dataset("segmentation" if volume else "classification", tmp_path), case)
    except DataError as error:
        assert error.problems[0].where == path.name


def _content(ending: str, folder: Path) -> bytes:
    if ending == ".nii":
        return nibabel.Nifti1Image(b.volume(), b.affine()).to_bytes()
    path = folder / f"whole{ending}"
    if not path.exists() and ending == ".h5":
        with h5py.File(path, "w") as file:
            file.create_dataset("image", data=b.volume(), compression="gzip")
            file.create_dataset("label", data=b.mask(), compression="gzip")
    elif not path.exists():
        b.picture(path)
    return path.read_bytes()


def test_grey_images_become_three_equal_channels(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 255], [7, 9]], np.uint8)).save(tmp_path / "grey.png")
    image = read_case(dataset("classification", tmp_path), Case("grey", (tmp_path / "grey.png",), target=0)).image
    assert image.dtype == np.uint8
    assert [channel.ravel().tolist() for channel in image] == [[0, 255, 7, 9]] * 3


def test_a_turned_photograph_is_read_upright(tmp_path: Path) -> None:
    pixels = np.zeros((4, 6, 3), np.uint8)
    pixels[0, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees clockwise
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    image = read_image(dataset("classification", tmp_path), Case("turned", (tmp_path / "turned.png",), target=0))
    assert image.shape == (6, 4, 3)
    assert image[0, 3].tolist() == [255, 255, 255]


def test_a_volume_with_one_channel_axis_is_read_as_one_channel(tmp_path: Path) -> None:
    b.write_nifti(tmp_path / "v.nii.gz", b.volume()[..., None], b.affine())
    sample = read_case(dataset("segmentation", tmp_path), Case("v", (tmp_path / "v.nii.gz",)))
    np.testing.assert_array_equal(sample.image, b.volume()[None])
    assert sample.label is None


def test_scaled_integers_are_read_with_their_scale(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.arange(2 * 3 * 4).reshape(2, 3, 4).astype(np.int16), b.affine())
    image.header.set_slope_inter(2.0, -1024.0)
    (tmp_path / "ct.nii").write_bytes(image.to_bytes())
    sample = read_case(dataset("segmentation", tmp_path), Case("ct", (tmp_path / "ct.nii",)))
    wanted = np.asarray(nibabel.load(tmp_path / "ct.nii").get_fdata(), np.float32)
    np.testing.assert_array_equal(sample.image[0], wanted)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("scale", [(1, 0), (0.3, -7.1), (2, 0), (1e-3, 1e4)])
@pytest.mark.parametrize("kind", ["u1", "<i2", ">i2", ">f4", "<f8", "u4", "i8"])
def test_a_volume_that_is_read_plane_by_plane_has_nibabels_values_bit_for_bit(
    kind: str, scale: tuple[float, float], ending: str, tmp_path: Path
) -> None:
    rng = np.random.default_rng(len(kind))
    values = (rng.normal(size=(5, 7, 37)) * 100).astype(kind)
    header = nibabel.Nifti1Header(endianness=">" if kind[0] == ">" else "<")
    header.set_data_dtype(values.dtype)
    path = tmp_path / "a.nii"
    content = bytearray(nibabel.Nifti1Image(values, b.affine(), header).to_bytes())
    content[112:120] = struct.pack(f"{header.endianness}ff", *scale)
    path.write_bytes(content)
    if ending == ".nii.gz":
        path = path.with_suffix(".nii.gz")
        path.write_bytes(gzip.compress(content))
    wanted = np.asanyarray(nibabel.load(path).dataobj).astype(np.float32)
    found, _ = read_volume(path)
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("kind", ["c8", [("R", "u1"), ("G", "u1"), ("B", "u1")]])
def test_values_that_are_no_real_numbers_are_refused_by_their_kind(kind: Any, ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{ending}"
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 5, 6), kind), b.affine()), path)
    with pytest.raises(DataError, match=r"image holds .*\n?.*integers or real numbers"):
        read_case(dataset("segmentation", tmp_path), Case("a", (path,)))


def test_planes_of_a_file_that_changes_meanwhile_make_no_volume() -> None:
    planes = [(at, np.full((5, 4), at)) for at in range(20)]
    np.testing.assert_array_equal(volume_of((4, 5, 20), planes)[1, 2], np.arange(20))
    with pytest.raises(ValueError, match="it has 19 slices, in place of 20"):
        volume_of((4, 5, 20), planes[:-1])
    with pytest.raises(ValueError, match="a slice of it is 4x1, in place of 4x5"):  # NumPy would repeat it
        volume_of((4, 5, 20), [*planes[:-1], (19, np.zeros((1, 4)))])


@pytest.mark.parametrize("kind", ["series", "frames", "a.nii", "a.nii.gz", "scaled.nii"])
def test_a_large_volume_is_in_memory_once(kind: str, tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(-1000, 2000, (160, 96, 128)).astype(np.int16)
    image = SimpleITK.GetImageFromArray(values)
    path = tmp_path / kind
    if kind == "series":
        series.save(path, series.slices(image))
    elif kind == "frames":
        series.enhanced(path / "a.dcm", SimpleITK.Abs(image), [*range(160)])
    else:
        write_nifti(path, values.T, np.eye(4))
    if kind == "scaled.nii":
        content = bytearray(path.read_bytes())
        content[112:120] = struct.pack("<ff", 0.5, 3)
        path.write_bytes(content)
    case, within = Case("ct", (path,)), dataset("segmentation", tmp_path)
    read_case(within, case)  # what the libraries keep for themselves
    tracemalloc.start()
    try:
        sample = read_case(within, case)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    stored = values.nbytes if kind == "frames" else 0  # all frames are in one file
    assert peak < 1.25 * sample.image.nbytes + 2 * stored
    assert sample.image.nbytes == 4 * values.size


def test_what_gzip_packed_is_what_comes_out(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    nibabel.save(nibabel.Nifti1Image(b.volume(), b.affine()), path)
    packed = path.read_bytes()
    path.write_bytes(packed + b"other bytes")  # gzip itself only warns of them
    np.testing.assert_array_equal(read_volume(path)[0], b.volume())
    values = bytearray(gzip.decompress(packed))
    values[500] ^= 1
    path.write_bytes(gzip.compress(bytes(values))[:-8] + packed[-8:])  # one bit changed since the sum was made
    with pytest.raises(gzip.BadGzipFile, match="CRC"):
        read_volume(path)


@pytest.mark.parametrize(("unit", "scale"), [("micron", 1e-3), ("mm", 1), ("meter", 1e3), ("unknown", 1)])
def test_spacing_is_in_millimetres_as_simpleitk_2_reads_it(unit: str, scale: float, tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    image = nibabel.Nifti1Image(b.volume(), b.affine(2, 3, 4))
    image.header.set_xyzt_units(unit)
    nibabel.save(image, path)
    affine = read_volume(path)[1]
    assert affine is not None
    assert spacing_of(affine) == pytest.approx((2 * scale, 3 * scale, 4 * scale))


def _with_other_qform(path: Path) -> None:
    image = nibabel.Nifti1Image(b.volume(), b.affine(1, 1, 2))
    image.set_qform(b.affine(1, 1, 3), 1)
    nibabel.save(image, path)


def _with_bytes(path: Path, *, longer: bool) -> None:
    """A file with pixdim[2] 0 and no sform; or one whose header says one slice less than there are."""
    plain = path.with_suffix("") if path.suffix == ".gz" else path
    nibabel.save(nibabel.Nifti1Image(b.volume(), b.affine(1, 1, 2)), plain)
    raw = bytearray(plain.read_bytes())
    if longer:
        raw[46:48] = struct.pack("<h", b.SHAPE[2] - 1)
    else:
        raw[84:88], raw[252:256] = struct.pack("<f", 0), bytes(4)
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)


def _two_pages(path: Path) -> None:
    pages = [Image.fromarray(np.full((8, 8), shade, np.uint8)) for shade in (0, 200)]
    pages[0].save(path, save_all=True, append_images=pages[1:])


def _upside_down(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(path, exif=exif)


def _sheared(path: Path) -> None:
    grid = b.affine()
    grid[0, 1] = 0.5
    nibabel.save(nibabel.Nifti1Image(b.volume(), grid), path)


@pytest.mark.parametrize(
    ("name", "write", "wanted"),
    [
        ("a.nii", lambda path: nibabel.save(nibabel.Nifti1Image(b.volume(), b.affine()), path), []),
        ("a.nii.gz", lambda path: nibabel.save(nibabel.Nifti1Image(b.volume(), b.affine()), path), []),
        ("a.nii", lambda path: nibabel.save(nibabel.Nifti1Image(b.volume(), None), path), [NOWHERE]),
        ("a.nii.gz", _with_other_qform, ["qform and sform disagree: the sform is used"]),
        ("a.nii", partial(_with_bytes, longer=False), ["pixdim 0 in the header: 1 is taken in its place", NOWHERE]),
        ("a.nii", partial(_with_bytes, longer=True), [LONGER]),
        ("a.nii.gz", partial(_with_bytes, longer=True), [LONGER]),
        ("a.tif", _two_pages, ["2 pages, of which the first is read"]),
        ("a.png", _two_pages, ["2 pages, of which the first is read"]),
        ("a.webp", _two_pages, ["2 pages, of which the first is read"]),
        ("a.jpg", _upside_down, [TURNED]),
        ("a.nii", _sheared, ["its axes are not at right angles: distances are measured as if they were"]),
    ],
)  # fmt: skip
def test_what_is_odd_in_a_file_is_said(
    name: str, write: Callable[[Path], None], wanted: list[str], tmp_path: Path
) -> None:
    write(tmp_path / name)
    assert list(remarks(tmp_path / name)) == wanted


def test_a_mask_that_jpeg_has_blurred_is_noted(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "a.jpg")
    assert remarks(tmp_path / "a.jpg") == ()
    [said] = remarks(tmp_path / "a.jpg", mask=True)
    assert "a class that is grey in areas under 8 by 8 pixels would not be noticed" in said


def test_hundreds_of_classes_come_through_to_files_and_back(tmp_path: Path) -> None:
    from engine.data.prepare import on_grid
    from engine.evaluation.inference import to_mask
    from engine.evaluation.results import read_mask, write_mask

    values = tuple(range(3, 65_536, 200))  # 328 classes
    label = np.zeros((8, 8, 8), np.int32)
    label.flat[: len(values)] = values
    write_nifti(tmp_path / "i.nii.gz", b.volume(0, (8, 8, 8)), b.affine())
    write_nifti(tmp_path / "l.nii.gz", label, b.affine())
    case = Case("c", (tmp_path / "i.nii.gz",), tmp_path / "l.nii.gz")
    names = tuple(f"n{value}" for value in values)
    data = Dataset(
        task="segmentation",
        name="d",
        source="nifti_pairs",
        cases=(case,),
        classes=names,
        label_values=values,
        phantom=False,
        root=tmp_path,
    )
    sample = read_case(data, case)
    assert sample.present == tuple(range(328))
    np.testing.assert_array_equal(sample.label.ravel()[:330], [*range(1, 329), 0, 0])
    np.testing.assert_array_equal(on_grid(sample, b.table("nifti_pairs")).label_net, sample.label)
    mask = to_mask(np.eye(329, dtype=np.float32)[sample.label].transpose(3, 0, 1, 2), "softmax", 0.5)
    np.testing.assert_array_equal(mask, sample.label)
    write_mask(tmp_path / "o.nii.gz", mask, case=case, dataset=data, affine=sample.affine)
    np.testing.assert_array_equal(np.asarray(nibabel.load(tmp_path / "o.nii.gz").dataobj), label)
    np.testing.assert_array_equal(read_mask(tmp_path / "o.nii.gz", data), sample.label)


@pytest.mark.parametrize("kind", [np.int16, np.float32])
@pytest.mark.parametrize("channels", [1, 2])
def test_the_values_of_the_last_axis_lie_side_by_side(kind: type, channels: int, tmp_path: Path) -> None:
    stored = np.random.default_rng(0).integers(-1000, 3000, (5, 6, 7, channels)).astype(kind)
    nibabel.save(nibabel.Nifti1Image(stored[..., 0] if channels == 1 else stored, np.eye(4)), tmp_path / "a.nii")
    case = Case("a", (tmp_path / "a.nii",), target=0, split="train")
    image = read_case(replace(dataset("segmentation", tmp_path), channels=channels), case).image
    assert image.flags.c_contiguous
    assert image.dtype == np.float32
    np.testing.assert_array_equal(image, np.moveaxis(stored, -1, 0))
