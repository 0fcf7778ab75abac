"""A classification of volumes from its folders to masks of evidence, predictions elsewhere, and an exported folder."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from engine.commands.figures import figures
from engine.requests import Figures
from engine.runfolder import RunFolder
from tests.engine.export.exports import alone, both, exported
from tests.engine.runs import CLASSIFICATION, NAMES, run
from tui.state.case_files import read_example
from tui.state.images import PreviewImages, read_preview

TEXT = CLASSIFICATION.replace("isic2018", "nodules").replace('source = "nodules"', 'source = "image_folder"')
TEXT = TEXT.replace("size = [32, 32]", "size = [24, 28, 20]").replace('"imagenet"', '"zscore"')
TEXT = TEXT.replace('name = "resnet18"', 'name = "resnet18"\nstem = 2\nwidth = 0.125\nnorm = "group"')
TEXT = TEXT.replace("batch_size = 16", "batch_size = 4").replace('"cross_entropy_focal"', '"cross_entropy"')
TEXT = TEXT.replace("[evaluate]", "[augment]\nrotate_degrees = 10.0\nflip = [0]\nmixup = 0.2\n[evaluate]\nflips = true")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    NAMES.setdefault("nodules", TEXT)
    code, folder = run(tmp_path_factory.mktemp("nodules"), TEXT, cases=20)
    assert code == 0
    return folder


def rows(path: Path) -> dict[str, list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        _, *found = csv.reader(file)
    return {row[0]: row[1:] for row in found}


def test_previews_and_examples_are_slices_with_the_map_on_them(done: RunFolder) -> None:
    for path in done.previews.glob("e00001_*.npz"):
        arrays = np.load(path)
        assert arrays["image"].shape == arrays["heat"].shape == (12, 24, 28)
        assert arrays["slices"].tolist() == sorted({*arrays["slices"].tolist()})
    examples = sorted(done.examples.glob("test_*.npz"))
    assert examples
    for path in examples:
        arrays = np.load(path)
        assert arrays["image"].shape == arrays["heat"].shape == (24, 28, 20)
        assert arrays["input"].shape == (1, 24, 28, 20)
        assert arrays["spacing"][2] > 1.5  # mm: 24 slices or more of 1.5 on 20
        shown = read_example(done, f"examples/{path.name}", ["ragged", "smooth"])
        assert isinstance(shown, PreviewImages)
        assert shown.image.shape == (20, 24, 28)
        assert np.array_equal(shown.image, np.moveaxis(arrays["image"], 2, 0))
        assert shown.heat is not None
        assert "predicted" in shown.verdict


def test_the_first_crop_is_shown(done: RunFolder) -> None:
    from engine.events import Preview
    from tests.engine.runs import events

    first = next(event for event in events(done) if isinstance(event, Preview) and event.epoch == 0)
    assert isinstance(read_preview(done, first, ["ragged", "smooth"]), PreviewImages)


def test_figures_show_the_evidence_of_each_class(done: RunFolder) -> None:
    assert figures(Figures(run=done.root)) == 0
    drawn = {path.stem for path in done.figures.glob("*.png")}
    assert {"roc", "confusion"} < drawn
    assert drawn & {"gradcam_ragged", "gradcam_smooth"}


def test_new_volumes_get_the_probabilities_of_the_test_and_an_exported_folder_gives_the_same(
    done: RunFolder, tmp_path: Path
) -> None:
    for library in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(library)
    data = done.root.parent.parent / "data" / "nodules"
    inputs = sorted(data.glob("test/*/*.nii.gz"))
    ours, theirs = both(done, exported(done, tmp_path / "export"), inputs, tmp_path, alone)
    found, other = rows(ours / "predictions.csv"), rows(theirs / "predictions.csv")
    assert len(found) == len(inputs) == 5
    with done.cases.open(encoding="utf-8", newline="") as file:
        tested = {row["id"]: row for row in csv.DictReader(file) if row["split"] == "test"}
    for name, (predicted, *shares) in found.items():
        assert predicted == other[name][0] == tested[name]["predicted"]
        np.testing.assert_allclose([float(share) for share in shares], [float(s) for s in other[name][1:]], atol=1e-5)
        wanted = [float(tested[name][f"prob:{label}"]) for label in ("ragged", "smooth")]
        np.testing.assert_allclose([float(share) for share in shares], wanted, atol=1e-5)
