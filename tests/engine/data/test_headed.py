"""NRRD and MetaImage: geometry as nibabel has it of one image, values as SimpleITK; what is damaged is one line."""

from __future__ import annotations

import bz2
import gzip
import os
import re
import zlib
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from scipy.spatial.transform import Rotation

from engine.data import check_dataset, open_dataset
from engine.data.remarks import remarks
from engine.data.volumes import channels_first, read_header, read_volume
from engine.evaluation.results import write_mask
from engine.planning.layouts import find_layout
from engine.recipe import DataTable
from tests.engine.data import builders as b

ENDINGS = (".nrrd", ".nhdr", ".mha", ".mhd")


def oblique(seed: int = 0, channels: int = 1, kind: type = np.int16) -> SimpleITK.Image:
    """An image of random values with an origin, a spacing, and axes that lie anyhow and may be mirrored."""
    rng = np.random.default_rng(seed)
    values = (1000 * rng.normal(size=(6, 7, 8, channels))).astype(kind)
    image = SimpleITK.GetImageFromArray(values if channels > 1 else values[..., 0], isVector=channels > 1)
    axes = Rotation.random(random_state=seed).as_matrix()[:, rng.permutation(3)] * rng.choice([-1, 1], 3)
    image.SetDirection(axes.ravel().tolist())
    image.SetSpacing(rng.uniform(0.3, 4, 3).tolist())
    image.SetOrigin(rng.uniform(-200, 200, 3).tolist())
    return image


def written(image: SimpleITK.Image, path: Path, *, packed: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    SimpleITK.WriteImage(image, os.fspath(path), packed)
    return path


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("seed", range(4))
def test_a_volume_lies_where_nibabel_finds_the_same_one(ending, seed, tmp_path):
    image = oblique(seed)
    path = written(image, tmp_path / f"a{ending}", packed=seed % 2 == 1)
    nifti = nibabel.load(written(image, tmp_path / "a.nii.gz"))
    values, affine = read_volume(path)
    np.testing.assert_array_equal(values, np.asarray(nifti.dataobj))
    # NIfTI keeps 32 bits of each number: places 200 mm away are known to 1e-5 there
    np.testing.assert_allclose(affine[:3, :3], nifti.affine[:3, :3], atol=1e-6)
    np.testing.assert_allclose(affine, nifti.affine, rtol=1e-6, atol=2e-5)
    corner = (7, 6, 5)
    there = np.array(image.TransformIndexToPhysicalPoint(corner)) * (-1, -1, 1)
    np.testing.assert_allclose((affine @ [*corner, 1])[:3], there, atol=1e-6)
    assert read_header(path).shape == values.shape
    assert remarks(path) == ()


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32, np.int64, np.float32, np.float64])
def test_components_of_a_pixel_are_channels(ending, kind, tmp_path):
    image = oblique(1, channels=3, kind=kind)
    values, _ = read_volume(written(image, tmp_path / f"a{ending}"))
    found = channels_first(values)
    wanted = SimpleITK.GetArrayFromImage(image).transpose(3, 2, 1, 0)
    np.testing.assert_array_equal(found, wanted.astype(np.float32) if kind is np.float64 else wanted)
    header = read_header(tmp_path / f"a{ending}")
    assert (header.shape, header.channels, header.dtype) == ((8, 7, 6), 3, np.dtype(kind))


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_predicted_mask_lies_on_its_input(ending, tmp_path):
    image = oblique(5)
    path = written(image, tmp_path / f"a{ending}")
    b.pairs(tmp_path / "d")
    table = DataTable(source="nifti_pairs", root="d", classes=("organ",), split="fraction", size=(8, 8, 8))
    dataset = open_dataset(table, "segmentation", tmp_path)
    mask = (read_volume(path)[0] > 0).astype(np.uint8)
    case = replace(dataset.cases[0], images=(path,))
    write_mask(tmp_path / "m.nii.gz", mask, case=case, dataset=dataset, affine=read_volume(path)[1])
    found = SimpleITK.ReadImage(os.fspath(tmp_path / "m.nii.gz"))
    assert found.GetSize() == image.GetSize()
    for name in ("GetOrigin", "GetSpacing", "GetDirection"):
        np.testing.assert_allclose(getattr(found, name)(), getattr(image, name)(), rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(found), mask.T)


