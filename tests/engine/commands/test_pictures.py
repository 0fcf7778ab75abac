"""Segmentation of pictures from training to prediction: every file is as the contract says, in pixels and in PNG."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.commands.evaluate import evaluate
from engine.commands.figures import figures
from engine.commands.predict import predict
from engine.errors import DataError
from engine.requests import Evaluate, Figures, Predict
from engine.runfolder import RunFolder
from tests.engine.runs import PICTURES, run


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    code, folder = run(tmp_path_factory.mktemp("pictures"), PICTURES)
    assert code == 0
    return folder


def data_of(folder: RunFolder) -> Path:
    return folder.root.parents[1] / "data" / "lesions"


def test_distances_are_in_pixels_and_masks_lie_on_their_pictures(finished: RunFolder) -> None:
    test = json.loads(finished.metrics.read_text())["test"]
    assert test["unit"] == "pixel"
    assert test["protocol"].startswith("whole image, sliding window")
    masks = sorted(finished.predictions.glob("*.png"))
    assert len(masks) == test["n"] > 0
    for path in masks:
        source = data_of(finished) / "images" / "test" / f"{path.stem}.jpg"
        with Image.open(path) as mask, Image.open(source) as picture:
            assert mask.size == picture.size
            assert mask.mode == "P"
            assert set(np.unique(np.asarray(mask))) <= {0, 1}


def test_previews_and_examples_are_in_colour(finished: RunFolder) -> None:
    for path in finished.previews.glob("e0000[1-9]*.npz"):
        with np.load(path) as arrays:
            assert arrays["image"].shape[0] == 1
            assert arrays["image"].shape[-1] == 3
            assert arrays["truth"].shape == arrays["prediction"].shape  # as fine as they were measured
            assert arrays["image"].shape[1:3] == tuple(-(-size // 2) for size in arrays["truth"].shape[1:])
    for path in finished.examples.glob("*.npz"):
        with np.load(path) as arrays:
            assert arrays["image"].dtype == np.uint8
            assert arrays["image"].shape == (3, *arrays["truth"].shape)


def test_figures_show_contours_and_maps_and_no_surface(finished: RunFolder) -> None:
    figures(Figures(run=finished.root))
    index = json.loads((finished.figures / "index.json").read_text())
    assert {entry["kind"] for entry in index} == {"curves", "slices", "distributions", "gradcam"}
    assert [entry["message"] for entry in index if not entry["ok"]] == []


def test_new_pictures_get_masks_of_their_size_and_grey_ones_too(finished: RunFolder, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (50, 71), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "grey.png")
    Image.fromarray(pixels.astype(np.uint16) * 16).save(tmp_path / "twelve bits.tif")
    Image.fromarray(np.stack([pixels] * 3, -1)).save(tmp_path / "colour.webp", lossless=True)
    predict(Predict(run=finished.root, inputs=(tmp_path,), output=tmp_path / "out"))
    found = {path.stem: np.asarray(Image.open(path)) for path in (tmp_path / "out").iterdir()}
    assert {name: mask.shape for name, mask in found.items()} == dict.fromkeys(
        ("grey", "twelve bits", "colour"), (50, 71)
    )
    np.testing.assert_array_equal(found["grey"], found["colour"])


def test_other_pictures_are_evaluated_as_those_of_training(finished: RunFolder, capsys) -> None:
    assert evaluate(Evaluate(run=finished.root, split="validation")) == 0
    assert "pixel" in capsys.readouterr().out


def test_a_run_whose_data_moved_finds_it_below_the_data_root(finished: RunFolder, tmp_path, monkeypatch) -> None:
    known = Path(json.loads(finished.manifest.read_text())["data_root"])
    known.rename(tmp_path / "moved")
    try:
        with pytest.raises(DataError, match="no data set at"):
            evaluate(Evaluate(run=finished.root, split="validation"))
        monkeypatch.setenv("MEDTUI_DATA", str(tmp_path / "moved"))
        assert evaluate(Evaluate(run=finished.root, split="validation")) == 0
    finally:
        (tmp_path / "moved").rename(known)


def test_patients_without_a_lesion_are_measured_and_other_names_of_classes_said(finished, tmp_path, capsys) -> None:
    folder = tmp_path / "clinic"
    for name, low in (("images", 255), ("masks", 1)):
        (folder / name).mkdir(parents=True)
        pixels = np.random.default_rng(0).integers(0, low, (50, 71), np.uint8)
        Image.fromarray(pixels).save(folder / name / "healthy.png")
    (folder / "dataset.json").write_text('{"labels": {"background": 0, "nodule": 1}}')
    assert evaluate(Evaluate(run=finished.root, data=folder)) == 0
    said = capsys.readouterr().err
    assert 'the mask value 1 is "lesion" in data.classes, and "nodule" in dataset.json' in said
    assert "kept with an empty label: 1 case: healthy" in said
    part = json.loads(finished.metrics.read_text())["clinic"]
    assert part["dice"] == 1 - part["false_positive_cases"]
    (folder / "images" / "healthy.png").write_bytes(b"")
    with pytest.raises(DataError, match="1 case of 1") as caught:
        evaluate(Evaluate(run=finished.root, data=folder))
    assert "data.unreadable" not in (caught.value.hint or "")
