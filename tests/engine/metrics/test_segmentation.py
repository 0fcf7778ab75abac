"""The metrics of a case, the summary of a split, and the rows of cases.csv."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from medpy.metric import binary as medpy

from engine.metrics import segmentation
from engine.metrics.pair import MetricOptions
from engine.metrics.segmentation import SegmentationRow, case_metrics, case_table
from engine.metrics.surface import REDUCTIONS, surface_metrics

CLASSES = ("anterior", "posterior")
METRICS = ("dice", "jaccard", *REDUCTIONS)


def summarise(*arguments, **options):
    """The split's part of metrics.json."""
    return segmentation.summarise(*arguments, **options).to_json()


def random_labels(rng, shape, classes=2):
    return rng.integers(0, classes + 1, size=shape).astype(np.uint8)


def test_each_class_is_measured_as_its_own_mask():
    rng = np.random.default_rng(0)
    for _ in range(200):
        shape = tuple(rng.integers(3, 9, size=3))
        spacing = tuple(rng.uniform(0.5, 3.0, size=3))
        prediction, truth = random_labels(rng, shape), random_labels(rng, shape)
        prediction[: shape[0] // 2] = truth[: shape[0] // 2] = 0  # the crop to what is not background
        metrics = case_metrics(prediction, truth, CLASSES, spacing)
        for i, name in enumerate(CLASSES, start=1):
            masks = prediction == i, truth == i
            if not all(mask.any() for mask in masks):
                continue
            expected = {"dice": medpy.dc(*masks), "jaccard": medpy.jc(*masks)}
            expected |= {m: getattr(medpy, m)(*masks, spacing) for m in ("asd", "assd", "hd95")}
            expected["hd95_max"] = surface_metrics(*masks, spacing)["hd95_max"]
            assert {m: metrics[name][m] for m in expected} == pytest.approx(expected, abs=1e-9)
            assert not any(metrics[name][key] for key in ("missed", "absent", "false_positive"))


def test_memory_order_makes_no_difference():
    rng = np.random.default_rng(1)
    prediction, truth = random_labels(rng, (8, 9, 10)), random_labels(rng, (8, 9, 10))
    spacing = (1.0, 2.0, 3.0)
    expected = case_metrics(prediction, truth, CLASSES, spacing)
    turned = case_metrics(np.asfortranarray(prediction), np.asfortranarray(truth), CLASSES, spacing)
    for name in CLASSES:
        assert turned[name] == pytest.approx(expected[name], rel=1e-12)


def volume(error):
    return {"volume_error": error, "absolute_volume_error": error and abs(error)}


def lesions(true, sensitivity, false):
    return {"lesions": true, "lesion_sensitivity": sensitivity, "lesion_false_positives": false}


def test_missed_made_up_and_absent_classes():
    truth, prediction = np.zeros((4, 6), np.uint8), np.zeros((4, 6), np.uint8)
    truth[1, 1] = 1  # missed
    prediction[2, 2] = 2  # made up
    metrics = case_metrics(prediction, truth, (*CLASSES, "third"), (3.0, 2.0))
    diagonal = math.hypot(12, 12)
    worst = {"dice": 0.0, "jaccard": 0.0, "nsd": 0.0, **dict.fromkeys(REDUCTIONS, pytest.approx(diagonal))}
    found = {"missed": False, "absent": False, "false_positive": False}
    assert metrics["anterior"] == {**worst, **volume(-1.0), **lesions(1, 0, 0), **found, "missed": True}
    made_up = {**found, "absent": True, "false_positive": True}
    assert metrics["posterior"] == {**worst, **volume(None), **lesions(0, None, 1), **made_up}
    best = {"dice": 1.0, "jaccard": 1.0, "nsd": 1.0, **dict.fromkeys(REDUCTIONS, 0.0)}
    assert metrics["third"] == {**best, **volume(0.0), **lesions(0, None, 0), **found, "absent": True}


def test_an_empty_image_is_a_match():
    empty = np.zeros((3, 3), np.uint8)
    assert case_metrics(empty, empty, ("organ",))["organ"]["dice"] == 1.0


def test_without_surfaces_the_distances_are_not_measured():
    truth = np.eye(4, dtype=np.uint8)
    metrics = case_metrics(truth, truth, ("line",), options=MetricOptions(frozenset()))["line"]
    assert not {"nsd", *REDUCTIONS} & metrics.keys()
    assert metrics["dice"] == 1.0


@pytest.mark.parametrize(
    ("prediction", "truth", "words"),
    [
        (np.zeros((3, 3), int), np.zeros((3, 4), int), "shape"),
        (np.full((3, 3), 3), np.zeros((3, 3), int), "prediction holds the value 3"),
        (np.zeros((3, 3), int), np.full((3, 3), -1), "truth holds the value -1"),
        (np.full((3, 3), 0.4), np.zeros((3, 3), int), "index of a class"),
    ],
)
def test_labels_that_are_no_classes_are_refused(prediction, truth, words):
    with pytest.raises(ValueError, match=words):
        case_metrics(prediction, truth, CLASSES)


# ------------------------------------------------------------------------------------------- summaries


def measured(value, **changes):
    return dict.fromkeys(METRICS, value) | {"missed": False, "absent": False, "false_positive": False} | changes


ROWS = (
    SegmentationRow("c1", "p1", {"anterior": measured(0.8), "posterior": measured(0.6)}),
    SegmentationRow("c2", "p1", {"anterior": measured(0.4), "posterior": measured(0.0, missed=True)}),
    SegmentationRow("c3", None, {"anterior": measured(1.0, absent=True), "posterior": measured(0.5)}),
)


def test_a_summary_by_hand():
    summary = summarise(ROWS, CLASSES, unit="mm", protocol="whole volume")
    assert (summary["n"], summary["missed"], summary["unit"], summary["protocol"]) == (3, 1, "mm", "whole volume")
    for metric in METRICS:  # c3 has no anterior: it counts with its posterior alone
        assert summary[metric] == pytest.approx((0.7 + 0.2 + 0.5) / 3)
        assert summary["per_class"]["anterior"][metric] == pytest.approx(1.2 / 2)
        assert summary["per_class"]["posterior"][metric] == pytest.approx(1.1 / 3)
    counts = ("n", "present", "missed", "absent", "false_positive_cases")
    assert [summary["per_class"][name][key] for name in CLASSES for key in counts] == [
        *(3, 2, 0, 1, 0),
        *(3, 3, 1, 0, 0),
    ]
    assert summary["ci95"]["dice"] is None
    assert summary["ci95_reason"]["dice"] == "2 groups; an interval needs 5"
    json.dumps(summary, allow_nan=False)


def test_absent_classes_do_not_hide_those_that_are_missed():
    """Twenty organs, two in the image, none found: Dice 0, not 0.9."""
    classes = tuple(f"organ {i}" for i in range(20))
    truth = np.zeros((6, 6), np.uint8)
    truth[1, 1], truth[4, 4] = 3, 17
    rows = [SegmentationRow(str(i), None, case_metrics(np.zeros_like(truth), truth, classes)) for i in range(6)]
    summary = summarise(rows, classes, unit="voxel", protocol="")
    assert (summary["dice"], summary["missed"], summary["false_positive_cases"]) == (0.0, 12, 0)
    assert (summary["ci95"]["dice"], summary["ci95_reason"]["dice"]) == (None, "all values are equal")
    assert summary["per_class"]["organ 2"]["present"] == 6
    assert summary["per_class"]["organ 0"]["dice"] is None
    assert (summary["per_class"]["organ 0"]["present"], summary["per_class"]["organ 0"]["absent"]) == (0, 6)


def test_false_positives_on_absent_classes_are_counted_beside():
    truth, prediction = np.zeros((6, 6), np.uint8), np.zeros((6, 6), np.uint8)
    truth[1:3, 1:3] = prediction[1:3, 1:3] = 1
    prediction[5, 5] = 2
    rows = [SegmentationRow("a", None, case_metrics(prediction, truth, CLASSES))]
    rows.append(SegmentationRow("empty", None, case_metrics(prediction * 0, truth * 0, CLASSES)))
    summary = summarise(rows, CLASSES, unit="voxel", protocol="")
    assert (summary["dice"], summary["false_positive_cases"]) == (1.0, 1)
    assert summary["per_class"]["posterior"]["false_positive_cases"] == 1
    # Where it is absent a class has no Dice, but what is made up of it is counted: once in two cases.
    assert [summary["per_class"]["posterior"][m] for m in ("dice", "lesion_false_positives")] == [None, 0.5]
    assert rows[1].value("dice") is None
    header, body = case_table(rows, CLASSES, "test")
    first, second = (dict(zip(header, cells, strict=True)) for cells in body)
    assert (first["false_positive"], first["false_positive:posterior"], first["dice:posterior"]) == ("1", "1", "")
    assert second["dice"] == ""


def test_of_one_class_empty_images_count():
    truth, found = np.zeros((4, 4), np.uint8), np.eye(4, dtype=np.uint8)
    rows = [SegmentationRow(str(i), None, case_metrics(p, truth, ("lesion",))) for i, p in enumerate((truth, found))]
    assert [row.value("dice") for row in rows] == [1.0, 0.0]
    assert summarise(rows, ("lesion",), unit="voxel", protocol="")["dice"] == 0.5


def test_what_was_not_measured_is_null():
    rows = [SegmentationRow(str(i), None, {"organ": measured(0.5, asd=None)}) for i in range(3)]
    summary = summarise(rows, ("organ", "never"), unit="voxel", protocol="")
    assert summary["asd"] is None
    assert (summary["ci95"]["asd"], summary["ci95_reason"]["asd"]) == (None, "not measured")
    assert summary["per_class"]["never"]["dice"] is None
    assert summary["per_class"]["never"]["n"] == 0
    assert summary["dice"] == 0.5


def test_a_metric_measured_on_some_cases_is_their_mean():
    rows = [SegmentationRow(str(i), None, {"organ": measured(0.5, asd=a)}) for i, a in enumerate([1.0, None, 3.0])]
    summary = summarise(rows, ("organ",), unit="voxel", protocol="")
    assert summary["asd"] == 2.0
    assert summary["ci95_reason"]["asd"] == "2 cases; an interval needs 5"


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_cases_have_no_interval(count):
    summary = summarise(ROWS[:count], CLASSES, unit="mm", protocol="")
    assert summary["n"] == count
    assert set(summary["ci95"].values()) == {None}
    assert (summary["dice"] is None) == (count == 0)
    json.dumps(summary, allow_nan=False)


def test_intervals_hold_the_mean_and_can_be_left_out():
    rng = np.random.default_rng(2)
    rows = [SegmentationRow(str(i), None, {"organ": measured(float(rng.random()))}) for i in range(30)]
    summary = summarise(rows, ("organ",), unit="mm", protocol="")
    low, high = summary["ci95"]["dice"]
    assert low < summary["dice"] < high
    assert summarise(rows, ("organ",), unit="mm", protocol="", bootstrap=0)["ci95"] == {}


def test_the_rows_of_cases_csv():
    header, body = case_table(ROWS, CLASSES, "test")
    means = [*METRICS, "missed", "false_positive"]
    assert header == ["id", "group", "split", *means, *(f"{m}:{c}" for c in CLASSES for m in means)]
    assert [row[:3] for row in body] == [["c1", "p1", "test"], ["c2", "p1", "test"], ["c3", "", "test"]]
    second = dict(zip(header, body[1], strict=True))
    assert float(second["dice"]) == pytest.approx(0.2)
    assert (second["missed"], second["missed:anterior"], second["missed:posterior"]) == ("1", "0", "1")
    assert float(second["hd95:anterior"]) == 0.4


def test_an_empty_cell_was_not_measured_and_numbers_read_back():
    row = SegmentationRow("a", None, {"organ": measured(0.1 + 0.2, asd=None)})
    header, (cells,) = case_table([row], ("organ", "never"), "test")
    named = dict(zip(header, cells, strict=True))
    assert named["asd"] == named["asd:organ"] == named["dice:never"] == ""
    assert float(named["dice:organ"]) == 0.1 + 0.2
