"""Volumes of a text header and plain values: NRRD and MetaImage, as ITK writes them.

Written here, since ITK's own readers do not look at check sums, print their own words, and can be made to write beyond
their memory by a header. The values are read from no file but those beside the header.
"""

import bz2
import math
import os
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from engine.data.signs import kind_in
from engine.data.volumes import Affine, Array, Header, refuse_huge
from engine.runfolder import most_unpacked, open_regular

MOST_HEADER = 1 << 20
_PIECE = 1 << 20  # bytes
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])  # from ITK's axes, to the left and to the back, to RAS+


@dataclass(frozen=True, slots=True, eq=False)
class Headed:
    """What a header says."""

    sizes: tuple[int, ...]  # along all axes, the fastest first: three of space, and perhaps that of the channels
    channel_axis: int | None  # which of them is no axis of space
    dtype: np.dtype[np.generic]  # with the order of bytes
    affine: Affine  # (4, 4), from voxel indices to mm in RAS+
    turned: bool  # whether it says how the axes lie; else they are taken for ITK's own
    place: Path  # of the file that holds the values
    start: int  # the byte there at which they begin, packed or not
    packing: str = "raw"  # "raw", "gzip" (zlib too), "bzip2" or "ascii"
    end: int | None = None  # the byte behind them; None: of the file
    lines: int = 0  # that are skipped there
    skip: int = 0  # bytes that are skipped once they are unpacked; -1: all but the last ones

    @property
    def header(self) -> Header:
        space = tuple(size for axis, size in enumerate(self.sizes) if axis != self.channel_axis)
        channels = 1 if self.channel_axis is None else self.sizes[self.channel_axis]
        return Header(space, channels, self.dtype, self.affine)


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
    from engine.data.metaimage import of_meta
    from engine.data.nrrd import of_nrrd

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


def place_of(path: Path, name: str) -> Path:
    """The file that the header ``path`` calls ``name``.

    Raises:
        ValueError: it lies elsewhere, is not there, or there are several.
    """
    plain = name.removeprefix("./")
    if "%" in plain or plain.split(" ")[0] == "LIST":
        raise ValueError(f"it has its values in several files ({name[:60]}): write it anew with SimpleITK")
    if not plain or plain in {".", ".."} or not {"/", "\\", "\0"}.isdisjoint(plain):
        raise ValueError(f'it points to "{name[:100]}": values are read only from a file beside it, under a plain name')
    if not os.path.lexists(path.parent / plain):
        raise ValueError(f"the file of its values, {plain[:100]}, is not beside it")
    return path.parent / plain


def fields(lines: list[str], form: str, called: Any) -> dict[str, str]:
    """Name -> value of those lines of a header that have the ``form``; ``called`` gives a name its one spelling.

    Raises:
        ValueError: a name is there twice, and says different things: two readers might take different ones.
    """
    found: dict[str, str] = {}
    for line in lines:
        if match := re.fullmatch(form, line):
            name = called(match[1])
            if found.get(name, match[2].strip()) != match[2].strip():
                raise ValueError(f"its header has {match[1][:40]} twice")
            found[name] = match[2].strip()
    return found


def whole(text: str, name: str) -> int:
    """Raises: ValueError: ``text`` is no whole number; ``name`` is what it stands for."""
    if not re.fullmatch(r"-?\d{1,18}", text):
        raise ValueError(f'"{text[:40]}" is no number for {name}' if text else f"its header has no {name}")
    return int(text)


def counts(text: str, name: str, number: int) -> tuple[int, ...]:
    """Raises: ValueError: ``text`` is not so many numbers above 0, separated by spaces."""
    parts = text.split()
    if len(parts) != number or not all(part.isdecimal() and 0 < int(part[:19]) < 2**40 for part in parts):
        found = f'"{text[:60]}" is not {number} numbers above 0 for {name}'
        raise ValueError(found if text else f"its header has no {name}")
    return tuple(map(int, parts))


def numbers(text: str, name: str, number: int) -> list[float]:
    """Raises: ValueError: ``text`` is not so many finite numbers, separated by spaces or commas."""
    try:
        found = [float(part) for part in re.split(r"[\s,]+", text.strip())]
    except ValueError:
        found = []
    if len(found) != number or not all(map(math.isfinite, found)):
        raise ValueError(f'"{text[:60]}" is not {number} numbers for {name}')
    return found


def affine_of(axes: Any, origin: Any, to_ras: Affine) -> Affine:
    """The affine (4, 4) of axes (3, 3), of which columns are steps of a voxel, and the place (3) of the first one."""
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = axes, origin
    return np.asarray(to_ras @ affine, np.float64) + 0.0  # no -0


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
        held = stream.readinto(content)  # type: ignore[attr-defined]
    else:
        content = _unpacked(stream, end - stream.tell(), wanted + skip, bzip2=found.packing == "bzip2")[skip:]
        held = len(content)
    return np.frombuffer(content, found.dtype, count) if held >= wanted else _short(found, f"{wanted} bytes")


def _short(found: Headed, wanted: str) -> Array:
    where = "" if found.start else f" in {found.place.name}"
    raise ValueError(f"it is cut off: its values{where} are less than the {wanted} that its header asks for")


def _unpacked(stream: BinaryIO, packed: int, wanted: int, *, bzip2: bool) -> bytearray:
    """The ``wanted`` bytes, or a piece more, that come out of the next ``packed`` ones, which are read to their end.

    Raises:
        ValueError: the check sum is another.
    """
    unpacking: Any = bz2.BZ2Decompressor() if bzip2 else zlib.decompressobj(47)  # both gzip and zlib
    content = bytearray()
    while len(content) <= wanted and not unpacking.eof and (piece := stream.read(min(_PIECE, packed))):
        packed -= len(piece)
        while len(content) <= wanted and not unpacking.eof:
            try:
                content += unpacking.decompress(piece, _PIECE)
            except (zlib.error, OSError) as error:
                raise ValueError(f"its values are damaged: {error}") from None
            piece = b"" if bzip2 else unpacking.unconsumed_tail
            if unpacking.needs_input if bzip2 else not piece:
                break
    return content if unpacking.eof or len(content) > wanted else bytearray()
