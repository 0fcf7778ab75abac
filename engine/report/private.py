"""Takes absolute paths and the names of host and user out of a text."""

import getpass
import os
import re
import socket
from collections.abc import Callable, Iterable
from pathlib import Path

_POSIX = re.compile(r"(?<![\w./…<])(?:file://)?/(?:[^\s/\"'`,;:|<>()\[\]{}]+/)*[^\s/\"'`,;:|<>()\[\]{}]+/?")
_WINDOWS = re.compile(r"(?<!\w)[A-Za-z]:\\(?:[^\s\\\"'`,;:|<>]+\\)*[^\s\\\"'`,;:|<>]*")
_HOME = re.compile(r"(?<![\w/])~[\w.-]*/(?:[^\s/\"'`,;]+/)*[^\s/\"'`,;]*")
_HOMES = frozenset({"home", "Users", "users"})
_COMMON = {"root", "user", "data", "test", "train", "runs", "medtui", "ubuntu", "debian", "localhost", "host"}
"""Names that say nothing of a person or a machine, and that are words of every report."""


def scrubber(paths: Iterable[Path | str], hosts: Iterable[str] = ()) -> Callable[[str], str]:
    """A function that shortens absolute paths to their last part and hides host and user.

    Args:
        paths: folders that are known to occur (run folder, data root); their names may hold spaces.
        hosts: names of the machines of the run; this machine's is added.
    """
    known = {str(path).rstrip("/\\") for path in paths if str(path)}
    known |= {os.path.abspath(path) for path in known}
    known |= {str(Path.home()), os.getcwd()}
    prefixes = sorted((path for path in known if len(path) > 1 and Path(path).is_absolute()), key=len, reverse=True)
    words = _words([*hosts, socket.gethostname()], "HOST") | _words([_user()], "USER")

    def clean(text: str) -> str:
        for prefix in prefixes:
            text = text.replace(prefix, _short(prefix))
        text = _WINDOWS.sub(lambda match: _short(match.group().replace("\\", "/")), text)
        text = _HOME.sub(lambda match: _short(match.group()), text)
        text = _POSIX.sub(lambda match: _short(match.group()), text)
        for word, name in words.items():
            text = re.sub(rf"(?<![\w-]){re.escape(word)}(?![\w-])", name, text)
        return text

    return clean


def _short(path: str) -> str:
    """``…/`` and the last part; of a person's own folder (``/home/jane``, ``~``) not even that."""
    parts = [part for part in path.split("/") if part]
    own = path.rstrip("/") == str(Path.home()) or (len(parts) == 1 and parts[0].startswith("~"))
    if own or (len(parts) >= 2 and parts[-2] in _HOMES):
        return "…"
    return f"…/{parts[-1]}"


def _words(names: Iterable[str], instead: str) -> dict[str, str]:
    parts = {part for name in names for part in (name, name.partition(".")[0])}
    return {part: instead for part in parts if len(part) >= 3 and part.lower() not in _COMMON}


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container without an entry for this user
        return ""
