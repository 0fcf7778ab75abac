"""Temperature and thresholds: against a search over a grid, against scikit-learn's curve, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from engine.metrics.calibration import (
    calibration_error,
    chance_gaps,
    choose_threshold,
    fit,
    fit_temperature,
    with_temperature,
)
from engine.metrics.classification import summarise


def too_sure(temperature, n=4000, classes=4, seed=0):
    """Classes drawn from the softmax of logits; probabilities from the same logits times ``temperature``."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=1.5, size=(n, classes))
    calibrated = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    targets = (rng.random((n, 1)) > np.cumsum(calibrated, axis=1)).sum(axis=1)
    sharp = np.exp(temperature * logits)
    return targets, sharp / sharp.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("true", [0.5, 1.0, 3.0])
def test_the_temperature_is_found(true):
    targets, probabilities = too_sure(true)
    fitted = fit_temperature(targets, probabilities)
    assert fitted == pytest.approx(true, rel=0.06)
    grid = np.linspace(0.8 * fitted, 1.2 * fitted, 81)
    losses = [sk.log_loss(targets, with_temperature(probabilities, t)) for t in grid]
    assert grid[np.argmin(losses)] == pytest.approx(fitted, abs=0.006 * fitted)


def test_a_temperature_moves_no_prediction_and_one_changes_nothing():
    _, probabilities = too_sure(1.0, n=50)
    warmer = with_temperature(probabilities, 2.5)
    assert (warmer.argmax(axis=1) == probabilities.argmax(axis=1)).all()
    assert warmer.sum(axis=1) == pytest.approx(1.0)
    assert with_temperature(probabilities, 1.0) == pytest.approx(probabilities)


def test_certain_probabilities_have_a_temperature():
    assert 0 < fit_temperature(np.array([0, 1, 1]), np.eye(2)[[0, 1, 0]]) <= 20


def test_no_case_and_no_heat_are_refused():
    with pytest.raises(ValueError, match="at least one case"):
        fit_temperature(np.zeros(0, dtype=int), np.zeros((0, 2)))
    with pytest.raises(ValueError, match="must be above 0"):
        with_temperature(np.eye(2), 0.0)


def test_a_threshold_by_hand():
    """At 0.6 two of three positives and no negative; at 0.4 all three and one of two negatives: 5/3 and 3/2."""
    positive, scores = [1, 1, 0, 1, 0], [0.9, 0.6, 0.5, 0.4, 0.1]
    assert choose_threshold(positive, scores) == 0.6


def test_the_threshold_is_the_best_point_of_scikit_learns_curve():
    rng = np.random.default_rng(1)
    positive = rng.random(300) < 0.3
    scores = np.round(rng.normal(size=300) + positive, 1)
    false, true, thresholds = sk.roc_curve(positive, scores, drop_intermediate=False)
    assert choose_threshold(positive, scores) == thresholds[np.argmax(true - false)]


def test_thresholds_that_cannot_be_chosen():
    assert choose_threshold([1, 1], [0.2, 0.9]) == 0.5
    with pytest.raises(ValueError, match="do not pair"):
        choose_threshold([1], [0.2, 0.9])


def test_the_validation_split_decides_for_the_others():
    targets, probabilities = too_sure(2.0, classes=2)
    fitted = fit(targets, probabilities)
    assert fitted.temperature == fit_temperature(targets, probabilities)
    assert fitted.threshold == choose_threshold(targets == 1, probabilities[:, 1])
    others, theirs = too_sure(2.0, classes=2, seed=1)
    found = summarise(others, theirs, ["no", "yes"], protocol="", temperature=fitted.temperature).to_json()
    scaled = with_temperature(theirs, fitted.temperature)
    assert found["log_loss_calibrated"] == pytest.approx(sk.log_loss(others, scaled))
    assert found["log_loss_calibrated"] < found["log_loss"] - 0.01
    assert found["brier_calibrated"] == pytest.approx(sk.brier_score_loss(others, scaled[:, 1]))
    assert found["ece_calibrated"] == pytest.approx(calibration_error(others, scaled))
    assert found["ece_classwise_calibrated"] < found["ece_classwise"]
    alone = summarise(others, scaled, ["no", "yes"], protocol="").ci95
    for name in ("brier", "log_loss", "ece", "ece_classwise"):  # the intervals are those of such probabilities
        assert found["ci95"][f"{name}_calibrated"] == list(alone[name])
    assert fit(*too_sure(1.0, classes=3)).threshold == 0.5
    assert fit(targets[:4], probabilities[:4]) is None
    assert fit(np.zeros(9, dtype=int), probabilities[:9]) is None


def test_errors_by_chance_shrink_with_cases():
    _, probabilities = too_sure(1.0, n=6400)
    of_case = np.arange(6400)
    few = chance_gaps(probabilities[:100], of_case[:100])
    many = chance_gaps(probabilities, of_case)
    assert few.shape == many.shape == (200, 5)
    assert few.mean() / many.mean() == pytest.approx(8, rel=0.35)
