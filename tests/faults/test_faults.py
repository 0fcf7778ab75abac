"""Every way in which a shared server fails: the run ends with a clear state, and goes on as if nothing had been."""

from __future__ import annotations

import csv
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from engine.checkpoint import load_checkpoint
from engine.commands.evaluate import evaluate
from engine.commands.train import train
from engine.errors import RunError, UsageError
from engine.events import Control, Iteration, Log, RunEnded
from engine.requests import Evaluate, Train
from engine.runfolder import RunFolder, Status, list_runs, read_status, send, write_status
from engine.training import session
from tests.engine.runs import SEGMENTATION, events, go_on, write_recipe
from tests.faults.killing import LIMIT_S, differences, server
from tests.phantoms import phantom_root

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="signals, limits and /proc as Linux has them")

RECIPE = ("train.epochs=3", "train.checkpoint_iterations=1", "data.samples_per_case=2", 'data.cache="none"')
CONTEXT = server()


def _unchanged() -> None:
    """Nothing is arranged."""


def _little_memory() -> None:
    """Some 300 MB more than the process has now, and no more."""
    used = psutil.Process().memory_info().vms
    resource.setrlimit(resource.RLIMIT_AS, (used + 300_000_000, used + 300_000_000))


def _backward_clock() -> None:
    """A clock that loses an hour at every look."""
    now = iter(range(2_000_000_000, 0, -3600))
    time.time = lambda: float(next(now))


def _dead_mount() -> None:
    """A mount that hangs from the moment when a file ``dead`` lies beside the log; and little patience with it."""
    session.STALLED_S = 1.0
    dead, opened = Path("/proc/self/fd/1").readlink().parent / "dead", os.open

    def hanging(path: str, *arguments: Any, **options: Any) -> int:
        while str(path).endswith(".h5") and dead.exists():
            time.sleep(0.1)
        return opened(path, *arguments, **options)

    os.open = hanging


def _measure(folder: Path, data: Path, split: str) -> None:
    os.environ["MEDTUI_DATA"] = str(data)
    torch.set_num_threads(1)
    raise SystemExit(evaluate(Evaluate(run=folder, split=split)))


