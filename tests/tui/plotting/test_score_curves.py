"""ROC curves and reliability against scikit-learn and worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from engine.metrics.calibration import calibration_error
from engine.runfolder import CaseRow
from tui.plotting.score_curves import reliability, reliability_lines, roc, roc_lines, scored


def made(n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    true = rng.integers(0, 3, n)
    logits = rng.normal(size=(n, 3)) + 1.5 * np.eye(3)[true]
    scores = np.round(np.exp(logits) / np.exp(logits).sum(1, keepdims=True), 2)  # rounded: many are equal
    return true, scores


def test_roc_is_that_of_scikit_learn() -> None:
    true, scores = made()
    for at in range(3):
        alarms, hits, area = roc(true == at, scores[:, at])
        known = roc_curve(true == at, scores[:, at], drop_intermediate=False)
        assert alarms == pytest.approx(known[0])
        assert hits == pytest.approx(known[1])
        assert area == pytest.approx(roc_auc_score(true == at, scores[:, at]))


def test_expected_calibration_error_is_that_of_the_metrics() -> None:
    true, scores = made()
    assert reliability(true, scores)[3] == pytest.approx(calibration_error(true, scores))


def test_rows_without_probabilities_are_left_out() -> None:
    rows = [
        CaseRow("a", "test", true="x", probabilities={"x": 0.7, "y": 0.3}),
        CaseRow("b", "test", true="x"),
        CaseRow("c", "test", true="z", probabilities={"x": 0.7, "y": 0.3}),
        CaseRow("d", "test", true="y", probabilities={"x": float("nan"), "y": 0.3}),
    ]
    classes, true, scores = scored(rows)
    assert (classes, true.tolist(), scores.tolist()) == (["x", "y"], [0], [[0.7, 0.3]])


@pytest.mark.parametrize("room", [(20, 6), (36, 14), (80, 30)])
def test_lines_fit_and_name_what_they_draw(room: tuple[int, int]) -> None:
    true, scores = made()
    lines = roc_lines(["melanoma", "nevus", "keratosis"], true, scores, room)
    text = ["".join(part for part, _ in line) for line in lines]
    assert len(text) <= max(room[1], 8)
    assert f"melanoma      {roc_auc_score(true == 0, scores[:, 0]):.3f}" in "\n".join(text)
    drawn = reliability_lines(true, scores, room)
    assert len(drawn) <= max(room[1], 8)
    assert "ECE" in "".join(part for part, _ in drawn[-1])
