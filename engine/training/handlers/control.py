"""Answers the requests that people leave in ``control/``, and the signals of the system."""

import contextlib
import signal
import time
from collections import deque
from collections.abc import Callable
from types import FrameType
from typing import Literal

from ignite.engine import Engine, Events

from engine.errors import MedtuiError
from engine.events import Control, Event, Log, Note
from engine.runfolder import Request, RunFolder, take, write_label
from engine.runfolder.label import MOST
from engine.training.handlers.status import StatusWriter

POLL_S = 0.25
_NOTICE = (signal.SIGUSR1, signal.SIGUSR2)  # of batch systems, before they end a job
_ASKING = (signal.SIGINT, signal.SIGTERM, *_NOTICE)


class StopRequested(BaseException):
    """Ends a phase that has no iterations of its own to stop after; the run is then stopped.

    Like KeyboardInterrupt no `Exception`, so that nothing that survives a failing case or figure
    takes it for a failure.
    """


class ControlHandler:
    """Takes requests at every iteration, and between the cases of an evaluation.

    A pause waits inside `poll`. ``stop`` ends training after the epoch, ``stop_now`` and the first
    SIGINT, SIGTERM, SIGUSR1 or SIGUSR2 after the iteration. A second SIGINT, or a second SIGTERM, ends the
    process at once; a batch system that gives notice by one signal and then by another does not.
    """

    def __init__(self, folder: RunFolder, emit: Callable[[Event], object], board: StatusWriter) -> None:
        self._folder = folder
        self._emit = emit
        self._board = board
        self._save: Callable[[str], None] | None = None
        self._looked = 0.0
        self._place = "before the first iteration"
        self.stop: Literal["", "epoch", "now"] = ""
        self.reason = ""
        self._signal = 0
        self._over = False
        self._waiting: deque[Request] = deque()
        self._old = take(folder)  # asked of a trainer that ended before it answered

    def install_signals(self) -> None:
        """Take over the signals that ask a process to end."""
        for number in _ASKING:
            signal.signal(number, self._on_signal)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the terminal may go; training stays

    @staticmethod
    def ignore_signals() -> None:
        """The run is over and its end is being written: no signal may cut that short."""
        for number in _ASKING:
            signal.signal(number, signal.SIG_IGN)

    def attach(self, trainer: Engine, save: Callable[[str], None]) -> None:
        """Listen to iterations and epochs; ``save(why)`` writes last.pt. Attach after all others."""
        self._save = save
        trainer.add_event_handler(Events.ITERATION_COMPLETED, self._after_iteration)
        trainer.add_event_handler(Events.EPOCH_COMPLETED, self._after_epoch)

    def drop_old(self) -> None:
        """Refuse what was asked before this session; only a note is still worth writing down."""
        for request in self._old:
            if request.command == "note":
                self._waiting.append(request)
            else:
                self._answer(request, "dropped: it was asked before this session, and never answered", state="refused")

    def detach(self) -> None:
        """Training is over: what can be saved is saved."""
        self._save = None
        self._over = True
        self._place = "after training"

    def poll(self) -> None:
        """Answer what is waiting; returns after a pause. Between the cases of an evaluation it is `poll_or_stop`."""
        self._answer_signal()
        now = time.monotonic()
        if now - self._looked < POLL_S:
            return
        self._looked = now
        while request := self._next():
            self._handle(request)

    def poll_or_stop(self) -> None:
        """`poll` between the cases of an evaluation, where stopping now means to leave it.

        Raises:
            StopRequested: stop_now was asked for.
        """
        self.poll()
        if self.stop == "now":
            if self._save is not None:
                self._save("stop")
            raise StopRequested

    def _after_iteration(self, trainer: Engine) -> None:
        state = trainer.state
        self._place = f"after iteration {state.iteration} (epoch {state.epoch})"
        self.poll()
        if self.stop == "now":
            assert self._save is not None  # noqa: S101  attach gave it
            self._save("stop")
            trainer.terminate()

    def _after_epoch(self, trainer: Engine) -> None:
        self.poll()
        if self.stop:
            assert self._save is not None  # noqa: S101  attach gave it
            self._save("stop")
            trainer.terminate()

    def _handle(self, request: Request) -> None:
        match request.command:
            case "pause":
                self._answer(request, f"paused {self._place}")
                self._wait()
            case "resume":
                self._answer(request, "the run was not paused", state="refused")
            case "checkpoint":
                self._checkpoint(request)
            case "stop":
                self._stop_after_epoch(request)
            case "stop_now":
                self.stop, self.reason = "now", f"stopped on request {self._place}"
                self._answer(request, self.reason)
            case "note":
                self._emit(Note(text=request.text))
                with contextlib.suppress(MedtuiError):  # it stands in the stream all the same
                    write_label(self._folder, note=request.text[: MOST["note"]])
                self._answer(request, "noted")

    def _stop_after_epoch(self, request: Request) -> None:
        if self._save is None:
            self._answer(request, "training is over; stop --now leaves before the report", state="refused")
            return
        self.stop, self.reason = self.stop or "epoch", "stopped on request after the epoch"
        self._answer(request, "trains to the end of this epoch, then is tested as far as it came")

    def _checkpoint(self, request: Request) -> None:
        if self._save is None:
            why = "training is over: its checkpoints are written" if self._over else "there is nothing to save yet"
            self._answer(request, why, state="refused")
            return
        self._save("request")
        self._answer(request, f"last.pt written {self._place}")

    def _wait(self) -> None:
        if self._save is not None:
            self._save("pause")
        self._board.set(state="paused")
        try:
            while not self._signal and not self.stop:
                time.sleep(POLL_S)
                while request := self._next():
                    if request.command == "resume":
                        self._answer(request, f"goes on {self._place}")
                        return
                    if request.command == "pause":
                        self._answer(request, "is paused already", state="refused")
                    else:
                        self._handle(request)
            self._answer_signal()
        finally:
            self._board.set(state="running")

    def _next(self) -> Request | None:
        self._waiting.extend(take(self._folder))
        return self._waiting.popleft() if self._waiting else None

    def _answer(self, request: Request, message: str, state: str = "done") -> None:
        self._emit(Control(request=request.id, command=request.command, state=state, message=message))

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self._signal == number and number not in _NOTICE:
            raise KeyboardInterrupt  # asked twice: now
        self._signal = number

    def _answer_signal(self) -> None:
        if self._signal and self.stop != "now":
            name = signal.Signals(self._signal).name
            self.stop, self.reason = "now", f"stopped by {name} {self._place}"
            self._emit(Log(message=f"{name} received: checkpoint, then stop", level="warning"))
