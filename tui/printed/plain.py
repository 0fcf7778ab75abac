"""A run in plain lines: one an epoch, for log files, batch systems and pipes."""

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator

from engine.errors import UsageError, printable
from engine.events import AnyEvent
from engine.runfolder import ENDED, EventReader, RunFolder, read_status, send
from engine.runfolder.mirror import command_for, shown_path
from tui.printed.plain_lines import PlainLines
from tui.trainer import Interrupts, TrainerProcess

_POLL_S = 0.5
_INTERRUPTED = 130
_EXIT_CODES = {"finished": 0, "stopped": 3}


def follow(trainer: TrainerProcess, interrupts: Interrupts, since_s: float = 0.0) -> int:
    """Print a run that this process started until it ends; the exit code is the run's.

    Ctrl-C, SIGTERM and SIGUSR1 ask the trainer for a checkpoint and its end, Ctrl-C once more kills it,
    and the code is then 130. SIGHUP ends this process only.

    Args:
        interrupts: holds the signals since its handshake.
        since_s: print only what happened after this time (a resumed run has a past).
    """
    tail = _Tail(trainer.folder, since_s)
    tail.say(f"run folder  {trainer.folder.root}")
    asked = False
    for _ in tail.looks(trainer.runs):
        if interrupts.insisted:
            trainer.kill()
        elif interrupts.asked and not asked:
            asked = True
            _ask_to_stop(trainer.folder, tail)
    code = tail.end()
    return _INTERRUPTED if interrupts.asked else code


def _ask_to_stop(folder: RunFolder, tail: "_Tail") -> None:
    tail.say("asked the trainer for a checkpoint and its end; Ctrl-C once more kills it")
    try:
        send(folder, "stop_now")
    except UsageError as error:
        tail.say(str(error))


def watch(folder: RunFolder) -> int:
    """Print a run that someone else started, from its beginning, until it ends. Ctrl-C only stops looking."""
    tail = _Tail(folder, 0.0)
    for _ in tail.looks(lambda: True):
        pass
    return tail.end()


def _print_curves(folder: RunFolder) -> None:
    """How the run went, at its end; loaded only then: a run takes the processor for itself."""
    from tui.printed.once import print_curves

    try:
        print_curves(folder)
    except OSError:
        _no_reader()


def outcome(folder: RunFolder) -> int:
    """Say how a run ended and where its results are; its exit code."""
    status = read_status(folder)
    if status.state in {"failed", "lost"}:
        words = [f"the run {'failed' if status.state == 'failed' else 'was lost'}: {status.message}"]
        words += [status.hint] if status.hint else []
        if folder.log.exists():
            words.append(f"what it printed: {folder.log}")
        if folder.last.exists():
            words.append(f"go on from its last checkpoint: {command_for(folder, 'resume')}")
        print(printable("\n".join(words)), file=sys.stderr, flush=True)
        return 1
    lines = [f"{status.state}  {status.message}".strip()]
    if folder.figures.is_dir() and (count := sum(1 for _ in folder.figures.glob("*.png"))):
        lines.append(f"figures  {shown_path(folder)}/{folder.figures.name} ({count})")
    if folder.report_html.exists():
        lines.append(f"report   {shown_path(folder)}/{folder.report_html.name}")
    if status.state == "stopped":
        lines.append(f"go on    {command_for(folder, 'resume')}")
    _print("\n".join(lines))
    return _EXIT_CODES[status.state]


class _Tail:
    """What is new in a stream, on stdout: whole lines, and on a terminal a line of progress."""

    def __init__(self, folder: RunFolder, since_s: float) -> None:
        self._folder, self._reader = folder, EventReader(folder.events)
        self._lines = PlainLines()
        self._since_s = since_s
        self._newest_s = 0.0
        self._restarts = 0
        self._screen = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._progress = False

    def looks(self, lives: Callable[[], bool]) -> Iterator[None]:
        """Print what is new, now and then, until the run has ended or its process lives no more."""
        while True:
            status = read_status(self._folder)
            over = not lives() or status.state in ENDED  # asked before the last look
            self._print_new()
            if over:
                return
            for line in self._lines.health(status, time.time()):
                self.say(line)
            yield
            time.sleep(_POLL_S)

    def _print_new(self) -> None:
        while events := self._reader.read():
            if self._reader.restarts != self._restarts:  # a resumed run cut what was read
                self._restarts = self._reader.restarts
                self._lines, self._since_s = PlainLines(), self._newest_s
            for event in events:
                self._take(event)
        if self._screen and (text := self._lines.progress()):
            width = shutil.get_terminal_size().columns
            _print("\r\x1b[K" + printable(text, keep="")[: width - 1], end="")
            self._progress = True

    def say(self, text: str) -> None:
        self._clear()
        _print(printable(text))

    def end(self) -> int:
        """Print what waited for an event that did not come, the curves and the outcome; the exit code of the run."""
        for line in self._lines.rest():
            self.say(line)
        self._clear()
        _print_curves(self._folder)
        return outcome(self._folder)

    def _take(self, event: AnyEvent) -> None:
        lines = self._lines.take(event)
        self._newest_s = max(self._newest_s, event.time_s)
        if event.time_s > self._since_s:
            for line in lines:
                self.say(line)

    def _clear(self) -> None:
        if self._progress:
            _print("\r\x1b[K", end="")
            self._progress = False


def _print(text: str, end: str = "\n") -> None:
    """Print at once; a reader that is gone, or a full disk behind our output, is no matter of the training's."""
    try:
        print(text, end=end, flush=True)
    except OSError:
        _no_reader()


def _no_reader() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
