"""A host's runs as folders here. What the far end says is a stranger's: names, sizes and kinds are checked."""

import contextlib
import errno
import os
import shutil
from pathlib import Path

import msgspec

from engine.runfolder import ENDED, RunFolder, Status, stored_status, write_bytes, write_status
from engine.runfolder.mirror import ASKED, LOST, MARK, REFUSED, WATCHED, from_here
from engine.runfolder.study import study_file
from tui.remote.protocol import BEFORE, MOST_FILE, MOST_NAMES, UNASKED, FromFar, digest, is_file_name, is_run_name

MOST_STREAM, LEAST_FREE, MOST_RUNS = 8 << 30, 256 << 20, 20_000
"""Bytes of a stream, bytes that a mirror leaves free on the disk, and runs of one host."""


class Mirror:
    """Folders here that are what the far end says of its runs."""

    def __init__(self, root: Path, host: str, by_hand: str = "", called: str = "") -> None:
        """``by_hand``: how a person has ``%s`` done there; ``called``: the folder of runs, for people."""
        self.root, self._host, self._by_hand = root, host, by_hand
        self.status: dict[str, Status] = {}
        self.followed: set[str] = set()  # runs whose streams and small files come as they change
        self.wanted: dict[str, tuple[str, str]] = {}  # key of what was asked for -> the run and the file
        self._written: dict[tuple[str, str], int] = {}
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if called:
            (root / MARK).write_text(called, encoding="utf-8")

    def folder(self, run: str) -> RunFolder:
        """The folder of a run; made when it is new."""
        folder = RunFolder(self.root / run)
        if not (folder.root / MARK).exists():
            for part in (folder.root, folder.control, folder.previews, folder.figures):
                part.mkdir(mode=0o700, exist_ok=True)
            (study_file(folder) if folder.is_study else folder.events).touch(mode=0o600)
            write_bytes(folder.root / MARK, f"{self._host}\n{self._by_hand}".encode(), durable=False)
        return folder

    def hear(self, message: FromFar) -> None:
        """Take what the far end says of a run.

        Raises:
            OSError: there is no room for it.
        """
        run = message.run
        if message.status is not None and is_run_name(run):
            self._status(run, message.status)
        if run not in self.status:
            return
        if message.gone:
            del self.status[run]
            shutil.rmtree(self.root / run, ignore_errors=True)
            (self.root / WATCHED / run).unlink(missing_ok=True)
            return
        folder = self.folder(run)
        data = None if message.data is None else message.data.encode("latin-1", "replace")
        if data is not None:
            self._check_room()
        if message.file and data is not None:
            self._file(folder, message, data)
        elif message.at is not None and data is not None and 0 <= message.at < MOST_STREAM:
            _write_at(folder.events, message.at, data)
        if message.names is not None:
            self._name(folder, message.names)
        if self.wanted.get(message.done, ("",))[0] == run:
            del self.wanted[message.done]
            self.answer(message.done, "" if message.file else message.problem)

    def answer(self, key: str, problem: str = "") -> None:
        """Say that what was asked for was done, or why not."""
        marker = self.root / ASKED / key
        if problem:
            marker.with_suffix(REFUSED).write_text(problem[:1000], encoding="utf-8")
        marker.unlink(missing_ok=True)

    def lost(self, why: str) -> None:
        """Say why the host cannot be asked; "": it can."""
        with contextlib.suppress(OSError):
            if why:
                write_bytes(self.root / LOST, why.encode(), durable=False)
                self.beat(why)
            else:
                (self.root / LOST).unlink(missing_ok=True)

    def beat(self, trouble: str = "") -> None:
        """Say in the status of every live run that the host was heard of just now; or what the ``trouble`` is.

        Raises:
            OSError: there is no room for a mirror.
        """
        self._check_room()
        for run, status in self.status.items():
            if status.state not in ENDED:
                self._write(run, trouble)

    def forget_others(self) -> None:
        for path in self.root.iterdir():
            if path.name[0] != "." and path.name not in self.status and path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)

    def _check_room(self) -> None:
        if shutil.disk_usage(self.root).free < LEAST_FREE:
            raise OSError(errno.ENOSPC, f"less than {LEAST_FREE >> 20} MB are free")
        if len(self.status) > MOST_RUNS:
            raise OSError(errno.ENOSPC, f"it has more than {MOST_RUNS} runs")

    def _status(self, run: str, said: dict[str, object]) -> None:
        with contextlib.suppress(msgspec.ValidationError):
            found = msgspec.convert(said, Status)
            if run not in self.status:
                self._check_room()
            # The far end has judged whether its process lives; numbers of processes mean nothing here.
            folder = self.folder(run)
            hint = from_here(folder, found.hint)
            status = msgspec.structs.replace(found, host=self._host, pid=0, kernel="", hint=hint)
            before = msgspec.structs.replace(stored_status(folder), heartbeat_s=status.heartbeat_s)
            if run not in self.followed and before != status:
                folder.metrics.unlink(missing_ok=True)  # of another time; it can be asked for again
            self.status[run] = status
            self._write(run)

    def _write(self, run: str, trouble: str = "") -> None:
        status = self.status[run]
        write_status(self.folder(run), msgspec.structs.replace(status, message=trouble) if trouble else status)

    def _file(self, folder: RunFolder, message: FromFar, data: bytes) -> None:
        """A piece of a file; the file is there once it is whole."""
        name, at, size = message.file, message.at or 0, message.size
        known = name in UNASKED or (folder.id, name) in self.wanted.values()
        if not known or not is_file_name(name) or not 0 <= at <= at + len(data) <= size <= MOST_FILE:
            return
        part = folder.root / f".part-{digest(name.encode())}"
        if _write_at(part, at, data) and at + len(data) == size:
            part.replace(folder.root / name)
            written = self._written.get((folder.id, name), 0)
            if written:
                os.utime(folder.root / name, ns=(written, written))

    def _name(self, folder: RunFolder, names: dict[str, int]) -> None:
        """Have an empty file for each that can be asked for and is new, and none for what is no longer there."""
        named = {name: at for name, at in [*names.items()][:MOST_NAMES] if is_file_name(name) and 0 < at < 1 << 62}
        for part in (folder.figures, folder.examples):
            part.mkdir(mode=0o700, exist_ok=True)
            for path in part.iterdir():
                if f"{part.name}/{path.name}" not in {*named, *UNASKED}:
                    path.unlink()
        for name, written in named.items():
            path = folder.root / name
            self._written[folder.id, name] = written
            if not path.exists() or path.stat().st_mtime_ns != written:
                path.write_bytes(b"")
                os.utime(path, ns=(written, written))


def _write_at(path: Path, at: int, data: bytes) -> bool:
    """Put data where it belongs, as the end of a file; not behind a gap: that is of another connection."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        if at > os.fstat(handle).st_size:
            return False
        os.ftruncate(handle, at)
        os.pwrite(handle, data, at)
        return True
    finally:
        os.close(handle)


def place(run: RunFolder) -> tuple[int, str]:
    """How much of a stream is here, and the `digest` of its end."""
    with run.events.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - BEFORE))
        return size, digest(stream.read())