def _body(
    place: Path, data: Path, overrides: tuple[str, ...], arrange: Callable[[], None], folder: Path | None
) -> None:
    log = os.open(place / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    sys.dont_write_bytecode = True  # where a file may not grow, Python 3.11 leaves half of it
    arrange()
    if folder is None:
        asked = Train(
            recipe=write_recipe(place, SEGMENTATION), overrides=(*RECIPE, *overrides), data=data, runs=place / "runs"
        )
        raise SystemExit(train(asked, lambda _: None))
    raise SystemExit(go_on(RunFolder(folder), data))


class Place:
    """A folder in which one run happens, and the trainer that is at work on it."""

    def __init__(self, root: Path, data: Path) -> None:
        self.root = root
        self.data = data
        self.process: BaseProcess | None = None

    @property
    def folder(self) -> RunFolder:
        return list_runs(self.root / "runs")[-1]

    @property
    def said(self) -> str:
        return (self.root / "log").read_text(errors="replace")

    def start(self, *overrides: str, arrange: Callable[[], None] = _unchanged, folder: RunFolder | None = None) -> None:
        root = None if folder is None else folder.root
        self.process = CONTEXT.Process(target=_body, args=(self.root, self.data, overrides, arrange, root))
        self.process.start()

    def wait_for(self, piece: str) -> None:
        """Until ``piece`` stands in the stream of a trainer that lives."""
        end = time.monotonic() + LIMIT_S
        while time.monotonic() < end:
            folders = list_runs(self.root / "runs")
            if folders and folders[-1].events.exists() and piece in folders[-1].events.read_text(encoding="utf-8"):
                return
            assert self.process is not None
            assert self.process.is_alive(), self.said[-2000:]
            time.sleep(0.002)
        raise AssertionError(f"no {piece}")

    def wait_until(self, holds: Callable[[Status], bool]) -> None:
        """Until the status of a trainer that lives is so."""
        end = time.monotonic() + LIMIT_S
        while not holds(read_status(self.folder)):
            assert self.process is not None
            assert self.process.is_alive(), self.said[-2000:]
            assert time.monotonic() < end, read_status(self.folder)
            time.sleep(0.01)

    def end(self) -> int | None:
        assert self.process is not None
        self.process.join(LIMIT_S)
        return self.process.exitcode

    def resume(self) -> int | None:
        self.start(folder=self.folder)
        return self.end()


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Place:
    data = phantom_root(tmp_path_factory.mktemp("data"), "left_atrium", cases=8, every=2)
    place = Place(tmp_path_factory.mktemp("alone"), data)
    place.start()
    assert place.end() == 0, place.said[-2000:]
    return place


@pytest.fixture
def place(tmp_path: Path, alone: Place) -> Iterator[Place]:
    made = Place(tmp_path, alone.data)
    yield made
    if made.process is not None and made.process.is_alive():
        made.process.kill()
        made.process.join()


def lives_on(place: Place, alone: Place) -> None:
    """The run can be resumed and ends as the one that was left alone."""
    load_checkpoint(place.folder.last)
    assert place.resume() == 0, place.said[-2000:]
    assert differences(alone.folder, place.folder) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_stops_after_the_iteration_with_a_checkpoint(place, alone, number):
    place.start()
    place.wait_for('"iteration":1,')
    os.kill(place.process.pid, signal.SIGHUP)  # the terminal goes; training stays
    os.kill(place.process.pid, number)
    assert place.end() == 3
    status = read_status(place.folder)
    assert status.state == "stopped"
    assert number.name in status.message
    last = max(event.iteration for event in events(place.folder) if isinstance(event, Iteration))
    assert load_checkpoint(place.folder.last)["iteration"] == last
    lives_on(place, alone)


def test_a_batch_system_that_signals_every_process_gets_its_checkpoint(place, alone):
    place.start("runtime.workers=1")
    place.wait_for('"iteration":2,')
    trainer = psutil.Process(place.process.pid)
    for number in (signal.SIGUSR1, signal.SIGTERM):
        for process in [*trainer.children(recursive=True), trainer]:
            process.send_signal(number)
    assert place.end() == 3, place.said[-2000:]
    assert read_status(place.folder).state == "stopped"
    lives_on(place, alone)


def test_a_loader_worker_that_is_killed_is_named_and_nothing_is_lost(place, alone):
    place.start("runtime.workers=1")
    place.wait_for('"iteration":1,')
    for worker in psutil.Process(place.process.pid).children(recursive=True):
        worker.kill()
    assert place.end() == 1
    status = read_status(place.folder)
    assert "loader worker was killed" in status.message
    assert "runtime.workers" in status.hint
    lives_on(place, alone)


@pytest.mark.parametrize("allowed", [20_000, 4_000], ids=["checkpoint", "stream"])
def test_a_file_that_may_not_grow_fails_the_run_and_keeps_the_checkpoint(place, alone, allowed):
    place.start()
    place.wait_for('"kind":"checkpoint"')
    resource.prlimit(place.process.pid, resource.RLIMIT_FSIZE, (allowed, allowed))
    assert place.end() == 1
    status = read_status(place.folder)
    assert status.state == "failed"
    assert "cannot write" in status.message
    assert "File too large" in status.message
    assert "resume" in status.hint
    lives_on(place, alone)


@pytest.fixture
def small_disk(place: Place) -> Iterator[Path]:
    """A disk of 4 MB where the runs go; needs the right to mount."""
    disk = place.root / "runs"
    disk.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], capture_output=True)
    if made.returncode:
        pytest.skip("no right to mount a file system")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def test_a_full_disk_fails_the_run_says_so_and_keeps_the_checkpoint(place, alone, small_disk):
    place.start()
    place.wait_for('"kind":"checkpoint"')
    with (small_disk / "filler").open("wb", buffering=0) as filler:
        try:
            while filler.write(bytes(4096)):
                pass
        except OSError:
            pass
    assert place.end() == 1
    status = read_status(place.folder)
    assert status.state == "failed"
    assert "No space left" in status.message
    (small_disk / "filler").unlink()
    lives_on(place, alone)


