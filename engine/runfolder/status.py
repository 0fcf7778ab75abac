"""``status.json``: what a run is doing, by its own word and by whether its process lives."""

import contextlib
import errno
import os
import socket
import time
from pathlib import Path
from typing import Literal, get_args

import msgspec

from engine.diagnosis import Finding
from engine.errors import MedtuiError, well_formed
from engine.events import Seconds
from engine.hardware import Kills, killed_words
from engine.runfolder.atomic import write_bytes
from engine.runfolder.careful import UNREADABLE, lenient, read_object
from engine.runfolder.lock import is_locked, release_lock, take_lock
from engine.runfolder.mirror import place_of
from engine.runfolder.paths import RunFolder
from engine.runfolder.regular import read_small

State = Literal["starting", "running", "paused", "finished", "stopped", "failed", "lost", "silent"]
"""``lost`` and ``silent`` are words of others: the process is gone; it is elsewhere and gives no sign of life."""
ENDED: frozenset[str] = frozenset({"finished", "stopped", "failed", "lost"})
STALE_S = 120.0  # a run on another host whose heartbeat is older than this is silent


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The content of ``status.json``; the last fields let a table of runs read one small file."""

    state: State
    pid: int = 0
    host: str = ""
    kernel: str = ""  # boot id and pid namespace: where the pid means something. "" where there is no /proc
    heartbeat_s: Seconds = 0.0
    started_s: Seconds = 0.0
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
    findings: tuple[Finding, ...] | None = None  # at the end of the newest epoch; None: nobody has looked


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


def _kernel() -> str:
    """The running kernel and the pid namespace of this process; "" where they cannot be known."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _gone(folder: RunFolder, status: Status, message: str = "") -> Status:
    """Lost; ``message``: how, where that is known."""
    hint = f"go on from its last checkpoint: medtui resume {folder.address}"
    hint += "" if message else "; what ends a process without a word is mostly a want of memory"
    message = message or "the trainer's process is gone"
    return msgspec.structs.replace(status, state="lost", message=message, hint=hint)


def _judged(folder: RunFolder, status: Status, *, held: bool) -> Status:
    locked, kernel = is_locked(folder), _kernel()
    locked = False if held and locked else locked
    here = status.host == socket.gethostname()
    if here and (status.kernel == kernel or not (status.kernel and kernel)):
        return _judged_here(folder, status, locked)
    same_boot = bool(kernel) and status.kernel.split(" ")[0] == kernel.split(" ")[0]
    if same_boot and locked is False:  # another container: its numbers mean nothing here, locks do
        return _gone(folder, status)
    age = time.time() - status.heartbeat_s
    if here and not same_boot and age > time.clock_gettime(time.CLOCK_BOOTTIME):
        return _gone(folder, status, "the trainer's process is gone: this host was started again")
    if abs(age) < STALE_S or (age < 0 and locked):
        return status
    message = f"no sign of life for {_duration(age)} from {status.host}"
    if age < 0:
        message = f"the clock of {status.host} is {_duration(-age)} ahead: nobody here knows whether its trainer lives"
    hint = f"if its trainer is gone, go on with: medtui resume --take {folder.address}"
    return msgspec.structs.replace(status, state="silent", message=message, hint=hint)


def _judged_here(folder: RunFolder, status: Status, locked: bool | None) -> Status:
    if status.pid <= 0:  # to the kernel a group of processes, or all of them
        return _gone(folder, status)
    try:
        os.kill(status.pid, 0)
    except (ProcessLookupError, OverflowError):
        return _gone(folder, status)
    except PermissionError:
        pass  # someone else's: it lives
    letter, started = _process(status.pid)
    other = bool(status.process_started and started) and status.process_started != started
    if other or letter in {"Z", "X"}:  # dead, and its parent has not looked yet
        return _gone(folder, status)
    if locked is False:
        return _gone(folder, status, "this is a copy: its trainer is at work in another folder")
    if letter == "T":
        return msgspec.structs.replace(status, message=f"the process {status.pid} was halted by a signal (SIGSTOP)")
    return status


def _duration(seconds: float) -> str:
    minutes = int(seconds // 60)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 2880 else f"{minutes // 1440} days"


def read_status(folder: RunFolder, *, held: bool = False) -> Status:
    """The status of a run, by its own word and by what is known here of its process.

    ``held``: the run's lock is ours, and so no trainer's.
    """
    status = stored_status(folder)
    if status.state in {*ENDED, "silent"}:
        return status
    judged = _judged(folder, status, held=held)
    if judged.state != "lost":
        return judged
    again = stored_status(folder)  # the process may have written its last word and ended in between
    return again if again.state in ENDED else judged


def stored_status(folder: RunFolder) -> Status:
    """What stands in ``status.json``; ``lost`` where that is nothing that can be read."""
    try:
        return msgspec.json.decode(read_small(folder.status), type=Status)
    except FileNotFoundError:
        if not folder.root.exists():
            where = f"{place_of(folder.root.parent)}/{folder.id}"
            return Status(state="lost", message=f"the folder {where} is gone: it was moved, renamed or removed")
        if folder.events.exists():
            return Status(state="lost", message="status.json is missing: it was removed, or not copied with the rest")
        return Status(state="lost", message="no status.json: the trainer never started")
    except UNREADABLE as error:
        return _of_newer(folder) or Status(state="lost", message=f"status.json cannot be read: {error}")


def _of_newer(folder: RunFolder) -> Status | None:
    """The status of a run that is in a state which is not known here: whether it lives nobody here can say."""
    content = read_object(folder.status)
    state = content.get("state")
    if not isinstance(state, str) or state in get_args(State):
        return None
    message = f'its state "{well_formed(state[:40])}" is of a newer version of medtui than this one'
    hint = "update medtui here, or look at it with the version that made it"
    return lenient(content | {"state": "silent", "message": message, "hint": hint}, Status)


def record_death(folder: RunFolder, pid: int, number: int, before: Kills) -> None:
    """Write that signal ``number`` ended the trainer ``pid``, for one who saw it: it leaves no word itself.

    ``before``: `out_of_memory_kills` when it was started.
    """
    from engine.recipe import load_run_recipe, memory_advice

    message, hint = f"the trainer was {killed_words(number, before)}", ""
    with contextlib.suppress(MedtuiError, OSError):
        hint = memory_advice(load_run_recipe(folder.recipe)) if "memory ran out" in message else ""
    with contextlib.suppress(MedtuiError, OSError):  # another trainer has the run already, or the folder is gone
        lock = take_lock(folder)
        status = stored_status(folder)
        if status.pid == pid and status.state not in ENDED:
            write_status(folder, msgspec.structs.replace(status, state="lost", message=message, hint=hint))
        release_lock(lock)


def write_status(folder: RunFolder, status: Status, *, durable: bool = False) -> None:
    """Replace ``status.json`` with a new heartbeat."""
    stamped = msgspec.structs.replace(
        status, heartbeat_s=round(time.time(), 3), message=well_formed(status.message), hint=well_formed(status.hint)
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
    handle = os.open(folder.status, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
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
        kernel=_kernel(),
        started_s=round(time.time(), 3),
        process_started=process_start(pid),
        name=name,
        task=task,
        epochs=epochs,
    )
