"""What was trained: the settings that did something, and no others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.readers.run import RunData
from engine.recipe import load_recipe, recipe_toml
from engine.recipe.model import FAMILIES
from engine.report.blocks import Facts
from engine.report.setup import setup
from engine.runfolder import RunFolder, update_manifest

RECIPES = sorted((Path(__file__).resolve().parents[3] / "recipes").glob("*.toml"))


def facts(root: Path, recipe: str) -> dict[str, str]:
    (root / "recipe.toml").write_text(recipe, encoding="utf-8")
    blocks = setup(RunData(RunFolder(root))).blocks
    return dict(next(block for block in blocks if isinstance(block, Facts)).rows)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_report_of_each_shipped_recipe_names_only_what_applied(path, tmp_path):
    recipe = load_recipe(path)
    told = facts(tmp_path, recipe_toml(recipe))
    for row, table in (("Loss", "loss"), ("Optimizer", "optimizer"), ("Schedule", "schedule")):
        own = getattr(recipe, table)
        every = {key for member in FAMILIES[table].members.values() for key in member.model_fields}
        words = told[row].replace(",", " ").split()
        assert own.name in words
        assert not (every - {*type(own).model_fields}) & {*words}


def test_what_makes_a_network_another_one_is_told(tmp_path):
    nodules = RECIPES[0].with_name("quickstart_nodules.toml")
    own = ["model.stem=2", "model.width=0.25", 'model.norm="group"', "model.dropout=0.1"]
    told = facts(tmp_path, recipe_toml(load_recipe(nodules, own)))["Model"]
    assert told == "resnet18, dropout 0.1, stem 2, width 0.25, norm group, random weights to begin with"
    own = ["model.stem=4", "model.width=1.0", 'model.norm="batch"', "model.dropout=0.0"]
    told = facts(tmp_path, recipe_toml(load_recipe(nodules, own)))["Model"]
    assert told == "resnet18, random weights to begin with"
    unet = RECIPES[0].with_name("quickstart.toml")
    told = facts(tmp_path, recipe_toml(load_recipe(unet, ["model.channels=[8, 16]", 'model.norm="batch"'])))["Model"]
    assert "channels (8, 16)" in told
    assert "norm batch" in told


def test_a_setting_of_an_old_run_that_did_nothing_is_not_told(tmp_path):
    """Verified before: "cross_entropy, gamma 9, weights (0, 0), batch_dice on, smooth 100"; "adam, nesterov on"."""
    text = recipe_toml(load_recipe(next(path for path in RECIPES if path.stem == "cls_ce")))
    text = text.replace("[loss]\n", "[loss]\ngamma = 9.0\nweights = [0.0, 0.0]\nbatch_dice = true\nsmooth = 100.0\n")
    text = text.replace("[optimizer]\n", "[optimizer]\nmomentum = 0.1\nnesterov = true\n")
    text = text.replace("[evaluate]\n", '[evaluate]\nmode = "center_crop"\nthreshold = 0.3\n')
    told = facts(tmp_path, text)
    assert told["Loss"] == "cross_entropy"
    assert told["Optimizer"] == "adam, lr 0.001"
    assert "center_crop" not in str(told)
    assert "threshold" not in str(told)


def test_a_spacing_of_pictures_counts_their_pixels(tmp_path):
    text = recipe_toml(load_recipe(RECIPES[0].with_name("quickstart_2d.toml"), ["data.spacing=[2.0, 2.0]"]))
    assert "spacing 2.00 x 2.00 pixels" in facts(tmp_path, text)["Input"]


def test_a_clock_that_was_set_makes_no_run_longer(tmp_path):
    lines = [
        {"kind": "run_started", "seq": 1, "time_s": 1e9, "name": "a", "task": "segmentation"},
        {"kind": "run_ended", "seq": 2, "time_s": 1e9 + 90_000, "state": "finished"},
    ]
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    update_manifest(RunFolder(tmp_path), duration_s=46.3)
    assert facts(tmp_path, recipe_toml(load_recipe(RECIPES[0])))["Duration"] == "46 s"
