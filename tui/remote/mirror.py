"""A host's runs as folders here. What the far end says is a stranger's: names, sizes and kinds are checked."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from pathlib import Path
from urllib.parse import quote

import msgspec

from engine.runfolder import ENDED, RunFolder, Status, write_bytes, write_status
from engine.runfolder.mirror import ASKED, MARK
from tui.remote.protocol import BEFORE, FromFar, digest, is_file_name, is_run_name

MOST_STREAM, LEAST_FREE, MOST_RUNS = 8 << 30, 256 << 20, 20_000
"""Bytes of a stream, bytes that a mirror leaves free on the disk, and runs of one host."""


class Mirror:
    """Folders here that are what the far end says of its runs."""

    def __init__(self, root: Path, host: str) -> None:
        self.root, self._host = root, host
        self.status: dict[str, Status] = {}
        root.mkdir(mode=0o700, parents=True, exist_ok=True)

    def folder(self, run: str) -> RunFolder:
        """The folder of a run; made when it is new."""
        folder = RunFolder(self.root / run)
        if not (folder.root / MARK).exists():
            for part in (folder.root, folder.control, folder.previews, folder.figures):
                part.mkdir(mode=0o700, exist_ok=True)
            folder.events.touch(mode=0o600)
            write_bytes(folder.root / MARK, self._host.encode(), durable=False)
        return folder

    def hear(self, message: FromFar) -> None:
        if not is_run_name(message.run):
            return
        if message.gone:
            self.status.pop(message.run, None)
            shutil.rmtree(self.root / message.run, ignore_errors=True)
            return
        folder = self.folder(message.run)
        if message.status is not None:
            with contextlib.suppress(msgspec.ValidationError):
                found = msgspec.convert(message.status, Status)
                # The far end has judged whether its process lives; numbers of processes mean nothing here.
                self.status[message.run] = msgspec.structs.replace(found, host=self._host, pid=0, kernel="")
                self._write(message.run)
        data = None if message.data is None else message.data.encode("latin-1", "replace")
        if message.file and is_file_name(message.file):
            if data is not None:
                write_bytes(folder.root / message.file, data, durable=False)
            (folder.root / ASKED / quote(message.file, safe="")).unlink(missing_ok=True)
        elif message.at is not None and data is not None and 0 <= message.at < MOST_STREAM:
            self._append(folder, message.at, data)

    def beat(self, trouble: str = "") -> None:
        """Say in the status of every live run that the host was heard of just now; or what the ``trouble`` is.

        Raises:
            OSError: there is no room for a mirror.
        """
        if shutil.disk_usage(self.root).free < LEAST_FREE or len(self.status) > MOST_RUNS:
            raise OSError(
                errno.ENOSPC, f"less than {LEAST_FREE >> 20} MB are free, or it has more than {MOST_RUNS} runs"
            )
        for run, status in self.status.items():
            if status.state not in ENDED:
                self._write(run, trouble)

    def forget_others(self) -> None:
        for path in self.root.iterdir():
            if path.name not in self.status and path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)

    def _write(self, run: str, trouble: str = "") -> None:
        status = self.status[run]
        write_status(self.folder(run), msgspec.structs.replace(status, message=trouble) if trouble else status)

    def _append(self, folder: RunFolder, at: int, data: bytes) -> None:
        handle = os.open(folder.events, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            if at > os.fstat(handle).st_size:
                return  # of another connection
            os.ftruncate(handle, at)
            os.pwrite(handle, data, at)
        finally:
            os.close(handle)


def place(run: RunFolder) -> tuple[int, str]:
    """How much of a stream is here, and the `digest` of its end."""
    with run.events.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - BEFORE))
        return size, digest(stream.read())
