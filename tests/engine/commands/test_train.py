from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import nibabel
import numpy as np
import pytest

from engine.commands.train import train
from engine.errors import DataError, RecipeError
from engine.events import Iteration, Log, RunEnded, RunStarted, Validation
from engine.figures import draw_all
from engine.recipe import load_recipe
from engine.report import write_report
from engine.runfolder import RunFolder, list_runs, read_metrics, read_status
from tests.engine.runs import CLASSIFICATION, SEGMENTATION, events, request, run, weights
from tests.phantoms import phantom_root


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, RunFolder, Path]:
    place = tmp_path_factory.mktemp("run")
    code, folder = run(place, SEGMENTATION, 'name="whole"')
    return code, folder, place / "data"


def test_a_run_leaves_all_that_the_contract_names(finished):
    code, folder, _ = finished
    assert code == 0
    assert read_status(folder).state == "finished"
    for path in (folder.recipe, folder.manifest, folder.events, folder.metrics, folder.cases, folder.last, folder.best):
        assert path.is_file(), path
    assert folder.root.stat().st_mode & 0o777 == 0o700


def test_the_stream_counts_without_gaps_and_ends_with_the_outcome(finished):
    stream = events(finished[1])
    assert [event.seq for event in stream] == list(range(1, len(stream) + 1))
    assert isinstance(stream[-1], RunEnded)
    assert stream[-1].state == "finished"
    assert sum(isinstance(event, RunStarted) for event in stream) == 1
    assert [event.epoch for event in stream if isinstance(event, Validation)] == [1, 2, 3]


def test_metrics_are_the_means_of_the_cases(finished):
    _, folder, _ = finished
    metrics = json.loads(folder.metrics.read_text())
    rows = list(csv.DictReader(folder.cases.open()))
    for split in ("validation", "test"):
        of_split = [row for row in rows if row["split"] == split]
        assert metrics[split]["n"] == len(of_split) > 0
        for name in ("dice", "jaccard", "asd", "assd", "hd95"):
            mean = np.mean([float(row[name]) for row in of_split])
            assert metrics[split][name] == pytest.approx(mean, abs=1e-12)
            assert metrics[split]["per_class"]["left atrium"][name] == pytest.approx(mean, abs=1e-12)
    assert metrics["test"]["unit"] == "voxel"
    assert metrics["test"]["protocol"].startswith("whole volume, sliding window")


def test_masks_have_the_shape_of_their_input_and_measure_what_the_table_says(finished):
    _, folder, data = finished
    import h5py

    rows = [row for row in csv.DictReader(folder.cases.open()) if row["split"] == "test"]
    assert sorted(p.name for p in folder.predictions.iterdir()) == sorted(f"{row['id']}.nii.gz" for row in rows)
    for row in rows:
        mask = np.asarray(nibabel.load(folder.predictions / f"{row['id']}.nii.gz").dataobj)
        with h5py.File(data / "left_atrium" / row["id"] / "mri_norm2.h5") as file:
            truth = file["label"][:]
        assert mask.dtype == np.uint8
        dice = 2 * np.sum((mask > 0) & (truth > 0)) / (np.sum(mask > 0) + np.sum(truth > 0))
        assert float(row["dice"]) == pytest.approx(dice, abs=1e-12)


def test_the_resolved_recipe_runs_again_as_it_is(finished):
    recipe = load_recipe(finished[1].recipe)
    assert recipe.name == "whole"
    assert recipe.train.epochs == 3


def test_the_manifest_says_what_was_trained_on_what(finished):
    manifest = json.loads(finished[1].manifest.read_text())
    assert manifest["data"]["phantom"] is True
    assert manifest["epochs_done"] == 3
    assert manifest["checkpoint"]["name"] == "best"
    assert manifest["model"]["parameters"] > 0
    assert sum(manifest["data"]["counts"]["train"].values()) > 0


