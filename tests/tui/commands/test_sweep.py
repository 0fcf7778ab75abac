"""``medtui sweep --detach``: a study that goes on by itself, and is stopped by ``medtui stop``."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.runfolder import ENDED, RunFolder, list_runs, read_status
from tests.engine.runs import request

LIMIT_S = 180.0


def medtui(*words: str, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "tui.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, **options)


def wait_until(is_so) -> None:
    end = time.monotonic() + LIMIT_S
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_detached_study_goes_on_and_stops_on_request(tmp_path):
    run, runs = request(tmp_path, cases=8), tmp_path / "runs"
    words = (str(run.recipe), "--data", str(run.data), "--runs", str(runs), "--set", "train.epochs=500")
    begun = medtui("sweep", *words, "--seeds", "2", "--detach")
    assert begun.returncode == 0, begun.stderr
    study = RunFolder(Path(begun.stdout.strip()))
    assert read_status(study).state == "running"
    try:
        wait_until(lambda: any(member.last.exists() for member in list_runs(runs)))
        assert "a sweep is at work" in medtui("resume", str(study.root), "--detach").stderr
    finally:
        stopped = medtui("stop", str(study.root))
    assert (stopped.returncode, stopped.stdout.startswith(study.id)) == (0, True)
    wait_until(lambda: read_status(study).state in ENDED)
    assert [read_status(folder).state for folder in list_runs(runs, studies=True)] == ["stopped", "stopped"]
    logs = [study.log, *(study.root / "log").iterdir()]
    said = "".join(path.read_bytes().decode() for path in logs)
    assert "stopping the members" in said
    assert "\r" not in said
    assert "there is no trainer to ask" in medtui("stop", str(study.root)).stderr


@pytest.mark.parametrize("word", ["--plain", "--detach"])
def test_what_is_wrong_is_said_before_anything_begins(tmp_path, word):
    told = medtui("sweep", str(request(tmp_path).recipe), "--runs", str(tmp_path / "runs"), word)
    assert (told.returncode, told.stdout) == (2, "")
    assert "there is nothing to vary" in told.stderr
    assert not list_runs(tmp_path / "runs", studies=True)
