"""The processes of a run begin together, and end together."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch.distributed as dist
from torch._C._distributed_c10d import FileStore, PrefixStore
from torch.distributed.rendezvous import rendezvous

from engine.distributed.sums import gather, rank, world
from engine.errors import MedtuiError, RunError, UsageError
from engine.hardware import Kills, Place, killed_words, launched_place, out_of_memory_kills, python_path, share_cores

_PATIENCE = timedelta(days=30)  # a run may be paused for long; a process that is gone is noticed at once
_LEAVE_S = 10.0
_CAUSE_S = 3.0
_LOOK_S = 0.05


@dataclass(slots=True)
class _Bond:
    """State of this process as one of several."""

    # the key-value store that all share: ``end``, the exit code of the run; ``fault``, why one failed; ``left``, how
    # many have read the end
    store: Any = None
    children: list[subprocess.Popen[bytes]] = field(default_factory=list)  # processes that this one started
    neighbours: int = 1  # processes of the run on this machine
    kills: Kills = (0, None)  # before the run


_bond = _Bond()


def neighbours() -> int:
    """Processes of the run on this machine."""
    return _bond.neighbours


def together(count: int, command: Sequence[str], lead: Callable[[], int], follow: Callable[[], None]) -> int:
    """Do ``lead`` in process 0 and ``follow`` in the others; the exit code of the run, in all of them.

    Args:
        command: arguments of ``python -m engine`` that come to this call in the processes that are started here.
        lead: is also what is done where there is one process only.
        follow: of the other processes.

    Raises:
        UsageError: another number of processes was started.
    """
    place = launched_place()
    if place.world > 1 and count != place.world:
        found = f"found {count}, and {place.world} processes were started"
        raise UsageError(f"--nproc: {found}", "leave it out under torchrun and srun: they say how many there are")
    if place.world == 1 == count:
        return lead()
    _bond.kills = out_of_memory_kills()
    with tempfile.TemporaryDirectory(prefix="medtui-") as folder:
        try:
            if place.world == 1:
                place = _start_others(count, command, Path(folder))
            _join(place)
            return _lead(lead) if place.rank == 0 else _follow(follow)
        finally:
            _leave()


def _start_others(count: int, command: Sequence[str], folder: Path) -> Place:
    """Start processes 1 to ``count`` - 1 of this machine, and wait until all are there."""
    meeting = folder / "meeting"
    os.environ["LOCAL_RANK"] = "0"  # else ignite asks the others for it
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo" if sys.platform == "linux" else "lo0")
    for number in range(1, count):
        own = {"RANK": str(number), "LOCAL_RANK": str(number), "WORLD_SIZE": str(count), "MEDTUI_MEETING": str(meeting)}
        arguments = [sys.executable, "-P", "-m", "engine", *command]
        environment = {**os.environ, "PYTHONPATH": python_path(), **own}
        _bond.children.append(subprocess.Popen(arguments, stdin=subprocess.DEVNULL, env=environment))
    while not all((folder / f"meeting.{number}").exists() for number in range(1, count)):
        if fault := _killed():
            raise fault
        time.sleep(_LOOK_S)
    return Place(0, count, 0, str(meeting))


def _join(place: Place) -> None:
    if place.rank:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # batch systems signal all processes; process 0 answers for all
    store: Any
    if place.meeting:
        store = FileStore(place.meeting, place.world)
        if place.rank:
            threading.Thread(target=_leave_with, args=(os.getppid(),), daemon=True).start()
            Path(f"{place.meeting}.{place.rank}").touch()
    else:
        store, _, _ = next(rendezvous("env://", place.rank, place.world, timeout=_PATIENCE))
    _bond.store = PrefixStore("medtui", store)
    meeting = PrefixStore("gloo", store)
    dist.init_process_group("gloo", store=meeting, rank=place.rank, world_size=place.world, timeout=_PATIENCE)
    own = (socket.gethostname(), tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else ())
    shares = gather([own])
    _bond.neighbours = sum(host == own[0] for host, _ in shares)
    share_cores(shares.count(own))


def _lead(lead: Callable[[], int]) -> int:
    code = 1
    try:
        code = lead()
    except MedtuiError as error:
        code = error.exit_code
        raise
    except RuntimeError as error:
        raise cause_of(error) from error
    finally:
        _bond.store.set("end", str(code))
    return code


def _follow(follow: Callable[[], None]) -> int:
    """Do ``follow``; where it fails, leave the reason to process 0, unless it or another process ended first."""
    try:
        follow()
    except BaseException as error:  # noqa: BLE001  the boundary of this process: process 0 shows what it was
        if not (isinstance(error, RuntimeError) and _said("end", "fault")):
            _bond.store.set("fault", json.dumps(_words(error)))
            return 1
    end = _said("end", seconds=_LEAVE_S) or "1"
    with suppress(RuntimeError):
        _bond.store.add("left", 1)
    return int(end)


def _words(error: BaseException) -> tuple[str, str]:
    """Message and hint of the error of this process; the traceback of an unexpected one goes to stderr."""
    who = f"process {rank()} of {world()}"
    if isinstance(error, MedtuiError):
        return f"{who}: {error.text}", error.hint
    traceback.print_exception(error)
    return f"{who}: unexpected {type(error).__name__}: {error}", ""


def cause_of(error: BaseException) -> BaseException:
    """Why the other processes answer no more, where that is what ``error`` comes from; else ``error`` itself."""
    if world() == 1 or not isinstance(error, RuntimeError):
        return error
    if said := _said("fault"):
        return RunError(*json.loads(said))
    return _killed() or error


def _said(*keys: str, seconds: float = _CAUSE_S) -> str:
    """What another process has written under one of ``keys``; "" when nothing comes."""
    end = time.monotonic() + seconds
    with suppress(RuntimeError):  # the store went with the process that held it
        while _bond.store is not None and time.monotonic() < end:
            for key in keys:
                if _bond.store.check([key]):
                    return bytes(_bond.store.get(key)).decode()
            if _killed():
                break
            time.sleep(_LOOK_S)
    return ""


def _killed() -> RunError | None:
    """What to say of a process that was started here and ended though nobody asked it to."""
    for number, child in enumerate(_bond.children, start=1):
        code = child.poll()
        if code:
            how = killed_words(-code, _bond.kills) if code < 0 else f"gone (exit code {code})"
            return RunError(f"process {number} of {len(_bond.children) + 1} was {how}", "go on with: medtui resume")
    return None


def _leave() -> None:
    """Let go of the others: those that wait for this process learn it from that, and none outlives it."""
    end = time.monotonic() + _LEAVE_S
    leading = _bond.store is not None and rank() == 0
    others = world() - 1
    idist.finalize()
    share_cores(1)
    with suppress(RuntimeError):
        while leading and time.monotonic() < end and _bond.store.add("left", 0) < others:
            if any(child.poll() is not None for child in _bond.children):
                break
            time.sleep(_LOOK_S)
    _bond.store = None
    for child in _bond.children:
        child.kill()  # it has heard the end, and nothing of it is needed
        child.wait()
    _bond.children.clear()


def _leave_with(leader: int) -> None:
    """End this process when process 0, which started it, is gone without a word."""
    while os.getppid() == leader:
        time.sleep(2 * _CAUSE_S)
    os._exit(1)
