"""Regions: unions of classes, measured as one mask."""

from __future__ import annotations

import numpy as np
import pytest
from medpy.metric import binary as medpy
from scipy.ndimage import generate_binary_structure, label
from sklearn.metrics import f1_score, jaccard_score

from engine.metrics.intervals import mean_interval
from engine.metrics.segmentation import SegmentationRow, case_metrics, case_table, summarise

CLASSES = ("necrosis", "oedema", "enhancing")
REGIONS = {"whole tumour": (1, 2, 3), "tumour core": (3, 1)}


def row(name, prediction, truth, group=None):
    found = case_metrics(prediction, truth, CLASSES, (1.0, 1.0), regions=REGIONS)
    return SegmentationRow(name, group, found, {region: found.pop(region) for region in REGIONS})


def test_a_region_is_measured_as_its_own_mask():
    rng = np.random.default_rng(0)
    for _ in range(50):
        shape, spacing = tuple(rng.integers(4, 9, size=3)), tuple(rng.uniform(0.5, 3.0, size=3))
        prediction, truth = (rng.integers(0, 4, size=shape).astype(np.uint8) for _ in range(2))
        prediction[: shape[0] // 2] = truth[: shape[0] // 2] = 0
        metrics = case_metrics(prediction, truth, CLASSES, spacing, regions=REGIONS)
        assert [*metrics] == [*CLASSES, *REGIONS]
        for region, members in REGIONS.items():
            masks = np.isin(prediction, members), np.isin(truth, members)
            flat = [mask.ravel() for mask in masks]
            expected = {"dice": f1_score(flat[1], flat[0]), "jaccard": jaccard_score(flat[1], flat[0])}
            expected |= {m: getattr(medpy, m)(*masks, spacing) for m in ("asd", "assd", "hd95")}
            expected["volume_error"] = masks[0].sum() / masks[1].sum() - 1
            expected["lesions"] = label(masks[1], generate_binary_structure(3, 3))[1]
            assert {m: metrics[region][m] for m in expected} == pytest.approx(expected, abs=1e-9)


def test_by_hand_what_confuses_two_classes_of_a_region_costs_it_nothing():
    truth = np.array([[1, 1, 2, 2, 0, 0, 3, 3]], np.uint8)
    prediction = np.array([[2, 2, 1, 1, 0, 0, 0, 3]], np.uint8)
    found = row("a", prediction, truth)
    assert [found.of_class("dice", name) for name in CLASSES] == [0, 0, pytest.approx(2 / 3)]
    # Whole tumour: 6 true and 5 predicted pixels, 5 of them common. Core: 4 and 3, and only the last is common.
    dice = {"whole tumour": 2 * 5 / 11, "tumour core": 2 * 1 / 7}
    assert {name: found.of_class("dice", name) for name in REGIONS} == pytest.approx(dice)
    assert found.value("dice") == pytest.approx((0 + 0 + 2 / 3) / 3)
    assert found.value("dice", regions=True) == pytest.approx((10 / 11 + 2 / 7) / 2)
    # Surfaces between classes are none of the union: all its 5 pixels lie on the truth, which has one pixel more.
    assert found.of_class("hd95_max", "whole tumour") == pytest.approx(np.percentile([0, 0, 0, 0, 1, 0], 95))
    assert found.of_class("lesions", "whole tumour") == 2


def test_a_summary_has_each_region_its_interval_and_the_mean_over_regions():
    rng = np.random.default_rng(1)
    pairs = [[rng.integers(0, 4, size=(7, 7)).astype(np.uint8) for _ in range(2)] for _ in range(8)]
    pairs[0][1][pairs[0][1] != 2] = 0  # no core in the truth of the first: it counts with its whole tumour alone
    rows = [row(str(at), *pair, group=f"p{at}") for at, pair in enumerate(pairs)]
    part = summarise(rows, CLASSES, unit="voxel", protocol="", regions=[*REGIONS]).to_json()
    for region, members in REGIONS.items():
        known = [(np.isin(p, members), np.isin(t, members)) for p, t in pairs]
        dice = [medpy.dc(p, t) if t.any() else None for p, t in known]
        there = [value for value in dice if value is not None]
        assert part["per_region"][region]["dice"] == pytest.approx(np.mean(there))
        assert part["per_region"][region]["present"] == len(there) == (7 if region == "tumour core" else 8)
        interval = mean_interval(dice, [each.group for each in rows], (0, 1)).interval
        assert part["ci95"][f"dice:{region}"] == pytest.approx(interval)
    means = [np.mean([v for name in REGIONS if (v := r.of_class("dice", name)) is not None]) for r in rows]
    assert part["dice_regions"] == pytest.approx(np.mean(means))
    assert part["ci95"]["dice_regions"][0] < part["dice_regions"] < part["ci95"]["dice_regions"][1]
    assert part["hd95_regions"] == pytest.approx(np.mean([r.value("hd95", regions=True) for r in rows]))
    header, body = case_table(rows, CLASSES, "test", [*REGIONS])
    cells = dict(zip(header, body[0], strict=True))
    assert (float(cells["dice_regions"]), cells["dice:tumour core"]) == (pytest.approx(means[0]), "")


def test_classes_are_measured_as_they_are_without_regions():
    rng = np.random.default_rng(2)
    prediction, truth = (rng.integers(0, 4, size=(9, 9)).astype(np.uint8) for _ in range(2))
    alone = case_metrics(prediction, truth, CLASSES)
    beside = case_metrics(prediction, truth, CLASSES, regions=REGIONS)
    assert {name: beside[name] for name in CLASSES} == alone
    rows = [SegmentationRow(str(at), None, alone) for at in range(6)]
    part = summarise(rows, CLASSES, unit="voxel", protocol="").to_json()
    assert "per_region" not in part
    assert not [name for name in part if name.endswith("_regions")]


def test_what_is_not_known_is_in_no_region():
    rng = np.random.default_rng(3)
    prediction, truth = (rng.integers(0, 4, size=(9, 9, 9)).astype(np.uint8) for _ in range(2))
    unknown = rng.random((9, 9, 9)) < 0.2
    prediction[unknown] = truth[unknown] = 0
    found = case_metrics(prediction, truth, CLASSES, (1.0, 1.0, 2.0), unknown=unknown, regions=REGIONS)
    for region, members in REGIONS.items():
        masks = np.isin(prediction, members), np.isin(truth, members)
        assert found[region] == case_metrics(*masks, ("one",), (1.0, 1.0, 2.0), unknown=unknown)["one"]


def test_a_split_without_a_case_has_the_same_names():
    part = summarise([], CLASSES, unit="voxel", protocol="", regions=[*REGIONS]).to_json()
    assert (part["n"], part["dice_regions"], part["per_region"]["tumour core"]["dice"]) == (0, None, None)
    assert not [name for name in part if name.count("_regions") > 1]
