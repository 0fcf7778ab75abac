"""A run that was interrupted anywhere ends as one that was left alone: bit for bit, on one CPU."""

from __future__ import annotations

import json
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import pytest

from engine.checkpoint import load_checkpoint, save_checkpoint
from engine.commands.evaluate import evaluate
from engine.commands.resume import resume
from engine.errors import DataError, RecipeError, RunError, UsageError
from engine.events import Control, Event, Note, RunStarted
from engine.hardware import JOB
from engine.report import write_report
from engine.requests import Evaluate, Resume
from engine.runfolder import (
    Machine,
    RunFolder,
    read_label,
    read_manifest,
    read_status,
    send,
    take_lock,
    update_manifest,
)
from engine.runfolder.stream import EventWriter
from tests.engine.runs import CLASSIFICATION, SEGMENTATION, events, go_on, learned, run, same_weights

HARD = ("train.accumulate=2", "data.samples_per_case=3", "train.early_stop=20", "model.dropout=0.2")


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    code, folder = run(tmp_path_factory.mktemp("alone"), SEGMENTATION, *HARD)
    assert code == 0
    return folder


def when(folder: RunFolder, seen: Callable[[str], bool], act: Callable[[], object]) -> threading.Thread:
    """Watch the stream from a thread and ``act`` as soon as its text satisfies ``seen``."""

    def watch() -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if folder.events.exists() and seen(folder.events.read_text(encoding="utf-8")):
                act()
                return
            time.sleep(0.002)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


