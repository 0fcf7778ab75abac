"""Regions all the way: a study and a run with them, and what files, report, figures and views make of them."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from statistics import fmean

import nibabel
import numpy as np
import pytest
from medpy.metric import binary as medpy

from engine.commands.evaluate import evaluate
from engine.commands.sweep import sweep
from engine.commands.train import train
from engine.errors import RecipeError
from engine.events import Result, Validation
from engine.figures.distributions import draw
from engine.readers.fold import read_view
from engine.readers.run import RunData
from engine.readers.together import open_runs
from engine.recipe import load_run_recipe, recipe_toml
from engine.report import write_report
from engine.report.blocks import Cell, Table
from engine.report.compare_page import write_comparison
from engine.report.compare_tables import per_class
from engine.report.paired import compare
from engine.report.shared import comparable
from engine.requests import Evaluate, Sweep, Train
from engine.runfolder import RunFolder, list_runs, read_metrics, read_status
from tests.engine.runs import SEGMENTATION, events
from tests.tumours import CHANNELS, CLASSES, REGIONS, tumours
from tui.plotting.charts import charts_of
from tui.printed.once import lines
from tui.printed.records import view_record

DATA = f"""[data]
source = "case_folders"
root = "tumours"
channels = {json.dumps(CHANNELS)}
mask = "seg"
classes = {json.dumps(CLASSES)}
size = [16, 16, 16]
crop = "random"
split = "fraction"
validation_fraction = 0.25
test_fraction = 0.25
[model]"""
NAMED = "\n".join(f"{json.dumps(name)} = {json.dumps(members)}" for name, members in REGIONS.items())
TEXT = f"{DATA}{SEGMENTATION.split('[data]')[1].split('[model]')[1]}[evaluate.regions]\n{NAMED}\n"
TEXT = SEGMENTATION.split("[data]", maxsplit=1)[0] + TEXT.replace("dice_bce", "dice_ce")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    place = tmp_path_factory.mktemp("regions")
    tumours(place / "data" / "tumours", 8)
    recipe = place / "recipe.toml"
    recipe.write_text(TEXT)
    overrides = ("train.epochs=2", 'train.monitor="dice_regions"')
    asked = Sweep(recipe=recipe, data=place / "data", runs=place / "runs", folds=2, jobs=2, overrides=overrides)
    assert sweep(asked) == 0
    return next(folder for folder in list_runs(place / "runs", studies=True) if folder.is_study)


@pytest.fixture(scope="module")
def member(study: RunFolder) -> RunFolder:
    return list_runs(study.root.parent)[0]


def table(folder: RunFolder, split: str) -> list[dict[str, str]]:
    return [row for row in csv.DictReader(folder.cases.open(encoding="utf-8")) if row["split"] == split]


def test_what_stands_in_the_files_is_that_of_the_masks(member):
    part, rows = read_metrics(member)["test"], table(member, "test")
    data = member.root.parents[1] / "data" / "tumours"
    found: dict[str, list[float]] = {name: [] for name in REGIONS}
    for row in rows:
        truth, prediction = (
            np.asarray(nibabel.load(path).dataobj)
            for path in (data / row["id"] / f"{row['id']}_seg.nii.gz", member.predictions / f"{row['id']}.nii.gz")
        )
        for name, members in REGIONS.items():
            masks = [np.isin(labels, [1 + CLASSES.index(each) for each in members]) for labels in (prediction, truth)]
            found[name].append(medpy.dc(*masks))
            assert float(row[f"dice:{name}"]) == pytest.approx(found[name][-1], abs=1e-12)
    means = {name: fmean(values) for name, values in found.items()}
    assert {name: part.value("dice", name) for name in REGIONS} == pytest.approx(means)
    assert part.value("dice_regions") == pytest.approx(fmean(means.values()))
    assert part.per_region["tumour core"].keys() == part.per_class["oedema"].keys()
    assert {"hd95", "nsd", "volume_error", "lesion_sensitivity"} <= part.per_region["tumour core"].keys()


def test_out_of_fold_and_the_vote_have_them(study):
    rows, part = table(study, "out_of_fold"), read_metrics(study)["out_of_fold"]
    assert len(rows) == part.n
    for name in REGIONS:
        assert part.value("dice", name) == pytest.approx(fmean(float(row[f"dice:{name}"]) for row in rows))
    assert part.value("dice_regions") == pytest.approx(fmean(float(row["dice_regions"]) for row in rows))
    own = [read_metrics(folder)["test"] for folder in list_runs(study.root.parent)]
    means = read_metrics(study)["test_members"]
    assert means.value("hd95", "tumour core") == pytest.approx(fmean(each.value("hd95", "tumour core") for each in own))
    assert evaluate(Evaluate(run=study.root)) == 0
    assert read_metrics(study)["test"].per_region.keys() == REGIONS.keys()


def test_validation_measures_them_and_their_mean_chooses(member):
    validations = [event for event in events(member) if isinstance(event, Validation)]
    for event in validations:
        assert event.metrics["dice_regions"] == pytest.approx(
            fmean(event.per_region[name]["dice"] for name in REGIONS), abs=1e-9
        )
    best = max(event.metrics["dice_regions"] for event in validations)
    status = read_status(member)
    assert (status.metric, status.best) == ("dice_regions", pytest.approx(best))
    assert status.test == pytest.approx(read_metrics(member)["test"].value("dice_regions"))
    [result] = [event for event in events(member) if isinstance(event, Result) and event.split == "test"]
    assert result.per_region["whole tumour"]["hd95"] == read_metrics(member)["test"].value("hd95", "whole tumour")


def test_views_tell_them_from_classes(member):
    view, status = read_view(member.events), read_status(member)
    assert (view.classes, view.regions) == (CLASSES, tuple(REGIONS))
    record = view_record(member, status, view, 0.0)
    assert record["results"]["test"]["per_region"].keys() == record["validation"]["per_region"].keys() == REGIONS.keys()
    assert record["results"]["test"]["per_class"].keys() == {*CLASSES}
    text = "\n".join(lines(member, status, view, 100, 0.0))
    assert text.count("\n∪ whole tumour ") >= 2
    assert "\nwhole tumour " not in text
    assert {"dice by class", "dice by region"} <= {chart.name for chart in charts_of(view)}


def test_the_report_has_a_table_and_the_figure_boxes(member, study, tmp_path):
    run = RunData(member)
    drawn = draw(run, 0, tmp_path / "boxes.png")
    assert "∪: regions" in drawn.caption
    write_report(member)
    for folder in (member, study):
        text = Path(folder.root / "report.md").read_text(encoding="utf-8")
        assert "| Regions | Dice |" in text
        assert "tumour core: necrosis, enhancing), each measured as one mask." in text
        assert "| mean of regions |" in text


def test_a_comparison_has_each_region_of_both_runs(study):
    classes, regions = per_class(open_runs(list_runs(study.root.parent)))
    assert (classes.title, regions.title) == ("Classes", "Regions")
    parts = [read_metrics(folder)["test"] for folder in list_runs(study.root.parent)]
    table = regions.blocks[0]
    assert isinstance(table, Table)
    shown = [[float(cell.text) for cell in row[1:3] if isinstance(cell, Cell)] for row in table.rows]
    assert shown == [[pytest.approx(part.value("dice", name), abs=1e-3) for part in parts] for name in REGIONS]


def test_regions_of_one_name_and_other_classes_are_not_compared(study, tmp_path):
    one, two = (
        RunFolder(shutil.copytree(run.root, tmp_path / "runs" / run.id)) for run in list_runs(study.root.parent)
    )
    asked = load_run_recipe(two.recipe, ['evaluate.regions={"whole tumour" = ["oedema", "necrosis"]}'])
    two.recipe.write_text(recipe_toml(asked), encoding="utf-8")
    assert evaluate(Evaluate(run=two.root)) == 0
    text = write_comparison([one, two], tmp_path / "out")[1].read_text(encoding="utf-8")
    assert "Regions" not in [section.title for section in per_class(open_runs([one, two]))]
    assert 'The region "whole tumour" is not of the same classes in all runs' in text
    assert "Dice (regions)" in text  # each its own, in the table of the runs
    assert "dice" in {found.metric for found in compare(open_runs([one, two]))}
    assert "dice_regions" not in {found.metric for found in compare(open_runs([one, two]))}


def test_nsd_of_other_tolerances_is_not_compared(study, tmp_path):
    one, two = (
        RunFolder(shutil.copytree(run.root, tmp_path / "runs" / run.id)) for run in list_runs(study.root.parent)
    )
    assert comparable(open_runs([one, two]), "nsd")
    content = json.loads(two.metrics.read_text(encoding="utf-8"))
    content["test"]["nsd_tolerance"] *= 2
    two.metrics.write_text(json.dumps(content), encoding="utf-8")
    assert not comparable(open_runs([one, two]), "nsd")
    assert comparable(open_runs([one, two]), "dice_regions")


def test_a_wrong_name_is_refused_before_the_run(tmp_path):
    tumours(tmp_path / "data" / "tumours", 4)
    path = tmp_path / "recipe.toml"
    path.write_text(TEXT.replace('"oedema", "enhancing", "necrosis"', '"edema", "enhancing"'))
    with pytest.raises(RecipeError, match='no class "edema"; did you mean "oedema"'):
        train(Train(recipe=path, data=tmp_path / "data", runs=tmp_path / "runs"), lambda _: None)
    assert list_runs(tmp_path / "runs") == []
