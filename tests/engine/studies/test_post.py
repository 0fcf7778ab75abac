"""Post-processing is chosen on cases that the networks were not trained on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engine.commands.evaluate import evaluate
from engine.evaluation.trained import open_trained
from engine.recipe import load_run_recipe
from engine.requests import Evaluate
from engine.runfolder import RunFolder, list_runs, read_cases, read_cells
from engine.runfolder.cases import put_rows, write_csv
from engine.runfolder.study import read_study
from engine.studies.members import save
from engine.studies.post import _changes, choose_post


@pytest.fixture
def study(alone, tmp_path: Path) -> RunFolder:
    return RunFolder(shutil.copytree(alone.root.parent, tmp_path / "runs") / alone.id)


def test_what_is_tried_is_measured_as_evaluate_measures_it(study):
    tried = read_cells(study.root / "post.csv")
    member = list_runs(study.root.parent)[0]
    text = member.recipe.read_text(encoding="utf-8")
    member.recipe.write_text(text.replace("largest_component = true", "largest_component = false"), encoding="utf-8")
    assert evaluate(Evaluate(run=member.root, split="validation")) == 0
    own = {row.id: row.values["dice"] for row in read_cases(member) if row.split == "validation"}
    name = f"{member.id}: largest_component = false"
    assert {row["id"]: float(row["dice"]) for row in tried if row["split"] == name} == pytest.approx(own)
    tested = {row.id for row in read_cases(member) if row.split == "test"}
    assert tested.isdisjoint(row["id"] for row in tried)
    assert set(read_study(study).tried) == {
        "largest_component = false",
        "flips = true",
        "threshold = 0.4",
        "threshold = 0.6",
    }


def test_a_threshold_that_no_recipe_can_have_is_not_tried(study):
    recipe = load_run_recipe(study.recipe, ["evaluate.threshold=0.05"])
    assert [change["threshold"] for change in _changes(recipe, "sigmoid") if "threshold" in change] == [0.15]


@pytest.mark.parametrize(("gain", "post"), [(0.05, {"largest_component": False}), (-0.05, {}), (0.0, {})])
def test_a_change_is_taken_where_the_gain_is_surely_above_0(study, gain, post):
    runs, rows = list_runs(study.root.parent), []
    for change in ("largest_component = false", "flips = true", "threshold = 0.4", "threshold = 0.6"):
        for before in ("", "largest_component = false, "):
            for run in runs:
                for at, row in enumerate(row for row in read_cases(run) if row.split == "validation"):
                    first = gain * (1 + 0.1 * at) if before or change.startswith("largest") else 0.0
                    rows.append([row.id, f"{run.id}: {before}{change}", repr(row.values["dice"] + first)])
                rows.append(["of no class", f"{run.id}: {before}{change}", "nan"])
    write_csv(study.root / "post.csv", ["id", "split", "dice"], rows)
    member = runs[0]
    without = {"id": "of no class", "split": "validation"}
    put_rows(member, member.cases, [*read_cells(member.cases)[0]], set(), [without])
    chosen = choose_post(study, read_study(study))
    assert chosen.post == post
    assert "nan" not in "".join(chosen.tried.values())
    save(study, chosen)
    assert read_study(study) == chosen
    assert open_trained(study).recipe.evaluate.largest_component is not bool(post)
