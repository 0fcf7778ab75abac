"""Keeps ``status.json`` true: at every change, and with a heartbeat from a thread of its own."""

import threading
from typing import Any

import msgspec
from ignite.engine import Engine, Events

from engine.runfolder import RunFolder, Status, stored_status, write_status
from engine.training.handlers.validation import Best

BEAT_S = 2.0


class StatusWriter:
    """The run's status. `set` writes at once; a daemon thread renews the heartbeat.

    Once another trainer has written it, which took the run over, it is that one's and stays as it is.
    """

    def __init__(self, folder: RunFolder, status: Status) -> None:
        self.folder = folder
        self._status = status
        self._lock = threading.Lock()
        self._over = threading.Event()
        write_status(folder, status)
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._thread.start()

    @property
    def status(self) -> Status:
        return self._status

    def set(self, *, durable: bool = False, **changes: Any) -> None:
        with self._lock:
            self._status = msgspec.structs.replace(self._status, **changes)
            found = stored_status(self.folder)
            if not found.pid or _process(found) == _process(self._status):
                write_status(self.folder, self._status, durable=durable)

    def close(self) -> None:
        """Stop the heartbeat; the last status stays."""
        self._over.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._over.wait(BEAT_S):
            try:
                self.set()
            except (OSError, MemoryError):
                continue  # a full disk, a lost mount, no memory: the trainer itself meets it and says so


def _process(status: Status) -> tuple[object, ...]:
    return status.kernel, status.pid, status.process_started


class StatusUpdates:
    """Writes epoch and best value into the status at the end of every epoch."""

    def __init__(self, board: StatusWriter, best: Best) -> None:
        self._board = board
        self._best = best

    def attach(self, trainer: Engine) -> None:
        """Listen to the start and the ends of epochs; attach after the validation."""
        trainer.add_event_handler(Events.STARTED | Events.EPOCH_COMPLETED, self._write)

    def _write(self, trainer: Engine) -> None:
        state = "running" if self._board.status.state == "starting" else self._board.status.state
        self._board.set(state=state, epoch=trainer.state.epoch, best=self._best.known, message="")
