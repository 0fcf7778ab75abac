"""What members give together, against the members' own numbers."""

from __future__ import annotations

import csv
import json
import shutil
from statistics import fmean

import numpy as np
import pytest
from msgspec.structs import replace

from engine.metrics.segmentation import SegmentationRow, case_metrics, case_table, summarise
from engine.recipe import load_run_recipe
from engine.report.results import count_words
from engine.runfolder import (
    RunFolder,
    SplitSummary,
    list_runs,
    read_cases,
    read_manifest,
    read_metrics,
    read_splits,
    update_manifest,
)
from engine.runfolder.cases import case_row, write_csv
from engine.runfolder.study import best_setting, member_folder, read_study
from engine.studies.results import collect, combined, segmentation_row, summarised
from tests.engine.runs import CLASSIFICATION, SEGMENTATION, run


def test_every_case_is_measured_once_out_of_fold(alone):
    rows = list(csv.DictReader(alone.cases.open(encoding="utf-8")))
    own = [row for folder in list_runs(alone.root.parent) for row in csv.DictReader(folder.cases.open())]
    measured = {row["id"]: row["dice"] for row in own if row["split"] == "validation"}
    assert {row["id"]: row["dice"] for row in rows} == measured
    assert len(rows) == len(measured)
    splits = {row.id: row.split for row in read_splits(alone)}
    assert {name for name, split in splits.items() if split == "train"} == set(measured)
    pooled = read_metrics(alone)["out_of_fold"]
    assert pooled.n == len(measured)
    assert pooled.value("dice") == pytest.approx(fmean(float(row["dice"]) for row in rows))


def test_the_loss_out_of_fold_is_that_of_all_cases(alone):
    own = [read_metrics(folder)["validation"] for folder in list_runs(alone.root.parent)]
    loss = sum(part.value("loss") * part.n for part in own) / sum(part.n for part in own)
    pooled = read_metrics(alone)["out_of_fold"]
    assert pooled.value("loss") == pytest.approx(loss)
    assert pooled.value("nsd_tolerance") == own[0].value("nsd_tolerance") is not None


def test_the_facts_of_a_study_are_of_its_best_setting(alone, tmp_path):
    folder = RunFolder(shutil.copytree(alone.root.parent, tmp_path / "runs") / alone.id)
    study = read_study(folder)
    one, two = (replace(member, grid={"data.limit_train": str(n)}) for n, member in enumerate(study.member))
    for member, dice in ((one, "0.1"), (two, "0.9")):
        run = member_folder(folder, member)
        rows = list(csv.DictReader(run.cases.open(encoding="utf-8")))
        write_csv(run.cases, list(rows[0]), ([dice if "dice" in key else row[key] for key in row] for row in rows))
        update_manifest(run, data_root=member.name)
    study = replace(study, folds=0, member=[one, two])
    collect(folder, study)
    assert best_setting(study, read_metrics(folder)) == two.setting
    assert read_manifest(folder).data_root == two.name
    trained = {row.id for row in read_splits(member_folder(folder, two)) if row.split == "train"}
    assert {row.id for row in read_splits(folder) if row.split == "train"} == trained


def test_the_test_split_is_the_mean_over_members(alone):
    parts = [read_metrics(folder)["test"].value("dice") for folder in list_runs(alone.root.parent)]
    found = read_metrics(alone)["test_members"]
    assert found.value("dice") == pytest.approx(np.mean(parts))
    assert found.spread["dice"] == pytest.approx(np.std(parts, ddof=1))


@pytest.mark.parametrize(("text", "cases"), [(SEGMENTATION, 8), (CLASSIFICATION, 60)])
def test_rows_of_a_table_give_the_summary_that_was_measured(tmp_path, text, cases):
    _, folder = run(tmp_path, text, "train.epochs=1", cases=cases)
    written = json.loads(folder.metrics.read_text(encoding="utf-8"))["test"]
    rows = [row for row in read_cases(folder) if row.split == "test"]
    data, recipe = read_manifest(folder).data, load_run_recipe(folder.recipe)
    found = summarised(rows, recipe, data, written["protocol"]).to_json()
    fitted = {"loss", "nsd_tolerance", "threshold", "temperature", "sensitivity", "specificity"}
    keys = [key for key in found if key not in {*fitted, "ci95", "ci95_reason"}]
    assert len(keys) > 8
    assert {key: written[key] for key in keys} == {key: found[key] for key in keys}


@pytest.mark.parametrize("classes", [["left"], ["left", "right"]])
def test_rows_say_which_classes_a_truth_has_not(classes):
    empty, box = np.zeros((6, 6, 6), np.uint8), np.zeros((6, 6, 6), np.uint8)
    box[1:3, 1:3, 1:3] = 1
    pairs = {"found": (box, box), "missed": (empty, box), "made up": (box, empty), "neither": (empty, empty)}
    regions = {"both": (1, 2)} if len(classes) > 1 else {}
    rows = []
    for name, (prediction, truth) in pairs.items():
        found = case_metrics(prediction, truth, classes, regions=regions)
        rows.append(SegmentationRow(name, None, found, {region: found.pop(region) for region in regions}))
    header, cells = case_table(rows, classes, "test", [*regions])
    again = [segmentation_row(case_row(dict(zip(header, row, strict=True))), classes, [*regions]) for row in cells]
    said = [summarise(each, classes, unit="mm", protocol="", regions=[*regions]) for each in (rows, again)]
    assert said[0] == said[1]
    assert (said[1].per_class["left"]["present"], said[1].per_class["left"]["absent"]) == (2, 2)


def test_a_mean_of_counts_is_not_cut_off():
    parts = [SplitSummary(n=4, per_class={"left": {"missed": missed}}) for missed in (1, 2)]
    assert count_words(combined(parts, "").value("missed", "left")) == "1.5"
    assert [count_words(value) for value in (2.0, None, float("nan"))] == ["2", "–", "–"]


def test_seeds_are_averaged_and_their_spread_is_kept():
    parts = [
        SplitSummary(
            n=4, missed=1, values={"dice": 0.8, "hd95": None}, ci95={"dice": (0.7, 0.9)}, confusion=[[1, 0], [2, 1]]
        ),
        SplitSummary(
            n=4, missed=2, values={"dice": 0.9, "hd95": 4.0}, ci95={"dice": (0.8, 1.0)}, confusion=[[0, 1], [2, 1]]
        ),
    ]
    found = combined(parts, "two seeds")
    assert found.values == {"dice": pytest.approx(0.85), "hd95": 4.0}
    assert found.ci95 == {"dice": (0.75, 0.95)}
    assert found.spread == {"dice": pytest.approx(0.1 / np.sqrt(2))}
    assert (found.missed, found.confusion, found.protocol) == (2, [[1, 1], [4, 2]], "two seeds")
