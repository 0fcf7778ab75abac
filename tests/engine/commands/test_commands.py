"""check, evaluate and predict: what people do before and after a run."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK

from engine.__main__ import main
from engine.commands.evaluate import evaluate
from engine.commands.predict import _cases, predict
from engine.commands.train import train
from engine.data import SPLITS
from engine.errors import DataError, UsageError
from engine.requests import Check, Evaluate, Predict, Train, encode
from engine.runfolder import RunFolder, SplitRow, list_runs, read_manifest, read_splits, update_manifest, write_splits
from tests.engine.data import series as dicom
from tests.engine.data.builders import nnunet
from tests.engine.runs import CLASSIFICATION, SEGMENTATION, request, run, write_recipe
from tests.phantoms import phantom_root

TWO_CHANNELS = SEGMENTATION.replace('"left_atrium"', '"nnunet"', 1).replace('"left_atrium"', '"two"', 1)


@pytest.fixture(scope="module")
def segmented(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, Path]:
    place = tmp_path_factory.mktemp("segmented")
    code, folder = run(place, SEGMENTATION, "train.epochs=1")
    assert code == 0
    return folder, place / "data"


@pytest.fixture(scope="module")
def classified(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, Path]:
    place = tmp_path_factory.mktemp("classified")
    code, folder = run(place, CLASSIFICATION, cases=60)
    assert code == 0
    return folder, place / "data"


def measure(folder: RunFolder, **options) -> int:
    return evaluate(Evaluate(run=folder.root, **options))


def apply(folder: RunFolder, *inputs: Path, output: Path, **options) -> int:
    return predict(Predict(run=folder.root, inputs=inputs, output=output, **options))


@pytest.mark.parametrize("text", [SEGMENTATION, CLASSIFICATION])
def test_check_says_what_it_found_and_writes_nothing(tmp_path, capsys, text):
    asked = request(tmp_path, text, cases=40 if text is CLASSIFICATION else 8)
    before = sorted(tmp_path.rglob("*"))
    assert main(["check", encode(Check(recipe=asked.recipe, data=asked.data))]) == 0
    said = capsys.readouterr().out
    for word in ("recipe", "data", "model", "batch", "memory", "ok", "loss"):
        assert word in said
    assert sorted(tmp_path.rglob("*")) == before


def test_evaluating_the_test_split_again_gives_the_same_numbers(segmented):
    folder, _ = segmented
    before, looks = json.loads(folder.metrics.read_text())["test"], read_manifest(folder).looks["test"]
    assert measure(folder, split="test") == 0
    assert json.loads(folder.metrics.read_text())["test"] == before
    manifest = read_manifest(folder)
    assert manifest.looks["test"] == looks + 1
    assert manifest.checkpoint.sha256 == hashlib.sha256(folder.best.read_bytes()).hexdigest()
    assert (manifest.inference["test"].s_a_case or 0) > 0 < (manifest.inference["test"].memory_mb or 0)


BALANCED, ADJUSTED = 'loss.class_weights="balanced"', "loss.logit_adjustment=1.0"


@pytest.mark.parametrize(
    ("text", "change", "cases"),
    [(CLASSIFICATION, ADJUSTED, 60), (CLASSIFICATION, BALANCED, 60), (SEGMENTATION, BALANCED, 8)],
)
def test_a_loss_that_asks_for_the_classes_of_training_is_the_same_without_them(tmp_path, text, change, cases):
    asked = ("train.epochs=1", 'loss.name="cross_entropy"', change)
    _, folder = run(tmp_path, text, *asked, cases=cases)
    before = json.loads(folder.metrics.read_text(encoding="utf-8"))["test"]
    assert measure(folder) == 0
    assert json.loads(folder.metrics.read_text(encoding="utf-8"))["test"] == before
    update_manifest(folder, model={"counts": []}, data={"counts": {}})  # as an old one, or a damaged one
    image = next(path for path in (tmp_path / "data").rglob("*") if path.suffix in {".jpg", ".h5"})
    assert apply(folder, image, output=tmp_path / "out") == 0
    assert measure(folder) == 0
    after = json.loads(folder.metrics.read_text(encoding="utf-8"))["test"]
    assert after == before | {"loss": None}


def test_another_split_and_other_data_get_names_of_their_own(segmented, tmp_path):
    folder, _ = segmented
    kept = json.loads(folder.metrics.read_text())
    assert measure(folder, split="train") == 0
    elsewhere = phantom_root(tmp_path, "left_atrium", cases=5, seed=9, every=2)
    assert measure(folder, data=elsewhere / "left_atrium", name="other") == 0
    assert measure(folder, data=elsewhere, split="test") == 0
    metrics = json.loads(folder.metrics.read_text())
    assert metrics["test"] == kept["test"]
    assert metrics["other"]["n"] == 5
    assert metrics["train"]["n"] > 0
    names = {row["split"] for row in csv.DictReader(folder.cases.open())}
    assert {"validation", "test", "train", "other"} <= names
    assert len(names) == len(metrics)


def test_cases_that_were_in_training_are_counted_wherever_they_lie(segmented, tmp_path, capsys):
    folder, data = segmented
    own = [row for row in read_splits(folder) if row.split in SPLITS]
    rows = {row.id: row for row in own}
    assert {row.split for row in own} == set(SPLITS)
    trained = sorted(name for name, row in rows.items() if row.split == "train")[:2]
    for name in (*trained, next(name for name, row in rows.items() if row.split == "test")):
        target = tmp_path / "left_atrium" / f"other-{name}"
        shutil.copytree(data / "left_atrium" / name, target)
    for name in ("train.list", "test.list"):
        text = "\n".join(path.name for path in sorted((tmp_path / "left_atrium").iterdir()) if path.is_dir())
        (tmp_path / "left_atrium" / name).write_text(text if name == "test.list" else "")
    assert measure(folder, data=tmp_path, name="copies") == 0
    assert f"2 of 3 cases were in training: other-{trained[0]}, other-{trained[1]};" in capsys.readouterr().err
    found = {row.id: row for row in read_splits(folder) if row.split == "copies"}
    assert {name: found[f"other-{name}"].content for name in trained} == {name: rows[name].content for name in trained}
    assert [row for row in read_splits(folder) if row.split in SPLITS] == own


def test_a_test_split_that_changed_is_not_measured_as_the_runs_own(segmented, tmp_path):
    folder, _ = segmented
    copy = RunFolder(tmp_path / folder.id)
    shutil.copytree(folder.root, copy.root)
    case = next(row for row in read_splits(copy) if row.split == "test")
    write_splits(copy, [SplitRow(row.id, row.group, row.split, row.image, "0" if row == case else row.truth)
                        for row in read_splits(copy)])  # fmt: skip
    with pytest.raises(DataError, match=f"other content: {case.id}"):
        measure(copy, split="test")


def test_a_name_of_the_runs_own_splits_is_refused_for_other_data(segmented, tmp_path):
    elsewhere = phantom_root(tmp_path, "left_atrium", cases=4, seed=9, every=2)
    with pytest.raises(UsageError, match="own data"):
        measure(segmented[0], data=elsewhere, name="test")


def test_data_with_other_classes_is_refused(segmented, tmp_path):
    wrong = phantom_root(tmp_path, "hippocampus", cases=4)
    with pytest.raises(DataError):
        measure(segmented[0], data=wrong / "hippocampus")


@pytest.fixture(scope="module")
def two_channels(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, Path]:
    """A run on volumes of two channels, and its data: {"0": "T1", "1": "FLAIR"}."""
    place = tmp_path_factory.mktemp("channels")
    name_channels(nnunet(place / "data" / "two"), "T1", "FLAIR")
    recipe = write_recipe(place, TWO_CHANNELS)
    assert train(Train(recipe=recipe, data=place / "data", runs=place / "runs"), lambda _: None) == 0
    return list_runs(place / "runs")[-1], place / "data" / "two"


def name_channels(folder: Path, *names: str) -> Path:
    table = json.loads((folder / "dataset.json").read_text())
    table["channel_names"] = {str(place): name for place, name in enumerate(names)}
    (folder / "dataset.json").write_text(json.dumps(table))
    return folder


@pytest.fixture
def swapped(two_channels, tmp_path) -> Path:
    """The same data with the files of the two channels the other way round, and named so."""
    copy = tmp_path / "swapped"
    shutil.copytree(two_channels[1], copy)
    for path in sorted(copy.glob("images*/*_0000.nii.gz")):
        other = path.with_name(path.name.replace("_0000.", "_0001."))
        path.rename(tmp_path / "first")
        other.rename(path)
        (tmp_path / "first").rename(other)
    return name_channels(copy, "flair", " T1")


def test_channels_in_another_order_are_put_in_order_by_name(two_channels, swapped, tmp_path, capsys):
    folder, data = two_channels
    for place, name in ((data, "same"), (swapped, "swapped")):
        assert measure(folder, data=place, split="test", name=name) == 0
    assert "another order (flair,  T1) than in training" in capsys.readouterr().err
    metrics = json.loads(folder.metrics.read_text())
    assert metrics["swapped"] == metrics["same"]
    hashes = [[row.content for row in read_splits(folder) if row.split == name] for name in ("same", "swapped")]
    assert hashes[0] == hashes[1] != []
    for place, output in ((data, "out"), (swapped, "other")):
        assert apply(folder, place / "imagesTs", output=tmp_path / output) == 0
    for path in sorted((tmp_path / "out").iterdir()):
        masks = [np.asarray(nibabel.load(tmp_path / name / path.name).dataobj) for name in ("out", "other")]
        assert np.array_equal(*masks)


def test_channels_of_other_names_are_refused(two_channels, swapped, tmp_path):
    name_channels(swapped, "T1", "T2")
    with pytest.raises(DataError, match="the run has T1, FLAIR; the data T1, T2"):
        measure(two_channels[0], data=swapped)
    with pytest.raises(DataError, match="the run has T1, FLAIR; the data T1, T2"):
        apply(two_channels[0], swapped / "imagesTs", output=tmp_path / "out")


def test_a_split_that_is_not_there_is_told(segmented):
    with pytest.raises(DataError, match='no labelled cases in "tset"\nsplits with cases: test, train, validation'):
        measure(segmented[0], split="tset")


def test_predicted_masks_are_those_of_the_test(segmented, tmp_path):
    folder, data = segmented
    case = next(row["id"] for row in csv.DictReader(folder.cases.open()) if row["split"] == "test")
    source = data / "left_atrium" / case / "mri_norm2.h5"
    assert main(["predict", encode(Predict(run=folder.root, inputs=(source,), output=tmp_path / "out"))]) == 0
    predicted = np.asarray(nibabel.load(tmp_path / "out" / f"{case}.nii.gz").dataobj)
    kept = np.asarray(nibabel.load(folder.predictions / f"{case}.nii.gz").dataobj)
    assert np.array_equal(predicted, kept)


def test_predicted_classes_are_those_of_the_test(classified, tmp_path):
    folder, data = classified
    inputs = data / "isic2018" / "ISIC2018_Task3_Test_Input"
    assert main(["predict", encode(Predict(run=folder.root, inputs=(inputs,), output=tmp_path))]) == 0
    predicted = {row["id"]: row for row in csv.DictReader((tmp_path / "predictions.csv").open())}
    measured = [row for row in csv.DictReader(folder.cases.open()) if row["split"] == "test"]
    assert len(measured) == len(predicted)
    for row in measured:
        assert predicted[row["id"]]["predicted"] == row["predicted"]
        for key in (key for key in row if key.startswith("prob:")):
            assert float(predicted[row["id"]][key]) == pytest.approx(float(row[key]), abs=1e-5)


@pytest.mark.parametrize("bad", ["missing", "empty", "broken"])
def test_inputs_that_cannot_be_predicted_are_one_message(segmented, tmp_path, capsys, bad):
    target = tmp_path / "in"
    if bad == "empty":
        target.mkdir()
    if bad == "broken":
        target.mkdir()
        (target / "x.nii.gz").write_bytes(b"no scan")
    assert main(["predict", encode(Predict(run=segmented[0].root, inputs=(target,), output=tmp_path / "out"))]) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_run_without_weights_is_told(tmp_path, segmented, capsys):
    copy = tmp_path / segmented[0].id
    shutil.copytree(segmented[0].root, copy)
    shutil.rmtree(copy / "checkpoints")
    assert main(["evaluate", encode(Evaluate(run=copy, split="test"))]) == 2
    said = capsys.readouterr().err
    assert "its checkpoints are gone" in said
    assert "first epoch" not in said  # its trainer is gone


def test_what_does_not_fit_the_network_is_said_before_the_cases_are_read(tmp_path, capsys):
    asked = request(tmp_path, SEGMENTATION, "data.size=[18,16,16]")
    assert main(["check", encode(Check(recipe=asked.recipe, overrides=asked.overrides, data=asked.data))]) == 2
    said = capsys.readouterr().err
    assert "no multiple of" in said
    assert "checking the data" not in said


def test_a_folder_named_like_a_split_does_not_replace_the_runs_own_result(segmented, tmp_path):
    folder, _ = segmented
    before = folder.metrics.read_bytes()
    elsewhere = phantom_root(tmp_path, "left_atrium", cases=4, seed=9, every=2)
    (elsewhere / "left_atrium").rename(tmp_path / "test")
    with pytest.raises(UsageError, match="--name"):
        measure(folder, data=tmp_path / "test")
    assert folder.metrics.read_bytes() == before


def volume(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.random.default_rng(len(path.name)).normal(size=(26, 28, 22)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(image, np.eye(4)), path)
    return path


def test_an_input_is_never_written_over(segmented, tmp_path):
    scan = volume(tmp_path / "scan.nii.gz")
    before = scan.read_bytes()
    with pytest.raises(UsageError, match="written over"):
        apply(segmented[0], scan, output=tmp_path)
    linked = tmp_path / "linked"
    linked.symlink_to(tmp_path)
    with pytest.raises(UsageError, match="written over"):
        apply(segmented[0], scan, output=linked)
    assert scan.read_bytes() == before


def test_every_input_has_a_result_of_its_own_and_hidden_files_are_none(segmented, tmp_path):
    for name in ("a b", "a_b", "a-b"):
        volume(tmp_path / "in" / f"{name}.nii.gz")
    (tmp_path / "in" / "._a b.nii.gz").write_bytes(b"what macOS leaves")
    assert apply(segmented[0], tmp_path / "in", output=tmp_path / "out") == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a b.nii.gz", "a-b.nii.gz", "a_b.nii.gz"]


def test_photographs_numbered_by_a_camera_are_cases_of_their_own(tmp_path):
    files = [tmp_path / f"IMG_{n:04d}.jpg" for n in (1, 2, 3)]
    assert [case.id for case in _cases(files, 1)] == ["IMG_0001", "IMG_0002", "IMG_0003"]


def test_channels_of_a_case_lie_in_one_folder_and_are_all_there(tmp_path):
    whole = [tmp_path / "p" / f"x_{n:04d}.nii.gz" for n in (1, 0)]
    (case,) = _cases(whole, 2)
    assert case.id == "x"
    assert [path.name for path in case.images] == ["x_0000.nii.gz", "x_0001.nii.gz"]
    assert [case.id for case in _cases([tmp_path / "scan_2023.nii.gz"], 2)] == ["scan_2023"]  # one file, all channels
    assert [case.id for case in _cases([tmp_path / f"X_000{n}.NII.GZ" for n in (0, 1)], 2)] == ["X"]
    with pytest.raises(DataError, match="without all channels"):
        _cases([tmp_path / "a_0001.nii.gz", tmp_path / "a_0002.nii.gz"], 2)
    with pytest.raises(DataError, match="without all channels"):
        _cases([tmp_path / "p1" / "x_0000.nii.gz", tmp_path / "p2" / "x_0001.nii.gz"], 2)
    with pytest.raises(DataError, match="share a name"):
        _cases([tmp_path / "p1" / "scan.nii.gz", tmp_path / "p2" / "scan.nii.gz"], 2)


def test_a_broken_input_is_named_and_the_others_are_predicted(segmented, tmp_path, capsys):
    volume(tmp_path / "in" / "good.nii.gz")
    (tmp_path / "in" / "bad.nii.gz").write_text("no scan")
    (tmp_path / "in" / "circle.nii.gz").symlink_to("circle.nii.gz")
    assert apply(segmented[0], tmp_path / "in", output=tmp_path / "out") == 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["good.nii.gz"]
    said = capsys.readouterr().err
    assert "left out: case bad: " in said
    assert "left out: case circle: " in said


def test_masks_of_others_are_not_replaced_unless_asked(segmented, tmp_path):
    scan = volume(tmp_path / "in" / "scan.nii.gz")
    own = volume(tmp_path / "out" / "scan.nii.gz")
    before = own.read_bytes()
    with pytest.raises(UsageError, match="not written by medtui"):
        apply(segmented[0], scan, output=tmp_path / "out")
    assert own.read_bytes() == before
    assert apply(segmented[0], scan, output=tmp_path / "out", overwrite=True) == 0
    assert own.read_bytes() != before
    assert apply(segmented[0], scan, output=tmp_path / "out") == 0  # its own, and so no loss


def test_an_output_that_is_a_file_is_a_wrong_command_line(segmented, tmp_path):
    (tmp_path / "file").write_text("kept")
    with pytest.raises(UsageError, match="not a folder"):
        apply(segmented[0], volume(tmp_path / "scan.nii.gz"), output=tmp_path / "file")


def test_formats_that_are_not_read_are_one_line_each(segmented, tmp_path):
    series = tmp_path / "series"
    series.mkdir()
    for n in range(40):
        (series / f"{n}.dcm").write_bytes(b"\0" * 128 + b"DICM")
        (series / f"IM{n:04d}").write_bytes(b"\0" * 128 + b"DICM")
    with pytest.raises(DataError) as told:
        apply(segmented[0], *sorted(series.iterdir()), output=tmp_path / "out")
    said = str(told.value)
    assert "and 77 more" in said
    assert "its header does not say how it is written" in said
    assert len(said.splitlines()) < 8
    with pytest.raises(DataError, match=r"series: image cannot be read: .*its header"):
        apply(segmented[0], series, output=tmp_path / "out")


def test_a_folder_of_a_series_is_a_case_and_so_is_each_of_several(segmented, tmp_path, capfd):
    image = dicom.scan(1, (10, 14, 12), mirrored=True)
    first = dicom.save(tmp_path / "in" / "p1" / "t1.mpr", dicom.slices(image))
    dicom.save(tmp_path / "in" / "p2" / "t1.mpr", dicom.slices(image), "1.2.{}")
    dicom.save(tmp_path / "in" / "p2" / "other", dicom.slices(image)[:-3])
    assert apply(segmented[0], first, output=tmp_path / "one") == 0
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["t1.mpr.nii.gz"]
    assert apply(segmented[0], tmp_path / "in", output=tmp_path / "all") == 0
    names = ["other.nii.gz", "p1__t1.mpr.nii.gz", "p2__t1.mpr.nii.gz"]
    assert sorted(path.name for path in (tmp_path / "all").iterdir()) == names
    itk = SimpleITK.ImageSeriesReader()
    itk.SetFileNames(itk.GetGDCMSeriesFileNames(str(first)))
    wanted, found = itk.Execute(), SimpleITK.ReadImage(str(tmp_path / "one" / "t1.mpr.nii.gz"))
    for name in ("GetSize", "GetOrigin", "GetSpacing", "GetDirection"):
        np.testing.assert_allclose(getattr(found, name)(), getattr(wanted, name)(), atol=1e-5)
    dicom.save(first, dicom.slices(dicom.scan(2, (10, 14, 12))), "second{}.dcm")
    assert apply(segmented[0], tmp_path / "in", output=tmp_path / "some") == 0
    names = ["other.nii.gz", "t1.mpr.nii.gz", "t1.mpr__1.nii.gz", "t1.mpr__2.nii.gz"]
    assert sorted(path.name for path in (tmp_path / "some").iterdir()) == names
    said = "".join(capfd.readouterr())
    assert not any(word in said for word in ("Secret", "4711", "1970"))


@pytest.mark.parametrize("ending", [".nrrd", ".mha"])
def test_a_mask_of_an_input_of_itk_lies_on_it_and_is_that_of_the_same_image_as_nifti(segmented, tmp_path, ending):
    same = volume(tmp_path / "same.nii.gz")
    image = SimpleITK.ReadImage(str(same))
    image.SetOrigin((3.25, -40.5, 7))
    SimpleITK.WriteImage(image, str(same))
    SimpleITK.WriteImage(image, str(tmp_path / f"scan{ending}"))
    assert apply(segmented[0], same, tmp_path / f"scan{ending}", output=tmp_path / "out") == 0
    wanted, found = (SimpleITK.ReadImage(str(tmp_path / "out" / f"{name}.nii.gz")) for name in ("same", "scan"))
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(found), SimpleITK.GetArrayFromImage(wanted))
    for name in ("GetOrigin", "GetSpacing", "GetDirection"):
        np.testing.assert_allclose(getattr(found, name)(), getattr(image, name)(), atol=1e-6)
