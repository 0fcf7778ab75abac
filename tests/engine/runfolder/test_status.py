"""What a run is doing, by its own word and by whether its process lives."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.runfolder import (
    EventWriter,
    RunFolder,
    Status,
    create,
    own_status,
    read_status,
    release_lock,
    take_lock,
    write_status,
)
from engine.runfolder.remove import remove
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


ELSEWHERE = {"host": "elsewhere", "kernel": "another-boot pid:[1]"}


def rewritten(folder: RunFolder, **changes) -> Status:
    """What is read of a status that somebody else wrote, heartbeat and all."""
    folder.status.write_text(json.dumps({**json.loads(folder.status.read_bytes()), **changes}))
    return read_status(folder)


def test_on_another_host_the_heartbeat_decides(folder):
    assert told(folder, **ELSEWHERE, pid=dead_pid()) == "running"
    status = rewritten(folder, heartbeat_s=time.time() - STALE_S - 1)
    assert (status.state, status.message) == ("silent", "no sign of life for 2 min from elsewhere")
    assert status.hint.endswith(f"medtui resume --take {folder.root}")
    assert "no sign of life for 3 days" in rewritten(folder, heartbeat_s=time.time() - 3.5 * 86400).message


def test_a_clock_that_is_ahead_is_no_sign_of_life(folder):
    told(folder, **ELSEWHERE)
    status = rewritten(folder, heartbeat_s=time.time() + 7300)
    assert (status.state, "121 min ahead" in status.message or "2 h ahead" in status.message) == ("silent", True)
    lock = take_lock(folder)  # whoever holds it lives, whatever the time is there
    assert read_status(folder).state == "running"
    release_lock(lock)


def test_a_number_of_another_namespace_is_not_looked_up(folder):
    """Two containers on one machine: the same boot, other numbers; what both see is the lock."""
    boot = own_status("seg", "segmentation", 5).kernel.split()[0]
    lock = take_lock(folder)
    assert told(folder, pid=dead_pid(), kernel=f"{boot} pid:[1]") == "running"
    release_lock(lock)
    assert told(folder, kernel=f"{boot} pid:[1]") == "lost"


def test_the_host_of_a_run_was_started_again(folder):
    told(folder, kernel="another-boot pid:[1]")
    assert read_status(folder).state == "running"  # a machine of the same name
    status = rewritten(folder, heartbeat_s=time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) - 60)
    assert (status.state, "started again" in status.message) == ("lost", True)


def test_a_copy_of_a_live_folder_is_not_live(folder, tmp_path):
    lock = take_lock(folder)
    assert told(folder) == "running"
    copy = RunFolder(shutil.copytree(folder.root, tmp_path / "20260101-000000-copy"))
    assert read_status(copy).state == "lost"
    assert read_status(copy).message == "this is a copy: its trainer is at work in another folder"
    assert read_status(folder).state == "running"
    own = take_lock(copy)  # who goes on with the copy, or removes it, is not its trainer
    assert read_status(copy).state == "running"
    assert read_status(copy, held=True).state == "lost"
    release_lock(own)
    remove(tmp_path, copy)
    assert not copy.root.exists()
    release_lock(lock)


def test_a_process_that_was_halted_is_named(folder):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        child.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
        assert told(folder, pid=child.pid, process_started=process_start(child.pid)) == "running"
        assert "halted by a signal" in read_status(folder).message
    finally:
        child.kill()
        child.wait()


def test_a_folder_that_was_moved_or_half_copied_is_told(folder, tmp_path):
    EventWriter(folder.events).close()
    assert "status.json is missing" in read_status(folder).message
    folder.root.rename(tmp_path / "elsewhere")
    assert "moved, renamed or removed" in read_status(folder).message


def test_no_status_is_lost(folder):
    assert read_status(folder).state == "lost"
    assert "never started" in read_status(folder).message


@given(st.binary(max_size=100))
def test_any_content_is_a_status(tmp_path_factory, content):
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    folder.status.write_bytes(content)
    assert isinstance(read_status(folder), Status)


def test_a_state_of_a_newer_version_is_not_lost(folder):
    folder.status.write_text('{"state": "hibernating", "name": "seg", "epoch": 7, "since": [1]}')
    status = read_status(folder)
    assert (status.state, status.name, status.epoch) == ("silent", "seg", 7)  # not lost: it may be at work
    assert status.message == 'its state "hibernating" is of a newer version of medtui than this one'
    assert "update medtui" in status.hint


def test_texts_that_are_not_unicode_can_be_told(folder):
    told(folder, state="failed", message="no file \udcff\udcfe", hint="x\udcff")
    assert read_status(folder).message == "no file \\udcff\\udcfe"
