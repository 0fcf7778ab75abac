"""One process at work on one run folder: its lock, its stream, its status."""

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from engine.console import tell
from engine.data import Dataset
from engine.data.daemons import STALLED_S, WAITING, tell_slow
from engine.events import Diagnosed, Event, Log, Progress
from engine.readers.health import Health
from engine.recipe import Recipe
from engine.runfolder import EventWriter, RunFolder, State, own_status, release_lock, sweep
from engine.training.handlers.control import ControlHandler
from engine.training.handlers.status import StatusWriter
from engine.training.webhook import Webhook, keep_webhook

_PROGRESS_S = 0.5
_WORTH = 500.0  # training goes on for so many times the cost of a diagnosis before the next: 0.2 % of the time
_SAID = ("code", "severity", "message", "since_epoch", "remedy")


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
    health: Health
    webhook: Webhook | None = None  # of the process that writes
    _looked: float = 0.0  # when the run was diagnosed, and what that cost
    _cost: float = 0.0
    _shown: float = 0.0
    _stalled: bool = False

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

    def diagnose(self, *, state: State | None = None) -> None:
        """Look at the run as its readers do, and write down which findings came and which went.

        What was said before stands in the stream: a run that goes on says nothing twice. Where epochs are very short
        not every one is looked at.
        """
        begun = time.monotonic()
        if state is None and begun - self._looked < _WORTH * self._cost:
            return
        status = self.board.status
        found = self.health.look(msgspec.structs.replace(status, state=state or status.state))
        before = {event.code: event for event in self.health.view.said}
        standing = {code for code, event in before.items() if not event.over}
        for finding in found:
            if finding.code not in standing or before[finding.code].severity != finding.severity:
                self.emit(Diagnosed(**{name: getattr(finding, name) for name in _SAID}))
                if self.webhook and finding.severity == "error" and state is None:
                    self.webhook.say(status.state, finding=finding)
        for code in sorted(standing - {finding.code for finding in found}):
            self.emit(Diagnosed(code=code, over=True))
        if found != status.findings:
            self.board.set(findings=found)
        self._looked = time.monotonic()
        self._cost = self._looked - begun

    def waiting(self, seconds: float) -> None:
        """Data has been waited for: answer requests, and say so once where it takes long.

        Raises:
            StopRequested: the run was asked to stop.
        """
        if seconds < STALLED_S:
            if self._stalled:
                self._stalled = False
                self.board.set(message="")
                self.log("data comes again")
        elif not self._stalled:
            self._stalled = True
            shared = "" if self.recipe.runtime.workers == 0 else ", or /dev/shm is full"
            text = f"no data for {seconds:.0f} s: the disk or mount of {self.dataset.root} does not answer{shared}"
            self.board.set(message=text)
            self.log(text, "warning")
        if self._stalled and self.desk.stop:  # the end of the epoch may never come
            self.desk.stop = "now"
        self.desk.poll_or_stop()

    def follow(self) -> RunFolder | None:
        """Where the folder is now; None where it was not moved. From then on the end of the run is written there."""
        with contextlib.suppress(OSError):
            now = Path(f"/proc/self/fd/{self.lock}").readlink().parent
            if now.is_dir() and not self.folder.root.exists():
                self.folder = self.board.folder = RunFolder(now)
                return self.folder
        return None

    def close(self) -> None:
        WAITING.set(tell_slow)
        self.board.close()
        self.writer.close()
        release_lock(self.lock)


def open_session(folder: RunFolder, recipe: Recipe, dataset: Dataset, lock: int) -> Session:
    """Begin to work on a run folder whose lock is held."""
    with contextlib.suppress(OSError):  # what cannot be removed is in nobody's way
        sweep(folder)
    writer = EventWriter(folder.events)
    first = msgspec.structs.replace(own_status(recipe.name, recipe.task, recipe.train.planned), metric=recipe.monitor)
    board = StatusWriter(folder, first)

    def emit(event: Event) -> None:
        session.emit(event)

    desk = ControlHandler(folder, emit, board)
    keep_webhook(folder, recipe.runtime.webhook)
    session = Session(folder, recipe, dataset, writer, board, desk, lock, Health(folder))
    session.webhook = Webhook(folder, recipe.name, session.log)
    session.webhook.announce()
    WAITING.set(session.waiting)
    return session
