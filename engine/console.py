"""The standard streams of a command: its progress, its one message when it fails, its exit code."""

import contextlib
import errno
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

from engine.errors import WRONG_PATH, MedtuiError, printable, well_formed

INTERRUPTED = 130
_NO_MEMORY = ("can't allocate memory", "cannot allocate memory", "not enough memory", "failed to map segment")
"""Words of PyTorch, and of the loader of libraries."""
LINE_EVERY_S = 10.0  # how often progress is a line where it cannot be written over: in a file or a pipe
OVERWRITTEN = "MEDTUI_PROGRESS"
"""Set in the environment of a trainer whose launcher shows the progress that ends with a carriage return."""


def guarded(command: Callable[[], int]) -> int:
    """Run a command to its exit code: what goes wrong is one message on stderr, and never a traceback.

    A standard stream that is closed is replaced by /dev/null first, so that no file takes its number.
    """
    _open_standard_streams()
    try:
        code = command()
        sys.stdout.flush()
        return code
    except MedtuiError as error:
        if error.message:
            _complain(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except EndedError as told:
        _complain(str(told))
        return 128 + told.number
    except BrokenPipeError:
        # The reader of a pipe has seen enough (head, less): that is no fault.
        _drop_output()
        return 0
    except Exception as error:
        if os.environ.get("MEDTUI_TRACEBACK"):
            raise
        return _failed(error)


class EndedError(BaseException):
    """A command was told to end by a signal. No KeyboardInterrupt: where one was raised in code that is made from a
    string, as dataclasses are, Python ends itself by SIGINT whatever was caught."""

    def __init__(self, number: int, left: str) -> None:
        super().__init__(f"{'interrupted' if number == signal.SIGINT else 'terminated'}: {left}")
        self.number = number


@contextlib.contextmanager
def ends_clean(left: str) -> Iterator[None]:
    """Ctrl-C, and SIGTERM likewise, end what is done here: what is half done is cleared away, and a line says so.

    Args:
        left: what then is there, for that line.

    Raises:
        EndedError: for `guarded`.
    """
    came: list[int] = []

    def end(number: int, _frame: FrameType | None) -> None:
        came.append(number)
        if len(came) == 1:  # to a group of processes SIGTERM comes twice, as medtui passes it on: clear away in peace
            raise EndedError(number, left)

    def unraised(what: "sys.UnraisableHookArgs") -> None:
        if not isinstance(what.exc_value, EndedError):
            sys.__unraisablehook__(what)

    if threading.current_thread() is not threading.main_thread():  # others may set no handlers
        yield
        return
    numbers = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) != signal.SIG_IGN]  # nohup, "&"
    before = {number: signal.signal(number, end) for number in numbers}
    sys.unraisablehook, hook = unraised, sys.unraisablehook
    try:
        yield
        if came:  # what is raised where Python destroys an object is lost
            raise EndedError(came[0], left)
    finally:
        sys.unraisablehook = hook
        for number, own in before.items():
            signal.signal(number, signal.SIG_IGN if came else own)


def _failed(error: Exception) -> int:
    """Say what went wrong in one message; the exit code."""
    if memory_ran_out(error):
        from engine.hardware import memory_words

        advice = f"make data.size or the network smaller, or free memory; {memory_words()}"
        _complain(f"memory ran out: {error}\n{advice}")
        return 1
    if isinstance(error, OSError):  # a file, a disk or a name, and no fault of the program
        where = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else _unnamed(error)
        _drop_output()
        _complain(f"{where}: {error.strerror or error}")
        return 2 if error.errno in WRONG_PATH else 1
    _complain(f"unexpected {type(error).__name__}: {error}\nMEDTUI_TRACEBACK=1 shows where; please report it")
    return 1


def memory_ran_out(error: BaseException | None) -> bool:
    """Whether ``error``, or one that led to it, says that there was no memory for a value, a thread or a library."""
    while error is not None:
        if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
            return True
        if any(words in str(error).lower() for words in _NO_MEMORY):
            return True
        error = error.__cause__ or error.__context__
    return False


def _unnamed(error: OSError) -> str:
    """What an error of the system that names no file is about."""
    if error.errno == errno.ENOENT:
        try:
            Path.cwd()
        except OSError:
            return "the folder that this shell is in was removed (cd to another)"
    return "the output"


def _open_standard_streams() -> None:
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # takes the lowest number, which is this one
        if getattr(sys, name) is None:
            stream = open(descriptor, "w" if descriptor else "r", encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)


def _drop_output() -> None:
    """Let nothing be left that Python would write in vain at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(text: str) -> None:
    """A message on stderr, over the progress that may stand on the line."""
    clear = "\r\x1b[K" if sys.stderr.isatty() else ""
    try:
        print(clear + printable(well_formed(text)), file=sys.stderr, flush=True)
    except OSError:  # the exit code must do
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def tell(text: str, end: str = "\n") -> None:
    """A line on stderr, which is ``train.log`` while a run trains.

    A disk that does not take it, or a terminal that is gone, is no reason to end.
    """
    with contextlib.suppress(OSError, ValueError):
        print(text, end=end, file=sys.stderr, flush=True)


def show_progress(what: str) -> Callable[[int, int], None]:
    r"""A counter for long loops on stderr: ``what done/total``.

    On a terminal a line ends with ``\r`` and the next is written over it, ten times a second at most. In a
    file or a pipe it is a line every `LINE_EVERY_S` seconds and one at the end.
    """
    over = sys.stderr.isatty() or OVERWRITTEN in os.environ
    shown = time.monotonic()

    def show(done: int, total: int) -> None:
        nonlocal shown
        now = time.monotonic()
        if now - shown >= (0.1 if over else LINE_EVERY_S) or done == total:
            shown = now
            tell(f"{what} {done}/{total}", end="\r" if over else "\n")

    return show
