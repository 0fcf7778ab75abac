"""``control/``: requests to a live trainer, one small file each; its answers are in the stream."""

from __future__ import annotations

import os
import time
import uuid
from typing import Literal

import msgspec

from engine.errors import UsageError, well_formed
from engine.runfolder.atomic import write_bytes
from engine.runfolder.paths import RunFolder

_MAX_TEXT = 2000
_MAX_BYTES = 1 << 16

Command = Literal["pause", "resume", "stop", "stop_now", "checkpoint", "note"]


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One request. ``stop`` ends after the running epoch, ``stop_now`` after the iteration."""

    id: str
    command: Command
    text: str = ""  # of a note
    time_s: float = 0.0


def send(folder: RunFolder, command: Command, text: str = "") -> Request:
    """Ask the trainer for something; the answer is a `Control` event with the request's id.

    Raises:
        UsageError: the run folder cannot be written.
    """
    request = Request(
        id=uuid.uuid4().hex[:12], command=command, text=well_formed(text[:_MAX_TEXT]), time_s=round(time.time(), 3)
    )
    try:
        folder.control.mkdir(exist_ok=True)
        write_bytes(folder.control / f"{time.time_ns():020d}-{request.id}.json", msgspec.json.encode(request))
    except OSError as error:
        raise UsageError(f"cannot write to {folder.control}: {error.strerror or error}") from error
    return request


def take(folder: RunFolder) -> list[Request]:
    """The trainer's side: all waiting requests, oldest first, taken off the folder.

    What is not a request (damaged, unknown command, a link) is removed and ignored.
    """
    try:
        entries = sorted((e for e in os.scandir(folder.control) if e.name.endswith(".json")), key=lambda e: e.name)
    except OSError:
        return []
    requests = []
    for entry in entries:
        if entry.name.startswith("."):
            continue  # being written
        request = _read(entry)
        try:
            os.unlink(entry.path)
        except OSError:
            continue  # what cannot be taken off would be obeyed again and again
        if request is not None:
            requests.append(request)
    return requests


def _read(entry: os.DirEntry[str]) -> Request | None:
    """The request in a file; None for what nobody can read, and so nobody waits for."""
    try:
        if not entry.is_file(follow_symlinks=False):
            return None
        with open(entry.path, "rb") as stream:
            return msgspec.json.decode(stream.read(_MAX_BYTES), type=Request)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
