"""Careful reading: a file of a run folder may be a pipe, a device, a hole of terabytes, or nonsense.

Whoever reads from a run folder goes through here, so that no such file can hang or fill the machine.
"""

import errno
import typing
import zipfile
from pathlib import Path
from typing import Annotated, Any, BinaryIO, TypeVar

import msgspec

from engine.runfolder.regular import SMALL_BYTES, read_small

MOST_PARTS = 50_000  # lists and objects of a JSON file that is read: millions of them take minutes and gigabytes
MOST_LEVELS = 64  # deepest nesting of JSON that is read
MOST_CONTENTS = 4 << 20  # bytes of the table of contents of a zip file
UNREADABLE = (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What the readers of JSON raise over files that are missing, damaged, or no files."""

Count = Annotated[int, msgspec.Meta(ge=-(2**62), le=2**62)]  # a whole number that a float can hold

T = TypeVar("T")


def read_text(path: Path, largest: int = SMALL_BYTES) -> str:
    """The text of a small file; bytes that are not UTF-8 are replaced. Raises as `read_small`."""
    return read_small(path, largest).decode("utf-8", errors="replace")


def zip_members(stream: BinaryIO) -> list[zipfile.ZipInfo]:
    """What a zip file that NumPy or torch wrote holds.

    Raises:
        zipfile.BadZipFile: it is damaged, has absurdly many members, or is packed as they never pack.
    """
    end = zipfile._EndRecData(stream)  # type: ignore[attr-defined]
    if not end or end[5] > MOST_CONTENTS:
        raise zipfile.BadZipFile("no table of contents, or too long a one")
    with zipfile.ZipFile(stream) as archive:
        members = archive.infolist()
    if any(member.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED} for member in members):
        raise zipfile.BadZipFile("packed in another way")  # LZMA may ask for 4 GB to unpack a byte
    return members


def read_json(path: Path) -> Any:
    """What stands in a JSON file; it raises what `UNREADABLE` lists."""
    content = read_small(path)
    if content.count(b"[") + content.count(b"{") > MOST_PARTS:
        raise OSError(errno.EFBIG, f"more than {MOST_PARTS} lists and objects", str(path))
    return msgspec.json.decode(content)


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file; an empty one where there is none that can be read."""
    try:
        found = read_json(path)
    except UNREADABLE:
        return {}
    return found if isinstance(found, dict) and _is_flat(found) else {}


def lenient(value: Any, kind: type[T]) -> T:
    """``value`` as ``kind``, without the entries that do not have their type; one bad entry costs no other.

    Struct fields and entries of dictionaries are left out one by one; a list is taken whole or not at all.

    Raises:
        msgspec.ValidationError: nothing of it can be used.
    """
    mapping = typing.get_origin(kind) is dict
    if not mapping and not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
        return msgspec.convert(value, kind)
    if not isinstance(value, dict):
        raise msgspec.ValidationError(f"{type(value).__name__} in place of an object")
    kinds = dict.fromkeys(value, typing.get_args(kind)[1]) if mapping else _field_types(kind)
    good = {}
    for name, part in value.items():
        if name in kinds:
            try:
                good[name] = lenient(part, kinds[name])
            except msgspec.ValidationError:
                continue
    return typing.cast("T", good) if mapping else kind(**good)


def _field_types(kind: type[Any]) -> dict[str, Any]:
    return {part.name: part.type for part in msgspec.structs.fields(kind)}


def _is_flat(value: dict[str, Any]) -> bool:
    """Whether no more than `MOST_LEVELS` lie in each other: who walks deeper by recursion would fail."""
    level: list[Any] = [value]
    for _ in range(MOST_LEVELS):
        inner = [item for part in level for item in (part.values() if isinstance(part, dict) else part)]
        level = [item for item in inner if isinstance(item, dict | list)]
        if not level:
            return True
    return False
