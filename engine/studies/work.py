"""Runs the members of a study, some at a time, each in a process of its own; goes on whatever was killed."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import time
from types import FrameType
from typing import TYPE_CHECKING, Any, Self

import msgspec

from engine.errors import RunError, printable
from engine.hardware import out_of_memory_kills
from engine.measures import spoken
from engine.runfolder import ENDED, RunFolder, Status, own_status, read_status, send, take, write_status
from engine.runfolder.status import record_death
from engine.runfolder.study import Member, Study, member_folder
from engine.studies.members import save
from engine.studies.process import Process, log_of, seen, start

if TYPE_CHECKING:
    from engine.studies.search import Search

POLL_S = 0.25
TOLD_S = 60.0  # seconds between two lines on the members at work
_SAME_S = 2.0
OVER = frozenset({"finished", "pruned"})  # states of members that nothing is left to do for
IDLE = ENDED | OVER | {"waiting", "silent"}  # states of members that no process works on, as far as is known here


class Crew:
    """Starts members, follows them and stops them. A study's folder is locked while it works.

    The state of a member is always read from its run folder: a crew that is killed leaves members at work, and the
    next one finds them.
    """

    def __init__(self, folder: RunFolder, study: Study, jobs: int, search: Search | None = None) -> None:
        self.folder = folder
        self.study = msgspec.structs.replace(study, member=[_known(folder, member) for member in study.member])
        self._jobs, self._search = jobs, search
        self._processes: dict[str, Process] = {}  # of those that this crew started
        self._idle: set[str] = set()  # members that nothing changes by itself
        self._given_up: set[str] = set()
        self._asked, self._asked_s = 0, -math.inf
        self._told_s = time.monotonic()
        self._status = msgspec.structs.replace(own_status(folder.name, study.task, 0), state="running")
        self._before: dict[int, Any] = {}
        self._kills = out_of_memory_kills()

    def __enter__(self) -> Self:
        for number, then in (
            (signal.SIGINT, self._stop),
            (signal.SIGTERM, self._stop),
            (signal.SIGHUP, signal.SIG_IGN),
        ):
            self._before[number] = signal.signal(number, then)
        take(self.folder)  # what nobody was there to hear
        write_status(self.folder, self._status)
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind:  # nobody follows them any more
            for process in self._processes.values():
                if process.poll() is None:
                    process.terminate()
        for number, before in self._before.items():
            signal.signal(number, before)

    @property
    def stopped(self) -> bool:
        return self._asked > 0

    def work(self) -> Study:
        """Bring every member to its end, or stop them all where that was asked for.

        Raises:
            RunError: the first member ended before it had a run folder; the message is what it said.
        """
        asked = 0
        while True:
            live = self._look()
            if any(request.command in {"stop", "stop_now"} for request in take(self.folder)):
                self._asked = max(1, self._asked)  # only a signal kills
            if self._asked > asked:
                asked = self._asked
                self._end(live, now=asked > 1)
            waiting = [] if asked else [one for one in self.study.member if self._waits(one)]
            if self._search and not waiting and not asked and len(live) < self._jobs:
                waiting = self._search.more(self.study)
                self._put([*self.study.member, *waiting])
            if not live and not waiting:
                return self.study
            waiting.sort(key=lambda member: member.state == "failed")  # what may fail again keeps nobody waiting
            for member in waiting[: max(0, self._jobs - len(live))]:
                self._start(member)
            self._tell(live)
            time.sleep(POLL_S)

    def _look(self) -> list[Member]:
        """Bring the states of all members up to date; those that are at work now."""
        before = self.study.member
        self._put([self._seen(member) for member in before])
        for old, member in zip(before, self.study.member, strict=True):
            ours = member.name in self._processes or member.state == "silent"
            if old.state != member.state and member.state in IDLE and ours:
                self._say(member, self._outcome(member))
        if self._search and before != self.study.member:
            self._search.ended(self.study)
        self._idle |= {member.name for member in self.study.member if member.state in IDLE}
        return [member for member in self.study.member if member.state not in IDLE]

    def _seen(self, member: Member) -> Member:
        if member.state in OVER:
            return member
        if member.name not in self._idle:
            process = self._processes.get(member.name)
            if process and member.run and (code := process.poll()) is not None and code < 0:
                record_death(member_folder(self.folder, member), process.pid, -code, self._kills)
            member = seen(self.folder, self.study, member, process)
        if not self._search or member.state in OVER or not self._search.hopeless(member, self.study):
            return member
        if member.state in IDLE:
            return msgspec.structs.replace(member, state="pruned")
        if member.run and member.name not in self._given_up:
            self._given_up.add(member.name)
            send(member_folder(self.folder, member), "stop_now")
        return member

    def _waits(self, member: Member) -> bool:
        """Whether a member is to be started: since this crew began nobody stopped it, and it did not fail.

        One that is silent may be at work on another machine: whoever knows better goes on with it by hand.
        """
        return member.state in IDLE - OVER - {"silent"} and member.name not in self._processes

    def _start(self, member: Member) -> None:
        self._idle.discard(member.name)
        if process := start(self.folder, self.study, member):
            self._processes[member.name] = process
            self._say(member, "goes on" if member.run else "started")
        now = msgspec.structs.replace(member, state="starting")
        self._put([now if one.name == member.name else one for one in self.study.member])

    def _put(self, members: list[Member]) -> None:
        """Take the members as they are now, into ``study.toml`` and into the study's status, where anything changed."""
        if members != self.study.member or self._status.epochs != self.study.size:
            self.study = msgspec.structs.replace(self.study, member=members)
            save(self.folder, self.study)
            done = sum(member.state in OVER for member in members)
            self._status = msgspec.structs.replace(self._status, epoch=done, epochs=self.study.size)
            write_status(self.folder, self._status)

    # --- the end ----------------------------------------------------------------------------------

    def _outcome(self, member: Member) -> str:
        """How a member ended. Where none has a run folder, what is wrong with this one is wrong with all.

        Raises:
            RunError: of such a member.
        """
        process = self._processes.get(member.name)
        code = process.returncode if process else None
        if member.run and (not code or code < 0 or member_folder(self.folder, member).status.exists()):
            status = self._of(member)
            why = f": {status.message}" if member.state in {"failed", "lost", "silent"} else ""
            why += f"; {status.hint}" if member.state == "silent" else ""
            return f"{member.state}{_progress(status)}{why}"
        if self._asked:
            return "stopped before it began"
        said = log_of(self.folder, member).read_text(encoding="utf-8", errors="replace").strip()
        text = f"could not be started: {said or f'it ended with code {code}'}"
        if not any(other.run for other in self.study.member):
            live = [other for other in self.study.member if other.state not in IDLE]
            self._end(live, now=self.study.on == "local")  # what sent a job has to take it out of the queue
            error = RunError(f"{member.name} {text}")
            error.exit_code = 2 if code == 2 else 1
            raise error
        return text

    def _end(self, live: list[Member], *, now: bool) -> None:
        """Ask the members at work to checkpoint and end; with ``now`` they are killed."""
        show("killing the members" if now else "stopping the members; again kills them")
        for member in live:
            process = self._processes.get(member.name)
            if process and process.poll() is None:
                (os.killpg if now else os.kill)(process.pid, signal.SIGKILL if now else signal.SIGTERM)
            elif member.run:
                send(member_folder(self.folder, member), "stop_now")

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        # What ends a whole group of processes reaches this one twice: medtui passes its own SIGTERM on.
        again = number == signal.SIGTERM and time.monotonic() - self._asked_s < _SAME_S
        self._asked, self._asked_s = self._asked + (not again), time.monotonic()

    # --- what people see --------------------------------------------------------------------------

    def _of(self, member: Member) -> Status:
        return read_status(member_folder(self.folder, member))

    def _say(self, member: Member, text: str) -> None:
        done = sum(other.state in OVER for other in self.study.member)
        show(f"{time.strftime('%H:%M:%S')}  {done}/{self.study.size}  {member.name} {text}")

    def _tell(self, live: list[Member]) -> None:
        if time.monotonic() - self._told_s >= TOLD_S:
            self._told_s = time.monotonic()
            write_status(self.folder, self._status)
            for member in live:
                self._say(member, f"is {member.state}{_progress(self._of(member)) if member.run else ''}")


def _known(folder: RunFolder, member: Member) -> Member:
    """A member; one whose run folder is gone waits to be trained again."""
    lost = member.state == "finished" and not member_folder(folder, member).status.exists()
    return msgspec.structs.replace(member, state="waiting", run="") if lost else member


def show(text: str) -> None:
    """A line for people; a terminal that is gone is no reason to end."""
    with contextlib.suppress(OSError, ValueError):
        print(printable(text), flush=True)


def _progress(status: Status) -> str:
    best = "" if status.best is None else f", best {spoken(status.metric)} {status.best:.4g}"
    return f", epoch {status.epoch}/{status.epochs}{best}" if status.epochs else ""
