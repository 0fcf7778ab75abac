"""``status.json``: what a run is doing, by its own word and by whether its process lives."""

from __future__ import annotations

import errno
import os
import socket
import time
from typing import Literal

import msgspec

from engine.errors import well_formed
from engine.runfolder.atomic import write_bytes
from engine.runfolder.careful import UNREADABLE, read_small
from engine.runfolder.paths import RunFolder

State = Literal["starting", "running", "paused", "finished", "stopped", "failed", "lost"]
ENDED: frozenset[str] = frozenset({"finished", "stopped", "failed", "lost"})
STALE_S = 120.0
"""A run on another host whose heartbeat is older than this is taken for lost."""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The content of ``status.json``; the last fields let a table of runs read one small file."""

    state: State
    pid: int = 0
    host: str = ""
    heartbeat_s: float = 0.0
    started_s: float = 0.0
    process_started: str = ""  # kernel start time of the pid: a pid is used again, this is not
    name: str = ""
    task: str = ""
    epoch: int = 0
    epochs: int = 0
    metric: str = ""
    best: float | None = None
    test: float | None = None  # the metric on the test split, once it was measured
    message: str = ""
    hint: str = ""


def process_start(pid: int) -> str:
    """The kernel's start time of ``pid``, or "" where it cannot be known."""
    return _process(pid)[1]


def _process(pid: int) -> tuple[str, str]:
    """State letter and start time of ``pid`` by the kernel's word, or two times ""."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stream:
            fields = stream.read().rsplit(b")", 1)[1].split()
            return fields[0].decode(), fields[19].decode()
    except (OSError, IndexError):
        return "", ""


def _alive(status: Status) -> bool:
    if status.host != socket.gethostname():
        return time.time() - status.heartbeat_s < STALE_S
    if status.pid <= 0:
        return False
    try:
        os.kill(status.pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # someone else's: it lives
    letter, started = _process(status.pid)
    if letter in {"Z", "X"}:  # dead, and its parent has not looked yet
        return False
    return not status.process_started or not started or status.process_started == started


def read_status(folder: RunFolder) -> Status:
    """The status of a run; ``lost`` when it says that it runs and its process is gone."""
    status = _read(folder)
    if status.state in ENDED or _alive(status):
        return status
    again = _read(folder)  # the process may have written its last word and ended in between
    if again.state in ENDED:
        return again
    return msgspec.structs.replace(again, state="lost", message="the trainer's process is gone")


def _read(folder: RunFolder) -> Status:
    try:
        return msgspec.json.decode(read_small(folder.status), type=Status)
    except FileNotFoundError:
        return Status(state="lost", message="no status.json: the trainer never started")
    except UNREADABLE as error:
        return Status(state="lost", message=f"status.json cannot be read: {error}")


def write_status(folder: RunFolder, status: Status, *, durable: bool = False) -> None:
    """Replace ``status.json`` with a new heartbeat."""
    stamped = msgspec.structs.replace(
        status,
        heartbeat_s=round(time.time(), 3),
        message=well_formed(status.message),
        hint=well_formed(status.hint),
    )
    content = msgspec.json.encode(stamped) + b"\n"
    try:
        write_bytes(folder.status, content, durable=durable)
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        _overwrite(folder, content)


def _overwrite(folder: RunFolder, content: bytes) -> None:
    """On a full disk: one write over the old status, into the block that it has already.

    A run that ends because the disk is full can so still say why.
    """
    handle = os.open(folder.status, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.pwrite(handle, content.ljust(os.fstat(handle).st_size), 0)
    finally:
        os.close(handle)


def own_status(name: str, task: str, epochs: int) -> Status:
    """A first status of this process."""
    pid = os.getpid()
    return Status(
        state="starting",
        pid=pid,
        host=socket.gethostname(),
        started_s=round(time.time(), 3),
        process_started=process_start(pid),
        name=name,
        task=task,
        epochs=epochs,
    )