def test_a_disk_that_turns_read_only_ends_the_run_and_keeps_the_checkpoint(place, alone, small_disk):
    # A second view of the disk, which will lie over the first at once: files that are open for writing forbid to change
    # that one, and the second too if it could be written for a moment.
    view = place.root / "view"
    view.mkdir()
    subprocess.run(["mount", "--bind", small_disk, view], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", view], check=True)
    place.start()
    place.wait_for('"kind":"checkpoint"')
    subprocess.run(["mount", "--bind", view, small_disk], check=True)
    try:
        assert place.end() == 1
    finally:
        subprocess.run(["umount", "-l", small_disk], check=True)
        subprocess.run(["umount", "-l", view], check=True)
    assert any(isinstance(event, RunEnded) and "Read-only" in event.message for event in events(place.folder))
    assert read_status(place.folder).state == "lost"
    lives_on(place, alone)


def test_a_folder_that_vanishes_ends_the_run_and_what_comes_back_goes_on(place, alone):
    place.start()
    place.wait_for('"kind":"checkpoint"')
    folder = place.folder.root
    away = folder.rename(place.root / "away")
    assert place.end() == 1
    status = read_status(RunFolder(away))
    assert (status.state, status.message) == (
        "failed",
        f"the run folder was moved to {away} while the run was at work",
    )
    assert status.hint == f"go on with: medtui resume {away}"
    away.rename(folder)
    lives_on(place, alone)


def test_memory_that_runs_out_is_told_with_numbers(place):
    place.start("data.size=[96,96,96]", "train.batch_size=8", "model.channels=[32,64]", arrange=_little_memory)
    assert place.end() == 1, place.said[-2000:]
    folders = list_runs(place.root / "runs")
    told = "\n".join([place.said, *(f"{s.message}\n{s.hint}" for s in map(read_status, folders))])
    assert "ran out of memory" in told
    assert "train.batch_size from 8 to 4" in told
    assert "data.size from [96, 96, 96] to [64, 64, 64]" in told


def _a_training_file(folder: RunFolder, data: Path) -> Path:
    test = (data / "left_atrium" / "test.list").read_text().split()
    trained = [path for path in sorted((data / "left_atrium").glob("*/mri_norm2.h5")) if path.parent.name not in test]
    rows = (folder.root / "cases.csv").read_text()
    return next(path for path in trained if path.parent.name not in rows)


@pytest.mark.parametrize("policy", ["refuse", "skip"])
def test_a_file_that_breaks_in_the_middle_is_named_and_skipped_only_if_the_recipe_says_so(place, alone, policy):
    broken = _a_training_file(alone.folder, alone.data)
    whole = broken.read_bytes()
    place.start(f'data.unreadable="{policy}"')
    try:
        place.wait_for('"iteration":1,')
        zeros = broken.with_suffix(".zeros")  # at once: a file that is read while it is written breaks in two ways
        zeros.write_bytes(bytes(len(whole)))
        zeros.replace(broken)
        code = place.end()
    finally:
        broken.write_bytes(whole)
    if policy == "refuse":
        assert code == 1
        assert broken.parent.name in read_status(place.folder).message
        lives_on(place, alone)
        return
    assert code == 0
    told = [event.message for event in events(place.folder) if isinstance(event, Log) and event.level == "warning"]
    assert sum(broken.parent.name in message for message in told) == 1


@pytest.mark.parametrize("workers", [0, 1])
def test_a_mount_that_hangs_is_noticed_until_it_answers_and_a_stop_is_heard(place, tmp_path, workers):
    place.data = phantom_root(tmp_path / "data", "left_atrium", cases=4, every=2)
    place.start(f"runtime.workers={workers}", "train.epochs=500", arrange=_dead_mount)
    place.wait_for('"iteration":3,')
    dead = place.root / "dead"
    dead.touch()
    place.wait_until(lambda status: "does not answer" in status.message)
    assert read_status(place.folder).state == "running"
    dead.unlink()
    place.wait_until(lambda status: not status.message)
    dead.touch()
    place.wait_until(lambda status: "does not answer" in status.message)
    request = send(place.folder, "stop")  # after an epoch that never ends: at once
    assert place.end() == 3, place.said[-2000:]
    assert read_status(place.folder).state == "stopped"
    assert any(isinstance(event, Control) and event.request == request.id for event in events(place.folder))
    told = [event.message for event in events(place.folder) if isinstance(event, Log)]
    assert told.count("data comes again") < sum("the disk or mount of" in message for message in told)
    last = max(event.iteration for event in events(place.folder) if isinstance(event, Iteration))
    assert load_checkpoint(place.folder.last)["iteration"] == last


def test_two_trainings_two_evaluations_and_a_resume_at_once_lose_no_line(place, alone, tmp_path):
    place.start("train.epochs=400")
    place.wait_for('"iteration":3,')
    os.kill(place.process.pid, signal.SIGINT)
    assert place.end() == 3
    stopped = place.folder
    copies = [Place(tmp_path / name, place.data) for name in ("one", "two")]
    for copy in copies:
        copy.root.mkdir()
        (copy.root / "runs").symlink_to(place.root / "runs")
        copy.start()
    measured = [
        CONTEXT.Process(target=_measure, args=(stopped.root, place.data, split)) for split in ("train", "validation")
    ]
    for process in measured:
        process.start()
    place.start("train.epochs=400", folder=stopped)
    for process in measured:
        process.join(LIMIT_S)
    assert [process.exitcode for process in measured] == [0, 0]
    send(stopped, "stop_now")
    assert place.end() == 3, place.said[-2000:]
    assert [copy.end() for copy in copies] == [0, 0]
    for folder in list_runs(place.root / "runs"):
        numbers = [json.loads(line)["seq"] for line in folder.events.read_text().splitlines()]
        assert numbers == list(range(1, len(numbers) + 1))
        assert any(isinstance(event, RunEnded) for event in events(folder))
    rows = [row["split"] for row in csv.DictReader(stopped.cases.open())]
    summaries = json.loads(stopped.metrics.read_text())
    assert {split: rows.count(split) for split in summaries} == {name: one["n"] for name, one in summaries.items()}
    assert set(summaries) == {"train", "validation"}


def test_a_clock_that_runs_backwards_changes_nothing(place, alone):
    place.start(arrange=_backward_clock)
    assert place.end() == 0, place.said[-2000:]
    assert differences(alone.folder, place.folder) == []
    assert json.loads(place.folder.manifest.read_text())["duration_s"] >= 0
    assert isinstance(events(place.folder)[-1], RunEnded)


def test_a_second_trainer_is_refused_by_the_status_and_by_the_lock(place):
    place.start("train.epochs=500")
    place.wait_for('"iteration":1,')
    with pytest.raises(UsageError, match=r"is (running|starting)"):
        go_on(place.folder, place.data)
    os.kill(place.process.pid, signal.SIGSTOP)
    write_status(place.folder, Status(state="stopped"))  # as if its word could not be trusted
    try:
        with pytest.raises(RunError, match="another trainer"):
            go_on(place.folder, place.data)
    finally:
        os.kill(place.process.pid, signal.SIGCONT)


def test_a_torn_line_a_lost_manifest_and_rubbish_are_mended(place, alone):
    place.start()
    place.wait_for('"iteration":2,')
    place.process.kill()
    place.end()
    folder = place.folder
    assert read_status(folder).state == "lost"
    with folder.events.open("ab") as stream:
        stream.write(b'{"seq": 99, "kind": "iteration", "loss": 0.')
    folder.manifest.unlink()
    folder.status.write_bytes(b"\x00")
    (folder.checkpoints / ".last.pt.abc.tmp").write_bytes(b"half a checkpoint")
    lives_on(place, alone)


def test_a_private_folder_holds_private_files_only(alone):
    modes = {path: path.stat().st_mode & 0o777 for path in alone.folder.root.rglob("*")}
    assert alone.folder.root.stat().st_mode & 0o777 == 0o700
    assert {oct(mode) for path, mode in modes.items() if path.is_file()} == {"0o600"}