def _cut(path: Path, left: int) -> None:
    path.write_bytes(path.read_bytes()[:left])


def _spoil(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-30] + bytes(10) + content[-20:])


def _say(old: str, new: str, ending: str):
    def spoil(path: Path) -> None:
        content = path.read_bytes()
        assert re.search(old.encode(), content), content
        path.write_bytes(re.sub(old.encode(), new.encode(), content, count=1))

    return ending, False, spoil


BAD = {
    "nothing": (".mha", False, lambda path: _cut(path, 0), "an empty file"),
    "no header": (".nrrd", False, lambda path: _cut(path, 100), "ends within its header"),
    "half a header": (".mha", False, lambda path: _cut(path, 100), "names no ElementDataFile"),
    "cut nrrd": (".nrrd", False, lambda path: _cut(path, -50), "cut off"),
    "cut packed nrrd": (".nrrd", True, lambda path: _cut(path, -50), "cut off"),
    "cut mha": (".mha", False, lambda path: _cut(path, -50), "cut off"),
    "cut packed mha": (".mha", True, lambda path: _cut(path, -50), "cut off"),
    "cut raw": (".mhd", False, lambda path: _cut(path.with_suffix(".raw"), -50), "cut off: its values in a.raw"),
    "damaged nrrd": (".nrrd", True, _spoil, "its values are damaged"),
    "damaged mha": (".mha", True, _spoil, "its values are damaged"),
    "other": (".mha", False, lambda path: path.write_bytes(b"NRRD0004\n\n"), "no MetaImage file: it is NRRD"),
    "values gone": (".mhd", False, lambda path: path.with_suffix(".raw").unlink(), "a.raw, is not beside it"),
    "values away": (*_say("a.raw", "../a.raw", ".mhd"), r"points to ../a.raw"),
    "values of the machine": (*_say("a.raw", "/etc/passwd", ".nhdr"), "only from a file beside it"),
    "values twice": (*_say("data file:", "data file: /etc/passwd\nDataFile:", ".nhdr"), "twice"),
    "values in a list": (*_say("a.raw", "LIST", ".mhd"), "several files"),
    "values in a pattern": (*_say("a.raw", "%03d.raw 1 6 1", ".nhdr"), "several files"),
    "huge": (*_say("DimSize = 8 7 6", "DimSize = 80000 7000 600", ".mha"), "asks for 336000000000 values"),
    "huge nrrd": (*_say("sizes: 8 7 6", "sizes: 80000 7000 600", ".nrrd"), "asks for 336000000000 values"),
    "two axes": (*_say("dimension: 3", "dimension: 2", ".nrrd"), "wrong|axes|size"),
    "no type": (*_say("MET_SHORT", "MET_STRING", ".mha"), "holds values MET_STRING"),
    "no place": (*_say("1 0 0 0 1 0 0 0 1", "0 0 nan 0 0 0 0 0 0", ".mha"), "not 9 numbers for TransformMatrix"),
    "no direction": (*_say("[(][^)]*[)]", "none", ".nrrd"), "no direction for each axis"),
}


