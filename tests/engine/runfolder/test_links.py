"""Nothing of a run is written or removed through a link, and everything is the owner's alone."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
from pathlib import Path

import pytest

from engine.errors import RunError, UsageError
from engine.events import Log
from engine.runfolder import (
    EventWriter,
    RunFolder,
    create,
    own_status,
    read_status,
    refuse_links,
    send,
    sweep,
    take,
    write_status,
)
from engine.runfolder import status as status_file


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return create(tmp_path / "runs", "x")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    place = tmp_path / "elsewhere"
    place.mkdir()
    (place / "precious.json").write_text("{}")
    return place


def test_control_that_is_a_link_is_neither_read_nor_emptied(folder, elsewhere):
    folder.control.rmdir()
    folder.control.symlink_to(elsewhere)
    assert take(folder) == []
    with pytest.raises(UsageError, match="link"):
        send(folder, "stop")
    assert [path.name for path in elsewhere.iterdir()] == ["precious.json"]


def test_a_request_that_is_a_link_a_pipe_or_a_folder_is_not_followed(folder, elsewhere):
    (folder.control / "1.json").symlink_to(elsewhere / "precious.json")
    os.mkfifo(folder.control / "2.json")
    (folder.control / "3.json").mkdir()
    asked = send(folder, "stop")
    handles = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").is_dir() else 0
    assert take(folder) == [asked]
    for _ in range(20):
        assert take(folder) == []
    if handles:
        assert len(os.listdir("/proc/self/fd")) <= handles
    assert (elsewhere / "precious.json").exists()


@pytest.mark.parametrize("part", ["control", "checkpoints", "previews", "figures", "examples", "predictions"])
def test_a_run_with_a_linked_part_is_refused(folder, elsewhere, part):
    refuse_links(folder)
    place = getattr(folder, part)
    if place.exists():
        place.rmdir()
    place.symlink_to(elsewhere)
    with pytest.raises(RunError, match="link"):
        refuse_links(folder)
    place.unlink()
    place.write_text("")
    with pytest.raises(RunError, match="no folder"):
        refuse_links(folder)


def test_a_run_on_a_disk_that_is_only_read_is_refused_before_anything_is_done(folder):
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", folder.figures], capture_output=True).returncode:
        pytest.skip("no right to mount a file system")
    try:
        with pytest.raises(RunError, match="cannot be written to") as caught:
            refuse_links(folder)
        assert str(folder.figures) in caught.value.message
    finally:
        subprocess.run(["umount", "-l", folder.figures], check=True)
    refuse_links(folder)


def test_cut_lines_do_not_go_through_a_link_and_are_private(folder, elsewhere):
    writer = EventWriter(folder.events)
    writer.write(Log(message="one"))
    place = writer.position
    writer.write(Log(message="two"))
    discarded = folder.root / "events.discarded.jsonl"
    discarded.symlink_to(elsewhere / "precious.json")
    with pytest.raises(OSError, match="symbolic link") as caught:
        writer.cut(*place)
    assert caught.value.errno == errno.ELOOP
    assert (elsewhere / "precious.json").read_text() == "{}"
    discarded.unlink()
    before = os.umask(0)
    try:
        writer.cut(*place)
    finally:
        os.umask(before)
    assert stat.S_IMODE(discarded.stat().st_mode) == 0o600


def test_a_line_that_is_interrupted_leaves_a_whole_stream(folder, monkeypatch):
    writer = EventWriter(folder.events)
    writer.write(Log(message="one"))
    real = os.pwrite

    def interrupted(handle: int, data: bytes, place: int) -> int:
        real(handle, data, place)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "pwrite", interrupted)
    with pytest.raises(KeyboardInterrupt):
        writer.write(Log(message="a long line that is taken back " * 10))
    monkeypatch.undo()
    assert writer.write(Log(message="two")) == 2
    lines = folder.events.read_text().splitlines()
    assert [("one" in line, "two" in line) for line in lines] == [(True, False), (False, True)]


def test_the_status_can_be_told_on_a_full_disk(folder, monkeypatch):
    write_status(folder, own_status("x", "segmentation", 3))

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(status_file, "write_bytes", full)
    for message in ("no space left, and a rather long explanation of it", "short"):
        changed = own_status("x", "segmentation", 3)
        write_status(folder, type(changed)(state="failed", message=message))
        assert read_status(folder).message == message


def test_what_a_killed_trainer_left_is_swept_and_nothing_else(folder, elsewhere):
    kept = [folder.checkpoints / "last.pt", folder.root / ".lock", folder.root / ".metrics.json.x.tmp", folder.log]
    left = [folder.checkpoints / ".last.pt.ab.tmp", folder.previews / ".writing.x.npz"]
    left += [folder.root / ".status.json.q.tmp"]
    for path in (*kept, *left):
        path.write_bytes(b"x")
    (folder.checkpoints / ".best.pt.cd.tmp").symlink_to(elsewhere / "precious.json")
    sweep(folder)
    assert [path for path in kept if not path.exists()] == []
    assert [path for path in left if path.exists()] == []
    assert list(folder.checkpoints.iterdir()) == [folder.checkpoints / "last.pt"]
    assert (elsewhere / "precious.json").exists()
