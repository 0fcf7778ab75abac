"""A run folder that is a mirror of one on another machine: its readers say what they look at by small files.

Whoever keeps the mirror (`tui.remote`) brings the stream of a run that is watched, and files that are asked for.
In a run folder that is no mirror nothing here does anything.
"""

from __future__ import annotations

import time
from pathlib import Path
from urllib.parse import quote

from engine.errors import UsageError, printable
from engine.runfolder.careful import read_text
from engine.runfolder.paths import RunFolder

MARK = ".mirror"
"""In a mirrored run folder: the host that it is on."""
WATCHED = ".watched"
ASKED = ".asked"
WATCHED_S = 20.0
"""A run is watched for so long after somebody said so."""
_POLL_S = 0.05


def is_mirror(folder: RunFolder) -> bool:
    """Whether the run itself is on another machine."""
    return (folder.root / MARK).exists()


def refuse_mirror(folder: RunFolder, command: str) -> None:
    """Make sure that a run is here, before ``medtui COMMAND`` changes it.

    Raises:
        UsageError: this folder is a mirror; it says what to type where the run is.
    """
    if is_mirror(folder):
        try:
            host = printable(read_text(folder.root / MARK, 1000), keep="")
        except OSError:
            host = "that machine"
        raise UsageError(f"{folder.id} is on {host}", f"do this over there: ssh {host} medtui {command} {folder.id}")


def watch(folder: RunFolder) -> None:
    """Say that somebody looks at this run; to be said again within `WATCHED_S`."""
    if is_mirror(folder):
        _touch(folder.root / WATCHED)


def fetch(folder: RunFolder, name: str, wait_s: float = 15.0) -> None:
    """Wait until the file ``name`` of the run is here, where it can be had. Not for the thread of a screen."""
    if not is_mirror(folder) or (folder.root / name).exists():
        return
    marker = folder.root / ASKED / quote(name, safe="")
    _touch(marker)
    end = time.monotonic() + wait_s
    while marker.exists() and time.monotonic() < end:
        time.sleep(_POLL_S)


def _touch(path: Path) -> None:
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.touch(mode=0o600)
    except (OSError, ValueError):
        return  # a name too long, a full disk: what is asked for does not come
