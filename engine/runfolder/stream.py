"""``events.jsonl``: an append-only stream, written by one process and tailed by any number."""

import errno
import os
import stat
import threading
import time
from pathlib import Path
from typing import BinaryIO

import msgspec

from engine.errors import RunError, raised_as
from engine.events import AnyEvent, Event
from engine.runfolder.lines import decode, encode, sequence_number
from engine.runfolder.regular import open_regular

_CHUNK = 1 << 20
_BEFORE = 200
_LONGEST = 64 << 20  # bytes of a line; a longer one is no event


class EventWriter:
    """Appends events; every line is handed to the kernel at once, so a killed trainer loses none.

    Safe to use from several threads of one process. A torn last line (a crash in the middle of a
    write) is cut off when the stream is opened again, and ``seq`` goes on after the last whole line.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._path = path
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        with raised_as(RunError, f"cannot write {path}"):
            self._file = os.open(path, flags, 0o600)
        if not stat.S_ISREG(os.fstat(self._file).st_mode):
            os.close(self._file)
            raise RunError(f"cannot write {path}: not a regular file")
        self._seq, end = _last_whole_line(path)
        os.ftruncate(self._file, end)
        self._position = end

    @property
    def position(self) -> tuple[int, int]:
        """(last ``seq``, size in bytes): where a resumed run cuts the stream."""
        with self._lock:
            return self._seq, self._position

    def write(self, event: Event) -> int:
        """Append ``event`` with the next ``seq`` and the time, and return that ``seq``.

        Raises:
            RunError: another process has written into it; or the disk is full or gone, and what was written
                of the line is taken back.
        """
        with self._lock:
            stamped = msgspec.structs.replace(event, seq=self._seq + 1, time_s=round(time.time(), 3))
            line = encode(stamped)
            before = self._seq, self._position
            if os.fstat(self._file).st_size != self._position:
                raise RunError(f"another process writes {self._path}", "this run was taken over, or its stream changed")
            try:
                written = 0
                while written < len(line):
                    written += os.pwrite(self._file, line[written:], self._position + written)
                self._seq += 1
                self._position += len(line)
            except OSError as error:
                self._take_back(before)
                raise RunError(
                    f"cannot write {self._path}: {error.strerror or error}",
                    "make room or bring the disk back, then: medtui resume " + self._path.parent.name,
                ) from error
            except BaseException:  # a second Ctrl-C: the next line must begin where a whole one ended
                self._take_back(before)
                raise
            return self._seq

    def cut(self, seq: int, position: int) -> None:
        """Go back to an earlier `position`; the lines after it are kept in ``events.discarded.jsonl``."""
        with self._lock:
            if position >= self._position:
                return
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
            with os.fdopen(os.open(self._path.parent / "events.discarded.jsonl", flags, 0o600), "ab") as discarded:
                start = position
                while start < self._position and (part := os.pread(self._file, _CHUNK, start)):
                    discarded.write(part[: self._position - start])
                    start += len(part)
            os.ftruncate(self._file, position)
            self._seq, self._position = seq, position

    def tail(self, position: int) -> list[AnyEvent]:
        """The events that were written from ``position`` on."""
        with self._lock, open_regular(self._path) as stream:
            stream.seek(position)
            return [event for line in stream if (event := decode(line)) is not None]

    def sync(self) -> None:
        """Make what was written so far durable."""
        os.fsync(self._file)

    def close(self) -> None:
        os.close(self._file)

    def _take_back(self, before: tuple[int, int]) -> None:
        self._seq, self._position = before
        try:
            os.ftruncate(self._file, self._position)
        except OSError:
            return  # the mount is gone; the next writer cuts the torn line


def _data_from(stream: BinaryIO, position: int) -> int:
    """``position``, or where data begins again behind a hole: terabytes of nothing are not to be read."""
    handle = stream.fileno()
    size, here = os.fstat(handle).st_size, os.lseek(handle, 0, os.SEEK_CUR)
    try:
        return max(position, os.lseek(handle, position, os.SEEK_DATA))
    except OSError as error:  # no data up to the end; other errors: a file system that knows of no holes
        return max(position, size) if error.errno == errno.ENXIO else position
    finally:
        os.lseek(handle, here, os.SEEK_SET)  # the stream's buffer counts on it


def _before_hole(stream: BinaryIO, end: int) -> int:
    """Where data ends before ``end``, to `_CHUNK` bytes."""
    span = _CHUNK
    while span >= _CHUNK and end > 0:
        begin = max(0, end - span)
        if _data_from(stream, begin) >= end:
            end, span = begin, span * 2
        else:
            span //= 2
    return end


def _last_whole_line(path: Path) -> tuple[int, int]:
    """``seq`` of the last readable line of the stream and the byte after it."""
    with open_regular(path) as stream:
        tail = b""
        start = os.fstat(stream.fileno()).st_size
        while start > 0:
            data = _before_hole(stream, start)
            if data < start or len(tail) > _LONGEST:
                start, tail = data, b""
            step = min(_CHUNK, start)
            start -= step
            stream.seek(start)
            tail = stream.read(step) + tail
            end = len(tail)
            while (stop := tail.rfind(b"\n", 0, end)) >= 0:
                begin = tail.rfind(b"\n", 0, stop) + 1
                if begin == 0 and start > 0:
                    break  # the line begins in an earlier chunk
                seq = sequence_number(tail[begin:stop])
                if seq > 0:
                    return seq, start + stop + 1
                end = begin
                if begin == 0:
                    break
    return 0, 0


class EventReader:
    """Reads the whole lines that are new since the last call; never blocks, never raises on damage.

    A last line without its newline waits for the next call. Lines that are damaged or of an unknown
    kind are skipped and counted in `skipped`. When what was read is no longer there (a resumed run cut
    the stream and wrote on), reading starts again and `restarts` counts up, so that a fold can start
    again too.
    """

    def __init__(self, path: Path, position: int = 0) -> None:
        self.path = path
        self.position = position
        self.skipped = 0
        self.restarts = 0
        self._inode = 0
        self._before = b""  # the last bytes before `position`: they tell a stream that was cut and regrew

    def read(self, max_bytes: int = 8 * _CHUNK) -> list[AnyEvent]:
        """New events, oldest first; of about ``max_bytes`` at most, so ``[]`` means the end."""
        events: list[AnyEvent] = []
        try:
            with open_regular(self.path) as stream:
                self._settle(stream)
                while not events and self._step(stream, max_bytes, events):
                    pass
        except OSError:
            pass  # not there yet, or a mount that comes back: the next call tries again
        return events

    def _settle(self, stream: BinaryIO) -> None:
        """Start again if the file is another one, shorter, or other than it was."""
        state = os.fstat(stream.fileno())
        cut = state.st_size < self.position or (self._inode and state.st_ino != self._inode)
        if not cut and self._before:
            stream.seek(self.position - len(self._before))
            cut = stream.read(len(self._before)) != self._before
        if cut:
            self.position, self._before = 0, b""
            self.restarts += 1
        self._inode = state.st_ino

    def _step(self, stream: BinaryIO, max_bytes: int, events: list[AnyEvent]) -> bool:
        if (start := _data_from(stream, self.position)) != self.position:
            self.position, self._before = start, b""
        stream.seek(self.position)
        block = stream.read(max_bytes)
        end = block.rfind(b"\n") + 1
        if end == 0 and len(block) == max_bytes:
            end = len(block)  # one absurd line: step over it
        if end == 0:
            return False
        self.position += end
        self._before = block[max(0, end - _BEFORE) : end]
        for line in block[:end].split(b"\n"):
            if not line:
                continue
            event = decode(line)
            if event is None:
                self.skipped += 1
            else:
                events.append(event)
        return True
