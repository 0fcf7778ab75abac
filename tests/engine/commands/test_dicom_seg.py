"""A DICOM Segmentation is the mask, on the slices of its series, as pydicom and highdicom read it."""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from engine.commands.predict import predict
from engine.data.cases import Case
from engine.data.series import slices_of
from engine.errors import UsageError
from engine.evaluation.dicom_seg import refuse_unfit
from engine.requests import Predict
from engine.runfolder import RunFolder
from tests.engine.data.series import enhanced, save, scan, slices
from tests.engine.data.test_read import dataset as of_volumes
from tests.engine.data.test_studies import study
from tests.engine.export.exports import VOLUMES
from tests.engine.export.untrained import untrained

highdicom = pytest.importorskip("highdicom")
CLASSES = ["liver", "tumour"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return untrained(tmp_path_factory.mktemp("run"), VOLUMES, classes=CLASSES, label_values=[3, 7], seed=4)


def series(folder: Path, seed: int = 0) -> list[Dataset]:
    """Slices of a scan, in any order, of one study."""
    made = slices(scan(seed, (18, 24, 28), mirrored=seed % 2 == 1))
    for one in made:
        one.StudyInstanceUID = made[0].StudyInstanceUID
        one.FrameOfReferenceUID = "1.2.3.4"
    save(folder, made, seed=seed)
    return made


def predicted(run: RunFolder, source: Path, output: Path, **how: bool) -> tuple[np.ndarray, Path]:
    assert predict(Predict(run=run.root, inputs=(source,), output=output, dicom_seg=True, **how)) == 0
    return np.asarray(nibabel.load(output / f"{source.name}.nii.gz").dataobj), output / f"{source.name}.dcm"


def planes(path: Path) -> dict[tuple[int, ...], np.ndarray]:
    """Segment and position of each frame of a segmentation -> what it holds, (H, W)."""
    held = pydicom.dcmread(path)
    pixels = held.pixel_array.reshape(-1, held.Rows, held.Columns)
    found = {}
    for frame, said in zip(pixels, held.PerFrameFunctionalGroupsSequence, strict=True):
        place = said.PlanePositionSequence[0].ImagePositionPatient
        number = said.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        found[number, *np.round(np.array(place, float) * 1e3).astype(int).tolist()] = frame
    return found


@pytest.mark.parametrize("seed", [0, 1])
def test_each_frame_lies_on_its_slice_and_holds_the_mask(run, tmp_path, seed, capsys):
    made = series(tmp_path / "ct", seed)
    mask, path = predicted(run, tmp_path / "ct", tmp_path / "out")
    assert [line.rsplit("/", 1)[-1] for line in capsys.readouterr().out.splitlines()] == ["ct.nii.gz", "ct.dcm"]
    found = planes(path)
    sources = [pydicom.dcmread(file) for file, _ in slices_of(tmp_path / "ct")]
    assert {one.SOPInstanceUID for one in sources} == {one.SOPInstanceUID for one in made}
    count = 0
    for at, one in enumerate(sources):
        place = np.round(np.array(one.ImagePositionPatient, float) * 1e3).astype(int).tolist()
        for number, value in enumerate((3, 7), 1):
            wanted = np.equal(mask[:, :, at].T, value)
            count += bool(wanted.any())
            np.testing.assert_array_equal(found.get((number, *place), np.zeros_like(wanted)), wanted)
    assert len(found) == count > 0
    held = highdicom.seg.segread(path)
    back = held.get_volume(combine_segments=True)
    assert set(np.unique(back.array).tolist()) <= {0, 1, 2}
    assert int((back.array > 0).sum()) == int((mask > 0).sum()) > 0
    assert [held.get_segment_description(number).segment_label for number in (1, 2)] == CLASSES
    assert (held.PatientID, held.StudyInstanceUID) == (made[0].PatientID, made[0].StudyInstanceUID)
    algorithm = held.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0]
    assert algorithm.AlgorithmName == held.SegmentSequence[0].SegmentAlgorithmName == "medtui"
    assert run.id in algorithm.AlgorithmParameters
    assert predict(Predict(run=run.root, inputs=(tmp_path / "ct",), output=tmp_path / "out", dicom_seg=True)) == 0


def test_a_file_of_many_frames_has_one_too(run, tmp_path):
    image = scan(2, (18, 24, 28))
    path = enhanced(tmp_path / "mr" / "all.dcm", image, np.random.default_rng(0).permutation(18).tolist())
    held = pydicom.dcmread(path)
    held.FrameOfReferenceUID = "1.2.3.4"
    held.save_as(path)
    mask, made = predicted(run, tmp_path / "mr", tmp_path / "out")
    found = planes(made)
    for at, (_, frame) in enumerate(slices_of(tmp_path / "mr")):
        own = held.PerFrameFunctionalGroupsSequence[frame].PlanePositionSequence[0].ImagePositionPatient
        key = np.round(np.array(own, float) * 1e3).astype(int).tolist()
        for number, value in enumerate((3, 7), 1):
            wanted = np.equal(mask[:, :, at].T, value)
            np.testing.assert_array_equal(found.get((number, *key), np.zeros_like(wanted)), wanted)


