"""What a run is doing, by its own word and by whether its process lives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.runfolder import RunFolder, Status, create, own_status, read_status, write_status
from engine.runfolder.status import STALE_S, process_start


@pytest.fixture
def folder(tmp_path) -> RunFolder:
    return create(tmp_path, "seg")


def told(folder: RunFolder, **changes) -> str:
    status = msgspec.structs.replace(own_status("seg", "segmentation", 5), **{"state": "running", **changes})
    write_status(folder, status)
    return read_status(folder).state


def dead_pid() -> int:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    return child.pid


def test_a_live_process_is_believed(folder):
    assert told(folder) == "running"
    assert told(folder, state="paused") == "paused"
    status = read_status(folder)
    assert (status.name, status.epochs, status.pid) == ("seg", 5, os.getpid())
    assert time.time() - status.heartbeat_s < 5


def test_a_dead_process_means_lost(folder):
    assert told(folder, pid=dead_pid()) == "lost"
    assert read_status(folder).message == "the trainer's process is gone"


def test_a_process_that_is_dead_but_not_buried_means_lost(folder):
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    end = time.monotonic() + 10
    while told(folder, pid=child.pid, process_started="") != "lost" and time.monotonic() < end:
        time.sleep(0.02)
    assert read_status(folder).state == "lost"  # nobody has waited for it: the kernel keeps its number
    child.wait()


def test_another_process_with_the_same_number_means_lost(folder):
    assert process_start(os.getpid())
    assert told(folder, process_started="1") == "lost"


def test_a_process_of_another_user_is_alive(folder):
    assert told(folder, pid=1, process_started="") == "running"


@pytest.mark.parametrize("pid", [0, -1, 2**31, 2**62])
def test_numbers_that_are_no_process_mean_lost(folder, pid):
    assert told(folder, pid=pid) == "lost"


def test_the_end_is_believed_without_a_process(folder):
    for state in ("finished", "stopped", "failed"):
        assert told(folder, pid=dead_pid(), state=state) == state


def test_on_another_host_the_heartbeat_decides(folder):
    assert told(folder, host="elsewhere", pid=dead_pid()) == "running"
    content = json.loads(folder.status.read_bytes())
    content["heartbeat_s"] = time.time() - STALE_S - 1
    folder.status.write_text(json.dumps(content))
    assert read_status(folder).state == "lost"


def test_no_status_is_lost(folder):
    assert read_status(folder).state == "lost"
    assert "never started" in read_status(folder).message


@given(st.binary(max_size=100))
def test_any_content_is_a_status(tmp_path_factory, content):
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    folder.status.write_bytes(content)
    assert isinstance(read_status(folder), Status)


def test_texts_that_are_not_unicode_can_be_told(folder):
    told(folder, state="failed", message="no file \udcff\udcfe", hint="x\udcff")
    assert read_status(folder).message == "no file \\udcff\\udcfe"
