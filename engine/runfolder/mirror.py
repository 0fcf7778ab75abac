"""A run folder that is a mirror of one on another machine: who looks at it, or changes it, says so by small files.

Whoever keeps the mirror (`tui.remote`) brings the stream of a run that is watched and files that are asked for, and
has done over there what is to be changed. In a run folder that is no mirror nothing here does anything.
"""

import contextlib
import hashlib
import re
import shlex
import time
import uuid
from pathlib import Path

import msgspec

from engine.errors import RunError, UsageError, printable, raised_as
from engine.runfolder.atomic import write_bytes
from engine.runfolder.careful import read_text
from engine.runfolder.paths import RunFolder, size_of

MARK = ".mirror"
"""In a mirrored run folder: the host that it is on, and how a person has ``%s`` done there. Beside them: where."""
LOST, WATCHED, ASKED = ".lost", ".watched", ".asked"
"""Beside mirrored run folders: why their host cannot be asked now; which are looked at; what is asked for."""
REFUSED = ".no"
WATCHED_S = 20.0  # a run is watched for so long after somebody said so
STREAM = "events.jsonl"  # asked for: that all of the stream and the small files of a run are here
_WAIT_S, _POLL_S = 15.0, 0.05
_REACH = frozenset({"attach", "findings", "cases", "pause", "stop", "checkpoint", "note", "rename", "delete"})
"""Commands that take ``HOST:RUN``; the others are typed where the run is."""


class Asked(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file in `ASKED`, which is taken away once this was done."""

    run: str  # which one
    file: str = ""  # of the run, to be brought
    label: dict[str, str] = {}  # words for `write_label`
    delete: bool = False  # the run, for good


def is_mirror(folder: RunFolder) -> bool:
    """Whether the run itself is on another machine."""
    return (folder.root / MARK).exists()


def host_of(folder: RunFolder) -> str:
    """The machine that a mirrored run is on."""
    return _said(folder.root / MARK, "that machine").partition("\n")[0]


def place_of(runs: Path) -> str:
    """What a folder of runs is called: by its path, or by that on its machine."""
    return _said(runs / MARK, str(runs))


def path_of(folder: RunFolder) -> str:
    """The whole path of a run, for people; of one on another machine as scp has it."""
    return f"{place_of(folder.root.parent)}/{folder.id}" if is_mirror(folder) else str(folder.root.resolve())


def shown_path(folder: RunFolder) -> str:
    """The path of a run as it was named; of a mirror, whose own files are mostly empty, that of the run."""
    return path_of(folder) if is_mirror(folder) else str(folder.root)


def lost(runs: Path) -> str:
    """Why the machine of mirrored runs cannot be asked now; "" where it can, or where they are here."""
    return _said(runs / LOST)


def command_for(folder: RunFolder, command: str) -> str:
    """``medtui COMMAND RUN`` as it has to be typed here."""
    by_hand = _said(folder.root / MARK).partition("\n")[2]
    if not by_hand:
        return f"medtui {command} {folder.address}"
    if command.split(maxsplit=1)[0] not in _REACH:
        return by_hand.replace("%s", f"{command} {shlex.quote(folder.id)}")
    runs = place_of(folder.root.parent).partition(":")[2]
    there = f" --runs {shlex.quote(runs)}" if runs not in {"", "runs"} else ""
    return f"medtui {command} {shlex.quote(f'{host_of(folder)}:{folder.id}')}{there}"


def from_here(folder: RunFolder, hint: str) -> str:
    """``hint`` with its ``medtui resume RUN`` as it has to be typed here, which who wrote it did not know."""
    found = re.search(rf"medtui (resume(?: --take)?) \S*{re.escape(folder.id)}(?![\w.-])", hint)
    command = command_for(folder, found[1]) if found else ""
    return hint if not found or command in hint else hint[: found.start()] + command + hint[found.end() :]


def _said(path: Path, otherwise: str = "") -> str:
    try:
        return printable(read_text(path, 5000), keep="\n")
    except OSError:
        return otherwise


def refuse_mirror(folder: RunFolder, command: str) -> None:
    """Make sure that a run is here, before ``medtui COMMAND`` changes it.

    Raises:
        UsageError: this folder is a mirror; it says what to type where the run is.
    """
    if is_mirror(folder):
        raise UsageError(f"{folder.id} is on {host_of(folder)}", f"do this over there: {command_for(folder, command)}")


def watch(folder: RunFolder) -> None:
    """Say that somebody looks at this run; to be said again within `WATCHED_S`."""
    if is_mirror(folder):
        with contextlib.suppress(OSError):
            marker = folder.root.parent / WATCHED / folder.id
            marker.parent.mkdir(mode=0o700, exist_ok=True)
            marker.touch(mode=0o600)


def ask(folder: RunFolder, *names: str) -> list[Path]:
    """Ask for those of the files ``names`` that are not here; what is there until each has come or cannot be had."""
    if not is_mirror(folder):
        return []
    if STREAM in names:
        watch(folder)
    missing = [name for name in names if name == STREAM or not size_of(folder.root / name)]
    with contextlib.suppress(OSError):  # a full disk: what is asked for does not come
        return [_put(folder, _key(folder, name), Asked(run=folder.id, file=name)) for name in missing]
    return []


def fetch(folder: RunFolder, *names: str, wait_s: float = _WAIT_S) -> None:
    """Wait until the files ``names`` of the run are here, where they can be had. Not for the thread of a screen."""
    _wait(folder, ask(folder, *names), wait_s)


def change(folder: RunFolder, label: dict[str, str], *, delete: bool = False) -> None:
    """Have a run changed where it is: its ``label``, or its being there.

    Raises:
        UsageError: it was refused over there; the reason.
        RunError: nobody has answered.
    """
    host = host_of(folder)
    if (folder.root.parent / LOST).exists():
        raise RunError(f"{host} is not connected: nothing was changed", "try it again once it is")
    with raised_as(RunError, f"cannot write to {folder.root}"):
        marker = _put(folder, uuid.uuid4().hex, Asked(run=folder.id, label=label, delete=delete))
    answered = _wait(folder, [marker], _WAIT_S)
    marker.unlink(missing_ok=True)  # what comes late helps nobody
    with contextlib.suppress(OSError):
        refusal = marker.with_suffix(REFUSED)
        text = read_text(refusal, 5000)
        refusal.unlink()
        raise UsageError(f"{host}: {printable(text, keep='')}")
    if not answered:
        raise RunError(f"{host} has not answered: what became of it is not known", "see whether it was done")


def _key(folder: RunFolder, name: str) -> str:
    return hashlib.sha256(f"{folder.id}/{name}".encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _put(folder: RunFolder, key: str, asked: Asked) -> Path:
    marker = folder.root.parent / ASKED / key
    marker.parent.mkdir(mode=0o700, exist_ok=True)
    write_bytes(marker, msgspec.json.encode(asked), durable=False)
    return marker


def _wait(folder: RunFolder, markers: list[Path], wait_s: float) -> bool:
    """Until they are gone; False where that is not to be expected."""
    end = time.monotonic() + wait_s
    while any(marker.exists() for marker in markers):
        if time.monotonic() > end or (folder.root.parent / LOST).exists():
            return False
        time.sleep(_POLL_S)
    return True
