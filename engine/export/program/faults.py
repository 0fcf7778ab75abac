"""What is wrong, in a line for people; and signals that say to end."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO


class UnusableError(Exception):
    """What cannot be done, in a line for people."""


class EndedError(BaseException):
    """A signal came that says to end: the number of it."""


_CAME: list[int] = []  # such signals


@contextmanager
def named(path: Path) -> Iterator[None]:
    """What is wrong with a file, with its name before it; a folder is called as its case is.

    Raises:
        UnusableError: readers raised an OSError or a ValueError, of which the words are theirs, or anything else, of
            which the words may hold what nobody should see, such as the name of a patient.
    """
    name = "" if path.is_dir() else f"{path.name}: "
    try:
        yield
    except (MemoryError, ImportError):
        raise
    except (UnusableError, OSError, ValueError) as error:
        raise UnusableError(f"{name}{getattr(error, 'strerror', None) or first_line(error)}") from None
    except Exception:  # noqa: BLE001  (of a damaged file anything)
        raise UnusableError(f"{name}it is damaged or cut off, or not what its name says") from None


def first_line(error: Exception) -> str:
    """What an error says."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def say(text: object, stream: TextIO | None = None) -> None:
    """Print a line, with what could move the cursor of a terminal, or cannot be printed, spelt out."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))
    print(shown, file=stream, flush=True)


@contextmanager
def told_to_end() -> Iterator[None]:
    """Ctrl-C, and SIGTERM as a batch system sends it, raise `EndedError`: what is half written is cleared away."""

    def end(number: int, _frame: Any) -> None:
        _CAME.append(number)
        if len(_CAME) == 1:  # others may not cut off what clears away
            raise EndedError(number)

    def unraised(what: Any) -> None:
        if not isinstance(what.exc_value, EndedError):
            sys.__unraisablehook__(what)

    _CAME.clear()
    if threading.current_thread() is not threading.main_thread():  # others may set no handlers
        yield
        return
    numbers = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) != signal.SIG_IGN]  # nohup, "&"
    before = {number: signal.signal(number, end) for number in numbers}
    sys.unraisablehook, hook = unraised, sys.unraisablehook
    try:
        yield
    finally:
        sys.unraisablehook = hook
        for number, own in before.items():
            signal.signal(number, own)


def refuse_ended() -> None:
    """Raise `EndedError` once more: what is raised where Python destroys an object is lost."""
    if _CAME:
        raise EndedError(_CAME[0])
