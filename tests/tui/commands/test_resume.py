"""``medtui resume`` without a name: the newest run or study that something is left to do for."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.errors import UsageError
from engine.runfolder import RunFolder, create, own_status, update_manifest, write_status
from tui.cli import main
from tui.commands.resume import _unfinished


def run(
    runs: Path, name: str, at_s: float, state: str, *, study: bool = False, members: str = "", member_of: str = ""
) -> RunFolder:
    folder = create(runs, name, now_s=at_s, study=study)
    folder.status.write_text(json.dumps({"state": state, "pid": os.getpid(), "started_s": at_s}), encoding="utf-8")
    if study:
        rows = "".join(
            f'[[member]]\nname = "m"\nrun = "m{at}"\nstate = "{one}"\n' for at, one in enumerate(members.split())
        )
        (folder.root / "study.toml").write_text(rows, encoding="utf-8")
    if member_of:
        update_manifest(folder, study={"id": member_of, "member": name})
    return folder


def test_a_finished_member_is_passed_over_for_its_study(tmp_path, capsys):
    run(tmp_path, "older", 1e9, "stopped")
    study = run(tmp_path, "five", 1.1e9, "failed", study=True)
    run(tmp_path, "five-f0", 1.2e9, "finished", member_of=study.id)
    last = run(tmp_path, "five-f1", 1.3e9, "failed", member_of=study.id)
    assert _unfinished(tmp_path) == study
    said = capsys.readouterr().out
    assert said == f"{study.id} is failed, the newest that can go on: {last.id} is failed, in a study\n"


def test_the_newest_is_taken_without_a_word(tmp_path, capsys):
    run(tmp_path, "older", 1e9, "stopped")
    newest = run(tmp_path, "newer", 1.1e9, "paused")
    assert (_unfinished(tmp_path), capsys.readouterr().out) == (newest, "")


def test_nothing_is_left(tmp_path):
    with pytest.raises(UsageError, match="no runs in"):
        _unfinished(tmp_path)
    run(tmp_path, "done", 1e9, "finished")
    with pytest.raises(UsageError, match=r"nothing in .* is left to go on with: \S+-done is finished"):
        _unfinished(tmp_path)


def test_a_study_that_only_fails_keeps_nothing_else_waiting(tmp_path, capsys):
    older = run(tmp_path, "older", 1e9, "stopped")
    fails = run(tmp_path, "grid", 1.1e9, "failed", study=True, members="finished failed")
    assert _unfinished(tmp_path) == older
    assert capsys.readouterr().out == f"{older.id} is stopped, the newest that can go on: {fails.id} is failed\n"
    left = run(tmp_path, "left", 1.2e9, "failed", study=True, members="failed waiting")
    assert _unfinished(tmp_path) == left
    for folder in (older, left):
        folder.status.write_text('{"state": "finished"}', encoding="utf-8")
    assert _unfinished(tmp_path) == fails


@pytest.mark.parametrize("study", [True, False])
def test_what_is_at_work_is_watched_and_not_trained_longer(tmp_path, study):
    at_work = run(tmp_path, "live", 1e9, "running", study=study)
    write_status(at_work, replace(own_status("live", "segmentation", 1), state="running"))
    with pytest.raises(UsageError, match=f"{at_work.id} is running, and nothing else") as told:
        _unfinished(tmp_path)
    assert f"medtui {'runs' if study else f'attach {at_work.root}'}" in told.value.hint.splitlines()[0]


def test_a_run_that_was_not_paused_says_how_to_watch_it(tmp_path, capsys):
    at_work = run(tmp_path, "live", 1e9, "running")
    write_status(at_work, replace(own_status("live", "segmentation", 1), state="running"))
    assert main(["resume", "live", "--wait", "0", "--runs", str(tmp_path)]) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[1] == f"it is running: watch it with: medtui attach {at_work.root}"
    assert said[2].endswith("--fork")
