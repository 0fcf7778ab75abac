"""The locks of a run folder: one process at a time writes its stream, and one its results."""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator

from engine.console import tell
from engine.errors import RunError, raised_as
from engine.runfolder.mirror import is_mirror
from engine.runfolder.paths import RunFolder, refuse_links

_PATIENCE_S = 2.0
"""An evaluation holds the lock of a run for as long as it writes its result, and whoever looks for an instant."""
_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK

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


def take_lock(folder: RunFolder, *, links: bool = False) -> int:
    """Lock a run folder for this process and return the lock's file; it ends with the process.

    ``links``: its parts may be links, for one who does not follow them.

    Raises:
        RunError: another trainer writes this folder, or it cannot be written, or it leads elsewhere.
    """
    if not links:
        refuse_links(folder)
    if is_mirror(folder):
        raise RunError(f"{folder.id} is on another machine: this folder is a mirror of it", "do this over there")
    lock = _open(folder, folder.lock.name)
    end = time.monotonic() + _PATIENCE_S
    while (taken := _flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)) is False and time.monotonic() < end:
        time.sleep(0.02)
    if taken is False:
        os.close(lock)
        raise RunError(f"another trainer is at work in {folder.id}", f"watch it with: medtui attach {folder.id}")
    if taken is None:
        tell(f"{folder.root} is on a file system without locks: do not start two trainers in it")
    _locks.add(lock)
    return lock


def is_locked(folder: RunFolder) -> bool | None:
    """Whether a process holds the run's lock; None where that cannot be known."""
    try:
        lock = os.open(folder.lock, os.O_RDONLY | _FLAGS)
    except OSError:
        return None
    taken = _flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    os.close(lock)
    return None if taken is None else not taken


@contextlib.contextmanager
def updating(folder: RunFolder) -> Iterator[None]:
    """Hold the lock under which a file that several processes add to is read, changed and replaced."""
    lock = _open(folder, ".results.lock")
    try:
        _flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _open(folder: RunFolder, name: str) -> int:
    hint = "a run is changed in its own folder only: copy it to a place of your own, and name the copy"
    with raised_as(RunError, f"cannot write in {folder.root}", hint):
        return os.open(folder.root / name, os.O_RDWR | os.O_CREAT | _FLAGS, 0o600)


def _flock(lock: int, how: int) -> bool | None:
    """Whether the lock is ours now; None: the file system has no locks."""
    try:
        fcntl.flock(lock, how)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True
