"""The worker that follows a run folder: event stream -> `RunView` -> one snapshot at a time.

A big stream is shown before it is read: the head, a few samples and the tail of it make a first
view, while the whole is folded behind it.
"""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from engine.diagnosis import Finding
from engine.errors import RecipeError
from engine.events import AnyEvent
from engine.readers.fold import fold, read_view
from engine.readers.health import findings_of
from engine.readers.run_view import EMPTY, RunView
from engine.runfolder import ENDED, EventReader, Label, RunFolder, Status, read_label, read_status, read_text, size_of
from engine.runfolder.mirror import lost, watch
from engine.toml import parse

BIG_BYTES = 2 << 20  # from this size on a stream is shown by samples first
QUICK_BYTES = 8 << 20  # of a longer stream a list of runs reads samples only
HEAD_BYTES = 64 << 10
TAIL_BYTES = 256 << 10
SAMPLES = 24
SAMPLE_BYTES = 32 << 10
CHUNK_BYTES = 256 << 10  # read in one go, so that the screen's thread is kept waiting for milliseconds only
PUBLISH_S = 1.0
FASTEST_POLL_S = 0.4
SLOWEST_POLL_S = 1.0
ENDED_POLL_S = 3.0
HEAD_START_S = 0.2  # after the first view of a big stream the screen has the processor to itself so long
GONE = "the folder of this run is gone: deleted, moved, or its disk is away"
MOST_RECIPE = 200_000  # characters of a recipe that are shown


@dataclass(frozen=True, slots=True)
class RunSnapshot:
    """What the screen draws: the view, what status.json says, and how much of the stream was read."""

    view: RunView
    status: Status
    read_share: float = 1.0  # below 1: the view is made of samples of the stream
    skipped: int = 0  # lines that could not be read
    problem: str = ""  # why nothing new is known: the feed ended, or another machine is not reached
    recipe_text: str | None = None  # recipe.toml, None where it is not there
    findings: tuple[Finding, ...] = ()  # the worst first
    label: Label = field(default_factory=Label)

    @property
    def recipe(self) -> dict[str, Any]:
        """The tables of the recipe; empty where it cannot be read."""
        return _tables(self.recipe_text or "")

    @property
    def validate_every(self) -> int:
        """Epochs between validations."""
        every = self.recipe.get("train", {}).get("validate_every", 1)
        return every if isinstance(every, int) else 1

    @property
    def state(self) -> str:
        """The state of the run; the stream's last word counts more than an old status file."""
        return self.view.ended.state if self.view.ended else str(self.status.state)

    @property
    def over(self) -> bool:
        return self.state in ENDED


