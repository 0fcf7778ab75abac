"""The far end, ``medtui tail``: sends what changes in a folder of runs, and passes requests on to its trainers."""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import msgspec

from engine.errors import MedtuiError
from engine.runfolder import Label, RunFolder, Status, open_regular, read_small
from engine.runfolder.careful import UNREADABLE
from engine.runfolder.control import post
from tui.remote.protocol import (
    BEAT_S,
    BEFORE,
    MOST_FILE,
    VERSION,
    FromFar,
    FromNear,
    digest,
    is_file_name,
    is_run_name,
)
from tui.state.runs_index import RunsIndex

POLL_S = 0.5
SCAN_S = 1.5
CHUNK_BYTES = 256 << 10
LONGEST_ASKED = 64 << 10
SMALL = ("recipe.toml", "manifest.json", "metrics.json", "cases.csv", "splits.csv", "figures/index.json")
"""What is brought of a run that is watched, besides its stream and its figures."""


@dataclass
class _Followed:
    """A run whose stream goes to the near end."""

    folder: RunFolder
    at: int
    before: str
    sent: dict[str, tuple[int, int]] = field(default_factory=dict)
    whole: bool = False


class Far:
    """Sends what has changed at each `turn`."""

    def __init__(self, runs: Path, out: BinaryIO) -> None:
        self._out, self._index = out, RunsIndex(runs)
        self._known: dict[str, tuple[RunFolder, Status]] = {}
        self._labels: dict[str, Label] = {}
        self._followed: dict[str, _Followed] = {}
        self._scanned_s = self._said_s = 0.0
        self._problem = ""
        self._say(FromFar(hello=VERSION))

    def turn(self) -> None:
        """Send what is new of all runs, and of those that are followed."""
        if time.monotonic() - self._scanned_s >= SCAN_S:
            self._scan()
            self._scanned_s = time.monotonic()
        for run in self._followed.values():
            self._bring(run)
        if time.monotonic() - self._said_s >= BEAT_S:
            self._say(FromFar())
        self._out.flush()

    def asked(self, line: bytes) -> None:
        """Do what a line of the near end asks for; what is no such line is ignored."""
        try:
            asked = msgspec.json.decode(line, type=FromNear)
        except UNREADABLE:
            return
        known = self._known.get(asked.run)
        if known is None:
            return
        if asked.follow:
            self._followed[asked.run] = _Followed(known[0], max(0, asked.at), asked.before)
        elif asked.follow is False:
            self._followed.pop(asked.run, None)
        if asked.file and is_file_name(asked.file):
            self._send(known[0], asked.file)
        if asked.request is not None:
            try:
                post(known[0], asked.request)
            except MedtuiError as error:
                self._say(FromFar(run=asked.run, problem=error.message))

    def _say(self, message: FromFar) -> None:
        self._out.write(msgspec.json.encode(message) + b"\n")
        self._said_s = time.monotonic()

    def _scan(self) -> None:
        first, problem = not self._scanned_s, ""
        try:
            while self._index.scan():
                pass
        except MedtuiError as error:
            problem = error.message
        rows = {row.id: row for row in self._index.rows() if is_run_name(row.id)}
        for name, row in rows.items():
            status = msgspec.structs.replace(row.status, heartbeat_s=0.0)  # beats alone are no news
            if self._known.get(name) != (row.folder, status):
                self._known[name] = row.folder, status
                self._say(FromFar(run=name, status=msgspec.to_builtins(status)))
            if row.label != self._labels.get(name, Label()):
                self._labels[name] = row.label
                self._send(row.folder, row.folder.label.name)
        for name in self._known.keys() - rows.keys():
            del self._known[name]
            self._followed.pop(name, None)
            self._say(FromFar(run=name, gone=True))
        if first or problem != self._problem:
            self._problem = problem
            self._say(FromFar(listed=first, problem=problem))

    def _bring(self, run: _Followed) -> None:
        name = run.folder.id
        for at, data in _news(run):
            self._say(FromFar(run=name, at=at, data=data.decode("latin-1")))
        for file in (*SMALL, *_figures(run.folder)):
            try:
                found = (run.folder.root / file).stat()
            except OSError:
                continue
            mark = found.st_mtime_ns, found.st_size
            if run.sent.get(file) != mark:
                run.sent[file] = mark
                self._send(run.folder, file)
        if not run.whole:
            run.whole = True
            self._say(FromFar(run=name, whole=True))

    def _send(self, folder: RunFolder, file: str) -> None:
        path, data = folder.root / file, None
        if folder.holds(path):
            try:
                data = read_small(path, MOST_FILE, links=False).decode("latin-1")
            except OSError:
                data = None
        self._say(FromFar(run=folder.id, file=file, data=data))


def _news(run: _Followed) -> Iterator[tuple[int, bytes]]:
    """Whole lines that the stream has got, with their places; from 0 on where it was cut."""
    try:
        with open_regular(run.folder.events, links=False) as stream:
            before = stream.read(0)
            if run.at:
                stream.seek(max(0, run.at - BEFORE))
                before = stream.read(min(run.at, BEFORE))
                if digest(before) != run.before:
                    run.at, before = 0, b""
                    stream.seek(0)
            while data := stream.read(CHUNK_BYTES):
                data = data[: data.rfind(b"\n") + 1]
                if not data:
                    return
                place = run.at
                run.at += len(data)
                before = (before + data)[-BEFORE:]
                run.before = digest(before)
                stream.seek(run.at)
                yield place, data
    except OSError:
        return


def _figures(folder: RunFolder) -> list[str]:
    try:
        names = sorted(entry.name for entry in os.scandir(folder.figures) if entry.name.endswith(".png"))
    except OSError:
        return []
    return [f"figures/{name}" for name in names if is_file_name(f"figures/{name}")]


def tail(runs: Path) -> int:
    """Speak with the near end until it is gone."""
    waiting, heard_s = b"", time.monotonic()
    try:
        far = Far(runs, sys.stdout.buffer)
        while time.monotonic() - heard_s < 4 * BEAT_S and len(waiting) < LONGEST_ASKED:
            far.turn()
            if not select.select([sys.stdin.buffer], [], [], POLL_S)[0]:
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
