"""Runs that start from another: its weights, what is said of them, and what is refused."""

from __future__ import annotations

import shlex
import shutil
from dataclasses import replace as changed

import msgspec
import pytest
import torch

from engine.checkpoint import load_checkpoint
from engine.commands.check import check
from engine.commands.evaluate import evaluate
from engine.commands.resume import resume
from engine.commands.sweep import sweep
from engine.commands.train import train
from engine.data import check_dataset, open_dataset
from engine.errors import RecipeError, RunError, UsageError
from engine.evaluation.start import find_start, start_network, trained_before
from engine.events import Event, Iteration, Log, RunStarted
from engine.recipe import load_recipe, load_run_recipe
from engine.report import write_report
from engine.requests import Check, Evaluate, Resume, Sweep
from engine.runfolder import EventWriter, RunFolder, list_runs, read_manifest, read_splits, send
from tests.engine.runs import CLASSIFICATION, PICTURES, SEGMENTATION, events, go_on, request, run, same_weights, weights

SHORT = ("train.epochs=1", "evaluate.test=false")


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run whose averaged weights are not its last ones (``train.ema``)."""
    code, folder = run(tmp_path_factory.mktemp("first"), SEGMENTATION, 'name="first"')
    assert code == 0
    return folder


def started(first: RunFolder, place, *overrides: str, **fields) -> RunFolder:
    """A run from ``first``, on the same data: phantoms are alike."""
    asked = msgspec.structs.replace(request(place, SEGMENTATION, *SHORT, *overrides), start=first.root, **fields)
    assert train(asked, lambda _: None) == 0
    return list_runs(asked.runs)[-1]


def warnings(folder: RunFolder) -> list[str]:
    return [event.message for event in events(folder) if isinstance(event, Log) and event.level == "warning"]


def opened(first: RunFolder, *overrides: str):
    """A recipe, its data, and the data root, as a run that starts from ``first`` has them."""
    root = first.root.parent.parent / "data"
    recipe = load_recipe(first.recipe, overrides)
    dataset = check_dataset(open_dataset(recipe.data, recipe.task, root), recipe.data)
    return recipe, dataset, root


@pytest.mark.parametrize("checkpoint", ["best", "last"])
def test_the_first_weights_are_those_that_the_run_tests(first, checkpoint):
    recipe, dataset, root = opened(first)
    text = first.recipe.read_text()
    first.recipe.write_text(text.replace('checkpoint = "best"', f'checkpoint = "{checkpoint}"'))
    kept, start = find_start(recipe, first.root)
    network = start_network(kept, dataset, root, start)
    first.recipe.write_text(text)
    tested = weights(getattr(first, checkpoint))
    assert all(torch.equal(value, tested[name]) for name, value in network.model.state_dict().items())
    raw = load_checkpoint(first.last)["raw"]
    assert not all(torch.equal(value, raw[name]) for name, value in network.model.state_dict().items())
    epoch = load_checkpoint(getattr(first, checkpoint))["epoch"]
    count = len(tested)
    assert network.start.startswith(f"{count} of {count} tensors from {first.id} ({checkpoint}, epoch {epoch})")
    assert network.doubts == ()
    assert network.origin == {"run": first.id, "checkpoint": checkpoint, "epoch": epoch, "seen": {}}


def test_the_recipe_of_a_run_that_started_from_another_runs_again_without_it(first, tmp_path):
    gone = tmp_path / "gone" / first.id
    shutil.copytree(first.root, gone)
    folder = started(RunFolder(gone), tmp_path, "optimizer.lr=1e-30")
    shutil.rmtree(gone)
    recipe = load_recipe(folder.recipe)  # no path in it leaves its root
    assert recipe.model.weights == f"start/{first.id}.pt"
    again = msgspec.structs.replace(request(tmp_path, SEGMENTATION), recipe=folder.recipe)
    assert train(again, lambda _: None) == 0
    second = list_runs(again.runs)[-1]
    assert read_manifest(second).started_from == read_manifest(folder).started_from
    assert read_manifest(second).started_from.run == first.id
    tested = weights(first.best)
    assert all((value - tested[name]).abs().max() < 0.05 for name, value in weights(second.last).items())
    more = Resume(run=second.root, fork=True, overrides=("train.epochs=4",), data=again.data)
    assert resume(more, lambda _: None) == 0
    fork = list_runs(again.runs)[-1]
    assert load_checkpoint(fork.root / recipe.model.weights)["origin"]["run"] == first.id


def test_cases_that_the_weights_have_seen_are_said_also_of_runs_that_start_from_such_a_run(first, tmp_path, capsys):
    folder = started(first, tmp_path, "data.split_seed=2", "data.limit_train=1")
    trained = {row.image for row in read_splits(first) if row.split == "train"}
    seen = [row.id for row in read_splits(folder) if row.split == "validation" and row.image in trained]
    assert seen, "no case changed its split: take another data.split_seed"
    assert read_manifest(folder).started_from.seen == {"validation": len(seen)}
    words = next(text for text in warnings(folder) if "in training before" in text)
    assert f"in {first.id}: {', '.join(seen)}; for them the numbers are too good" in words
    page = write_report(folder)[1].read_text()
    assert f"Of the validation cases, {len(seen)} w" in page
    assert f"in the training of {first.id}, whose weights training began with" in page
    assert f"residual_units 1, weights of another run (19 of 19 tensors from {first.id} (best, epoch 3)" in page
    assert trained_before(folder) == trained
    grandchild = started(folder, tmp_path, "data.split_seed=2", "data.limit_train=1", name="grandchild")
    assert trained_before(grandchild) == trained | {row.image for row in read_splits(folder) if row.split == "train"}
    assert read_manifest(grandchild).started_from.seen == {"validation": len(seen)}
    capsys.readouterr()
    assert evaluate(Evaluate(run=folder.root, split="validation")) == 0
    assert f"in training: {', '.join(seen)}; for them the numbers are too good" in capsys.readouterr().err


def test_a_run_that_starts_on_its_own_split_has_nothing_to_say(first, tmp_path):
    folder = started(first, tmp_path)
    assert read_manifest(folder).started_from.seen == {}
    assert not [text for text in warnings(folder) if "trained" in text or "training" in text]


def test_where_nobody_knows_what_the_weights_have_seen_that_is_said(first, tmp_path):
    blind = RunFolder(shutil.copytree(first.root, tmp_path / first.id))
    blind.splits.unlink()
    [said] = [text for text in warnings(started(blind, tmp_path)) if "trained" in text]
    assert said.startswith(f"which images {first.id} was trained on is not known")


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["model.channels=[4,16]"], ["model.channels: found [4, 16]", "--set 'model.channels=[4, 8]'"]),
        (["model.norm=group", "model.patch=1"], ['"group"', "--set model.norm=instance", "--set model.patch=2"]),
        (["model.name=segresnet"], ["--set model.name=resunet"]),
    ],
)
def test_another_network_is_one_message_with_the_way_out_and_leaves_nothing_behind(first, tmp_path, overrides, words):
    asked = msgspec.structs.replace(request(tmp_path, SEGMENTATION, *overrides), start=first.root)
    with pytest.raises(RecipeError, match="is of another network than this recipe's") as caught:
        train(asked, lambda _: None)
    for word in words:
        assert word in f"{caught.value.text} {caught.value.hint}"
    assert not asked.runs.exists() or list_runs(asked.runs) == []


def test_a_network_of_volumes_fits_no_pictures_whatever_is_set(first, tmp_path):
    asked = msgspec.structs.replace(request(tmp_path, PICTURES), start=first.root)
    with pytest.raises(RecipeError, match=r"was trained on volumes, and .* is of pictures") as caught:
        train(asked, lambda _: None)
    assert caught.value.hint == "start from a run on pictures"


def test_levels_that_follow_from_the_size_are_named(first, tmp_path):
    text = SEGMENTATION.replace("channels = [4, 8]\n", "")
    code, folder = run(tmp_path, text, "data.size=[32,32,32]", *SHORT)
    assert code == 0
    asked = msgspec.structs.replace(request(tmp_path, text, "data.size=[16,16,16]"), start=folder.root)
    with pytest.raises(RecipeError) as caught:
        train(asked, lambda _: None)
    assert "--set 'data.size=[32, 32, 32]'" in caught.value.hint


def test_other_settings_of_the_data_are_said_once_each(first):
    recipe, dataset, root = opened(first, "data.intensity=none")
    kept, start = find_start(recipe, first.root)
    (words,) = start_network(kept, dataset, root, start).doubts
    assert words == "data.intensity is none, and the weights were trained with zscore: --set data.intensity=zscore"
    recipe, dataset, root = opened(first, "data.intensity=window", "data.window=[-1.0,2.5]")
    kept, start = find_start(recipe, first.root)
    (words,) = start_network(kept, dataset, root, start).doubts
    assert words.startswith("data.intensity is window -1 to 2.5, and")


def test_other_classes_get_a_new_final_layer_and_equal_numbers_of_others_a_word(first):
    recipe, dataset, root = opened(first, "loss.name=dice_ce", "model.output=softmax")
    kept, start = find_start(recipe, first.root)
    more = start_network(kept, changed(dataset, classes=("left atrium", "scar"), label_values=(1, 2)), root, start)
    assert "2 new, with a random start: final.weight" in more.start
    assert more.doubts == ()
    recipe, dataset, root = opened(first)
    kept, start = find_start(recipe, first.root)
    other = start_network(kept, changed(dataset, classes=("liver",)), root, start)
    assert other.start.endswith("all of the network's")
    assert other.doubts == ("the final layer was trained for left atrium, and begins as it is for liver",)


def test_check_says_what_a_run_would_start_from(first, tmp_path, capsys):
    asked = request(tmp_path, SEGMENTATION, "data.intensity=none")
    fields = {name: getattr(asked, name) for name in ("recipe", "overrides", "data")}
    assert check(Check(**fields, start=first.root)) == 0
    said = capsys.readouterr().out
    assert f"tensors from {first.id} (" in said
    assert "note data.intensity is none, and the weights were trained with zscore" in said


def test_members_of_a_study_start_from_the_run(first, tmp_path):
    asked = request(tmp_path, SEGMENTATION, *SHORT, "data.split_seed=2", "data.limit_train=1")
    fields = {name: getattr(asked, name) for name in ("recipe", "overrides", "data", "runs")}
    assert sweep(Sweep(**fields, seeds=2, start=first.root)) == 0
    for folder in list_runs(asked.runs):
        assert read_manifest(folder).started_from.run == first.id
        assert load_run_recipe(folder.recipe).model.weights == f"start/{first.id}.pt"
        assert (folder.root / "start" / f"{first.id}.pt").is_file()
    (study,) = (folder for folder in list_runs(asked.runs, studies=True) if folder.is_study)
    assert load_run_recipe(study.recipe).model.weights == f"start/{first.id}.pt"
    page = study.report_md.read_text()
    counts = [read_manifest(folder).started_from.seen["validation"] for folder in list_runs(asked.runs)]
    assert len(set(counts)) == 1  # one split
    assert page.count("whose weights training began with") == 1
    assert f"Of the validation cases of 2 of 2 members, {counts[0]} each w" in page


def test_a_network_that_had_imagenet_weights_starts_from_a_run(tmp_path):
    code, folder = run(tmp_path, CLASSIFICATION, *SHORT)
    assert code == 0
    other = "data.size=[48,48]"
    asked = request(tmp_path, CLASSIFICATION, *SHORT, "model.pretrained=true", other, 'name="second"')
    assert train(msgspec.structs.replace(asked, start=folder.root), lambda _: None) == 0
    second = next(each for each in list_runs(asked.runs) if each.name == "second")
    assert not load_run_recipe(second.recipe).model.pretrained
    assert any("data.size is 48 x 48, and the weights were trained with 32 x 32" in text for text in warnings(second))


@pytest.mark.parametrize("at", [RunStarted, Iteration])
def test_a_run_that_was_cut_off_goes_on_as_if_it_was_not(first, tmp_path, at, monkeypatch):
    """Without a checkpoint it needs the weights that it started from; with one it does not."""
    (tmp_path / "alone").mkdir()
    alone = started(first, tmp_path / "alone", "train.epochs=2")
    asked = msgspec.structs.replace(request(tmp_path, SEGMENTATION, *SHORT, "train.epochs=2"), start=first.root)
    write = EventWriter.write

    def stop(writer: EventWriter, event: Event) -> int:
        number = write(writer, event)
        if isinstance(event, at):
            send(list_runs(asked.runs)[-1], "stop_now")
        return number

    with monkeypatch.context() as patch:
        patch.setattr("engine.training.handlers.control.POLL_S", 0.0)
        patch.setattr(EventWriter, "write", stop)
        assert train(asked, lambda _: None) == 3
    folder = list_runs(asked.runs)[-1]
    if at is Iteration:
        shutil.rmtree(folder.start)
    else:
        folder.last.unlink(missing_ok=True)  # and what the stream says of it
        lines = folder.events.read_text().splitlines(keepends=True)
        folder.events.write_text("".join(line for line in lines if '"kind":"checkpoint"' not in line))
    assert go_on(folder, tmp_path / "data") == 0
    assert same_weights(folder.last, alone.last)
    assert read_manifest(folder).started_from == read_manifest(alone).started_from
    assert read_manifest(folder).model.start == read_manifest(alone).model.start != ""


def test_a_run_without_weights_cannot_be_started_from(first, tmp_path):
    empty = tmp_path / first.id
    shutil.copytree(first.root, empty, ignore=shutil.ignore_patterns("*.pt"))
    asked = msgspec.structs.replace(request(tmp_path, SEGMENTATION), start=empty)
    with pytest.raises(UsageError, match="its checkpoints are gone"):
        train(asked, lambda _: None)
    assert list_runs(asked.runs) == []


def test_a_damaged_checkpoint_is_named_with_the_way_to_the_other_one(first, tmp_path):
    broken = RunFolder(shutil.copytree(first.root, tmp_path / first.id))
    broken.best.write_bytes(b"PK" * 500)
    asked = msgspec.structs.replace(request(tmp_path, SEGMENTATION), start=broken.root)
    with pytest.raises(RunError, match=f"{first.id}: best.pt is refused") as caught:
        train(asked, lambda _: None)
    words = shlex.split(caught.value.hint.partition(":")[2].partition(", in place")[0])
    assert words[:2] == ["--allow-outside", "--set"]
    other = msgspec.structs.replace(asked, start=None, allow_outside=True, overrides=(words[-1], "train.epochs=1"))
    assert train(other, lambda _: None) == 0
    [folder] = list_runs(asked.runs)
    assert read_manifest(folder).started_from.checkpoint == "last"
    broken.last.unlink()
    with pytest.raises(RunError, match="start with another run"):
        train(asked, lambda _: None)
