"""The errors that a user may meet: what is wrong, and what to do about it.

Every boundary (command line, trainer process, dashboard) shows these as text and never as a
traceback. Anything else that is raised is a fault of medtui itself.
"""

import errno
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

WRONG_PATH = frozenset(
    {errno.ENAMETOOLONG, errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.EACCES, errno.EPERM, errno.EROFS, errno.ELOOP}
)
"""What the system says of a path that cannot be what a command line wants of it: no fault of the disk."""

# C0 and C1 controls, DEL, what turns the direction of text, line and paragraph separators, surrogates.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def absent_input(path: Path) -> "UsageError":
    """Of `medtui predict`: asked before PyTorch is loaded, and where files are collected."""
    return UsageError(f"no input at {path}", "name files, or folders of files")


def absent_dataset(folder: Path) -> "DataError":
    """Of `medtui evaluate --data`, likewise."""
    return DataError(f"no data set at {folder}", "name its folder, or the one that holds it, with --data")


def printable(text: str, keep: str = "\n") -> str:
    """``text`` with control characters spelt out, so that no file name or label moves a terminal's cursor.

    Args:
        text: anything, also from untrusted files.
        keep: control characters that stay; for one line of a table give ``""``.

    >>> printable("a\\x1b[2Jb")
    'a\\\\x1b[2Jb'
    """
    return _UNPRINTABLE.sub(lambda m: m[0] if m[0] in keep else m[0].encode("unicode_escape").decode(), text)


def well_formed(text: str) -> str:
    """``text`` that UTF-8 can write: odd bytes of old file names are spelt out."""
    return text.encode("utf-8", "backslashreplace").decode()


def millions(count: int) -> str:
    """A number of weights: ``"1.25 M"``; below ten thousand as it is."""
    return f"{count / 1e6:.2f} M" if count >= 10_000 else str(count)


def counted(number: int, what: str) -> str:
    """``1 case``, ``2 cases``, ``2 classes``, ``2 batches``."""
    many = "es" if what.endswith(("s", "x", "tch")) else "s"
    return f"{number} {what}{'' if number == 1 else many}"


def some(names: Collection[str], most: int = 3) -> str:
    """The first of ``names``, and how many more there are."""
    more = len(names) - most
    return ", ".join(list(names)[:most]) + (f" and {more} more" if more > 0 else "")


def ends(low: str, high: str) -> str:
    """``1 to 3``, of numbers as they are written; one of them where both read alike."""
    return low if low == high else f"{low} to {high}"


class MedtuiError(Exception):
    """A message for the user, a hint that says what to do, and the exit code of the command."""

    exit_code: int = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    @property
    def text(self) -> str:
        """All but the hint."""
        return self.message

    def __str__(self) -> str:
        return f"{self.text}\n{self.hint}" if self.hint else self.text


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a recipe or in a data folder."""

    where: str  # file and line, or a case's file
    what: str  # what was found there
    allowed: str = ""  # what would be legal, or empty where that goes without saying
    key: str = ""  # the key concerned (``train.epochs``), or empty

    def __str__(self) -> str:
        where, key = printable(self.where, keep=""), printable(self.key, keep="")
        head = f"{where}: {key}: {self.what}" if key else f"{where}: {self.what}"
        return f"{head}\n    allowed: {self.allowed}" if self.allowed else head


MOST_SHOWN = 50  # kinds of problems that one message lists
_ALIKE = 3  # more of one kind share a line


class ProblemsError(MedtuiError):
    """An error that lists all the problems that were found, not the first only."""

    def __init__(self, message: str, hint: str = "", problems: tuple[Problem, ...] = ()) -> None:
        super().__init__(message, hint)
        self.problems = problems

    @property
    def text(self) -> str:
        alike: dict[tuple[str, str, str], list[Problem]] = {}
        for problem in self.problems:
            alike.setdefault((problem.key, problem.what, problem.allowed), []).append(problem)
        lines = [self.message]
        left = len(self.problems)
        for group in list(alike.values())[:MOST_SHOWN]:
            rows = group if len(group) <= _ALIKE else [replace(group[0], where=some([p.where for p in group]))]
            lines += [f"  {str(row).replace(chr(10), chr(10) + '  ')}" for row in rows]
            left -= len(group)
        return "\n".join([*lines, *([f"  and {left} more"] if left else [])])


class RecipeError(ProblemsError):
    """The recipe cannot be used. Exit code 2."""

    exit_code = 2


def misfit(key: str, found: str, allowed: str) -> RecipeError:
    """The error for a key whose value this network, this loss or this data set cannot take."""
    return RecipeError("the recipe cannot be used:", problems=(Problem("recipe", found, allowed, key),))


class DataError(ProblemsError):
    """The data cannot be used. Exit code 2."""

    exit_code = 2


class UsageError(MedtuiError):
    """The command line is wrong: no such run, no such file. Exit code 2."""

    exit_code = 2


class RunError(MedtuiError):
    """The run failed. Exit code 1."""


class MemoryShortError(RunError):
    """It failed for want of memory, of the GPU or of the machine."""


@contextmanager
def raised_as(kind: type[MedtuiError], what: str, hint: str = "") -> Iterator[None]:
    """Raise an error of the system as one for the user: ``what`` cannot be done, and what the system says of it."""
    try:
        yield
    except OSError as error:
        raise kind(f"{what}: {error.strerror or error}", hint) from error
