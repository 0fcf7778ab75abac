"""The members of a study at work: each a ``medtui run`` of its own, so many at a time, whatever is killed meanwhile."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Protocol, Self

import msgspec

from engine.errors import RunError, printable
from engine.hardware import cores
from engine.requests import Request, Resume, Train, encode
from engine.runfolder import ENDED, RunFolder, Status, own_status, read_manifest, read_status, send, write_status
from engine.runfolder.paths import list_runs
from engine.runfolder.study import Member, Study, member_folder
from engine.studies.members import save, settings

POLL_S = 0.25
TOLD_S = 60.0
"""Seconds between two lines on the members at work."""
OVER = frozenset({"finished", "pruned"})
"""States of members that nothing is left to do for."""


class Supply(Protocol):
    """A search: makes members as others end, and looks after those at work."""

    def more(self, study: Study) -> list[Member]:
        """The next members; none where there are enough."""

    def hopeless(self, member: Member, study: Study) -> bool:
        """Whether a member that is at work, or waits, is to be left."""

    def ended(self, study: Study) -> None:
        """Learn from the members that have ended."""


class Crew:
    """Starts members, follows them and stops them. A study's folder is locked while it works.

    What a member is doing is asked of its run folder, never remembered: a crew that is killed leaves members at work,
    and the next one finds them.
    """

    def __init__(self, folder: RunFolder, study: Study, jobs: int, supply: Supply | None = None) -> None:
        self.folder, self.study = folder, study
        self._jobs, self._supply = jobs, supply
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._tried: set[str] = set()
        self._pruned: set[str] = set()
        self._asked = 0
        self._told_s = time.monotonic()
        self._status = msgspec.structs.replace(own_status(folder.name, study.task, 0), state="running")

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}
        write_status(self.folder, self._status)
        return self

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def work(self) -> Study:
        """Bring every member to its end, or stop them all where that was asked for.

        Raises:
            RunError: the first member ended before it had a run folder; the message is what it said.
        """
        asked = 0
        while True:
            live = self._look()
            if self._asked > asked:
                asked = self._asked
                self._end(live, now=asked > 1)
            waiting = [member for member in self.study.member if self._waits(member, live)] if not asked else []
            if self._supply and not waiting and not asked and len(live) < self._jobs:
                waiting = self._supply.more(self.study)
                self._put([*self.study.member, *waiting])
            if not live and not waiting:
                return self.study
            for member in waiting[: max(0, self._jobs - len(live))]:
                self._start(member)
            self._tell(live)
            time.sleep(POLL_S)

    # --- what the members are doing ---------------------------------------------------------------

    def _look(self) -> list[Member]:
        """Bring the states of all members up to date; those that are at work now."""
        before = self.study.member
        self._put([member if member.state in OVER else self._pruned_or(self._seen(member)) for member in before])
        for old, member in zip(before, self.study.member, strict=True):
            if old.state not in {*ENDED, "pruned"} and member.state in {*ENDED, "pruned"} and old.state != "waiting":
                self._say(member, _outcome(member, self._of(member)))
        if self._supply and before != self.study.member:
            self._supply.ended(self.study)
        return [member for member in self.study.member if member.state not in {*ENDED, *OVER, "waiting"}]

    def _seen(self, member: Member) -> Member:
        """A member as its process and its run folder say."""
        process = self._processes.get(member.name)
        code = process.poll() if process else None
        lives = code is None if process else _is_held(self._log(member))
        found = member_folder(self.folder, member) if member.run else find_member(self.folder, member.name)
        if found is None or not found.root.exists():
            if process and code is not None and not self._asked:
                self._refuse(member, code)
                return msgspec.structs.replace(member, state="failed", run="")
            return msgspec.structs.replace(member, state="starting" if lives else "waiting", run="")
        state = str(read_status(found).state)
        if lives and state in ENDED:
            state = "running"  # it is about to go on, or to end
        return msgspec.structs.replace(member, state=state, run=found.id)

    def _refuse(self, member: Member, code: int) -> None:
        """A member ended without a run folder: where none has one, the reason is that of all."""
        said = self._log(member).read_text(encoding="utf-8", errors="replace").strip() or f"it ended with code {code}"
        if not any(other.run for other in self.study.member):
            self._end([other for other in self.study.member if other.name in self._processes], now=True)
            error = RunError(f"{member.name} could not be started:\n{said}")
            error.exit_code = 2 if code == 2 else 1
            raise error
        self._say(member, f"could not be started: {said}")

    def _waits(self, member: Member, live: list[Member]) -> bool:
        """Whether a member is to be started: nobody stopped it, and it did not fail, since this crew began."""
        return member.state not in OVER and member not in live and member.name not in self._tried

    def _put(self, members: list[Member]) -> None:
        """Take the members as they are now, into ``study.toml`` and into the study's status, where anything changed."""
        done = sum(member.state in OVER for member in members)
        if members != self.study.member or self._status.epochs != len(members):
            self.study = msgspec.structs.replace(self.study, member=members)
            save(self.folder, self.study)
            self._status = msgspec.structs.replace(self._status, epoch=done, epochs=len(members))
            write_status(self.folder, self._status)

    def _of(self, member: Member) -> Status:
        return read_status(member_folder(self.folder, member))

    def _log(self, member: Member) -> Path:
        return self.folder.root / "log" / f"{member.name}.log"

    # --- what is done with them -------------------------------------------------------------------

    def _start(self, member: Member) -> None:
        """Start a member, or go on with it."""
        run = member_folder(self.folder, member) if member.run else None
        if run and not run.recipe.exists():  # it was killed before there was anything to go on with
            if read_manifest(run).study.id == self.folder.id:
                shutil.rmtree(run.root)
            run = None
        log = self._log(member)
        log.parent.mkdir(exist_ok=True)
        descriptor = os.open(log, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # ends with the member's own process
            request: Request = self._request(member, descriptor)
            if run:
                request = Resume(run=run.root, data=Path(self.study.data), handshake=descriptor)
            self._processes[member.name] = subprocess.Popen(
                [sys.executable, "-P", "-m", "engine", request.command, encode(request)],
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                pass_fds=(descriptor,),
                start_new_session=True,
                env=_environment(self.study.jobs),
            )
        except BlockingIOError:
            return  # a crew that was killed had started it
        finally:
            os.close(descriptor)
        self._tried.add(member.name)
        self._say(member, "goes on" if run else "started")
        self._put(
            [msgspec.structs.replace(m, state="starting") if m.name == member.name else m for m in self.study.member]
        )

    def _request(self, member: Member, descriptor: int) -> Train:
        fold = [] if member.fold is None else [f"data.validation_fold={member.fold}"]
        return Train(
            recipe=self.folder.recipe,
            overrides=(*settings(member.grid), f"seed={member.seed}", *fold),
            data=Path(self.study.data),
            allow_outside=self.study.outside,
            runs=self.folder.root.parent,
            name=member.name,
            handshake=descriptor,
            study={
                "id": self.folder.id, "member": member.name, "fold": member.fold, "seed": member.seed,
                "grid": member.grid,
            },
        )  # fmt: skip

    def _pruned_or(self, member: Member) -> Member:
        """A member, which is stopped if the search has given it up."""
        if not self._supply or member.state in OVER or not self._supply.hopeless(member, self.study):
            return member
        if member.state in {*ENDED, "waiting"}:
            return msgspec.structs.replace(member, state="pruned")
        if member.run and member.name not in self._pruned:
            self._pruned.add(member.name)
            send(member_folder(self.folder, member), "stop_now")
        return member

    def _end(self, live: list[Member], *, now: bool) -> None:
        """Ask the members at work to checkpoint and end; with ``now`` they are killed."""
        print("killing the members" if now else "stopping the members; again kills them", flush=True)
        for member in live:
            process = self._processes.get(member.name)
            if process and process.poll() is None:
                (os.killpg if now else os.kill)(process.pid, signal.SIGKILL if now else signal.SIGTERM)
            elif member.run:
                send(member_folder(self.folder, member), "stop_now")

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._asked += 1

    @property
    def stopped(self) -> bool:
        """Whether somebody asked for an end."""
        return self._asked > 0

    # --- what people see --------------------------------------------------------------------------

    def _say(self, member: Member, text: str) -> None:
        done = sum(other.state in OVER for other in self.study.member)
        total = max(self.study.trials, len(self.study.member))
        print(printable(f"{time.strftime('%H:%M:%S')}  {done}/{total}  {member.name} {text}"), flush=True)

    def _tell(self, live: list[Member]) -> None:
        """Now and then: how far the members at work are."""
        if time.monotonic() - self._told_s < TOLD_S:
            return
        self._told_s = time.monotonic()
        write_status(self.folder, self._status)
        for member in live:
            if member.run:
                self._say(member, f"is {member.state}{_progress(self._of(member))}")


def find_member(folder: RunFolder, name: str) -> RunFolder | None:
    """The run folder of a member by its manifest; the newest where there are several."""
    for run in reversed(list_runs(folder.root.parent)):
        if name in run.id:
            known = read_manifest(run).study
            if (known.id, known.member) == (folder.id, name):
                return run
    return None


def _is_held(log: Path) -> bool:
    """Whether a process that was started for a member still stands before its run folder."""
    try:
        descriptor = os.open(log, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return False
    finally:
        os.close(descriptor)
    return False


def _environment(jobs: int) -> dict[str, str]:
    """Of a member: a copy that runs uninstalled finds itself, and ``jobs`` members divide the cores."""
    share = {} if jobs == 1 else {"OMP_NUM_THREADS": str(max(1, cores() // jobs))}
    home = str(Path(__file__).resolve().parents[2])
    known = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return {**os.environ, **share, "PYTHONPATH": os.pathsep.join(dict.fromkeys([home, *filter(None, known)]))}


def _progress(status: Status) -> str:
    best = "" if status.best is None else f", best {status.metric} {status.best:.4g}"
    return f", epoch {status.epoch}/{status.epochs}{best}" if status.epochs else ""


def _outcome(member: Member, status: Status) -> str:
    words = f"{member.state}{_progress(status)}"
    return f"{words}: {status.message}" if status.message and member.state in {"failed", "lost"} else words
