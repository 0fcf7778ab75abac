"""train.minutes: epochs by measurement, once, and the same training as one of so many epochs."""

from __future__ import annotations

import pytest
from ignite.engine import Engine, Events

from engine.commands.check import check
from engine.commands.resume import resume
from engine.errors import RecipeError, RunError, counted
from engine.events import Log, RunStarted
from engine.recipe import load_recipe
from engine.requests import Check, Resume
from engine.runfolder import read_manifest, read_status, send
from engine.training.handlers.time_limit import TimeLimit
from engine.training.pace import Pace
from tests.engine.recipe.good import SEGMENTATION as GOOD
from tests.engine.runs import CLASSIFICATION, SEGMENTATION, events, go_on, learned, request, run, same_weights

MINUTES = SEGMENTATION.replace("epochs = 3", "minutes = 0.04")


@pytest.fixture(scope="module")
def timed(tmp_path_factory):
    place = tmp_path_factory.mktemp("timed")
    code, folder = run(place, MINUTES)
    assert code == 0
    return folder, place


def test_the_epochs_stand_in_the_recipe_and_everywhere(timed):
    folder, _ = timed
    recipe = load_recipe(folder.recipe)
    epochs = recipe.train.epochs
    assert recipe.train.minutes is None
    started = next(event for event in events(folder) if isinstance(event, RunStarted))
    assert (started.epochs, started.minutes) == (epochs, 0.04)
    manifest = read_manifest(folder)
    assert (manifest.epochs_planned, manifest.epochs_done, manifest.minutes) == (epochs, epochs, 0.04)
    assert read_status(folder).epochs == epochs
    said = [event.message for event in events(folder) if isinstance(event, Log)]
    assert any(f"train.minutes = 0.04: {counted(epochs, 'epoch')} of" in text for text in said)


def test_it_learns_what_a_run_of_so_many_epochs_learns(timed, tmp_path):
    folder, _ = timed
    epochs = load_recipe(folder.recipe).train.epochs
    code, other = run(tmp_path, SEGMENTATION, f"train.epochs={epochs}")
    assert code == 0
    assert same_weights(folder.last, other.last)
    assert learned(folder) == learned(other)


def test_killed_after_the_decision_it_keeps_the_epochs(timed, tmp_path):
    def stop_at_once(folder):
        send(folder, "stop_now")

    code, folder = run(tmp_path, MINUTES, then=stop_at_once)
    assert code == 3
    epochs = load_recipe(folder.recipe).train.epochs
    assert go_on(folder, tmp_path / "data") == 0
    if epochs is not None:
        assert load_recipe(folder.recipe).train.epochs == epochs
    assert read_manifest(folder).epochs_done == load_recipe(folder.recipe).train.epochs


def test_classes_and_check_say_the_epochs(tmp_path, capsys):
    asked = request(tmp_path, CLASSIFICATION.replace("epochs = 1", "minutes = 0.02"))
    assert check(Check(recipe=asked.recipe, overrides=(), data=asked.data)) == 0
    assert "train.minutes = 0.02: " in capsys.readouterr().out


def test_a_fork_wants_epochs(timed):
    folder, place = timed
    asked = Resume(run=folder.root, data=place / "data", overrides=("train.minutes=1",), fork=True)
    with pytest.raises(RecipeError) as caught:
        resume(asked, lambda _: None)
    assert "train.minutes" in str(caught.value.problems[0])


def test_epochs_that_end_in_time():
    pace = Pace(step_s=0.5, steps=20, validation_s=6.0, every=3)
    assert pace.epoch_s == 12.0
    assert pace.epochs(10) == 48  # 582 of 600 s, by 12
    assert pace.epochs(10, spent_s=60) == 43  # 522 s
    assert pace.epochs(0.1) == 1
    assert "One epoch takes 0.2 minutes" in pace.words(0.1, 1)
    assert "One epoch" not in pace.words(10, 48)


@pytest.mark.parametrize(
    ("text", "overrides", "expected"),
    [
        (GOOD, ["train.minutes=5"], (None, 5.0)),
        (GOOD.replace("epochs = 3", "minutes = 5"), ["train.epochs=4"], (4, None)),
        (GOOD.replace("epochs = 3", "minutes = 5"), [], (None, 5.0)),
    ],
)
def test_the_newer_of_epochs_and_minutes_holds(tmp_path, text, overrides, expected):
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    train = load_recipe(path, overrides).train
    assert (train.epochs, train.minutes) == expected


@pytest.mark.parametrize(("spoilt", "said"), [("epochs = 3\nminutes = 5", "epochs and minutes"), ("", "neither")])
def test_one_of_the_two_must_stand_there(tmp_path, spoilt, said):
    path = tmp_path / "recipe.toml"
    path.write_text(GOOD.replace("epochs = 3", spoilt))
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert [problem.key for problem in caught.value.problems] == ["train.epochs"]
    assert said in str(caught.value.problems[0])


@pytest.mark.parametrize(("minutes_so_far", "level"), [(1.0, None), (2.0, "warning"), (0.3, "info")])
def test_another_speed_is_said_once(minutes_so_far, level):
    said: list[Log] = []
    clock = TimeLimit(said.append, None, planned=10.0)
    clock.load_state_dict({"elapsed_s": minutes_so_far * 60, "reached": False})
    trainer = Engine(lambda *_: None)
    clock.attach(trainer)
    trainer.add_event_handler(Events.EPOCH_COMPLETED(once=1), trainer.terminate)
    trainer.run([0], max_epochs=10)  # its first epoch is the whole time so far
    assert [log.level for log in said] == ([level] if level else [])


@pytest.mark.parametrize("length", ["train.epochs=1", "train.minutes=0.02"])
def test_a_batch_that_batch_norm_cannot_learn_from_is_one_message(tmp_path, length):
    asked = request(tmp_path, CLASSIFICATION, "train.batch_size=1", length)
    with pytest.raises(RunError, match="batch norm cannot learn") as caught:
        check(Check(recipe=asked.recipe, overrides=asked.overrides, data=asked.data))
    code, folder = run(tmp_path, CLASSIFICATION, "train.batch_size=1", length)
    assert (code, read_status(folder).message) == (1, caught.value.text)
    assert "train.batch_size" in read_status(folder).hint


def test_an_image_that_instance_norm_cannot_learn_from_is_one_message(tmp_path):
    asked = request(tmp_path, CLASSIFICATION, "model.norm=instance")
    with pytest.raises(RunError, match=r"instance norm cannot learn .* single pixel") as caught:
        check(Check(recipe=asked.recipe, overrides=asked.overrides, data=asked.data))
    assert "model.stem" in caught.value.hint
