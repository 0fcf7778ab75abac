"""The trainer's process: its start, the handshake, its end.

The trainer runs in a session of its own, so that a lost terminal does not reach it. It checks the data
first, then makes the run folder, turns its output to ``train.log`` and writes one line,
``{"run": "<path>"}``, into the handshake pipe. Until then what it prints is shown here: lines that end
with a newline stay, lines that end with a carriage return are progress. A trainer that ends without a
handshake has said why, and left nothing behind.
"""

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any, Self, TextIO

import msgspec

from engine.console import LINE_EVERY_S, OVERWRITTEN
from engine.errors import MedtuiError, printable
from engine.hardware import Kills, killed_words, out_of_memory_kills
from engine.requests import Resume, Sweep, Train, encode
from engine.runfolder import RunFolder
from engine.runfolder.status import record_death
from tui.engine_process import engine_command, engine_environment

_GRACE_S = 5.0
_POLL_S = 0.5
_CLEAR_LINE = "\r\x1b[K"


class NotStartedError(MedtuiError):
    """The trainer ended before it made a run folder. What it said has been shown, so this says nothing more."""

    def __init__(self, code: int, before: Kills) -> None:
        super().__init__("" if code > 0 else f"the trainer was {killed_words(-code, before)}, before the run began")
        self.exit_code = code if code > 0 else 1


class TrainerProcess:
    """A trainer that this process started, and the folder of its run."""

    def __init__(self, process: subprocess.Popen[bytes], folder: RunFolder, before: Kills) -> None:
        self.folder = folder
        self._process = process
        self._watcher = threading.Thread(target=self._watch, args=(before,), name="trainer", daemon=True)
        self._watcher.start()

    def runs(self) -> bool:
        """Whether the process lives; how one died that was killed stands in its status then."""
        return self._watcher.is_alive()

    def kill(self) -> None:
        _signal_group(self._process, signal.SIGKILL)
        self._watcher.join()

    def _watch(self, before: Kills) -> None:
        code = self._process.wait()
        if code < 0:
            record_death(self.folder, self._process.pid, -code, before)


def start(request: Train | Resume | Sweep, interrupts: "Interrupts", *, out: TextIO | None = None) -> "TrainerProcess":
    """Start ``python -m engine`` with ``request`` and wait for its handshake.

    A `KeyboardInterrupt` while waiting ends the trainer; from the handshake on ``interrupts`` counts.

    Raises:
        NotStartedError: it ended first, with its exit code.
    """
    receiving, sending = os.pipe()
    before = out_of_memory_kills()
    text = encode(msgspec.structs.replace(request, handshake=sending))
    try:
        process = subprocess.Popen(
            engine_command(request.command, text),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=(sending,),
            env={**engine_environment(), OVERWRITTEN: "1"},
        )
    finally:
        os.close(sending)
    waiting = _Waiting(process, receiving, out or sys.stderr)
    try:
        run = waiting.handshake()
        interrupts.counting = run is not None
    except BaseException:
        _end(process)
        raise
    finally:
        os.close(receiving)
    if run is None:
        raise NotStartedError(process.wait(), before)
    return TrainerProcess(process, RunFolder(Path(run)), before)


class _Waiting:
    """Shows what the trainer prints until it shakes hands or ends."""

    def __init__(self, process: subprocess.Popen[bytes], receiving: int, out: TextIO) -> None:
        self._process = process
        self._receiving = receiving
        self._out = out
        self._transient = False
        self._lined_s = time.monotonic()
        self._said = b""
        assert process.stdout is not None  # noqa: S101 - it is a pipe, see `start`
        self._printed = process.stdout

    def handshake(self) -> str | None:
        """The run folder; None when the trainer ended without one."""
        answer = b""
        waiting_on = [self._receiving, self._printed.fileno()]
        try:
            while self._receiving in waiting_on:
                ready, _, _ = select.select(waiting_on, [], [], _POLL_S)
                if not ready and self._process.poll() is not None:
                    break  # dead, while a worker of its own still holds the pipes
                if self._printed.fileno() in ready and not self._show():
                    waiting_on.remove(self._printed.fileno())
                if self._receiving in ready:
                    part = os.read(self._receiving, 65536)
                    answer += part
                    if not part or b"\n" in answer:
                        waiting_on.remove(self._receiving)
            run = _folder_in(answer)
            patience_s = _POLL_S if run is None else 0.0
            while select.select([self._printed], [], [], patience_s)[0] and self._show():
                pass
            return run
        finally:
            self._line(b"")
            self._printed.close()

    def _show(self) -> bool:
        """Show what was printed since the last call; False at the end."""
        part = os.read(self._printed.fileno(), 65536)
        *lines, self._said = _split(self._said + part)
        for line in lines:
            self._line(line)
        if not part and self._said:
            self._line(self._said + b"\n")
            self._said = b""
        return bool(part)

    def _line(self, line: bytes) -> None:
        """Show one line with its end. Progress is overwritten on a terminal, and now and then a line in a file."""
        text = printable(line.rstrip(b"\r\n").decode("utf-8", "replace"), keep="\t")
        screen = self._out.isatty()
        clear = _CLEAR_LINE if self._transient else ""
        self._transient = screen and line.endswith(b"\r")
        due = line.endswith(b"\r") and time.monotonic() - self._lined_s >= LINE_EVERY_S
        if line.endswith(b"\n") or (due and not screen):
            text += "\n"
            self._lined_s = time.monotonic()
        elif not screen:
            return
        self._out.write(clear + text)
        self._out.flush()


def _split(said: bytes) -> list[bytes]:
    r"""Lines with their ends, ``\n`` or ``\r``; the last piece has none and may be empty."""
    pieces = said.replace(b"\r\n", b"\n").splitlines(keepends=True)
    return pieces if pieces and not pieces[-1].endswith((b"\n", b"\r")) else [*pieces, b""]


def _folder_in(answer: bytes) -> str | None:
    try:
        said: Any = json.loads(answer)
    except ValueError:
        return None
    run = said.get("run") if isinstance(said, dict) else None
    return run if isinstance(run, str) else None


class Interrupts:
    """SIGINT, SIGTERM and SIGUSR1 while a trainer is started and followed.

    Until the handshake they raise `KeyboardInterrupt`, which ends the trainer; after it they are kept
    for whoever follows the run. A context manager: it puts back what was there.

    Attributes:
        counting: whether the handshake was made.
        asked: whether there was any signal since.
        insisted: whether Ctrl-C came twice. A batch system that sends one signal after another (SIGUSR1,
            then SIGTERM) only gives notice; what it means to kill it kills itself.
    """

    def __init__(self) -> None:
        self.counting = False
        self.asked = False
        self._keyboard = 0
        self._before: list[tuple[signal.Signals, Any]] = []

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
            before = signal.getsignal(number)
            # A shell starts background jobs with SIGINT ignored: that Ctrl-C is meant for others.
            if before is not signal.SIG_IGN and threading.current_thread() is threading.main_thread():
                self._before.append((number, before))
                signal.signal(number, self._take)
        return self

    def __exit__(self, *_: object) -> None:
        for number, before in self._before:
            signal.signal(number, before)

    @property
    def insisted(self) -> bool:
        return self._keyboard > 1

    def _take(self, number: int, _frame: FrameType | None) -> None:
        if not self.counting:
            raise KeyboardInterrupt
        self.asked = True
        self._keyboard += number == signal.SIGINT


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the trainer's group to end, and make it after a while."""
    _signal_group(process, signal.SIGTERM)
    try:
        process.wait(_GRACE_S)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        _signal_group(process, signal.SIGKILL)
        process.wait()


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        return  # gone already
