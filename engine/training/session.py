"""One process at work on one run folder: its lock, its stream, its status."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import time
from dataclasses import dataclass
from typing import Any

from engine.data import Dataset
from engine.errors import RunError
from engine.events import Event, Log, Progress
from engine.recipe import Recipe
from engine.runfolder import EventWriter, RunFolder, own_status, refuse_links, sweep
from engine.training.handlers.control import ControlHandler
from engine.training.handlers.status import StatusWriter

_PROGRESS_S = 0.5


@dataclass(slots=True)
class Session:
    """What the phases of a run share. Made by `open_session`."""

    folder: RunFolder
    recipe: Recipe
    dataset: Dataset
    writer: EventWriter
    board: StatusWriter
    desk: ControlHandler
    lock: int
    _shown: float = 0.0

    def emit(self, event: Event) -> None:
        """Write into the stream; what is meant for people goes to ``train.log`` too."""
        self.writer.write(event)
        if isinstance(event, Log):
            tell(f"{time.strftime('%H:%M:%S')}  {event.level:7}  {event.message}")

    def emit_and_answer(self, event: Event) -> None:
        """`emit`, then answer what waits: between figures, which have no iterations to do it after.

        Raises:
            StopRequested: the run was asked to stop now.
        """
        self.emit(event)
        self.desk.poll_or_stop()

    def log(self, message: str, level: str = "info") -> None:
        """A line for people."""
        self.emit(Log(message=message, level=level))

    def progress(self, phase: str, done: int, total: int) -> None:
        """How far ``phase`` is: twice a second at most, and at its end; answers requests in between.

        Raises:
            StopRequested: the run was asked to stop now.
        """
        now = time.monotonic()
        if done == total or now - self._shown >= _PROGRESS_S:
            self._shown = now
            self.emit(Progress(phase=phase, done=done, total=total))
        self.desk.poll_or_stop()

    def close(self) -> None:
        """Let go of the folder."""
        self.board.close()
        self.writer.close()
        release_lock(self.lock)


def tell(text: str) -> None:
    """A line for ``train.log``; a disk that does not take it is no reason to end."""
    with contextlib.suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)


_locks: set[int] = set()


def _leave_locks() -> None:
    """In a process that was forked off, such as a loader worker: the lock is its parent's, and ends with it."""
    for lock in _locks:
        with contextlib.suppress(OSError):
            os.close(lock)
    _locks.clear()


os.register_at_fork(after_in_child=_leave_locks)


def release_lock(lock: int) -> None:
    """Let others write the folder."""
    _locks.discard(lock)
    os.close(lock)


def take_lock(folder: RunFolder) -> int:
    """Lock a run folder for this process and return the lock's file; it ends with the process.

    Raises:
        RunError: another trainer writes this folder, or it cannot be written, or it leads elsewhere.
    """
    refuse_links(folder)
    try:
        lock = os.open(folder.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise RunError(
            f"cannot write in {folder.root}: {error.strerror or error}", "a run goes on in its own folder only"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise RunError(
            f"another trainer is at work in {folder.id}", f"watch it with: medtui attach {folder.id}"
        ) from None
    except OSError as error:  # file systems without locks
        tell(f"the run folder cannot be locked ({error.strerror}): do not start two trainers in it")
    _locks.add(lock)
    return lock


def open_session(folder: RunFolder, recipe: Recipe, dataset: Dataset, lock: int, **status: Any) -> Session:
    """Begin to work on a run folder whose lock is held."""
    import msgspec

    with contextlib.suppress(OSError):  # what cannot be removed is in nobody's way
        sweep(folder)
    writer = EventWriter(folder.events)
    first = msgspec.structs.replace(
        own_status(recipe.name, recipe.task, recipe.train.epochs), metric=recipe.monitor, **status
    )
    board = StatusWriter(folder, first)

    def emit(event: Event) -> None:
        session.emit(event)

    desk = ControlHandler(folder, emit, board)
    session = Session(folder, recipe, dataset, writer, board, desk, lock)
    return session