class Feed:
    """Follows one run folder in a thread of its own and hands each new `RunSnapshot` to ``publish``.

    ``publish`` is called in that thread, at most once in ``interval_s`` seconds, which may be changed at
    any time; it must not block.
    """

    def __init__(self, folder: RunFolder, publish: Callable[[RunSnapshot], None]) -> None:
        self.folder = folder
        self._publish = publish
        self.interval_s = PUBLISH_S
        self._stopped, self._nudged = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"feed {folder.id}", daemon=True)
        self._last: RunSnapshot | None = None
        self._last_s = 0.0
        self._recipe: str | None = None

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread; returns when it has ended."""
        self._stopped.set()
        self._nudged.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout=5.0)

    def nudge(self) -> None:
        """Look at once: a request was sent and its answer is awaited."""
        self._nudged.set()

    def _run(self) -> None:
        try:
            self._follow()
        except Exception as error:  # noqa: BLE001  # the thread's boundary: a silent end would look like a quiet run
            last = self._last or RunSnapshot(EMPTY, read_status(self.folder))
            self._hand_out(replace(last, problem=f"reading the run failed: {type(error).__name__}: {error}"))

    def _follow(self) -> None:
        watch(self.folder)
        reader = EventReader(self.folder.events)
        view = self._load(reader)
        restarts, poll_s = reader.restarts, FASTEST_POLL_S
        while not self._stopped.is_set():
            watch(self.folder)
            events = reader.read(CHUNK_BYTES)
            if reader.restarts != restarts:
                view, restarts = EMPTY, reader.restarts
            if events:
                view, poll_s = fold(view, events), FASTEST_POLL_S
            self._offer(view, reader, now=self._nudged.is_set())
            if len(events) > 500:
                continue  # behind: more is waiting
            slowest = ENDED_POLL_S if self._last and self._last.over else SLOWEST_POLL_S
            self._nudged.clear()
            self._nudged.wait(poll_s)
            poll_s = min(slowest, poll_s * 1.5)

    def _load(self, reader: EventReader) -> RunView:
        """The view of the whole stream as it is now; until that is read, snapshots of samples are handed out."""
        size = size_of(self.folder.events)
        if size < BIG_BYTES:
            return fold(EMPTY, reader.read(BIG_BYTES))
        sampled = fold(EMPTY, sample(self.folder, size))
        self._hand_out(self._snapshot(sampled, 0.0))
        self._stopped.wait(HEAD_START_S)
        tail = EventReader(self.folder.events, size)
        whole = EMPTY
        while not self._stopped.is_set():
            events = reader.read(CHUNK_BYTES)
            if not events and reader.position >= size:
                break
            if reader.restarts:
                return fold(EMPTY, events)  # the stream was cut meanwhile: these are from its new beginning
            whole = fold(whole, events)
            if time.monotonic() - self._last_s >= self.interval_s:
                sampled = fold(sampled, tail.read(CHUNK_BYTES))
                self._hand_out(self._snapshot(sampled, min(0.99, reader.position / size)))
            time.sleep(0.001)  # lets the screen's thread have the interpreter
        return whole

    def _offer(self, view: RunView, reader: EventReader, *, now: bool) -> None:
        due = time.monotonic() - self._last_s >= self.interval_s
        if not (now or due or self._last is None or self._last.read_share < 1):
            return
        last = self._last
        snapshot = self._snapshot(view, 1.0, reader.skipped)
        told = last is not None and _said(last) == _said(snapshot)
        if last is None or last.view is not view or not told or last.read_share < 1:
            self._hand_out(snapshot)

    def _snapshot(self, view: RunView, share: float, skipped: int = 0) -> RunSnapshot:
        if self._last and not os.path.exists(self.folder.root):  # noqa: PTH110  (no error of a disk that is away)
            return replace(self._last, problem=GONE)
        if self._recipe is None:
            self._recipe = _read_text(self.folder.recipe)
        status = read_status(self.folder)
        found = findings_of(view, status) if share == 1 else ()
        return RunSnapshot(
            view, status, share, skipped, lost(self.folder.root.parent), self._recipe, found, read_label(self.folder)
        )

    def _hand_out(self, snapshot: RunSnapshot) -> None:
        self._last, self._last_s = snapshot, time.monotonic()
        self._publish(snapshot)


def _said(snapshot: RunSnapshot) -> tuple[object, ...]:
    """What the screen shows besides the view."""
    return snapshot.status, snapshot.findings, snapshot.label, snapshot.problem


def sample(folder: RunFolder, size: int) -> list[AnyEvent]:
    """Events of the first bytes, of evenly spread blocks, and of the last bytes of a stream."""
    starts = [0, *(size * (i + 1) // (SAMPLES + 1) for i in range(SAMPLES)), max(0, size - TAIL_BYTES)]
    lengths = [HEAD_BYTES, *[SAMPLE_BYTES] * SAMPLES, TAIL_BYTES]
    events: list[AnyEvent] = []
    seq = 0
    for start, length in zip(starts, lengths, strict=True):
        block = EventReader(folder.events, start).read(length)
        events += [event for event in block if event.seq > seq]
        seq = max(seq, block[-1].seq) if block else seq
    return events


def view_of(folder: RunFolder, most: int) -> RunView:
    """The view of a whole run; where its stream has more than ``most`` bytes, what evenly spread samples show."""
    size = size_of(folder.events)
    return fold(EMPTY, sample(folder, size)) if size > most else read_view(folder.events)


def _read_text(path: Path) -> str | None:
    try:
        return read_text(path)[:MOST_RECIPE]
    except OSError:
        return None


@lru_cache(maxsize=8)
def _tables(text: str) -> dict[str, Any]:
    try:
        found = parse(text, "recipe.toml")
    except RecipeError:
        return {}
    return {name: table for name, table in found.items() if isinstance(table, dict)}
