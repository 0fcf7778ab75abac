"""Regular files and nothing else, opened so that no pipe, device or hole of terabytes can hang or fill the machine.

Needs the standard library alone, of any system: it comes along into exported folders.
"""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

SMALL_BYTES = 16 << 20  # largest JSON file or recipe that is read
MOST_UNPACKED, MOST_RATIO = 512 << 20, 512
"""Bytes that any file may hold once it is unpacked, and how many times its own size a large one may."""
_ALWAYS = ("O_CLOEXEC", "O_NONBLOCK", "O_NOCTTY", "O_BINARY")  # Windows has only the last, and others all but that


def open_regular(path: Path, largest: int | None = None, *, links: bool = True) -> BinaryIO:
    """Open a regular file to read it; never blocks.

    Args:
        largest: size in bytes above which it is refused.
        links: whether the file itself may be a symbolic link.

    Raises:
        OSError: it is not there, no regular file, or too big.
    """
    flags = os.O_RDONLY
    for name in (*_ALWAYS, *(() if links else ("O_NOFOLLOW",))):
        flags |= getattr(os, name, 0)
    try:
        handle = os.open(path, flags)
    except ValueError as error:  # a null byte in its name
        raise OSError(errno.EINVAL, str(error), str(path)) from error
    try:
        state = os.fstat(handle)
        if not stat.S_ISREG(state.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        if largest is not None and state.st_size > largest:
            raise OSError(errno.EFBIG, f"larger than the {largest >> 20} MB that are read", str(path))
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read_small(path: Path, largest: int = SMALL_BYTES, *, links: bool = True) -> bytes:
    """The whole content of a small regular file; see `open_regular`.

    Raises:
        OSError: it is not there, no regular file, or too big.
    """
    with open_regular(path, largest, links=links) as stream:
        # Python sets aside all that it is asked for; what is added to the file meanwhile may come too.
        return stream.read(min(largest, os.fstat(stream.fileno()).st_size + (1 << 16)))


def most_unpacked(stream: BinaryIO) -> int:
    """Bytes that a file may hold once it is unpacked: bombs, and holes of gigabytes, are small on a disk."""
    state = os.fstat(stream.fileno())
    blocks = getattr(state, "st_blocks", 0)  # Windows, and some file systems, count none
    stored = min(state.st_size, blocks * 512 or state.st_size)
    return max(MOST_UNPACKED, MOST_RATIO * stored)
