"""A study at work: its members are runs, and what is killed goes on."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from engine.commands.sweep import sweep
from engine.errors import MedtuiError, UsageError
from engine.evaluation.trained import open_trained
from engine.requests import Sweep, encode
from engine.runfolder import RunFolder, find_run, list_runs, read_manifest, read_status, send
from engine.runfolder.study import Member, member_folder, read_study
from engine.studies.members import save
from engine.studies.process import log_of, seen
from engine.studies.work import Crew
from tests.engine.studies.conftest import small, study_in

LIMIT_S = 120.0


def begun(request: Sweep) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "engine", request.command, encode(request)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)


def wait_for(place: Path, text: str) -> RunFolder:
    """A member whose stream has ``text`` in it."""
    end = time.monotonic() + LIMIT_S
    while time.monotonic() < end:
        for folder in list_runs(place / "runs"):
            if folder.events.exists() and text in folder.events.read_text(encoding="utf-8"):
                return folder
        time.sleep(0.02)
    raise AssertionError(f"no member has {text}")


def test_members_are_runs_that_name_their_study(alone):
    study = read_study(alone)
    members = {read_manifest(folder).study.member: folder for folder in list_runs(alone.root.parent)}
    assert set(members) == {member.name for member in study.member}
    for member in study.member:
        assert (member.state, member.run) == ("finished", members[member.name].id)
        assert read_manifest(members[member.name]).study.fold == member.fold
    assert (read_status(alone).state, read_status(alone).epoch) == ("finished", 2)
    assert (alone.report_html.exists(), alone.report_md.exists()) == (True, True)


def test_a_study_is_found_by_its_name_and_is_no_run(alone):
    runs = alone.root.parent
    assert find_run(runs, "tiny", studies=True) == alone
    assert find_run(runs, None, studies=True) != alone
    with pytest.raises(UsageError, match="is a study"):
        find_run(runs, "tiny")


def test_killed_members_and_a_killed_sweep_go_on_to_the_same_numbers(alone, tmp_path):
    process = begun(small(tmp_path, folds=2))
    struck = wait_for(tmp_path, '"kind":"iteration"')
    process.kill()
    process.wait()
    os.kill(read_status(struck).pid, signal.SIGKILL)
    study = study_in(tmp_path)
    assert read_status(study).state == "lost"
    assert sweep(Sweep(recipe=study.root, resume=True)) == 0
    for name in ("metrics.json", "cases.csv"):
        assert (study.root / name).read_bytes() == (alone.root / name).read_bytes()
    assert len(list_runs(tmp_path / "runs")) == 2


def test_a_member_that_was_removed_is_trained_again(alone, tmp_path):
    folder = RunFolder(shutil.copytree(alone.root.parent, tmp_path / "runs") / alone.id)
    first, *others = read_study(folder).member
    shutil.rmtree(member_folder(folder, first).root)
    with pytest.raises(UsageError, match=f"{first.run} is gone"):
        open_trained(folder)
    waiting, *rest = Crew(folder, read_study(folder), 1).study.member
    assert (waiting.name, waiting.state, waiting.run, rest) == (first.name, "waiting", "", others)


def test_nobody_waits_for_a_member_on_a_machine_that_is_gone(alone, tmp_path, capsys):
    folder = RunFolder(shutil.copytree(alone.root.parent, tmp_path / "runs") / alone.id)
    study = read_study(folder)
    first, *others = study.member
    run = member_folder(folder, first)
    gone = {"state": "running", "host": "elsewhere", "kernel": "another 1", "heartbeat_s": time.time() - 600}
    run.status.write_text(json.dumps(json.loads(run.status.read_text(encoding="utf-8")) | gone), encoding="utf-8")
    study = msgspec.structs.replace(study, member=[msgspec.structs.replace(first, state="running"), *others])
    with Crew(folder, study, 1) as crew:
        assert [member.state for member in crew.work().member] == ["silent", "finished"]
    assert f"medtui resume --take {run.address}" in capsys.readouterr().out
    assert seen(folder, msgspec.structs.replace(study, on="slurm"), first, None).state == "lost"


@pytest.mark.parametrize("change", [{"folds": 3}, {"overrides": ("train.epochs=9",)}, {"grid": ("optimizer.lr=1,2",)}])
def test_a_study_goes_on_as_it_was_begun(alone, change):
    with pytest.raises(UsageError, match="as it was begun"):
        sweep(Sweep(recipe=alone.root, resume=True, **change))


def test_no_member_is_left_alone_by_a_sweep_that_fails(alone, tmp_path):
    folder = RunFolder(shutil.copytree(alone.root.parent, tmp_path / "runs") / alone.id)
    member = subprocess.Popen(["sleep", "60"])
    crew = Crew(folder, read_study(folder), 1)
    crew._processes["one"] = member
    with pytest.raises(OSError, match="no room"), crew:
        raise OSError("no room")
    assert member.wait(10) == -signal.SIGTERM


def test_a_member_that_failed_before_it_had_a_status_says_why(alone, tmp_path):
    folder = RunFolder(shutil.copytree(alone.root.parent, tmp_path / "runs") / alone.id)
    crew = Crew(folder, read_study(folder), 1)
    first, *_ = crew.study.member
    member_folder(folder, first).status.unlink()
    log_of(folder, first).write_text("no memory for this", encoding="utf-8")
    crew._processes[first.name] = subprocess.Popen(["false"])
    crew._processes[first.name].wait()
    assert crew._outcome(first) == "could not be started: no memory for this"


@contextlib.contextmanager
def meanwhile(act: Callable[[threading.Event], object]) -> Iterator[None]:
    """``act`` in a thread; its event is set when the block is over."""
    over = threading.Event()
    thread = threading.Thread(target=act, args=(over,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(LIMIT_S)


def test_an_interrupt_stops_the_members_with_a_checkpoint(tmp_path):
    request = small(tmp_path, folds=2)

    def interrupt(_: threading.Event) -> None:
        wait_for(tmp_path, '"kind":"iteration"')
        for _ in range(2):  # as a group of processes gets it, where medtui passes its own on
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.3)

    signal.signal(signal.SIGTERM, lambda *_: None)  # for one that comes late; the sweep has its own
    with meanwhile(interrupt):
        assert sweep(request) == 3
    assert {read_status(folder).state for folder in list_runs(tmp_path / "runs")} <= {"stopped", "finished"}
    assert read_status(study_in(tmp_path)).state == "stopped"
    assert not study_in(tmp_path).metrics.exists()


def test_a_study_whose_members_were_stopped_by_hand_is_stopped(tmp_path):
    request = small(tmp_path, folds=2)

    def stop(over: threading.Event) -> None:
        wait_for(tmp_path, '"kind":"iteration"')
        while not over.wait(0.2):
            for folder in list_runs(tmp_path / "runs"):
                if read_status(folder).state == "running":
                    send(folder, "stop_now")

    with meanwhile(stop):
        assert sweep(msgspec.structs.replace(request, overrides=(*request.overrides, "train.epochs=1000"))) == 3
    assert read_status(study_in(tmp_path)).state == "stopped"


def test_what_is_wrong_for_all_members_ends_the_study(tmp_path):
    request = small(tmp_path, folds=2)
    next((tmp_path / "data").rglob("mri_norm2.h5")).write_bytes(b"no scan")
    with pytest.raises(MedtuiError, match="could not be started") as caught:
        sweep(request)
    assert caught.value.exit_code == 2
    assert "mri_norm2.h5" in str(caught.value)


def test_a_setting_that_always_fails_costs_the_others_nothing(alone, tmp_path):
    folder = RunFolder(shutil.copytree(alone.root.parent, tmp_path / "runs") / alone.id)
    study = read_study(folder)
    broken = Member(name="tiny-g1-s3", seed=3, fold=0, grid={"optimizer.lr": "-1"})
    save(folder, msgspec.structs.replace(study, member=[broken, *study.member]))
    assert sweep(Sweep(recipe=folder.root, resume=True)) == 1
    status, known = read_status(folder), read_study(folder)
    assert status.state == "failed"
    assert status.message.startswith("1 of 3 members not finished; tiny-g1-s3 failed: ")
    assert "recipe" in status.message
    assert (status.best, known.post, known.tried) == (read_status(alone).best, study.post, study.tried)


def test_a_grid_has_a_result_for_each_setting(tmp_path):
    assert sweep(small(tmp_path, grid=("optimizer.lr=1e-3,1e-9",))) == 0
    study = study_in(tmp_path)
    metrics = json.loads(study.metrics.read_text(encoding="utf-8"))
    assert set(metrics) == {"validation", "validation: optimizer.lr=1e-3", "validation: optimizer.lr=1e-9"}
    assert metrics["validation"] in (metrics["validation: optimizer.lr=1e-3"], metrics["validation: optimizer.lr=1e-9"])
    for folder in list_runs(study.root.parent):
        assert "test" not in json.loads(folder.metrics.read_text(encoding="utf-8"))
    assert "optimizer.lr=1e-9" in study.report_md.read_text(encoding="utf-8")
