"""What is asked of ``medtui sweep``: the members of a study, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import DataError, RecipeError, UsageError
from engine.requests import Sweep
from engine.runfolder import list_runs
from engine.runfolder.study import Member, Study, read_study
from engine.studies.members import choices
from engine.studies.plan import make, plan
from tests.engine.runs import request


def asked(place: Path, **options) -> Sweep:
    run = request(place, cases=8)
    return Sweep(recipe=run.recipe, data=run.data, runs=place / "runs", **options)


def test_every_seed_of_every_setting_is_in_every_fold(tmp_path):
    study, recipe = plan(asked(tmp_path, folds=2, seeds=2, grid=("optimizer.lr=1e-3,1e-4",)))
    places = {(m.setting, m.fold, m.seed) for m in study.member}
    settings = ("optimizer.lr=1e-3", "optimizer.lr=1e-4")
    assert places == {(setting, fold, seed) for setting in settings for fold in (0, 1) for seed in (3, 4)}
    assert len({m.name for m in study.member}) == len(study.member) == 8
    assert (recipe.data.validation_folds, recipe.data.validation_fraction) == (2, 0)
    assert study.settings == list(settings)


def test_the_test_split_is_closed_where_settings_are_compared(tmp_path):
    assert plan(asked(tmp_path, folds=2))[1].evaluate.test
    assert not plan(asked(tmp_path, grid=("optimizer.lr=1e-3,1e-4",)))[1].evaluate.test
    opened = asked(tmp_path, grid=("optimizer.lr=1e-3,1e-4",), overrides=("evaluate.test=true",))
    assert plan(opened)[1].evaluate.test


def test_jobs_divide_the_cores_unless_the_recipe_says(tmp_path, monkeypatch):
    for room in ("engine.studies.plan", "engine.hardware"):
        monkeypatch.setattr(f"{room}.cores", lambda: 8)  # of this machine
    monkeypatch.setenv("OMP_NUM_THREADS", "")
    text = (request(tmp_path).recipe).read_text()
    (tmp_path / "free.toml").write_text(text.replace("threads = 1", ""))
    free = asked(tmp_path, folds=2, jobs=4)
    assert plan(free)[1].runtime.threads == 1
    wanted = Sweep(recipe=tmp_path / "free.toml", data=free.data, folds=2, jobs=4)
    study, recipe = plan(wanted)
    assert (recipe.runtime.threads, study.jobs) == (2, 4)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert plan(wanted)[1].runtime.threads == 1


def test_a_study_is_written_and_read_again(tmp_path):
    request = asked(tmp_path, folds=2, name="mine", grid=("data.size=[16,16,16],[8, 8, 8]", "loss.name=dice,dice_bce"))
    study, recipe = plan(request)
    folder = make(request, study, recipe)
    assert read_study(folder) == study
    assert (folder.is_study, folder.name, list_runs(request.runs)) == (True, "mine", [])
    assert study.grid["data.size"] == ["[16,16,16]", "[8, 8, 8]"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "nothing to vary"),
        ({"folds": 2, "trials": 3}, "a search needs"),
        ({"search": ("optimizer.lr=1e-4:1e-2",)}, "a search needs"),
        ({"grid": ("seed=1,2",)}, "--seeds"),
        ({"grid": ("optimizer.lr",)}, 'found "optimizer.lr"'),
        ({"grid": ("optimizer.lr=1e-3,1e-3",)}, "values that differ"),
        ({"grid": ("optimizer.lr=1e-3,0.001",)}, "optimizer.lr=1e-3 and optimizer.lr=0.001 are one setting"),
        ({"grid": ("train.monitor=dice,loss",)}, "compared by train.monitor"),
        ({"grid": ("optimizer.lr=1e-3", "optimizer.lr=1e-4")}, "given twice"),
        ({"trials": 2, "search": ("optimizer.lr=1e-2:1e-4",)}, "LOW below HIGH"),
        ({"trials": 2, "search": ("optimizer.lr=0:1e-4:log",)}, "above 0"),
        ({"trials": 2, "search": ("optimizer.lr=1e-4:1e-2:lg",)}, "LOW:HIGH:log"),
        ({"folds": 2, "seeds": 9999}, "more than"),
        ({"folds": 2, "overrides": ("data.validation_folds=5",)}, "name --folds alone"),
        ({"folds": 2, "grid": ("data.split_seed=0,1",)}, "data.split_seed=0 and data.split_seed=1 hold out different"),
        ({"trials": 2, "search": ("data.validation_fraction=0.2:0.6",)}, "hold out different cases"),
    ],
)
def test_what_cannot_be_swept_is_said_in_one_message(tmp_path, options, words):
    with pytest.raises(UsageError) as caught:
        plan(asked(tmp_path, **options))
    assert words in str(caught.value)
    assert not (tmp_path / "runs").exists()


def test_how_many_cases_are_trained_on_can_be_varied(tmp_path):
    assert len(plan(asked(tmp_path, folds=2, grid=("data.limit_train=1,2",)))[0].member) == 4


@pytest.mark.parametrize("key", ["optimizer.lrr=1,2", "train.epochs=3,-1"])
def test_keys_and_values_of_the_grid_are_those_of_recipes(tmp_path, key):
    with pytest.raises(RecipeError, match=f"--grid {key.partition('=')[0]}"):
        plan(asked(tmp_path, grid=(key,)))


def test_weights_to_start_from_are_brought_before_jobs_are_sent_to_slurm(tmp_path):
    change = {"folds": 2, "overrides": ('model.weights="gone.pt"',)}
    assert plan(asked(tmp_path, **change))
    with pytest.raises((DataError, RecipeError), match=r"gone\.pt"):
        plan(asked(tmp_path, on="slurm", **change))


def test_more_folds_than_groups_are_refused(tmp_path):
    with pytest.raises(DataError, match="50 folds need 50 groups or more; found"):
        plan(asked(tmp_path, folds=50))


def test_commas_within_brackets_and_quotes_are_a_values_own():
    assert choices("data.size", "[8, 8],[16,16]") == ("[8, 8]", "[16,16]")
    assert choices("name", '"a,b",c') == ('"a,b"', "c")


def test_a_search_is_as_large_as_it_will_be():
    assert Study(trials=8, folds=2, seeds=[0, 1], member=[Member(name="one")]).size == 32
    assert Study(seeds=[0, 1], member=[Member(name="one"), Member(name="two")]).size == 2
