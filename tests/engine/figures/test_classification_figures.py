"""ROC, precision-recall, confusion, reliability and class activation maps of a classification."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics

from engine.figures import draw_all
from engine.figures.gradcam import overlay, stems
from engine.figures.reliability import whiskers
from engine.figures.roc import band, macro_curve
from engine.readers.numbers import digits
from engine.readers.run import FigureError, RunData
from engine.readers.scores import read_scores
from engine.runfolder import RunFolder
from tests import recorded_runs
from tests.engine.figures.pictures import looks_drawn

LINES = {"roc", "precision_recall", "confusion", "reliability"}


def test_all_four_are_drawn_and_say_which_class_is_absent(skin: RunFolder) -> None:
    results = {result.kind: result for result in draw_all(skin, only=LINES)}
    assert set(results) == LINES
    for kind, result in results.items():
        assert result.ok, result.message
        assert looks_drawn(skin.root / result.path)
        assert ("DF has no case in the test split" in result.message) == (kind != "reliability")
    accuracy = RunData(skin).result.value("accuracy")
    assert f"share right {digits(accuracy)}" in results["reliability"].caption
    assert results["reliability"].caption.startswith("140 cases of the test split")


def test_scores_are_read_back_as_they_were_measured(skin: RunFolder) -> None:
    scores = read_scores(RunData(skin))
    assert scores.absent == ["DF"]
    assert 5 not in scores.present
    assert scores.one_hot.sum() == len(scores.ids)
    accuracy = RunData(skin).result.value("accuracy")
    assert metrics.accuracy_score(scores.targets, scores.predicted) == pytest.approx(accuracy, abs=1e-12)


def test_macro_is_the_mean_of_the_classes_at_every_false_positive_rate() -> None:
    x, y = macro_curve(
        [(np.array([0.0, 0.0, 1.0]), np.array([0.0, 1.0, 1.0])), (np.array([0.0, 1.0]), np.array([0.0, 1.0]))]
    )
    assert y[0] == 0.0
    assert np.interp(0.5, x, y) == pytest.approx(0.75)
    assert np.trapezoid(y, x) == pytest.approx((1.0 + 0.5) / 2, abs=1e-3)


def test_two_classes_have_one_curve_with_the_band_of_their_second(tmp_path: Path) -> None:
    folder = recorded_runs.classification_run(tmp_path, cases=60, epochs=2, classes=("nevus", "melanoma"))
    results = {result.kind: result for result in draw_all(folder, only=LINES)}
    summary = RunData(folder).result
    roc = results["roc"].caption
    assert roc.startswith("melanoma against nevus, 60 cases of the test split. Band: ")
    assert f"sensitivity {digits(summary.value('sensitivity'))} and specificity" in roc
    assert results["precision_recall"].caption.startswith("melanoma, 60 cases")
    assert all(result.ok and looks_drawn(folder.root / result.path) for result in results.values())


def test_the_band_holds_the_curve_and_is_that_of_a_share() -> None:
    draw = np.random.default_rng(3)
    positive = np.arange(400) % 2 == 0
    score = draw.normal(size=400) + 1.5 * positive
    low, high = band(positive, score)
    x, y, _ = metrics.roc_curve(positive, score)
    curve = np.interp(np.linspace(0, 1, 201), x, y)
    assert np.all((low <= curve + 1e-9) & (curve <= high + 1e-9))
    # At a fixed threshold the rate is a share of 200; where the threshold is drawn too, the interval is wider.
    rate = curve[40]
    assert 1.0 < (high - low)[40] / (2 * 1.96 * np.sqrt(rate * (1 - rate) / 200)) < 2.0
    apart = band(positive, positive + 0.0)
    assert np.all(apart[0][1:] == 1.0)
    assert band(positive[:4], score[:4]) is None  # too few, as for every other interval


def test_a_case_that_two_seeds_measured_is_one_case_for_band_and_whiskers(tmp_path: Path) -> None:
    folder = recorded_runs.classification_run(tmp_path, cases=60, epochs=2, classes=("no", "yes"), groups=False)
    once = read_scores(RunData(folder))
    header, *rows = csv.reader(folder.cases.open())
    with folder.cases.open("w", newline="") as stream:
        csv.writer(stream).writerows([header, *rows, *rows])
    twice = read_scores(RunData(folder))
    assert once.groups is None
    assert len(twice.ids) == 2 * len(once.ids) == 120
    found = [band(scores.one_hot[:, 1], scores.probabilities[:, 1], scores.groups) for scores in (once, twice)]
    assert found[0] is not None
    assert found[1] is not None
    assert np.allclose(found[0], found[1])  # the same cases are drawn, as often
    ends = [
        whiskers(scores.predicted == scores.targets, np.zeros(len(scores.ids), int), scores.groups)
        for scores in (once, twice)
    ]
    assert ends[1][1] - ends[1][0] == pytest.approx(ends[0][1] - ends[0][0], rel=0.1)


def test_one_class_only_has_no_roc(tmp_path: Path) -> None:
    folder = recorded_runs.classification_run(tmp_path, cases=12, epochs=2, absent=recorded_runs.SKIN[1:])
    results = {result.kind: result for result in draw_all(folder, only=LINES)}
    for kind in ("roc", "precision_recall"):
        assert not results[kind].ok
        assert "same class" in results[kind].message
    assert results["confusion"].ok
    assert results["reliability"].ok


def test_a_table_that_does_not_fit_is_one_plain_line(tmp_path: Path) -> None:
    folder = recorded_runs.classification_run(tmp_path, cases=12, epochs=2)
    rows = list(csv.reader(folder.cases.open()))
    rows[1][3] = "OTHER"
    with folder.cases.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    with pytest.raises(FigureError, match="OTHER"):
        read_scores(RunData(folder))
    rows[1][3], rows[1][6] = "NV", "nan"
    with folder.cases.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    with pytest.raises(FigureError, match="1 case without probabilities"):
        read_scores(RunData(folder))


def test_every_class_has_its_sheet_and_an_absent_one_says_why_not(skin: RunFolder) -> None:
    recorded_runs.add_weights(skin)
    results = draw_all(skin, only={"gradcam"})
    assert [Path(result.path).stem for result in results] == [f"gradcam_{name}" for name in recorded_runs.SKIN]
    for result in results:
        if "DF" in result.path:
            assert not result.ok
            assert result.message == "DF has no case in the test split: there is nothing to look at"
        else:
            assert result.ok, result.message
            assert looks_drawn(skin.root / result.path, colours=100)


def test_without_a_checkpoint_no_map_is_drawn_and_it_is_said_once_a_class(tmp_path: Path) -> None:
    folder = recorded_runs.classification_run(tmp_path, cases=30, epochs=2)
    results = draw_all(folder, only={"gradcam"})
    assert {result.message for result in results} == {"there is no checkpoint: the network's view cannot be drawn"}
    folder.best.write_bytes(b"not a checkpoint")
    results = draw_all(folder, only={"gradcam"})
    assert all("best.pt cannot be read" in result.message for result in results)


@pytest.mark.parametrize("method", ["gradcam++", "hirescam", "scorecam", "eigencam", "layercam"])
def test_every_method_of_the_recipe_draws(tmp_path: Path, method: str) -> None:
    settings = f'[figures]\ncam = "{method}"\ncam_examples = 1\ndpi = 60'
    folder = recorded_runs.classification_run(tmp_path, cases=12, epochs=2, classes=("a", "b"), settings=settings)
    recorded_runs.add_weights(folder)
    results = draw_all(folder, only={"gradcam"})
    assert all(result.ok for result in results), [result.message for result in results]
    assert all(("slow" in result.message) == (method == "scorecam") for result in results)


@pytest.mark.parametrize("method", ["gradcam", "gradcam++", "hirescam", "scorecam", "eigencam", "layercam"])
def test_a_segmentation_network_has_maps_too(tmp_path: Path, method: str) -> None:
    folder = recorded_runs.segmentation_run(
        tmp_path,
        cases=2,
        epochs=2,
        classes=("a", "b"),
        spacing=(1.0, 1.0, 1.0),
        settings=f'[figures]\ncam = "{method}"',
    )
    recorded_runs.add_weights(folder)
    results = draw_all(folder, only={"gradcam"})
    assert [Path(result.path).stem for result in results] == ["gradcam_a", "gradcam_b"]
    assert all(result.ok for result in results), [result.message for result in results]
    assert all(("made for images" in result.message) == (method in {"scorecam", "eigencam"}) for result in results)


def test_names_that_differ_in_case_only_do_not_share_a_file() -> None:
    assert stems(["a", "A", "b/c"]) == ["a_0", "A_1", "b_c"]


def test_where_the_map_is_cold_the_image_is_seen() -> None:
    image = np.full((4, 4, 3), 200, np.uint8)
    heat = np.zeros((4, 4))
    assert np.allclose(overlay(image, heat), 200 / 255)
    heat[0, 0] = 1.0
    changed = np.abs(overlay(image, heat) - 200 / 255).max(axis=2) > 0.05
    assert changed[0, 0]
    assert changed.sum() == 1
