"""The ``.npz`` files of a run, read with care: anyone can have damaged them, or made them to do harm."""

import lzma
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.runfolder import most_unpacked, open_regular, zip_members

Array: TypeAlias = NDArray[Any]
MOST_BYTES = 4 << 30  # larger files, and files that hold more once they are unpacked, are not read
DAMAGED = (
    OSError, EOFError, LookupError, MemoryError, RuntimeError, SyntaxError, ValueError, OverflowError, TypeError,
    lzma.LZMAError, struct.error, tokenize.TokenError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What zipfile and NumPy raise over files that are damaged in every way, as fuzzing found."""


class ArraysError(Exception):
    """The arrays of a file cannot be had: why, to go behind its name."""


def load_arrays(path: Path, names: Collection[str] | None = None, *, most: int = MOST_BYTES) -> dict[str, Array]:
    """The arrays of a file, or those of ``names`` that it has.

    Args:
        path: a regular file, no link.
        names: arrays to read; None for all.
        most: bytes of these arrays in memory, and of the file: a small file may hold very large ones.

    Raises:
        ArraysError: it is not there, too big, or damaged.
    """
    try:
        with open_regular(path, MOST_BYTES, links=False) as stream:
            sizes = [(member.filename.removesuffix(".npy"), member.file_size) for member in zip_members(stream)]
            asked = sum(size for name, size in sizes if names is None or name in names)
            if asked > min(most, most_unpacked(stream)):
                raise ArraysError("is too big to show")
            with np.load(stream, allow_pickle=False) as arrays:
                return {name: arrays[name] for name in arrays.files if names is None or name in names}
    except FileNotFoundError as error:
        raise ArraysError("is no longer there") from error
    except DAMAGED as error:
        raise ArraysError("cannot be read") from error