def test_a_classification_run_has_every_metric_and_a_row_an_image(tmp_path):
    code, folder = run(tmp_path, CLASSIFICATION, cases=60)
    assert code == 0
    metrics = json.loads(folder.metrics.read_text())
    test = metrics["test"]
    assert test["temperature"] == metrics["validation"]["temperature"] > 0  # fitted there, used here
    assert set(test["ci95"]) >= {"accuracy", "brier", "log_loss", "auc"}
    assert set(test["ci95_reason"]) == {name for name, bounds in test["ci95"].items() if bounds is None}
    for name in ("accuracy", "balanced_accuracy", "precision", "recall", "f1", "f1_weighted", "auc", "confusion"):
        assert name in test
    assert np.sum(test["confusion"]) == test["n"]
    rows = [row for row in csv.DictReader(folder.cases.open()) if row["split"] == "test"]
    right = np.mean([row["true"] == row["predicted"] for row in rows])
    assert test["accuracy"] == pytest.approx(right, abs=1e-12)
    for row in rows:
        assert sum(float(value) for key, value in row.items() if key.startswith("prob:")) == pytest.approx(1, abs=1e-9)
    previews = sorted(folder.previews.glob("e0000[1-9]*.npz"))  # 0 is a training crop
    assert previews
    with np.load(previews[0]) as arrays:
        assert arrays["heat"].shape == arrays["image"].shape[:3]
        assert arrays["heat"].dtype == np.uint8
    for path in folder.examples.iterdir():
        with np.load(path) as arrays:
            assert arrays["heat"].shape == arrays["image"].shape[:2]
            assert arrays["heat"].dtype == np.uint8


def test_a_map_lies_on_what_the_network_saw_of_an_image(tmp_path):
    _, folder = run(tmp_path, CLASSIFICATION, "data.resize=crop", "train.epochs=1", cases=60)
    lit = np.zeros(2, bool)
    for path in folder.examples.iterdir():
        with np.load(path) as arrays:
            high, wide = arrays["image"].shape[:2]
            assert wide > high
            beside = (wide - high) // 2  # the recipe's size is a square
            outside = np.ones((high, wide), bool)
            outside[:, beside : beside + high] = False
            lit |= [arrays["heat"][outside].any(), arrays["heat"][~outside].any()]
    assert lit.tolist() == [False, True]


def test_predictions_of_tilted_scans_lie_on_their_input(tmp_path):
    phantom_root(tmp_path / "data", "hippocampus", cases=6)
    text = SEGMENTATION.replace(
        'source = "left_atrium"\nroot = "left_atrium"',
        'source = "decathlon"\nroot = "hippocampus"\nsplit = "fraction"\nspacing = [1.5, 1.5, 1.5]',
    )
    text = text.replace("dice_bce", "dice_ce")
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    from engine.requests import Train

    code = train(
        Train(recipe=path, overrides=("train.epochs=1",), data=tmp_path / "data", runs=tmp_path / "runs"),
        lambda _: None,
    )
    assert code == 0
    folder = list_runs(tmp_path / "runs")[-1]
    masks = list(folder.predictions.iterdir())
    assert masks
    for path in masks:
        mask, image = nibabel.load(path), nibabel.load(tmp_path / "data/hippocampus/imagesTr" / path.name)
        assert mask.shape == image.shape
        assert np.allclose(mask.affine, image.affine)
        assert mask.get_data_dtype() == np.uint8
        assert int(mask.header["sform_code"]) == int(image.header["sform_code"])
    assert json.loads(folder.metrics.read_text())["test"]["unit"] == "mm"


@pytest.mark.parametrize(
    ("override", "error"),
    [("data.root=nowhere", DataError), ("data.size=[15,16,16]", RecipeError), ("model.name=resnet18", RecipeError)],
)
def test_what_cannot_run_leaves_nothing_behind(tmp_path, override, error):
    asked = request(tmp_path, SEGMENTATION, override)
    with pytest.raises(error):
        train(asked, lambda _: None)
    assert not asked.runs.exists()


def test_a_loss_that_is_not_finite_ends_the_run_as_failed_and_names_the_cases(tmp_path):
    # Every step multiplies the weights by 1 - 100 * 10: they overflow within some twenty steps.
    exploding = ("optimizer.name=sgd", "optimizer.lr=100.0", "optimizer.weight_decay=10.0", "model.norm=none")
    code, folder = run(tmp_path, SEGMENTATION, *exploding, "schedule.warmup_epochs=0.0", "train.epochs=30")
    status = read_status(folder)
    assert code == 1
    assert status.state == "failed"
    assert "iteration" in status.message
    assert "PHANTOM" in status.message
    assert isinstance(events(folder)[-1], RunEnded)


