"""Volumes of a text header and plain values: NRRD and MetaImage, as ITK writes them.

Written here, since ITK's own readers do not look at check sums, print their own words, and can be made to write beyond
their memory by a header. The values are read from no file but those beside the header.
"""

import bz2
import math
import os
import re
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from engine.data.headers import MOST_HEADER, Affine, Headed, refuse_huge
from engine.data.metaimage import of_meta
from engine.data.nrrd import of_nrrd
from engine.data.signs import kind_in
from engine.runfolder.regular import most_unpacked, open_regular

Array = npt.NDArray[np.generic]

_PIECE = 1 << 20  # bytes


def read_headed(path: Path, key: str) -> tuple[Array, Affine | None]:
    """The array (*S) or, of pixels with components, (*S, C), and the affine.

    Args:
        path: of an NRRD or MetaImage file.
        key: "image" or "label".

    Raises:
        OSError, ValueError: as `open_headed`; or values are missing, damaged or more than the file can hold.
    """
    found = open_headed(path)
    with open_regular(found.place) as stream:
        refuse_huge(found.sizes, found.dtype, key, stream)
        values = _values(found, stream)
    array: Array = values.reshape(found.sizes, order="F")
    array = array.astype(found.dtype.newbyteorder("="), copy=False)
    if found.channel_axis is not None:
        array = np.moveaxis(array, found.channel_axis, -1)
    if array.dtype == np.float64:
        with np.errstate(over="ignore"):  # infinite values are found, and said, as such
            array = array.astype(np.float32)
    return array, found.affine


def open_headed(path: Path) -> Headed:
    """What the header of an NRRD or MetaImage file says; values are not read.

    Raises:
        OSError, ValueError: it is none, has not three axes, holds no numbers, or its values are elsewhere.
    """
    nrrd = path.suffix.lower() in {".nrrd", ".nhdr"}
    with open_regular(path) as stream:
        head = stream.read(MOST_HEADER)
        known = head.startswith(b"NRRD") if nrrd else re.search(rb"^\s*NDims\s*[=:]", head, re.MULTILINE)
        if not known:
            name, kind = "NRRD" if nrrd else "MetaImage", kind_in(stream)
            raise ValueError(f"it is no {name} file{'' if name in kind else kind}")
    found = of_nrrd(path, head) if nrrd else of_meta(path, head)
    open_regular(found.place).close()
    return found


def _values(found: Headed, stream: BinaryIO) -> Array:
    count = math.prod(found.sizes)
    stream.seek(found.start)
    for _ in range(found.lines):
        stream.readline(_PIECE)
    if found.packing == "ascii":
        words = stream.read(most_unpacked(stream)).split()
        return np.array(words[:count]).astype(found.dtype) if len(words) >= count else _short(found, "numbers")
    wanted = count * found.dtype.itemsize
    size = os.fstat(stream.fileno()).st_size
    end = size if found.end is None else found.end
    skip = end - stream.tell() - wanted if found.skip < 0 else found.skip
    if end > size or skip < 0:
        return _short(found, f"{wanted} bytes")
    if found.packing == "raw":
        stream.seek(skip, os.SEEK_CUR)
        content = bytearray(wanted)
        held, skip = stream.readinto(content), 0  # type: ignore[attr-defined]
    else:
        content = _unpacked(stream, end - stream.tell(), wanted + skip, bzip2=found.packing == "bzip2")
        held = len(content) - skip
    return np.frombuffer(content, found.dtype, count, skip) if held >= wanted else _short(found, f"{wanted} bytes")


def _short(found: Headed, wanted: str) -> Array:
    where = "" if found.start else f" in {found.place.name}"
    raise ValueError(f"it is cut off: its values{where} are less than the {wanted} that its header asks for")


def _unpacked(stream: BinaryIO, packed: int, wanted: int, *, bzip2: bool) -> bytearray:
    """The first ``wanted`` bytes that come out of the next ``packed`` ones; of the part in which they end all is
    unpacked, since its check sum stands behind it. Fewer where the file is cut off.

    Raises:
        ValueError: the check sum is another, or far more comes out than the file takes on the disk.
    """
    content, unpacking, most = bytearray(), _unpacking(bzip2), most_unpacked(stream)
    piece, more = b"", False  # what is not unpacked yet, and whether some of what came before may not be out yet
    while not (unpacking.eof and len(content) == wanted):
        if not piece and not more:
            piece = stream.read(min(_PIECE, packed))
            packed -= len(piece)
            if not piece:
                break
        if unpacking.eof:  # pigz, bgzip and pbzip2 pack in several parts
            unpacking = _unpacking(bzip2)
        try:
            found = unpacking.decompress(piece, _PIECE)
        except (zlib.error, OSError) as error:
            raise ValueError(f"its values are damaged: {error}") from None
        most -= len(found)
        if most < 0:
            raise ValueError("far more is packed in it than its header asks for, and than its size on the disk")
        content += found[: wanted - len(content)]
        more = len(found) == _PIECE and not unpacking.eof
        piece = unpacking.unused_data if unpacking.eof else b"" if bzip2 else unpacking.unconsumed_tail
    return content if unpacking.eof else bytearray()


def _unpacking(bzip2: bool) -> Any:
    return bz2.BZ2Decompressor() if bzip2 else zlib.decompressobj(47)  # both gzip and zlib