_RAW = "endian: little\nencoding: raw"
_WHOLE = r"(?s)dimension.*space origin[^\n]*"
_AT_END = "dimension: 4\nspace: LPS\nsizes: 8 7 3 2\nkinds: domain domain domain list\n"
_AT_END += "space directions: (2,0,0) (0,1,0) (0,0,-1) none\nspace origin: (1,2,3)\n" + _RAW
_INSIDE = "dimension: 4\nspace: RAS\nsizes: 8 2 7 3\nkinds: space vector space space\n"
_INSIDE += "space directions: (2,0,0) none (0,1,0) (0,0,-1)\nspace origin: (1,2,3)\n" + _RAW
ODD = {
    "RAS": (".nrrd", "left-posterior-superior", "right-anterior-superior"),
    "LAS": (".nhdr", "left-posterior-superior", "LAS"),
    "no space": (".nrrd", "space: .*\nsizes", "space dimension: 3\nsizes"),
    "spacings": (".nrrd", _WHOLE, "dimension: 3\nsizes: 8 7 6\nspacings: 2 3 4.5\n" + _RAW),
    "a channel at the end": (".nrrd", _WHOLE, _AT_END),
    "a channel in the middle": (".nrrd", _WHOLE, _INSIDE),
    "values behind a header": (".mhd", "ElementType", "HeaderSize = 4\nElementType"),
    "values at the end": (".mhd", "ElementType", "HeaderSize = -1\nElementType"),
    "values after bytes": (".nhdr", "encoding", "byte skip: 6\nencoding"),
    "values at the end of nrrd": (".nhdr", "encoding", "byte skip: -1\nencoding"),
    "values after lines": (".nhdr", "encoding", "line skip: 2\nencoding"),
    "synonyms": (".mha", "(?s)TransformMatrix(.*)Offset", r"Orientation\1Position"),
    "size": (".mha", "ElementSpacing", "ElementSize"),
    "big": (".mha", "ByteOrderMSB = False", "ByteOrderMSB = True"),
    "big nrrd": (".nrrd", "little", "big"),
    "bz2": (".nhdr", "raw\n", "bz2\n"),
    "bz2 in parts": (".nhdr", "raw\n", "bz2\n"),
    "gzip in parts": (".nhdr", "raw\n", "gzip\n"),
    "a name of other letters": (".mhd", "a.raw", "5 \u00c5\u00df.raw"),
    "such a name in nrrd": (".nhdr", "a.raw", "5 \u00c5\u00df.raw"),
    "text": (".nhdr", "raw\n", "text\n"),
}


def odd(name: str, folder: Path) -> tuple[Path, SimpleITK.Image]:
    """A file with the header `ODD` calls ``name``, and the image that it was made of."""
    ending, old, new = ODD[name]
    image = oblique(7)
    path = written(image, folder / f"a{ending}")
    content = path.read_bytes()
    assert re.search(old.encode(), content)
    path.write_bytes(re.sub(old.encode(), new.encode(), content, count=1))
    values = folder / "a.raw"
    if "behind" in name or "after" in name or "at the end" in name:
        values.is_file() and values.write_bytes(b"1\n34\n6"[: 4 if "behind" in name else 6] + values.read_bytes())
    if name == "values after lines":
        values.write_bytes(values.read_bytes()[:5] + values.read_bytes()[6:])
    if name.endswith("in parts"):  # as pigz, bgzip and pbzip2 write
        packing, content = (bz2 if "bz2" in name else gzip), values.read_bytes()
        values.write_bytes(
            b"".join(packing.compress(part) for part in (content[:100], content[100:101], content[101:]))
        )
    elif name == "bz2":
        values.write_bytes(bz2.compress(values.read_bytes()))
    if "\u00c5" in new:
        values.rename(folder / new)
    if name == "text":
        values.write_text(" ".join(map(str, SimpleITK.GetArrayFromImage(image).ravel())))
    return path, image


@pytest.mark.parametrize("name", ODD)
def test_odd_headers_mean_what_itk_takes_them_for(name, tmp_path):
    path, image = odd(name, tmp_path)
    found, affine = read_volume(path)
    if "bz2" not in name:
        image = SimpleITK.ReadImage(os.fspath(path))
    wanted = SimpleITK.GetArrayFromImage(image)
    np.testing.assert_array_equal(found, wanted.transpose(2, 1, 0, *range(3, wanted.ndim)))
    assert found.dtype.isnative
    axes = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    np.testing.assert_allclose(affine[:3, :3], np.diag([-1, -1, 1]) @ axes, atol=1e-9)
    np.testing.assert_allclose(affine[:3, 3], np.array(image.GetOrigin()) * (-1, -1, 1), atol=1e-9)