def test_weights_that_are_not_finite_reach_no_file(tmp_path):
    """One step an epoch: what breaks a weight is an epoch's last step, and the checkpoint would follow it."""
    exploding = ("optimizer.name=sgd", "optimizer.lr=100.0", "optimizer.weight_decay=10.0", "model.norm=none")
    every_step = ("train.batch_size=8", "train.epochs=30", "train.checkpoint_iterations=1")
    code, folder = run(tmp_path, SEGMENTATION, *exploding, *every_step, "schedule.warmup_epochs=0.0")
    assert code == 1
    assert read_status(folder).state == "failed"
    for path in (folder.last, folder.best):
        assert all(value.isfinite().all() for value in weights(path).values())


def test_the_norm_of_the_gradient_is_recorded_without_clipping_too(finished):
    norms = [event.grad_norm for event in events(finished[1]) if isinstance(event, Iteration)]
    assert len(norms) == 6
    assert all(norm is not None and norm > 0 for norm in norms)


def test_previews_without_names_follow_a_case_by_its_number(tmp_path):
    code, folder = run(tmp_path, SEGMENTATION, "figures.case_names=false", "train.epochs=3", "train.validate_every=1")
    assert code == 0
    found = [json.loads(line) for line in folder.events.read_text().splitlines()]
    worst = {
        event["epoch"]: [case["id"] for case in event["cases"]] for event in found if event["kind"] == "validation"
    }
    numbers: dict[str, set[str]] = {}
    for epoch, names in worst.items():
        shown = [event["case"] for event in found if event["kind"] == "preview" and event["epoch"] == epoch]
        assert len(shown) == len(names)
        for name, number in zip(names, shown, strict=True):
            numbers.setdefault(name, set()).add(number)
    assert all(len(own) == 1 and next(iter(own)).startswith("case ") for own in numbers.values())
    assert len(set.union(*numbers.values())) == len(numbers) > 1


def test_without_a_test_split_the_validation_cases_are_drawn(tmp_path):
    asked = request(tmp_path, SEGMENTATION, "train.epochs=1", "figures.dpi=60")
    (asked.data / "left_atrium" / "test.list").write_text("")
    assert train(asked, lambda _: None) == 0
    folder = list_runs(asked.runs)[-1]
    assert "test" not in json.loads(folder.metrics.read_text())
    assert list(folder.examples.glob("validation_*.npz"))
    draw_all(folder, only={"slices"})
    write_report(folder)
    assert list(folder.figures.glob("slices_*.png"))
    assert "published" not in folder.report_md.read_text()


def test_an_early_stop_is_said_at_the_end(tmp_path):
    # The first validation is the best, and with one of patience the second is the last.
    code, folder = run(tmp_path, SEGMENTATION, "train.epochs=9", "train.early_stop=1", "optimizer.lr=1e-12")
    assert code == 0
    status = read_status(folder)
    assert status.state == "finished"
    assert re.fullmatch(r"early stop after epoch \d: 1 validation without a better result", status.message)


def test_a_monitored_metric_that_the_validation_split_has_not_is_said(tmp_path):
    one_class = ("data.limit_validation=1", "train.monitor='auc'")
    code, folder = run(tmp_path, CLASSIFICATION, *one_class, cases=30)
    assert (code, folder.best.exists()) == (0, False)
    said = [event.message for event in events(folder) if isinstance(event, Log) and event.level == "warning"]
    assert "epoch 1: validation auc cannot be measured: it chooses no best.pt" in said


@pytest.mark.parametrize("model", ["resunet", "dynunet"])
def test_a_network_under_deep_supervision_trains_and_is_measured_as_any_other(tmp_path, model):
    changes = ["model.deep_supervision=true", "model.channels=[4,8,8]", "train.epochs=1", "data.size=[32,32,32]"]
    deep = SEGMENTATION.replace("residual_units = 1\n", "") if model == "dynunet" else SEGMENTATION
    code, folder = run(tmp_path, deep, f'model.name="{model}"', *changes)
    assert code == 0
    assert read_metrics(folder)["test"].value("dice") is not None
    assert any("_below." in key for key in weights(folder.last))
