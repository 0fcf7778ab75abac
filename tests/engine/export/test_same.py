"""Exported folders give what ``medtui predict`` gives, in a process that can import neither torch nor medtui."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import cv2
import nibabel
import numpy as np
import pytest
from PIL import Image

from engine.commands.predict import predict
from engine.data.phantom_volumes import hippocampus
from engine.requests import Predict
from engine.runfolder import RunFolder, list_runs
from tests.engine.data import dicoms
from tests.engine.export.exports import VOLUMES, alone, both, exported, here, scan
from tests.engine.export.untrained import untrained
from tests.engine.runs import CLASSIFICATION, PICTURES
from tests.engine.studies.test_vote import study_of

for library in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(library)


def test_masks_are_those_of_medtui_predict_voxel_for_voxel(volumes, tmp_path):
    inputs = [
        scan(tmp_path / "in" / "plain.nii.gz", "RAS", (1.0, 1.0, 1.0)),
        scan(tmp_path / "in" / "turned.nii.gz", "PSL", (0.9, 1.6, 2.0)),
        scan(tmp_path / "in" / "small.nii", "LPI", (1.5, 1.2, 1.0), cut=11),
        scan(tmp_path / "in" / "LOUD.NII.GZ", "RAS", (1.0, 1.0, 1.0), cut=12),
    ]
    ours, theirs = both(*volumes, inputs, tmp_path, alone)
    found = set()
    for path in ours.iterdir():
        wanted, got = nibabel.load(path), nibabel.load(theirs / path.name)
        mask = np.asarray(got.dataobj)
        assert np.array_equal(np.asarray(wanted.dataobj), mask)
        assert wanted.header.binaryblock == got.header.binaryblock
        found |= set(np.unique(mask).tolist())
    assert found == {0, 1, 2}


def test_the_largest_component_is_kept_where_the_run_keeps_it(volumes, tmp_path):
    changed = RunFolder(shutil.copytree(volumes[0].root, tmp_path / "runs" / volumes[0].id))
    text = changed.recipe.read_text().replace("largest_component = false", "largest_component = true\nconnectivity = 6")
    changed.recipe.write_text(text)
    folder = Path(shutil.copytree(volumes[1], tmp_path / "export"))
    facts = json.loads((folder / "model.json").read_text())
    facts["output"] |= {"largest_component": True, "connectivity": 6}
    (folder / "model.json").write_text(json.dumps(facts))
    source = scan(tmp_path / "in" / "x.nii.gz", "RAS", (1, 1, 1))
    ours, theirs = both(changed, folder, [source], tmp_path)
    masks = [np.asarray(nibabel.load(place / "x.nii.gz").dataobj) for place in (ours, theirs)]
    assert np.array_equal(*masks)
    done = here(volumes[1], source, "-o", tmp_path / "all")
    assert done.returncode == 0
    assert np.count_nonzero(np.asarray(nibabel.load(tmp_path / "all" / "x.nii.gz").dataobj)) > np.count_nonzero(
        masks[1]
    )


def shares(place: Path) -> tuple[list[list[str]], np.ndarray]:
    header, *rows = csv.reader((place / "predictions.csv").open(encoding="utf-8"))
    return [header, *(row[:2] for row in rows)], np.array([list(map(float, row[2:])) for row in rows])


def test_members_of_a_study_vote_in_one_table(tmp_path):
    text = CLASSIFICATION.replace("bootstrap = 20", "bootstrap = 20\nflips = true")
    text = text.replace("size = [32, 32]", 'size = [32, 32]\nresize = "crop"')
    known_cases = {"train": {"a": 30, "b": 5, "c": 1}}
    runs = [
        untrained(tmp_path, text, seed=seed, channels=3, classes=["a", "b", "c"], counts=known_cases) for seed in (1, 2)
    ]
    study = study_of(runs, task="classification", post={"logit_adjustment": 0.5})
    folder = exported(study, tmp_path / "export")
    assert {path.name for path in folder.glob("*.onnx")} == {"model_0.onnx", "model_1.onnx"}
    assert "scipy" not in (folder / "requirements.txt").read_text()
    images = pictures(tmp_path / "in")
    ours, theirs = both(study, folder, images, tmp_path, alone)
    (wanted, known), (got, found) = shares(ours), shares(theirs)
    assert got == wanted
    assert np.abs(found - known).max() < 1e-5
    each_alone = []
    for run_folder in runs:
        predict(Predict(run=run_folder.root, inputs=tuple(images), output=tmp_path / run_folder.id))
        likely = shares(tmp_path / run_folder.id)[1] / np.sqrt([30, 5, 1])
        each_alone.append(likely / likely.sum(axis=1, keepdims=True))
    assert np.abs(each_alone[0] - each_alone[1]).max() > 1e-2
    assert np.abs(np.mean(each_alone, axis=0) - found).max() < 1e-5


def pictures(place: Path) -> list[Path]:
    """Pictures of every kind: in colour, grey, turned, with transparency, of 16 bits."""
    place.mkdir()
    shades = np.random.default_rng(0).integers(0, 256, (9, 12, 3)).astype(np.uint8)
    colour = Image.fromarray(shades).resize((90, 60), Image.Resampling.BICUBIC)
    exif = colour.getexif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    colour.save(place / "colour.jpg")
    colour.save(place / "turned.jpg", exif=exif)
    colour.convert("L").save(place / "grey.png")
    colour.convert("RGBA").resize((7, 5)).save(place / "tiny.png")
    colour.convert("CMYK").save(place / "print.tif")
    deep(place / "deep.png")
    many = np.random.default_rng(1).integers(0, 65536, (60, 70, 3)).astype(np.uint16)
    assert cv2.imwrite(str(place / "colours.png"), many)
    return sorted(place.iterdir())


def deep(path: Path) -> Path:
    """A picture of 12 bits."""
    values = np.random.default_rng(0).integers(0, 4000, (40, 90)).astype(np.uint16)
    Image.fromarray(values).save(path)
    return path


def x_rays(place: Path) -> list[Path]:
    """The same picture of 12 bits as files of DICOM that say in other ways what is black and white."""
    values = np.random.default_rng(0).integers(0, 4000, (40, 90)).astype(np.uint16)
    table = dicoms.table(np.arange(4096) ** 2 // 4096, 0, 12)
    tags = {
        "plain": {},
        "rescaled": {"RescaleSlope": "0.5", "RescaleIntercept": -100, "PhotometricInterpretation": "MONOCHROME1"},
        "window": {"WindowCenter": 1500, "WindowWidth": 2000, "PhotometricInterpretation": "MONOCHROME1"},
        "sigmoid": {"WindowCenter": 1500, "WindowWidth": 2000, "VOILUTFunction": "SIGMOID"},
        "table": {"VOILUTSequence": [table], "PhotometricInterpretation": "MONOCHROME1"},
        "tables": {"ModalityLUTSequence": [table], "VOILUTSequence": [table]},
    }
    made = [dicoms.dicom(place / f"{name}.dcm", values, bits=12, **how) for name, how in tags.items()]
    shades = np.random.default_rng(0).integers(0, 256, (50, 60, 3)).astype(np.uint8)
    made += [dicoms.dicom(place / "deep.dcm", values * 15), dicoms.dicom(place / "colours.dcm", shades, packed="rle")]
    made.append(dicoms.dicom(place / "grey.dicom", shades[..., 0], PhotometricInterpretation="MONOCHROME1"))
    return [*made, dicoms.dicom(place / "dim.dcm", shades[..., 1], WindowCenter=100, WindowWidth=90)]


def test_dicom_is_read_as_medtui_does(tmp_path, monkeypatch):
    text = CLASSIFICATION.replace('"imagenet"', '"none"')
    finished = untrained(tmp_path, text, channels=3, classes=["a", "b", "c"])
    folder = exported(finished, tmp_path / "export")
    images = x_rays(tmp_path / "in")
    ours, theirs = both(finished, folder, images, tmp_path, alone)
    (wanted, known), (got, found) = shares(ours), shares(theirs)
    assert got == wanted
    assert len({tuple(row) for row in known.round(6)}) == len(images)
    assert np.abs(found - known).max() < 1e-5
    monkeypatch.setitem(sys.modules, "pydicom", None)
    done = here(folder, images[0], "-o", tmp_path / "none")
    assert (done.returncode, "pip install 'pydicom>=3'" in done.stderr) == (2, True)


LESIONS = PICTURES.replace("overlap = 0.25", "overlap = 0.25\nthreshold = 0.45\nflips = true")
LESIONS = LESIONS.replace('intensity = "imagenet"', 'intensity = "imagenet"\nspacing = [1.5, 1.25]')


def test_masks_of_pictures_are_those_of_medtui_predict(tmp_path):
    finished = untrained(tmp_path, LESIONS, channels=3, classes=["lesion"])
    folder = exported(finished, tmp_path / "export")
    ours, theirs = both(finished, folder, pictures(tmp_path / "in"), tmp_path, alone)
    found = set()
    for path in ours.iterdir():
        with Image.open(path) as wanted, Image.open(theirs / path.name) as got:
            assert np.array_equal(np.asarray(wanted), np.asarray(got))
            assert wanted.getpalette() == got.getpalette()
            found |= set(np.unique(np.asarray(got)).tolist())
    assert found == {0, 1}


def test_black_and_white_of_deep_pictures_are_those_of_training(tmp_path):
    text = LESIONS.replace('"imagenet"', '"none"')
    images, known = [deep(tmp_path / "x.png")], {"channels": 3, "classes": ["lesion"]}
    finished = untrained(tmp_path, text, value_range=(0.0, 65535.0), **known)
    ours, theirs = both(finished, exported(finished, tmp_path / "export"), images, tmp_path)
    masks = [np.asarray(Image.open(each / "x.png")) for each in (ours, theirs)]
    assert np.array_equal(*masks)
    predict(Predict(run=untrained(tmp_path, text, **known).root, inputs=tuple(images), output=tmp_path / "own"))
    assert (np.asarray(Image.open(tmp_path / "own" / "x.png")) != masks[1]).any()


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, Path]:
    """Two networks of two channels, that vote."""
    place = tmp_path_factory.mktemp("study")
    named: dict[str, Any] = {"channels": 2, "channel_names": ["FLAIR", "T2 w"], "classes": ["edema", "core"]}
    found = study_of([untrained(place, VOLUMES, seed=seed, **named) for seed in (1, 2)], task="segmentation")
    return found, exported(found, place / "export")


def channels(place: Path, *parts: np.ndarray, names: object = None, together: bool = False) -> Path:
    """A case, as files of one channel each or as one file, in a data set that calls its channels ``names``."""
    (place / "imagesTs").mkdir(parents=True)
    if names is not None:
        (place / "dataset.json").write_text(names if isinstance(names, str) else json.dumps(names))
    files = {"x": np.stack(parts, -1)} if together else {f"x_{at:04d}": part for at, part in enumerate(parts)}
    for name, values in files.items():
        image = nibabel.Nifti1Image(values.astype(np.float32), np.diag([1.5, 1, 1, 1]))
        nibabel.save(image, place / "imagesTs" / f"{name}.nii.gz")
    return place / "imagesTs"


def test_channels_are_put_in_order_by_their_names(study, tmp_path):
    flair, t2 = (hippocampus(np.random.default_rng(seed))[0][:20, :24, :20] for seed in (0, 1))
    cases = {
        "together": channels(tmp_path / "0", flair, t2, together=True),
        "turned": channels(tmp_path / "1", t2, flair, names={"channel_names": {"0": "t2  W", "1": "flair"}}),
        "modality": channels(tmp_path / "2", t2, flair, names={"modality": ["T2 w", "FLAIR"]}),
        "damaged": channels(tmp_path / "3", flair, t2, names="{"),
        "twice": channels(tmp_path / "4", flair, t2, names={"channel_names": {"0": "FLAIR", "1": "FLAIR"}}),
        "wrong": channels(tmp_path / "5", t2, flair),
    }
    masks = {}
    for name, place in cases.items():
        results = both(*study, [place], tmp_path / name)
        wanted, masks[name] = (np.asarray(nibabel.load(each / "x.nii.gz").dataobj) for each in results)
        assert np.array_equal(wanted, masks[name]), name
    assert [name for name, mask in masks.items() if not np.array_equal(mask, masks["together"])] == ["wrong"]
    told = here(study[1], cases["turned"], "-o", tmp_path / "out").stderr
    assert told == (
        "case x: its channels lie in another order (t2  W, flair) than in training: put in order by their names\n"
    )
    other = channels(tmp_path / "6", flair, t2, names={"channel_names": {"0": "T1", "1": "FLAIR"}})
    refused = here(study[1], other, "-o", tmp_path / "none")
    assert refused.returncode == 2
    assert "names the channels T1, FLAIR; the network takes FLAIR, T2 w" in refused.stderr
    (other / "x_0001.nii.gz").unlink()
    assert "x lacks channels" in here(study[1], other, "-o", tmp_path / "none").stderr
    assert not (tmp_path / "none").exists()


def test_members_of_a_study_vote_on_every_voxel(study, tmp_path):
    flair, t2 = (hippocampus(np.random.default_rng(seed))[0][:20, :24, :20] for seed in (0, 1))
    place = channels(tmp_path / "in", flair, t2)
    voted = [np.asarray(nibabel.load(each / "x.nii.gz").dataobj) for each in both(*study, [place], tmp_path)]
    assert np.array_equal(*voted)
    for member in list_runs(study[0].root.parent):
        if not member.is_study:
            predict(Predict(run=member.root, inputs=(place,), output=tmp_path / member.id))
            mask = np.asarray(nibabel.load(tmp_path / member.id / "x.nii.gz").dataobj)
            assert (mask != voted[1]).any()
