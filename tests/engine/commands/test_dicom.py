"""A run on pictures as DICOM is the run on the same pictures as PNG; and of patients nothing stands in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.commands.check import check
from engine.commands.evaluate import evaluate
from engine.commands.new import new
from engine.commands.predict import predict
from engine.commands.train import train
from engine.errors import DataError
from engine.requests import Check, Evaluate, New, Predict, Train
from engine.runfolder import RunFolder, list_runs, read_splits
from tests.engine.data.dicoms import PATIENT, dicom
from tests.engine.runs import PICTURES, learned, same_weights, write_recipe

RECIPE = PICTURES.replace('"lesions"', '"x-rays"').replace('"imagenet"', '"zscore"').replace("saturation = 0.2", "")
RECIPE = RECIPE.replace("[48, 64]", '[32, 32]\nsplit = "fraction"\nvalidation_fraction = 0.25')


def x_rays(folder: Path, ending: str, cases: int = 8) -> Path:
    """Pictures of 12 bits with a bright disc, and masks of it."""
    random = np.random.default_rng(0)
    (folder / "masks").mkdir(parents=True)
    (folder / "images").mkdir()
    for place in range(cases):
        rows, columns = np.mgrid[:40, :44]
        disc = (rows - random.integers(12, 28)) ** 2 + (columns - random.integers(12, 30)) ** 2 < 70
        pixels = (random.integers(0, 2000, disc.shape) + 2095 * disc).astype(np.uint16)
        Image.fromarray(disc.astype(np.uint8)).save(folder / "masks" / f"c{place}.png")
        path = folder / "images" / f"c{place}{ending}"
        if ending == ".png":
            Image.fromarray(pixels).save(path)
        else:
            kind = ("MONOCHROME2", "MONOCHROME1")[place % 2]
            stored = pixels if kind == "MONOCHROME2" else 4095 - pixels
            how = {"bits": 12, "packed": ("", "lossless")[place // 2 % 2], "PhotometricInterpretation": kind}
            dicom(path, stored, **how)
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunFolder]:
    found = {}
    for ending in (".png", ".dcm"):
        root = tmp_path_factory.mktemp(ending[1:])
        x_rays(root / "data" / "x-rays", ending)
        plain = ("figures.enabled=false",) if ending == ".png" else ()
        asked = Train(write_recipe(root, RECIPE), overrides=plain, data=root / "data", runs=root / "runs")
        assert train(asked, lambda _: None) == 0
        found[ending] = list_runs(asked.runs)[-1]
    return found


def test_a_run_on_dicom_learns_what_one_on_png_learns(runs: dict[str, RunFolder]) -> None:
    png, dcm = runs[".png"], runs[".dcm"]
    assert [row.content for row in read_splits(dcm)] == [row.content for row in read_splits(png)]
    assert learned(dcm) == learned(png)
    assert same_weights(dcm.last, png.last)
    assert len(list(dcm.predictions.glob("*.png"))) == len(list(png.predictions.glob("*.png"))) > 0


def test_of_the_patient_nothing_is_in_the_run(runs: dict[str, RunFolder]) -> None:
    files = [path for path in runs[".dcm"].root.rglob("*") if path.is_file()]
    assert len(files) > 10
    for path in files:
        content = path.read_bytes()
        assert not [secret for secret in PATIENT.values() if secret.encode() in content], path


def test_both_are_predicted_and_evaluated_by_the_same_run(runs, tmp_path, capsys) -> None:
    for ending, run in runs.items():
        folder = x_rays(tmp_path / ending[1:], ending)
        assert (
            predict(Predict(run=runs[".png"].root, inputs=(folder / "images",), output=tmp_path / f"of {ending}")) == 0
        )
        assert evaluate(Evaluate(run=run.root, data=folder)) == 0
    masks = [sorted((tmp_path / f"of {ending}").glob("*.png")) for ending in runs]
    assert len(masks[0]) == 8
    for one, other in zip(*masks, strict=True):
        assert one.name == other.name
        np.testing.assert_array_equal(np.asarray(Image.open(one)), np.asarray(Image.open(other)))
    (tmp_path / "dcm" / "images" / "c0.dcm").rename(tmp_path / "IM0001")
    assert predict(Predict(run=runs[".dcm"].root, inputs=(tmp_path / "IM0001",), output=tmp_path / "one")) == 0
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["IM0001.png"]
    assert not [secret for secret in PATIENT.values() if secret in "".join(capsys.readouterr())]


def test_new_writes_a_recipe_for_them_which_check_accepts(tmp_path, capsys) -> None:
    folder = x_rays(tmp_path / "x-rays", ".dcm")
    assert new(New(folder=folder, output=tmp_path / "x.toml", minutes=1.0)) == 0
    assert 'source = "image_pairs"' in (tmp_path / "x.toml").read_text()
    assert check(Check(recipe=tmp_path / "x.toml", data=tmp_path)) == 0
    capsys.readouterr()
    again = dicom(folder / "images" / "c0.dcm", np.zeros((40, 44), np.uint16), NumberOfFrames=9)
    with pytest.raises(DataError, match=r"images/c0\.dcm: image cannot be read: it holds 9 frames"):
        check(Check(recipe=tmp_path / "x.toml", data=tmp_path))
    assert again.exists()