def test_what_none_can_be_written_for_is_refused_before_anything_is(run, tmp_path, monkeypatch):
    series(tmp_path / "ct")
    nifti = tmp_path / "a.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.random.default_rng(0).normal(size=(24, 24, 24)), np.eye(4)), nifti)

    def asked(source: Path, output: Path) -> int:
        return predict(Predict(run=run.root, inputs=(source,), output=output, dicom_seg=True))

    with pytest.raises(UsageError, match=r"a\.nii\.gz is no DICOM series"):
        asked(nifti, tmp_path / "out")
    with pytest.raises(UsageError, match="ct is an input"):
        asked(tmp_path / "ct", tmp_path / "ct")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "ct.dcm").write_text("kept")
    with pytest.raises(UsageError, match=r"ct\.dcm is there already, and not written by medtui"):
        asked(tmp_path / "ct", tmp_path / "out")
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(sys, "meta_path", [])
    monkeypatch.delitem(sys.modules, "highdicom")
    with pytest.raises(UsageError, match="--dicom-seg needs highdicom") as caught:
        asked(tmp_path / "ct", tmp_path / "new")
    assert "pip install 'medtui[dicom]'" in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.nii.gz", "ct", "out"]


def test_a_series_that_lacks_what_it_must_say_costs_only_its_segmentation(run, tmp_path, capsys):
    for one in (made := series(tmp_path / "ct")):
        del one.FrameOfReferenceUID
    save(tmp_path / "ct", made)
    asked = Predict(run=run.root, inputs=(tmp_path / "ct",), output=tmp_path / "out", dicom_seg=True)
    assert predict(asked) == 1
    said = capsys.readouterr().err
    assert "no DICOM Segmentation of ct: IM" in said
    assert "lacks FrameOfReferenceUID" in said
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["ct.nii.gz"]


def test_of_a_folder_of_a_study_each_series_has_its_mask(run, tmp_path, capsys):
    folder = study(tmp_path / "study", shape=(18, 24, 28))
    for path in folder.iterdir():
        held = pydicom.dcmread(path)
        held.StudyInstanceUID, held.FrameOfReferenceUID = "1.2.3", "1.2.3.4"
        held.save_as(path)
    asked = Predict(run=run.root, inputs=(folder,), output=tmp_path / "out", dicom_seg=True)
    assert predict(asked) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        *("study__2.dcm", "study__2.nii.gz", "study__5.dcm", "study__5.nii.gz"),
    ]
    assert "in its folder lie series of no volume, which are not read: 3 slices of number 1" in capsys.readouterr().err
    for number, name in ((2, "A0"), (5, "B1")):
        made = pydicom.dcmread(tmp_path / "out" / f"study__{number}.dcm")
        series = pydicom.dcmread(folder / f"{name}_0000.dcm").SeriesInstanceUID
        assert made.ReferencedSeriesSequence[0].SeriesInstanceUID == series
        apart = tmp_path / "apart" / f"study__{number}"
        apart.mkdir(parents=True)
        for path in folder.glob(f"{name}_*"):
            shutil.copy(path, apart)
    wanted = Predict(run=run.root, inputs=(tmp_path / "apart",), output=tmp_path / "wanted")
    named = Predict(run=run.root, inputs=tuple(folder.glob("A0*")), output=tmp_path / "named")  # of one all files
    assert predict(wanted) == predict(named) == 0
    for place, names in (("out", ("2", "5")), ("named", ("2",))):
        for number in names:
            found, own = (nibabel.load(tmp_path / at / f"study__{number}.nii.gz") for at in (place, "wanted"))
            np.testing.assert_array_equal(np.asarray(found.dataobj), np.asarray(own.dataobj))
            np.testing.assert_allclose(found.affine, own.affine)
    assert [path.name for path in (tmp_path / "named").iterdir()] == ["study__2.nii.gz"]


def test_only_the_first_channel_has_to_be_dicom(tmp_path):
    """The mask lies on its slices; others may be registered to it, and NIfTI."""
    series(tmp_path / "t1")
    flair = tmp_path / "flair.nii.gz"
    for images, fit in (((tmp_path / "t1", flair), True), ((flair, tmp_path / "t1"), False)):
        dataset = replace(of_volumes("segmentation", tmp_path), cases=(Case("a", images),))
        with nullcontext() if fit else pytest.raises(UsageError, match=r"flair\.nii\.gz is no DICOM series"):
            refuse_unfit(dataset, tmp_path / "out", overwrite=False)


class Gone(io.StringIO):
    """What is printed; once a line ends with ``word``, ``action`` is done."""

    def __init__(self, word: str, action: Callable[[], object]) -> None:
        super().__init__()
        self.word, self.action = word, action

    def write(self, text: str) -> int:
        if text.endswith(self.word):
            self.action()
        return super().write(text)


@pytest.mark.parametrize("how", ["folder", "slice", "damaged"])
def test_a_series_that_is_gone_when_its_segmentation_is_written_costs_no_other(run, tmp_path, monkeypatch, capsys, how):
    for at, name in enumerate(("a", "b", "c")):
        series(tmp_path / "in" / name, at)
    place = tmp_path / "in" / "b"
    end = slices_of(place)[-1][0]
    actions = {
        "folder": lambda: shutil.rmtree(place),
        "slice": end.unlink,
        "damaged": lambda: end.write_bytes(end.read_bytes()[:200]),
    }
    printed = Gone("b.nii.gz", actions[how])
    monkeypatch.setattr(sys, "stdout", printed)
    asked = Predict(run=run.root, inputs=(tmp_path / "in",), output=tmp_path / "out", dicom_seg=True)
    assert predict(asked) == 1
    names = [line.rpartition("/")[2] for line in printed.getvalue().splitlines()]
    assert names == ["a.nii.gz", "a.dcm", "b.nii.gz", "c.nii.gz", "c.dcm"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(names)
    said = capsys.readouterr().err
    words = {
        "folder": "its series cannot be read any more: ",
        "slice": "its series has 17 slices now, and its mask 18",
        "damaged": f"its series cannot be read any more: {end.name}: ",
    }
    assert said.count(f"no DICOM Segmentation of b: {words[how]}") == said.count("no DICOM Segmentation") == 1
    assert "Secret" not in said
    assert "Traceback" not in said
