"""The far end, ``medtui tail``: sends what changes in a folder of runs, and does there what is asked for."""

import os
import select
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import msgspec

from engine.errors import MedtuiError, counted, well_formed
from engine.runfolder import Label, RunFolder, open_regular, write_label
from engine.runfolder.careful import UNREADABLE
from engine.runfolder.control import post
from engine.runfolder.mirror import Asked
from engine.runfolder.remove import remove
from engine.runfolder.study import study_file
from tui.remote import protocol
from tui.state.runs_index import RunRow, RunsIndex

POLL_S = 0.5
SCAN_S = 1.5
HEALTH_S = 5.0  # streams of runs that nobody looks at are read for findings once the near end has its first screen
LONGEST_ASKED = 64 << 10


@dataclass
class _Followed:
    """A run whose stream goes to the near end."""

    folder: RunFolder
    at: int
    before: str
    sent: dict[str, int] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)
    looked_s: float = 0.0
    whole: bool = False


class Far:
    """Sends what has changed at each `turn`."""

    def __init__(self, runs: Path, out: BinaryIO) -> None:
        self._runs, self._out = runs, out
        self._index = RunsIndex(runs, health=False)  # the list is wanted before what is wrong with its runs
        self._known: dict[str, tuple[object, ...]] = {}
        self._folders: dict[str, RunFolder] = {}
        self._labels: dict[str, Label] = {}
        self._studies: dict[str, int] = {}
        self._followed: dict[str, _Followed] = {}
        self._sending: deque[Iterator[None]] = deque()
        self._began_s, self._scanned_s, self._said_s = time.monotonic(), 0.0, 0.0
        self._healthy = False
        self._problem = ""
        self._say(protocol.FromFar(hello=protocol.VERSION))

    def turn(self) -> bool:
        """Send what is new of all runs, and a piece of each stream and of a file; whether there is more."""
        if time.monotonic() - self._scanned_s >= SCAN_S:
            self._scan()
            self._scanned_s = time.monotonic()
        more = [self._bring(run) for run in self._followed.values()]
        if self._sending:
            sending = self._sending.popleft()
            if next(sending, self) is None:
                self._sending.append(sending)
        if time.monotonic() - self._said_s >= protocol.BEAT_S:
            self._say(protocol.FromFar())
        self._out.flush()
        return any(more) or bool(self._sending)

    def asked(self, line: bytes) -> None:
        """Do what a line of the near end asks for; what is no such line is ignored."""
        try:
            asked = msgspec.json.decode(line, type=protocol.FromNear)
        except UNREADABLE:
            return
        folder = self._folders.get(asked.run)
        if folder is None:
            if asked.key:
                self._say(protocol.FromFar(run=asked.run, done=asked.key, problem="it is no longer there"))
            return
        if asked.follow:
            self._followed[asked.run] = _Followed(folder, max(0, asked.at), asked.before)
        elif asked.follow is False:
            self._followed.pop(asked.run, None)
        try:
            if asked.asked is not None:
                self._do(folder, asked.key, asked.asked)
            if asked.request is not None:
                post(folder, asked.request)
        except MedtuiError as error:
            self._say(protocol.FromFar(run=asked.run, done=asked.key, problem=error.message))

    def _do(self, folder: RunFolder, key: str, asked: Asked) -> None:
        if asked.file:
            self._sending.append(self._send(folder, asked.file, key))
            return
        if asked.delete:
            remove(self._runs, folder)
        elif asked.label:
            write_label(folder, **{what: asked.label[what] for what in ("title", "note") if what in asked.label})
            self._name(folder)
        self._say(protocol.FromFar(run=folder.id, done=key))

    def _say(self, message: protocol.FromFar) -> None:
        self._out.write(msgspec.json.encode(message) + b"\n")
        self._said_s = time.monotonic()

    def _scan(self) -> None:
        first, problem = not self._scanned_s, ""
        try:
            while self._index.scan():
                pass
        except MedtuiError as error:
            problem = error.message
        found = {row.id: row for row in self._index.rows()}
        rows = {name: row for name, row in found.items() if protocol.is_run_name(name)}
        if unsaid := [well_formed(name) for name in found.keys() - rows.keys()]:
            problem = problem or f"{counted(len(unsaid), 'run')} cannot be named here: rename the folder {min(unsaid)}"
        for row in rows.values():
            self._tell(row)
        for name in self._known.keys() - rows.keys():
            del self._known[name], self._folders[name]
            self._followed.pop(name, None)
            self._say(protocol.FromFar(run=name, gone=True))
        if first or problem != self._problem:
            self._problem = problem
            self._say(protocol.FromFar(listed=first, problem=problem))
        if not self._healthy and time.monotonic() - self._began_s > HEALTH_S:
            self._healthy, self._index = True, RunsIndex(self._runs)

    def _tell(self, row: RunRow) -> None:
        """Say what is new of a run. Beats alone are no news, nor are the words of a finding that counts seconds."""
        status = msgspec.structs.replace(row.status, heartbeat_s=0.0, findings=row.findings)
        findings = [(one.code, one.severity, one.since_epoch) for one in row.findings]
        known = msgspec.structs.replace(status, findings=None), findings
        if self._known.get(row.id) != known:
            self._known[row.id], self._folders[row.id] = known, row.folder
            self._say(protocol.FromFar(run=row.id, status=msgspec.to_builtins(status)))
        if row.label != self._labels.get(row.id, Label()):
            self._labels[row.id] = row.label
            self._name(row.folder)
        if row.folder.is_study and (written := _written(study_file(row.folder))) != self._studies.get(row.id):
            self._studies[row.id] = written
            self._sending.append(self._send(row.folder, study_file(row.folder).name))

    def _name(self, folder: RunFolder) -> None:
        deque(self._send(folder, folder.label.name), 0)

    def _bring(self, run: _Followed) -> bool:
        """Send a piece of the stream; at its end what is new of the small files, and which others there are."""
        name, found = run.folder.id, _news(run)
        if run.whole or found is None:
            self._look(run, now=found is not None)
        if found is not None:
            self._say(protocol.FromFar(run=name, at=found[0], data=found[1].decode("latin-1")))
        return found is not None

    def _look(self, run: _Followed, *, now: bool) -> None:
        """Send small files that have changed: before the events that speak of them, but after a stream that is new."""
        if run.whole and not now and time.monotonic() - run.looked_s < SCAN_S:
            return
        run.looked_s = time.monotonic()
        new = {file: at for file in protocol.SMALL if (at := _written(run.folder.root / file)) != run.sent.get(file, 0)}
        run.sent |= new
        sending = self._small(run, tuple(new), whole=not run.whole)
        if run.whole:
            deque(sending, 0)
        else:
            self._sending.append(sending)
            run.whole = True
        if (names := _names(run.folder)) != run.names:
            run.names = names
            self._say(protocol.FromFar(run=run.folder.id, names=names))

    def _small(self, run: _Followed, files: tuple[str, ...], *, whole: bool) -> Iterator[None]:
        for file in files:
            yield from self._send(run.folder, file)
        if whole:
            self._say(protocol.FromFar(run=run.folder.id, whole=True))

    def _send(self, folder: RunFolder, file: str, key: str = "") -> Iterator[None]:
        """Send a file, a piece at a time; then that the one with the ``key`` was sent, or cannot be."""
        path, at, problem = folder.root / file, 0, "it is no file that is brought"
        try:
            if protocol.is_file_name(file) and folder.holds(path):
                with open_regular(path, links=False) as stream:
                    size = os.fstat(stream.fileno()).st_size
                    problem = "" if size <= protocol.MOST_FILE else f"it is larger than {protocol.MOST_FILE >> 20} MB"
                    while not problem and (data := stream.read(min(protocol.CHUNK_BYTES, size - at))):
                        self._say(
                            protocol.FromFar(run=folder.id, file=file, at=at, size=size, data=data.decode("latin-1"))
                        )
                        at += len(data)
                        yield
        except OSError as error:
            problem = error.strerror or str(error)
        if key:
            self._say(protocol.FromFar(run=folder.id, file=file, done=key, problem=problem))