@pytest.mark.parametrize("name", BAD)
def test_what_is_damaged_or_leads_away_is_one_line(name, tmp_path, capfd):
    ending, packed, spoil, said = BAD[name]
    image = SimpleITK.Cast(oblique(2), SimpleITK.sitkInt16)
    image.SetDirection((1, 0, 0, 0, 1, 0, 0, 0, 1))
    path = written(image, tmp_path / f"a{ending}", packed=packed)
    spoil(path)
    with pytest.raises((OSError, ValueError), match=said.replace("points to ", 'points to "')) as told:
        read_volume(path)
    assert "\n" not in str(told.value)
    assert "0x" not in str(told.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("packing", [gzip, bz2, zlib])
@pytest.mark.parametrize("more", [0, 1, 1_200_000])
def test_a_flipped_bit_is_found_also_behind_the_values(packing, more, tmp_path):
    """The check sum is that of all that is packed, as the libraries that packed it find."""
    path = written(oblique(2), tmp_path / "a.nhdr", packed=True)
    wanted, place = read_volume(path)[0], tmp_path / "a.raw.gz"
    path.write_bytes(path.read_bytes().replace(b"gzip", b"bz2" if packing is bz2 else b"gzip"))
    whole = gzip.decompress(place.read_bytes()) + np.random.default_rng(0).bytes(more)
    content = packing.compress(whole)
    place.write_bytes(content)
    np.testing.assert_array_equal(read_volume(path)[0], wanted)
    rng = np.random.default_rng(1)
    for at in (*rng.integers(20, len(content), 5).tolist(), len(content) - 5):
        flipped = bytearray(content)
        flipped[at] ^= 1 << int(rng.integers(8))
        try:
            same = packing.decompress(bytes(flipped)) == whole  # a bit that means nothing, such as of padding
        except (zlib.error, OSError, EOFError, ValueError):
            same = False
        place.write_bytes(flipped)
        if same:
            np.testing.assert_array_equal(read_volume(path)[0], wanted)
        else:
            with pytest.raises(ValueError, match=r"its values are damaged|cut off"):
                read_volume(path)
    place.write_bytes(content[:-4])
    with pytest.raises(ValueError, match="cut off"):
        read_volume(path)


def test_a_bomb_behind_the_values_is_one_line(tmp_path):
    path = written(oblique(2), tmp_path / "a.nhdr", packed=True)
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    begin = packer.compress(bytes(672)) + packer.flush(zlib.Z_FULL_FLUSH)
    more = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)  # may stand there any number of times
    (tmp_path / "a.raw.gz").write_bytes(begin + 600 * more)
    with pytest.raises(ValueError, match="far more is packed in it than its header asks for"):
        read_volume(path)


def test_a_name_that_teem_has_no_room_for_is_passed_over(tmp_path):
    path = written(oblique(2), tmp_path / "a.nrrd")
    before = read_volume(path)[0]
    path.write_bytes(path.read_bytes().replace(b"kinds", b"kinds" + 5000 * b"x"))
    np.testing.assert_array_equal(read_volume(path)[0], before)


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (SimpleITK.Image(8, 7, SimpleITK.sitkInt16), r"2 axes \(8x7\), in place of 3"),
        (SimpleITK.Image([4, 4, 4, 2], SimpleITK.sitkInt16), "4 axes"),
        (SimpleITK.Image([4, 4, 4], SimpleITK.sitkComplexFloat32), "complex"),
    ],
)
def test_what_is_no_volume_is_one_line(image, said, tmp_path, capfd):
    for ending in (".nrrd",) if "complex" in said else (".nrrd", ".mha"):
        with pytest.raises(ValueError, match=said):
            read_volume(written(image, tmp_path / f"a{ending}"))
    assert capfd.readouterr() == ("", "")


