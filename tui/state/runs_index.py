"""All runs in a folder, read cheaply: a ``status.json`` is read again only when it changed. No Textual.

A scan of 500 runs that have ended costs 500 ``stat`` calls. It is done in parts, in a thread, so that
a slow disk never keeps the screen waiting; the newest runs are looked at first.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from engine.diagnosis import Finding
from engine.errors import MedtuiError, RunError
from engine.measures import better_up
from engine.runfolder import ENDED, Label, RunFolder, Status, list_runs, read_label, read_status, size_of
from engine.runfolder.mirror import ask, is_mirror, lost
from engine.runfolder.study import read_study, study_file
from engine.runfolder.summary import with_test
from tui.settings import Kept
from tui.state.run_filter import RunFilter, Value, parse_filter
from tui.state.run_values import ASKED_OF, read_values

if TYPE_CHECKING:
    from engine.readers.health import Health

SortKey: TypeAlias = Literal["age", "state", "recipe", "task", "epoch", "best", "test", "health"]
SORT_KEYS: tuple[SortKey, ...] = ("age", "state", "recipe", "task", "epoch", "best", "test", "health")
STATE_ORDER = ("running", "starting", "paused", "silent", "failed", "lost", "stopped", "finished")
"""What needs a person comes first."""
PART = 64  # folders that are looked at between two looks of the screen
POLL_S = 1.5


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run, or one study, as the list shows it."""

    folder: RunFolder
    status: Status
    started_s: float  # by the status, else by the id; 0 where neither says
    study: str = ""  # id of the study that the run is a member of
    findings: tuple[Finding, ...] = ()  # the worst first
    label: Label = field(default_factory=Label)
    read: Mapping[str, Value] | None = None  # of recipe.toml and metrics.json; None: not looked at

    @property
    def id(self) -> str:
        return self.folder.id

    @property
    def state(self) -> str:
        return str(self.status.state)

    @property
    def recipe(self) -> str:
        return self.label.title or self.status.name or self.folder.name

    @property
    def live(self) -> bool:
        return self.state not in ENDED


_Mark: TypeAlias = tuple[int, int, int] | None
"""When a file was written, its size and its inode; None where there is none."""


def _mark(path: Path) -> _Mark:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


class RunsIndex:
    """The runs of one folder. `scan` looks at a part of them; `rows` is what is known."""

    def __init__(self, runs: Path, *, health: bool = True) -> None:
        """``health``: whether streams are read too, for findings that no status has."""
        self.runs, self._reads_streams = runs, health
        self._rows: dict[str, RunRow] = {}
        self._marks: dict[str, tuple[_Mark, ...]] = {}
        self.reads = False  # whether `RunRow.read` is wanted
        self._todo: list[RunFolder] = []
        self._health: dict[str, Health] = {}  # of live runs
        self._studies: dict[str, str] = {}  # id of a run -> that of its study

    def rows(self) -> tuple[RunRow, ...]:
        """All runs and studies that are known, the newest first."""
        known = self._studies
        rows = (replace(row, study=known[row.id]) if row.id in known else row for row in self._rows.values())
        return tuple(sorted(rows, key=_age, reverse=True))

    def scan(self, most: int = PART) -> bool:
        """Look at up to ``most`` folders; False when all were looked at. The next call begins anew.

        Raises:
            UsageError: the folder of runs cannot be read.
        """
        if not self._todo:
            self._todo = list_runs(self.runs, studies=True)  # the newest last: they are taken from the end
            for gone in self._rows.keys() - {folder.id for folder in self._todo}:
                del self._rows[gone], self._marks[gone]
        part = [self._todo.pop() for _ in range(min(most, len(self._todo)))]
        for folder in part if self.reads else ():
            ask(folder, *ASKED_OF)  # all at once: each answer takes as long as one
        for folder in part:
            self._look(folder)
        return bool(self._todo)

    def _look(self, folder: RunFolder) -> None:
        """Read a status that is new or changed, and that of a live run, whose process may be gone."""
        mark = _mark(folder.status), _mark(folder.label), _mark(study_file(folder)) if folder.is_study else None
        row = self._rows.get(folder.id)
        told = row is not None and (row.read is not None or not self.reads)
        if row is not None and told and not row.live and self._marks[folder.id] == mark:
            return
        status = with_test(folder, read_status(folder))
        self._marks[folder.id] = mark
        if folder.is_study:
            with contextlib.suppress(RunError):
                self._studies |= {member.run: folder.id for member in read_study(folder).member if member.run}
        now = RunRow(
            folder,
            status,
            status.started_s or folder.stamp_s,
            findings=self._findings(folder, status),
            label=read_label(folder),
            read=read_values(folder) if self.reads else None,
        )
        if row != now:
            self._rows[folder.id] = now

    def _findings(self, folder: RunFolder, status: Status) -> tuple[Finding, ...]:
        """Of a live run by its stream, which is followed; of one that has ended what its trainer left."""
        if status.state in ENDED:
            self._health.pop(folder.id, None)
        ended = status.findings is not None and status.state in ENDED
        if not self._reads_streams or folder.is_study or ended or is_mirror(folder):
            return status.findings or ()
        from engine.readers.health import Health, read_findings
        from tui.state.feed import QUICK_BYTES

        if folder.id not in self._health and size_of(folder.events) > QUICK_BYTES:
            return status.findings or ()
        if status.state in ENDED:
            return read_findings(folder, status)
        return self._health.setdefault(folder.id, Health(folder)).look(status)


