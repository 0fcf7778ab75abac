"""An exported folder takes the same scan in every format that medtui reads, and says in one line what is no scan."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK
from pydicom.pixels import get_decoder
from pydicom.uid import JPEGLosslessSV1

from engine.data.phantom_volumes import hippocampus
from engine.runfolder import RunFolder
from tests.engine.commands.test_predict_folders import KEYS as CASE_FOLDERS
from tests.engine.data import builders, dicoms
from tests.engine.data import series as dicom
from tests.engine.data.test_headed import BAD as BAD_FILES
from tests.engine.data.test_headed import ENDINGS, oblique, written
from tests.engine.data.test_series import BAD as BAD_SERIES
from tests.engine.export.exports import alone, both, exported, here
from tests.engine.export.test_same import shares
from tests.engine.export.untrained import untrained
from tests.engine.runs import CLASSIFICATION, SEGMENTATION
from tests.engine.test_volume_classes import TEXT as VOLUME_CLASSES

for library in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(library)

PRIVATE = ("Secret", "4711", "1970", "1.2.826")


def head(seed: int = 0) -> SimpleITK.Image:
    """A hippocampus of whole values whose axes lie anyhow."""
    values = hippocampus(np.random.default_rng(seed))[0].astype(np.float64)
    image = SimpleITK.GetImageFromArray(np.rint(values / values.max() * 1000).astype(np.int16))
    image.SetDirection(dicom.scan(seed).GetDirection())
    image.SetSpacing((1.1, 0.9, 1.3))
    image.SetOrigin((-31.5, 12.25, 140))
    return image


def every_format(image: SimpleITK.Image, place: Path, name: str = "") -> list[Path]:
    """``image`` as a file of each format, and as a series of slices and one of frames."""
    made = [written(image, place / f"{name}{ending[1:]}{ending}", packed=ending in ENDINGS[::2]) for ending in ENDINGS]
    made.append(written(image, place / f"{name}nifti.nii.gz"))
    made.append(dicom.save(place / f"{name}series.1", dicom.slices(image)))
    dicom.enhanced(place / f"{name}frames" / "one", image, [*range(image.GetSize()[2])][::-1], 1.0)
    return [*made, place / f"{name}frames"]


def test_one_scan_gives_one_mask_whatever_its_format(volumes, tmp_path):
    image = head()
    names = sorted(path.name for path in every_format(image, tmp_path / "in"))
    ours, theirs = both(*volumes, [tmp_path / "in"], tmp_path, alone)
    assert len(names) == len([*theirs.iterdir()]) == 7
    wanted = np.asarray(nibabel.load(theirs / "nifti.nii.gz").dataobj)
    assert set(np.unique(wanted)) == {0, 1, 2}
    for path in theirs.iterdir():
        mask = SimpleITK.ReadImage(os.fspath(path))
        assert np.array_equal(SimpleITK.GetArrayFromImage(mask).T, wanted), path.name
        for name in ("GetSize", "GetOrigin", "GetSpacing", "GetDirection"):
            np.testing.assert_allclose(getattr(mask, name)(), getattr(image, name)(), atol=2e-5)
        assert nibabel.load(path).header.binaryblock == nibabel.load(ours / path.name).header.binaryblock
        assert np.array_equal(np.asarray(nibabel.load(ours / path.name).dataobj), wanted)


def test_slices_that_run_against_the_normal_and_series_called_alike_give_what_medtui_gives(volumes, tmp_path):
    for place in ("p1", "p2"):
        dicom.save(tmp_path / "in" / place / "t1.mpr", dicom.slices(dicom.scan(1, (20, 24, 22), mirrored=True)), "1.{}")
    dicom.save(tmp_path / "in" / ".hidden", dicom.slices(dicom.scan(1)))
    dicom.save(tmp_path / "t2.mpr", dicom.slices(dicom.scan(2, (20, 24, 22))), "{}.IMA")
    _, theirs = both(*volumes, [tmp_path / "in", tmp_path / "t2.mpr"], tmp_path)
    assert {path.name for path in theirs.iterdir()} == {f"{name}.mpr.nii.gz" for name in ("p1__t1", "p2__t1", "t2")}
    for path in theirs.iterdir():
        pair = [nibabel.load(each / path.name) for each in (tmp_path / "ours", theirs)]
        assert np.array_equal(*(np.asarray(each.dataobj) for each in pair))
        assert pair[0].header.binaryblock == pair[1].header.binaryblock


def test_channels_may_be_of_several_formats(tmp_path):
    named: dict[str, Any] = {"channels": 2, "classes": ["a", "b"]}
    finished = untrained(tmp_path, VOLUME_CLASSES, **named)
    first, second = head(1), SimpleITK.Cast(head(1) + 1, SimpleITK.sitkInt16)
    place = tmp_path / "in"
    written(first, place / "x_0000.nrrd")
    dicom.save(place / "x_0001", dicom.slices(second))
    written(SimpleITK.Compose(first, second), place / "y.mha")
    ours, theirs = both(finished, exported(finished, tmp_path / "export"), [place], tmp_path, alone)
    (wanted, known), (got, found) = shares(ours), shares(theirs)
    assert got == wanted
    np.testing.assert_allclose(found, known, atol=1e-5)
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)


def in_one_line(done: Any, name: str) -> str:
    """What is said of the case ``name``, which is left out."""
    (said,) = [line for line in done.stderr.splitlines() if line.startswith(f"left out: case {name}: ")]
    assert not any(word in said for word in PRIVATE)
    return said


def test_files_that_are_damaged_or_lead_away_are_one_line_each(volumes, tmp_path):
    image = SimpleITK.Cast(oblique(2), SimpleITK.sitkInt16)
    image.SetDirection((1, 0, 0, 0, 1, 0, 0, 0, 1))
    names = {}
    for at, (ending, packed, spoil, said) in enumerate(BAD_FILES.values()):
        path = written(image, tmp_path / str(at) / f"a{ending}", packed=packed)
        spoil(path)
        names[path.rename(path.with_name(f"{at}{ending}"))] = said.replace("points to ", 'points to "')
    done = here(volumes[1], *names, "-o", tmp_path / "out")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, len(names)), done.stderr
    for path, said in names.items():
        assert re.search(f"{path.name}: .*(?:{said})", in_one_line(done, path.stem))
    assert not (tmp_path / "out").exists()


def test_folders_that_are_no_volume_are_one_line_each_and_cost_no_other(volumes, tmp_path):
    dicom.save(tmp_path / "in" / "good", dicom.slices(dicom.scan(4, (20, 24, 22))))
    bad = {name: each for name, each in BAD_SERIES.items() if name != "two series"}  # which are two cases
    for name, (spoil, _) in bad.items():
        made = dicom.slices(dicom.scan(4))
        spoil(made)
        dicom.save(tmp_path / "in" / name, made)
    for word in ("value", "header", "tail"):
        path = sorted(dicom.save(tmp_path / "in" / word, dicom.slices(dicom.scan(4))).iterdir())[2]
        content = path.read_bytes()
        at = content.index(b"\x28\x00\x30\x00DS")
        worse = content[: at + 8] + b"Secret" + content[at + 14 :]
        path.write_bytes({"value": worse, "header": content[:at], "tail": content[:-9]}[word])
    done = here(volumes[1], tmp_path / "in", "-o", tmp_path / "out")
    assert done.returncode == 1
    for name, (_, said) in bad.items():
        assert re.search(said, in_one_line(done, name)), name
    for word in ("value", "header", "tail"):
        assert re.search(r"damaged|size of a pixel|cut off|Rows", in_one_line(done, word))
    assert len(done.stderr.splitlines()) == len(bad) + 3 + done.stderr.count("case good: ")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["good.nii.gz"]


def test_each_series_of_a_study_is_a_case_and_a_slice_names_its_own(volumes, tmp_path):
    for at in (3, 4):
        made = dicom.slices(dicom.scan(at, (20, 24, 22)))
        for one in made:
            one.SeriesInstanceUID, one.SeriesNumber = f"1.2.{at}", at
        dicom.save(tmp_path / "in", made, f"{at}_{{}}.dcm")
    ours, theirs = both(*volumes, [tmp_path / "in"], tmp_path)
    assert {path.name for path in theirs.iterdir()} == {"in__3.nii.gz", "in__4.nii.gz"}
    for path in theirs.iterdir():
        assert np.array_equal(*(np.asarray(nibabel.load(each / path.name).dataobj) for each in (ours, theirs)))
    done = here(volumes[1], tmp_path / "in" / "4_7.dcm", "-o", tmp_path / "one")
    assert (done.returncode, [path.name for path in (tmp_path / "one").iterdir()]) == (0, ["in__4.nii.gz"])


def test_without_what_reads_dicom_that_is_told_once(volumes, tmp_path, monkeypatch):
    folder = dicom.save(tmp_path / "in", dicom.slices(dicom.scan(4)), "IM{}")
    shutil.copytree(folder, tmp_path / "other")
    monkeypatch.setitem(sys.modules, "pydicom", None)
    lacking = here(volumes[1], folder, tmp_path / "other", "-o", tmp_path / "out")
    assert lacking.returncode == 2
    assert lacking.stderr == "error: DICOM is read by pydicom 3: pip install 'pydicom>=3'\n"
    assert not (tmp_path / "out").exists()


def test_folders_of_cases_are_taken_by_what_their_files_are_called(tmp_path):
    named: dict[str, Any] = {"channels": 2, "classes": ["organ"], "channel_names": ["t2", "ct"]}
    finished = untrained(tmp_path, SEGMENTATION.replace('source = "left_atrium"', CASE_FOLDERS), **named)
    cases, folder = builders.case_folders(tmp_path / "in", ("ct", "t2"), "seg", cases=2), tmp_path / "export"
    exported(finished, folder)
    assert "files are called t2, ct, or `<case>_t2`" in (folder / "README.md").read_text()
    (cases / "dataset.json").write_text('{"channel_names": {"0": "ct", "1": "t2"}}')  # says nothing of such files
    ours, theirs = both(finished, folder, [cases], tmp_path)
    assert len([*theirs.iterdir()]) == 2
    for path in theirs.iterdir():
        pair = [np.asarray(nibabel.load(each / path.name).dataobj) for each in (ours, theirs)]
        assert np.array_equal(*pair)
        assert {*np.unique(pair[0])} == {0, 1}
    first, second = sorted(path for path in cases.iterdir() if path.is_dir())
    (first / f"{first.name}_ct.nii.gz").unlink()
    done = here(folder, first, second, "-o", tmp_path / "out")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert done.stderr.startswith(f"left out: case {first.name}: {first.name}_ct.nii.gz: No such file")
    again = here(folder, cases, second, "-o", tmp_path / "none")
    assert (again.returncode, f"several inputs are called {second.name}" in again.stderr) == (2, True)


def test_a_header_without_axes_is_noted(volumes, tmp_path):
    path = written(head(), tmp_path / "a.mhd")
    path.write_text(re.sub("TransformMatrix.*\n", "", path.read_text()))
    done = here(volumes[1], path, "-o", tmp_path / "out")
    assert (done.returncode, "case a: a.mhd says nothing of its orientation" in done.stderr) == (0, True)


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, Path]:
    place = tmp_path_factory.mktemp("classes")
    text = CLASSIFICATION.replace('"imagenet"', '"none"')
    finished = untrained(place, text, channels=3, classes=["a", "b", "c"])
    return finished, exported(finished, place / "export")


def test_pictures_of_dicom_are_unpacked_as_medtui_does_and_known_under_any_name(classes, tmp_path):
    shades = np.random.default_rng(0).integers(0, 256, (10, 12, 3)).astype(np.uint8).repeat(6, 0).repeat(6, 1)
    deep = shades[..., 0].astype(np.uint16) * 200
    made = [
        dicoms.dicom(tmp_path / "in" / "echo.dcm", shades, packed="jpeg"),
        dicoms.dicom(tmp_path / "in" / "colours.dcm", shades, packed="j2k"),
        *(dicoms.dicom(tmp_path / "in" / f"{how}.dcm", deep, packed=how) for how in ("rle", "lossless", "jls", "j2k")),
        dicoms.dicom(tmp_path / "in" / "IM0001", deep),
    ]
    ours, theirs = both(*classes, made, tmp_path)
    (wanted, known), (got, found) = shares(ours), shares(theirs)
    assert got == wanted
    np.testing.assert_allclose(found, known, atol=1e-5)
    made[2].write_bytes(made[2].read_bytes()[:-400])
    done = here(classes[1], made[2], "-o", tmp_path / "out")
    assert done.returncode == 2
    assert in_one_line(done, "rle").endswith("rle.dcm: its header is damaged")


def test_what_unpacks_pixels_is_told_where_it_lacks(classes, tmp_path, monkeypatch):
    path = dicoms.dicom(tmp_path / "x.dcm", np.arange(4800, dtype=np.uint16).reshape(60, 80), packed="lossless")
    monkeypatch.setattr(get_decoder(JPEGLosslessSV1), "_available", {})
    monkeypatch.setitem(sys.modules, "numba", None)
    done = here(classes[1], path, "-o", tmp_path / "out")
    assert done.returncode == 2
    assert in_one_line(done, "x").endswith("pip install 'pylibjpeg[all]'")
