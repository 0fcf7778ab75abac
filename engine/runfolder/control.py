"""``control/``: requests to a live trainer, one small file each; its answers are in the stream."""

import os
import time
import uuid
from typing import Literal

import msgspec

from engine.errors import UsageError, raised_as, well_formed
from engine.runfolder.atomic import write_bytes
from engine.runfolder.careful import UNREADABLE
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
    text, now = well_formed(text[:_MAX_TEXT]), round(time.time(), 3)
    request = Request(id=uuid.uuid4().hex[:12], command=command, text=text, time_s=now)
    post(folder, request)
    return request


def post(folder: RunFolder, request: Request) -> None:
    """Lay a request into the folder; raises as `send`."""
    with raised_as(UsageError, f"cannot write to {folder.control}"):
        folder.control.mkdir(mode=0o700, exist_ok=True)
        if folder.control.is_symlink():
            raise UsageError(f"{folder.control} is a link", "a run folder holds no links: this one was changed")
        name = f"{time.time_ns():020d}-{uuid.uuid4().hex[:12]}.json"
        write_bytes(folder.control / name, msgspec.json.encode(request))


def take(folder: RunFolder) -> list[Request]:
    """The trainer's side: all waiting requests, oldest first, taken off the folder.

    What is not a request (damaged, unknown command, a link) is removed and ignored.
    """
    try:
        place = os.open(folder.control, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return []
    requests = []
    try:
        names = sorted(name for name in os.listdir(place) if name.endswith(".json") and not name.startswith("."))
        for name in names:
            request = _read(place, name)
            try:
                os.unlink(name, dir_fd=place)
            except OSError:
                continue  # what cannot be taken off would be obeyed again and again
            if request is not None:
                requests.append(request)
    except OSError:
        return requests  # the mount went away in between
    finally:
        os.close(place)
    return requests


def _read(place: int, name: str) -> Request | None:
    try:
        # Not to be blocked by a pipe of that name.
        handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=place)
        try:
            return msgspec.json.decode(os.read(handle, _MAX_BYTES), type=Request)
        finally:
            os.close(handle)
    except UNREADABLE:
        return None
