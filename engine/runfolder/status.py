"""``status.json``: what a run is doing, by its own word and by whether its process lives."""

from __future__ import annotations

import os
import socket
import time
from typing import Literal

import msgspec

from engine.runfolder.atomic import write_bytes
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
    message: str = ""
    hint: str = ""


def process_start(pid: int) -> str:
    """The kernel's start time of ``pid``, or "" where it cannot be known."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stream:
            return stream.read().rsplit(b")", 1)[1].split()[19].decode()
    except (OSError, IndexError):
        return ""


def _alive(status: Status) -> bool:
    if status.host != socket.gethostname():
        return time.time() - status.heartbeat_s < STALE_S
    try:
        os.kill(status.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    started = process_start(status.pid)
    return not status.process_started or not started or status.process_started == started


def read_status(folder: RunFolder) -> Status:
    """The status of a run; ``lost`` when it says that it runs and its process is gone."""
    try:
        status = msgspec.json.decode(folder.status.read_bytes(), type=Status)
    except FileNotFoundError:
        return Status(state="lost", message="no status.json: the trainer never started")
    except (OSError, msgspec.DecodeError) as error:
        return Status(state="lost", message=f"status.json cannot be read: {error}")
    if status.state in ENDED or (status.pid and _alive(status)):
        return status
    return msgspec.structs.replace(status, state="lost", message="the trainer's process is gone")


def write_status(folder: RunFolder, status: Status, *, durable: bool = False) -> None:
    """Replace ``status.json`` with a new heartbeat."""
    stamped = msgspec.structs.replace(status, heartbeat_s=round(time.time(), 3))
    write_bytes(folder.status, msgspec.json.encode(stamped) + b"\n", durable=durable)


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