class RunsWatch:
    """Scans a folder of runs in a thread and hands each change to ``publish``, which must not block."""

    def __init__(self, runs: Path, publish: Callable[[tuple[RunRow, ...], bool, str], None]) -> None:
        """``publish(rows, whole, problem)``: ``whole`` is False while the first scan goes on."""
        self._index = RunsIndex(runs)
        self._publish = publish
        self._stopped, self._nudged = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="runs", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread; does not wait for it: a hanging disk must not hold the screen."""
        self._stopped.set()
        self._nudged.set()

    def nudge(self, *, reads: bool = False) -> None:
        """Look at once: something was changed. ``reads``: from now on at recipes and results too."""
        if not reads or not self._index.reads:
            self._nudged.set()
        self._index.reads |= reads

    def _run(self) -> None:
        told: tuple[tuple[RunRow, ...], bool, str] | None = None
        whole = False
        while not self._stopped.is_set():
            problem = ""
            try:
                more = self._index.scan()
            except MedtuiError as error:
                more, problem = False, error.message
            whole = whole or not more
            now = self._index.rows(), whole, problem or lost(self._index.runs)
            if now != told:
                told = now
                self._publish(*now)
            if more:
                time.sleep(0.002)  # lets the screen's thread have the interpreter
            else:
                self._nudged.wait(POLL_S)
                self._nudged.clear()


def chosen_rows(
    rows: Iterable[RunRow],
    wanted: RunFilter = RunFilter(),  # noqa: B008 - it cannot be changed
    key: SortKey = "age",
    *,
    backwards: bool = False,
    opened: Collection[str] = (),
    kept: Kept = Kept(),  # noqa: B008 - nor can this
) -> list[RunRow]:
    """The rows that are ``wanted``, sorted: by age the newest first, by best or test the best first.

    Members of a study stand below it where it is ``opened``, and else in no row; but a filter finds them too. What is
    pinned comes first, whatever the order; what is hidden does not come, nor do members of a hidden study.
    Values of different metrics are not compared: they are grouped by metric.
    """
    found = [row for row in rows if not {row.id, row.study} & {*kept.hidden} and is_wanted(row, wanted)]
    found.sort(key=_age, reverse=True)
    if key != "age":
        found.sort(key=lambda row: _order(row, key))
    found = found[::-1] if backwards else found
    found.sort(key=lambda row: row.id not in kept.pinned)
    studies = {row.id for row in found if row.folder.is_study}
    if not wanted.empty or not studies:
        return found
    below = [row for row in found if row.study in studies and row.id not in kept.pinned]
    own = {study: [row for row in below if row.study == study] for study in studies & {*opened}}
    return [one for row in found if row not in below for one in (row, *own.get(row.id, ()))]


def is_wanted(row: RunRow, wanted: RunFilter) -> bool:
    """Whether a filter lets a run through; one that asks for what was not read yet does not."""
    return wanted.passes(_text(row), _values(row) if wanted.terms else {})


def wanted_ids(runs: Path, words: str) -> set[str]:
    """Ids of the runs and the studies in a folder that a filter lets through.

    Raises:
        UsageError: it is no filter, or the folder cannot be read.
    """
    wanted, index = parse_filter(words), RunsIndex(runs)
    index.reads = wanted.reads
    while index.scan():
        pass
    return {row.id for row in index.rows() if is_wanted(row, wanted)}


def _values(row: RunRow) -> dict[str, Value]:
    """What a filter can ask for."""
    status, label = row.status, row.label
    values: dict[str, Value] = {
        "state": (row.state,),
        "health": tuple(name for one in row.findings for name in (one.severity, one.code)) or ("ok",),
        "task": (status.task,),
        "name": row.recipe,
        "id": row.id,
        "note": label.note,
        "study": row.study,
        "metric": status.metric,
        "epoch": float(status.epoch),
    }
    numbers = {"best": status.best, "test": status.test, f"metric {status.metric}": status.best}
    numbers["age"] = time.time() - row.started_s if row.started_s else None
    values |= {name: float(value) for name, value in numbers.items() if value is not None}
    values |= row.read or {}
    return values | ({} if status.test is None else {f"metric {status.metric}": float(status.test)})


def _age(row: RunRow) -> tuple[float, str]:
    return row.started_s, row.id


def _text(row: RunRow) -> str:
    status = row.status
    label = row.label
    return f"{row.state} {row.recipe} {status.name} {status.task} {status.metric} {row.id} {label.note}".lower()


def _order(row: RunRow, key: SortKey) -> tuple[str | float, ...]:
    status = row.status
    if key == "state":
        return (STATE_ORDER.index(row.state) if row.state in STATE_ORDER else len(STATE_ORDER),)
    if key == "epoch":
        return (-status.epoch,)
    if key == "health":
        return (("error", "warning", "note").index(row.findings[0].severity) if row.findings else 3,)
    if key in {"best", "test"}:
        value = status.best if key == "best" else status.test
        if value is None:
            return (1, "", 0.0)
        return (0, status.metric, -value if better_up(status.metric) else value)
    return (row.recipe.lower() if key == "recipe" else status.task,)


def counts(rows: Sequence[RunRow]) -> list[tuple[str, int]]:
    """How many runs are in each state, in the order of `STATE_ORDER`; states without a run are left out."""
    states = [row.state for row in rows]
    return [(state, states.count(state)) for state in STATE_ORDER if state in states]
