"""``control/``: requests to a live trainer, one small file each; its answers are in the stream."""

from __future__ import annotations

import os
import time
import uuid
from typing import Literal

import msgspec

from engine.errors import UsageError
from engine.runfolder.atomic import write_bytes
from engine.runfolder.paths import RunFolder

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
    request = Request(id=uuid.uuid4().hex[:12], command=command, text=text[:2000], time_s=round(time.time(), 3))
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
        try:
            if entry.is_file(follow_symlinks=False):
                with open(entry.path, "rb") as stream:
                    requests.append(msgspec.json.decode(stream.read(65536), type=Request))
        except (OSError, msgspec.DecodeError):
            pass  # removed below; a request that nobody can read has no one to answer
        try:
            os.unlink(entry.path)
        except OSError:
            continue
    return requests