def _written(path: Path) -> int:
    """When a file was written, in ns; 0 where there is none."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _news(run: _Followed) -> tuple[int, bytes] | None:
    """A piece that the stream has got, with its place; from 0 on where it was cut."""
    try:
        with open_regular(run.folder.events, links=False) as stream:
            before = b""
            if run.at:
                stream.seek(max(0, run.at - protocol.BEFORE))
                before = stream.read(min(run.at, protocol.BEFORE))
                if protocol.digest(before) != run.before:
                    run.at, before = 0, b""
                    stream.seek(0)
            if not (data := stream.read(protocol.CHUNK_BYTES)):
                return None
    except OSError:
        return None
    place = run.at
    run.at += len(data)
    run.before = protocol.digest((before + data)[-protocol.BEFORE :])
    return place, data


def _names(folder: RunFolder) -> dict[str, int]:
    """Files that a screen may ask for -> when they were written, in ns."""
    found = {folder.report_html.name: _written(folder.report_html)} if folder.report_html.is_file() else {}
    for part, kind in ((folder.figures, ".png"), (folder.examples, ".npz")):
        try:
            entries = sorted((entry.name, entry.stat().st_mtime_ns) for entry in os.scandir(part))
        except OSError:
            continue
        found |= {f"{part.name}/{name}": written for name, written in entries if name.endswith(kind)}
    return dict(
        [(name, written) for name, written in found.items() if protocol.is_file_name(name)][: protocol.MOST_NAMES]
    )


def tail(runs: Path) -> int:
    """Speak with the near end until it is gone."""
    waiting, heard_s = b"", time.monotonic()
    try:
        far = Far(runs, sys.stdout.buffer)
        while time.monotonic() - heard_s < 4 * protocol.BEAT_S and len(waiting) < LONGEST_ASKED:
            if not select.select([sys.stdin.buffer], [], [], 0.0 if far.turn() else POLL_S)[0]:
                continue
            part, heard_s = os.read(sys.stdin.fileno(), 1 << 16), time.monotonic()
            if not part:
                break
            *lines, waiting = (waiting + part).split(b"\n")
            for line in lines:
                far.asked(line)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing is left to be flushed
    return 0
