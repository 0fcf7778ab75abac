"""What the two ends say to each other: JSON lines, both ways over the pipes of one ssh."""

import hashlib
import re
from typing import Any

import msgspec

from engine.runfolder import Request
from engine.runfolder.mirror import Asked

VERSION = 2
CHUNK_BYTES = 256 << 10  # bytes of a stream or a file that a line brings
LONGEST_LINE = 2 << 20  # bytes of a line from the far end: `CHUNK_BYTES`, each of them escaped, are fewer
MOST_FILE = 64 << 20  # bytes of a file that is brought
MOST_NAMES = 2000  # files of a run that are named
BEFORE = 200  # so many bytes before a place in a stream show that the stream was not cut since
BEAT_S = 15.0  # each end says something at least so often
SMALL = ("recipe.toml", "manifest.json", "metrics.json", "cases.csv", "splits.csv", "figures/index.json")
"""What is brought of a run that is watched, besides its stream."""
UNASKED = frozenset({*SMALL, "label.json", "study.toml"})  # what the far end may send of itself

_RUN = re.compile(r"\w[\w ._,()+=@:'\"-]{0,200}")
_FILE = re.compile(r"(?:(?:previews|figures|examples)/)?\w[\w ._,()+=-]*")
_OWN = frozenset({"status.json", "events.jsonl"})  # files that have words of their own


class FromFar(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """From `medtui tail`. Bytes are texts in Latin-1, which ssh compresses."""

    hello: int | None = None  # version of this protocol; the first line
    listed: bool = False  # all runs have been named once
    run: str = ""  # which one the others are about
    status: dict[str, Any] | None = None  # its `Status`, judged at the far end
    gone: bool = False  # it is no longer there
    at: int | None = None  # place of ``data`` in its stream or in ``file``; of a stream 0 once more where it was cut
    file: str = ""  # name of one of its files
    size: int = 0  # of the file, in bytes
    data: str | None = None
    names: dict[str, int] | None = None  # files that can be asked for, with the times of their writing in ns
    whole: bool = False  # its stream and its small files were all sent
    done: str = ""  # the key of what the near end asked for
    problem: str = ""  # why that was not done, or what is wrong at the far end, for people


class FromNear(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """To `medtui tail`; without any of these it only says that this end is there."""

    run: str = ""  # which run the others are about
    follow: bool | None = None  # send its files, and its stream from ``at`` on
    at: int = 0
    before: str = ""  # the `digest` of what lies before ``at``; another one: the stream from its beginning
    key: str = ""  # of what is ``asked``
    asked: Asked | None = None
    request: Request | None = None  # to its trainer


def digest(before: bytes) -> str:
    """Of the `BEFORE` bytes before a place in a stream."""
    return hashlib.sha256(before).hexdigest()[:16]


def is_run_name(name: str) -> bool:
    """Whether a run may have this name in a mirror."""
    return bool(_RUN.fullmatch(name)) and len(name.encode()) < 250


def is_file_name(name: str) -> bool:
    """Whether a file of this name is brought: small ones in the run folder, previews, figures and examples."""
    return bool(_FILE.fullmatch(name)) and len(name.encode()) < 250 and name not in _OWN and not name.endswith(".pt")
