"""What the two ends say to each other: JSON lines, both ways over the pipes of one ssh."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import msgspec

from engine.runfolder import Request

VERSION = 1
LONGEST_LINE = 48 << 20
"""Bytes of a line from the far end: a file of `MOST_FILE`, with every byte escaped, is shorter."""
MOST_FILE = 4 << 20
"""Bytes of a file that is brought."""
BEFORE = 200
"""So many bytes before a place in a stream show that the stream was not cut since."""
BEAT_S = 15.0
"""Each end says something at least so often."""

_RUN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,200}")
_FILE = re.compile(r"(?:(?:previews|figures)/)?[A-Za-z0-9_][A-Za-z0-9 ._,()+=-]{0,200}")
_OWN = frozenset({"status.json", "events.jsonl"})
"""Files that have words of their own."""


class FromFar(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """From `medtui tail`. Bytes are texts in Latin-1, which ssh compresses.

    Attributes:
        hello: version of this protocol; the first line.
        listed: all runs have been named once.
        run: which one the others are about.
        status: its `Status`, judged at the far end.
        gone: it is no longer there.
        at: place in its stream where ``data`` belongs; 0 once more where the stream was cut.
        file: name of one of its files, of which ``data`` is the content; without data it cannot be had.
        whole: its stream and its small files were all sent.
        problem: what is wrong at the far end, for people.
    """

    hello: int | None = None
    listed: bool = False
    run: str = ""
    status: dict[str, Any] | None = None
    gone: bool = False
    at: int | None = None
    file: str = ""
    data: str | None = None
    whole: bool = False
    problem: str = ""


class FromNear(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """To `medtui tail`; without any of these it only says that this end is there.

    Attributes:
        run: which run the others are about.
        follow: send its stream from ``at`` on, if ``before`` is the `digest` of what lies before it, and its files.
        file: send this file of it.
        request: a request to its trainer.
    """

    run: str = ""
    follow: bool | None = None
    at: int = 0
    before: str = ""
    file: str = ""
    request: Request | None = None


def digest(before: bytes) -> str:
    """Of the `BEFORE` bytes before a place in a stream."""
    return hashlib.sha256(before).hexdigest()[:16]


def is_run_name(name: str) -> bool:
    """Whether a run may have this name in a mirror."""
    return bool(_RUN.fullmatch(name))


def is_file_name(name: str) -> bool:
    """Whether a file of this name is brought: small ones in the run folder, previews and figures."""
    return bool(_FILE.fullmatch(name)) and name not in _OWN and not name.endswith(".pt")