@pytest.fixture(autouse=True)
def no_run_ends_before_it_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests are looked for after every step: all of these runs are shorter than the usual pause."""
    monkeypatch.setattr("engine.training.handlers.control.POLL_S", 0.0)


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[RunFolder, str, Callable[[], object]], None]:
    """``at(folder, mark, act)``: act in the trainer itself, which has just written ``mark``: no run is over before."""

    def arrange(folder: RunFolder, mark: str, act: Callable[[], object]) -> None:
        write, done = EventWriter.write, threading.Event()

        def watched(writer: EventWriter, event: Event) -> int:
            number = write(writer, event)
            if not done.is_set() and mark in folder.events.read_text(encoding="utf-8"):
                done.set()
                act()
            return number

        monkeypatch.setattr(EventWriter, "write", watched)

    return arrange


@pytest.mark.parametrize(
    "mark",
    ['"iteration":1,', '"iteration":2,', '"kind":"validation"', '"phase":"validation","done":2', '"epoch":2,'],
)
def test_stopped_and_resumed_is_the_same_as_left_alone(tmp_path, alone, mark, at):
    def stop_when_seen(folder: RunFolder) -> None:
        at(folder, mark, lambda: send(folder, "stop_now"))

    code, folder = run(tmp_path, SEGMENTATION, *HARD, then=stop_when_seen)
    assert code == 3
    assert read_status(folder).state == "stopped"
    assert go_on(folder, tmp_path / "data") == 0
    assert same_weights(folder.last, alone.last)
    assert same_weights(folder.best, alone.best)
    assert learned(folder) == learned(alone)
    assert folder.metrics.read_text() == alone.metrics.read_text()
    assert folder.cases.read_text() == alone.cases.read_text()


def test_a_run_of_a_version_that_kept_no_hashes_goes_on_twice(tmp_path, at):
    """It had no splits.csv, and the fingerprint in its manifest was of names and sizes."""

    def stop_at(mark: str) -> Callable[[RunFolder], None]:
        return lambda folder: at(folder, mark, lambda: send(folder, "stop_now"))

    code, folder = run(tmp_path, SEGMENTATION, then=stop_at('"iteration":1,'))
    assert code == 3
    folder.splits.unlink()
    update_manifest(folder, data={"fingerprint": "of names and sizes"})
    stop_at('"iteration":2,')(folder)
    assert go_on(folder, tmp_path / "data") == 3
    assert read_manifest(folder).data.fingerprint != "of names and sizes"
    assert go_on(folder, tmp_path / "data") == 0
    assert folder.events.read_text().count("kept no hashes of cases") == 1


def test_a_job_that_is_preempted_in_a_validation_says_that_it_goes_on_by_itself(tmp_path, monkeypatch):
    def notice(folder: RunFolder) -> None:
        seen = '"phase":"validation"'
        when(folder, lambda text: seen in text, lambda: signal.raise_signal(signal.SIGUSR1))

    monkeypatch.setenv(JOB, "7")
    code, folder = run(tmp_path, SEGMENTATION, "train.epochs=40", "train.validate_every=1", then=notice)
    assert code == 3
    assert read_status(folder).hint.startswith("job 7 goes on with it by itself where squeue shows it")


def test_a_run_without_a_checkpoint_starts_from_its_beginning(tmp_path, alone):
    def stop_at_once(folder: RunFolder) -> None:
        send(folder, "stop_now")

    code, folder = run(tmp_path, SEGMENTATION, *HARD, then=stop_at_once)
    assert code == 3
    folder.last.unlink(missing_ok=True)  # and what the stream says of it: as if it had been killed
    lines = folder.events.read_text().splitlines(keepends=True)
    folder.events.write_text("".join(line for line in lines if '"kind":"checkpoint"' not in line))
    assert go_on(folder, tmp_path / "data") == 0
    assert same_weights(folder.last, alone.last)
    assert learned(folder) == learned(alone)


def test_a_run_that_goes_on_elsewhere_names_all_its_machines(tmp_path):
    def stop_at_once(folder: RunFolder) -> None:
        send(folder, "stop_now")

    code, folder = run(tmp_path, SEGMENTATION, then=stop_at_once)
    assert code == 3
    here = read_manifest(folder)
    assert here.earlier == []
    update_manifest(folder, hardware={"cores": 64}, device="cpu x64")  # as if it had begun on another machine
    elsewhere = read_manifest(folder)
    assert go_on(folder, tmp_path / "data") == 0
    after = read_manifest(folder)
    assert (after.hardware, after.device) == (here.hardware, here.device)
    assert after.earlier == [Machine(hardware=elsewhere.hardware, device="cpu x64")]
    page = next(path for path in write_report(folder) if path.suffix == ".md")
    words = next(line for line in page.read_text().splitlines() if "Hardware" in line)
    assert words.index(f"computed on {here.device}") < words.index("before that: ") < words.index("computed on cpu x64")


def test_notes_survive_and_the_cut_lines_are_kept(tmp_path, at):
    def note_then_stop(folder: RunFolder) -> None:
        def act() -> None:
            send(folder, "note", "look at this one")
            send(folder, "stop_now")

        at(folder, '"iteration":1,', act)

    code, folder = run(tmp_path, SEGMENTATION, then=note_then_stop)
    assert code == 3
    go_on(folder, tmp_path / "data")
    notes = [event.text for event in events(folder) if isinstance(event, Note)]
    assert notes == ["look at this one"]
    assert read_label(folder).note == "look at this one"
    assert [event.seq for event in events(folder)] == list(range(1, len(events(folder)) + 1))
    assert [event.resumed for event in events(folder) if isinstance(event, RunStarted)][-1] is True


def test_requests_are_answered_by_the_trainer(tmp_path):
    def ask(folder: RunFolder) -> None:
        def act() -> None:
            send(folder, "checkpoint")
            send(folder, "pause")
            while read_status(folder).state != "paused":
                time.sleep(0.01)
            send(folder, "pause")
            send(folder, "resume")
            send(folder, "stop")

        when(folder, lambda text: '"iteration":1,' in text, act)

    code, folder = run(tmp_path, SEGMENTATION, "train.epochs=40", then=ask)
    answers = [(event.command, event.state) for event in events(folder) if isinstance(event, Control)]
    assert answers == [
        ("checkpoint", "done"),
        ("pause", "done"),
        ("pause", "refused"),
        ("resume", "done"),
        ("stop", "done"),
    ]
    assert code == 3
    assert json.loads(folder.manifest.read_text())["stopped"] is True
    assert folder.metrics.exists()  # a stop after the epoch is tested as far as it came


def test_what_an_earlier_trainer_never_answered_does_not_stop_this_one(tmp_path):
    code, folder = run(tmp_path, SEGMENTATION, then=lambda folder: send(folder, "stop_now") and None)
    assert code == 3
    send(folder, "stop_now")
    send(folder, "note", "the disk was slow")
    assert go_on(folder, tmp_path / "data") == 0
    refused = [event for event in events(folder) if isinstance(event, Control) and event.state == "refused"]
    assert [(event.command, event.message[:7]) for event in refused] == [("stop_now", "dropped")]
    assert [event.text for event in events(folder) if isinstance(event, Note)] == ["the disk was slow"]


def test_a_fork_takes_only_the_best_that_its_beginning_knew(tmp_path, alone):
    """A live trainer writes best.pt and last.pt one after the other; they may be of two moments."""
    source = RunFolder(shutil.copytree(alone.root, tmp_path / alone.id))
    asked = Resume(run=source.root, data=alone.root.parent.parent / "data", fork=True, name="fork")

    def forked() -> RunFolder:
        folders: list[RunFolder] = []
        assert resume(asked, folders.append) == 0  # nothing is left to train
        return folders[0]

    assert same_weights(forked().best, alone.best)
    later = load_checkpoint(source.best)
    save_checkpoint(source.best, later | {"iteration": later["iteration"] + 100})
    assert not forked().best.exists()


def test_a_checkpoint_from_behind_the_end_is_no_finished_run(tmp_path, alone):
    folder = RunFolder(shutil.copytree(alone.root, tmp_path / alone.id))
    folder.status.unlink()
    save_checkpoint(folder.last, load_checkpoint(folder.last) | {"iteration": 10**9})
    assert go_on(folder, alone.root.parent.parent / "data") == 1
    status = read_status(folder)
    assert status.state == "failed"
    assert "last.pt does not fit this run" in status.message
    assert "at iteration 1000000000 of 9" in status.message


def test_a_run_that_was_cut_off_in_its_test_keeps_its_epoch_and_its_best_value(tmp_path, alone):
    folder = RunFolder(shutil.copytree(alone.root, tmp_path / alone.id))
    folder.status.unlink()
    assert go_on(folder, alone.root.parent.parent / "data") == 0
    before, after = read_status(alone), read_status(folder)
    assert before.best is not None
    assert (after.state, after.epoch, after.best) == ("finished", before.epoch, before.best)


def test_a_run_of_which_the_checkpoint_is_gone_keeps_its_stream(tmp_path, alone):
    folder = RunFolder(shutil.copytree(alone.root, tmp_path / alone.id))
    folder.status.unlink()
    folder.last.unlink()
    before = folder.events.read_bytes()
    with pytest.raises(UsageError, match=r"came to epoch 3, but checkpoints/last\.pt is gone"):
        go_on(folder, alone.root.parent.parent / "data")
    assert folder.events.read_bytes() == before


def test_weights_of_a_run_with_other_classes_are_no_checkpoint_of_this_one(tmp_path, alone):
    folder = RunFolder(shutil.copytree(alone.root, tmp_path / alone.id))
    save_checkpoint(folder.best, load_checkpoint(folder.best) | {"classes": ["right atrium"]})
    with pytest.raises(RunError, match=r"best\.pt in .* is of another run: its classes are right atrium"):
        evaluate(Evaluate(run=folder.root))


def test_what_would_be_another_run_is_refused(tmp_path, alone):
    data = alone.root.parent.parent / "data"
    with pytest.raises(UsageError, match="finished"):
        go_on(alone, data)
    code, folder = run(tmp_path, SEGMENTATION, then=lambda folder: send(folder, "stop_now") and None)
    assert code == 3
    with pytest.raises(RecipeError, match=r"optimizer\.lr") as caught:
        go_on(folder, tmp_path / "data", "optimizer.lr=0.5", "train.epochs=9")
    assert len(caught.value.problems) == 2
    with pytest.raises(RecipeError) as caught:  # values as a recipe has them
        go_on(folder, tmp_path / "data", "data.size=[32,16,16]", "data.ignore=7")
    grid, ignore = (problem.what for problem in caught.value.problems)
    assert grid == "[32, 16, 16] in place of [16, 16, 16]"
    assert ignore == "7 in place of nothing"
    place = next(Path(tmp_path / "data/left_atrium").glob("*/mri_norm2.h5"))
    size = place.stat().st_size
    with h5py.File(place, "r+") as file:  # one voxel, in place: the size stays
        file["image"][0, 0, 0] += 1
    assert place.stat().st_size == size
    with pytest.raises(DataError, match=f"other content: {place.parent.name}"):
        go_on(folder, tmp_path / "data")
    place.write_bytes(b"x")
    with pytest.raises(DataError):
        go_on(folder, tmp_path / "data")


def test_two_trainers_cannot_write_one_run_folder(tmp_path):
    folder = RunFolder(tmp_path)
    lock = take_lock(folder)
    assert lock > 0
    with pytest.raises(RunError, match="another trainer"):
        take_lock(folder)


def test_mixed_growing_pictures_are_resumed_exactly(tmp_path, at):
    changes = [
        "augment.mixup=0.4",
        "augment.cutmix=1.0",
        "augment.grow_from=0.5",
        "data.size=[64,64]",
        "train.epochs=3",
    ]
    (tmp_path / "alone").mkdir()
    code, alone = run(tmp_path / "alone", CLASSIFICATION, *changes)
    assert code == 0

    def stop(folder: RunFolder) -> None:
        at(folder, '"iteration":3,', lambda: send(folder, "stop_now"))

    code, folder = run(tmp_path, CLASSIFICATION, *changes, then=stop)
    assert code == 3
    assert go_on(folder, tmp_path / "data") == 0
    assert same_weights(folder.last, alone.last)