def test_a_header_without_axes_is_noted(tmp_path):
    path = written(oblique(3), tmp_path / "a.mhd")
    path.write_text(re.sub("TransformMatrix.*\n", "", path.read_text()))
    assert "nothing of its orientation" in remarks(path)[0]
    np.testing.assert_allclose(np.sign(read_volume(path)[1][[0, 1, 2], [0, 1, 2]]), (-1, -1, 1))


def slicer(folder: Path, image: str = "a{}.nrrd", mask: str = "a{}.seg.nrrd", cases: int = 5) -> Path:
    """Scans of one format and masks of another, all in ``folder`` or in folders of their cases."""
    for index in range(cases):
        scan = SimpleITK.GetImageFromArray(b.volume(index))
        label = SimpleITK.GetImageFromArray(b.mask())
        scan.SetSpacing((1, 1, 2))
        label.SetSpacing((1, 1, 2))
        written(scan, folder / image.format(index), packed=True)
        written(label, folder / mask.format(index))
    return folder


@pytest.mark.parametrize(
    ("image", "mask", "source"),
    [
        ("a{}.nrrd", "a{}.seg.nrrd", "nifti_pairs"),  # 3D Slicer
        ("Case{}.mhd", "Case{}_segmentation.mhd", "nifti_pairs"),  # PROMISE12
        ("images/a{}.mha", "labels/a{}.nii.gz", "nifti_pairs"),
        ("p{}/lgemri.nrrd", "p{}/laendo.nrrd", "case_folders"),  # the left-atrium challenge
    ],
)
def test_their_layouts_are_found_and_read(image, mask, source, tmp_path):
    folder = slicer(tmp_path / "d", image, mask)
    layout, others = find_layout(folder)
    assert (layout.source, layout.whole, others) == (source, 5, ())
    dataset = open_dataset(layout.table("d", split="fraction", test_fraction=0.4), "segmentation", tmp_path)
    assert dataset.spacing_unit == "mm"
    assert not [note for note in dataset.notes if "not used" in note]
    facts = [case.facts for case in check_dataset(dataset, layout.table("d")).cases]
    assert {fact.spacing for fact in facts} == {(1.0, 1.0, 2.0)}
    assert {fact.orientation for fact in facts} == {"LPS"}
    assert len({fact.image for fact in facts}) == 5
    assert len({fact.truth for fact in facts}) == 1


def test_nnunet_and_tables_name_them(tmp_path):
    folder = b.nnunet(tmp_path / "n", channels=1)
    for path in folder.rglob("*.nii.gz"):
        written(SimpleITK.ReadImage(os.fspath(path)), path.with_name(path.name.replace(".nii.gz", ".mha")))
        path.unlink()
    text = (folder / "dataset.json").read_text()
    (folder / "dataset.json").write_text(text.replace(".nii.gz", ".mha"))
    table = DataTable(source="nnunet", root="n", size=(8, 8, 8))
    read = check_dataset(open_dataset(table, "segmentation", tmp_path), table)
    assert {case.facts.spacing for case in read.cases} == {(1.0, 1.0, 2.0)}
    slicer(tmp_path / "c", "scans/{}.nrrd", "masks/{}.mhd")
    b.csv_table(tmp_path / "c", [f"scans/{index}.nrrd,masks/{index}.mhd" for index in range(5)])
    layout, _ = find_layout(tmp_path / "c", "csv")
    table = layout.table("c", split="fraction", test_fraction=0.4)
    assert open_dataset(table, "segmentation", tmp_path).spacing_unit == "mm"


def test_of_two_formats_of_one_scan_the_first_is_read(tmp_path):
    folder = slicer(tmp_path / "d", "images/a{}.nrrd", "labels/a{}.nrrd")
    written(SimpleITK.ReadImage(os.fspath(folder / "images" / "a0.nrrd")), folder / "images" / "a0.nii.gz")
    layout, _ = find_layout(folder)
    dataset = open_dataset(layout.table("d", split="fraction"), "segmentation", tmp_path)
    assert min(case.images[0].name for case in dataset.cases) == "a0.nii.gz"
    assert "files that are not used: 1 (images/a0.nrrd)" in dataset.notes
