"""``medtui resume`` without a name: the newest run or study that something is left to do for."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from engine.errors import UsageError
from engine.runfolder import RunFolder, create, update_manifest
from tui.commands.resume import _unfinished


def run(runs: Path, name: str, at_s: float, state: str, *, study: bool = False, member_of: str = "") -> RunFolder:
    folder = create(runs, name, now_s=at_s, study=study)
    folder.status.write_text(json.dumps({"state": state, "pid": os.getpid(), "started_s": at_s}), encoding="utf-8")
    if study:
        (folder.root / "study.toml").write_text("", encoding="utf-8")
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
