"""NRRD and MetaImage volumes by SimpleITK: the header first, and values from no file but those beside it."""

import math
import os
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import SimpleITK

from engine.data.signs import kind_in
from engine.data.volumes import Affine, Array, Header, refuse_huge
from engine.runfolder import open_regular

SimpleITK.ProcessObject.GlobalWarningDisplayOff()  # its remarks on headers; faults are raised
SimpleITK.ProcessObject.SetGlobalDefaultThreader("Platform")  # no pool of threads, which a fork would not survive
SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(1)  # cases are read by as many threads as there are cores

_MOST_HEADER = 1 << 20
_PIECE = 1 << 20  # bytes
_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])  # from ITK's axes, to the left and to the back, to RAS+
_NUMBERS = {"signed integer": "i", "unsigned integer": "u", "float": "f"}
_META_TYPES = {f"MET_{sign}{kind}" for sign in ("", "U") for kind in ("CHAR", "SHORT", "INT", "LONG", "LONG_LONG")}
_META_TYPES |= {"MET_FLOAT", "MET_DOUBLE"}
_ONE_FOLDER = "its values are read only from a file beside it, under a plain name"


@dataclass(frozen=True, slots=True)
class _Stored:
    """Where a header says that the values are."""

    path: Path  # of the file that holds them
    start: int  # byte at which they begin, packed or not
    end: int | None  # byte behind them; None: of the file
    packing: str  # "raw", "gzip" (zlib too), or another, which is not looked into
    skip: int  # bytes before the values once they are unpacked
    turned: bool  # whether the header says how the axes lie


def itk_header(path: Path) -> Header:
    """What the header of an NRRD or MetaImage file says of its volume.

    Raises:
        OSError, ValueError: it is none, has not three axes, or its values are elsewhere.
    """
    return _opened(path)[2]


def is_turned(path: Path) -> bool:
    """Whether the header says how the axes lie; else ITK takes them for those of its own. Raises as `itk_header`."""
    return _stored(path).turned


def read_itk(path: Path, key: str) -> tuple[Array, Affine | None]:
    """The array (*S) or, of pixels with components, (*S, C), and the affine from voxels to mm in RAS+.

    Args:
        path: of an NRRD or MetaImage file.
        key: "image" or "label".

    Raises:
        OSError, ValueError: as `itk_header`; or values are missing, damaged or more than the file can hold.
    """
    stored, reader, header = _opened(path)
    with open_regular(stored.path) as stream:
        shape = (*header.shape, header.channels)
        refuse_huge(shape, header.dtype, key, stream)
        _refuse_short(stored, stream, math.prod(shape) * header.dtype.itemsize)
    array = np.asarray(SimpleITK.GetArrayFromImage(_executed(reader.Execute, path)))
    array = array.transpose(2, 1, 0, *range(3, array.ndim))
    if array.dtype == np.float64:
        with np.errstate(over="ignore"):  # infinite values are found, and said, as such
            array = array.astype(np.float32)
    return array, header.affine


def lps_affine(direction: Array, spacing: Array, origin: Array) -> Affine:
    """The affine (4, 4) to RAS+ of ITK's direction (3, 3), of which columns are axes, spacing (3) and origin (3)."""
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = np.asarray(direction) * np.asarray(spacing), origin
    return np.asarray(_LPS @ affine, np.float64) + 0.0  # no -0


def faulty(error: RuntimeError, path: Path) -> ValueError:
    """What ITK or GDCM said of a file, in one line without its own places in memory and code."""
    lines = [line.strip() for line in str(error).splitlines()]
    lines = [line for line in lines if line and not line.startswith(("Reason:", "Exception thrown"))]
    nrrd = [line for line in lines if line.startswith("[nrrd]")]  # from the first cause outwards, the first last
    said = (nrrd or [line for line in lines if "ERROR" in line] or lines or [""])[-1]
    text = re.sub(r"^\[nrrd\] \w+:\s*|^.*?ERROR:?\s*(\w+\(0x\w+\): )?", "", said)
    text = text.replace(str(path.parent) + "/", "").replace("./", "")
    return ValueError(text or "it is damaged")


def number_type(reader: Any) -> "np.dtype[np.generic]":
    """The type of the values in a file of which the header was read.

    Raises:
        ValueError: they are no integers or real numbers.
    """
    words = SimpleITK.GetPixelIDValueAsString(reader.GetPixelID())
    found = re.fullmatch(r"(?:vector of )?(\d+)-bit (signed integer|unsigned integer|float)", words)
    if found is None:
        raise ValueError(f"it holds values of {words}, in place of integers or real numbers")
    return np.dtype(f"{_NUMBERS[found[2]]}{int(found[1]) // 8}")


def _opened(path: Path) -> tuple[_Stored, Any, Header]:
    stored = _stored(path)
    open_regular(stored.path).close()
    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO("NrrdImageIO" if path.suffix.lower() in {".nrrd", ".nhdr"} else "MetaImageIO")
    reader.SetFileName(os.fspath(path))
    _executed(reader.ReadImageInformation, path)
    size = reader.GetSize()
    if len(size) != 3:
        found = f"{len(size)} axes ({'x'.join(map(str, size))})"
        raise ValueError(f"it has {found}, in place of 3; channels are components of a pixel")
    direction = np.reshape(reader.GetDirection(), (3, 3))
    affine = lps_affine(direction, np.array(reader.GetSpacing()), np.array(reader.GetOrigin()))
    return stored, reader, Header(tuple(size), int(reader.GetNumberOfComponents()), number_type(reader), affine)


def _executed(call: Any, path: Path) -> Any:
    try:
        return call()
    except RuntimeError as error:
        raise faulty(error, path) from None


def _stored(path: Path) -> _Stored:
    with open_regular(path) as stream:
        head = stream.read(_MOST_HEADER)
        nrrd = path.suffix.lower() in {".nrrd", ".nhdr"}
        known = head.startswith(b"NRRD") if nrrd else re.search(rb"^\s*NDims\s*[=:]", head, re.MULTILINE)
        if not known:
            raise ValueError(f"it is no {'NRRD' if nrrd else 'MetaImage'} file{kind_in(stream)}")
    return _of_nrrd(path, head) if nrrd else _of_meta(path, head)


def _of_nrrd(path: Path, head: bytes) -> _Stored:
    end = re.search(rb"\r?\n\r?\n", head)
    if end is None and len(head) == _MOST_HEADER:
        raise ValueError(f"its header does not end within {_MOST_HEADER >> 20} MB")
    lines = (head[: end.start()] if end else head).decode("latin-1").splitlines()[1:]
    fields = _fields(lines, r"\s*([^:#][^:]*?)\s*:(?!=)\s*(.*)", lambda name: re.sub(r"\s", "", name.lower()))
    packing = fields.get("encoding", "").lower()
    packing = {"gz": "gzip"}.get(packing, packing)
    name = fields.get("datafile")
    if name is None and end is None:
        raise ValueError("it ends within its header")
    lines_before, skip = _whole(fields, "lineskip"), _whole(fields, "byteskip")
    packing = "other" if lines_before or skip < 0 else packing  # ITK looks for where they begin, and says what lacks
    place, start = _place(path, name, 0 if end is None else end.end())
    return _Stored(place, start, None, packing, skip, "spacedirections" in fields)


def _of_meta(path: Path, head: bytes) -> _Stored:
    end = re.search(rb"^\s*ElementDataFile\s*[=:][^\n]*(\n|\Z)", head, re.MULTILINE)
    if end is None:
        raise ValueError("its header names no ElementDataFile")
    fields = _fields(head[: end.end()].decode("latin-1").splitlines(), r"\s*([^=:]+?)\s*[=:]\s*(.*)", str)
    sides = fields.get("DimSize", "").split()
    count = fields.get("NDims", "")
    number = int(count) if count.isdecimal() and int(count) < 10 else 0
    if not number or len(sides) != number or not all(side.isdecimal() and 0 < int(side) < 2**31 for side in sides):
        raise ValueError(f'DimSize "{" ".join(sides)[:60]}" is none of an image of NDims = {count[:20]}')
    if fields.get("ElementType") not in _META_TYPES:
        allowed = "integers or real numbers"
        raise ValueError(f"it holds {fields.get('ElementType', 'values of no type')[:40]}, in place of {allowed}")
    if fields.get("ObjectType", "Image") != "Image" or fields.get("BinaryData", "True")[:1] not in "Tt1":
        raise ValueError("it is no MetaImage of binary values")
    name = fields["ElementDataFile"]
    place, start = _place(path, None if name.upper() == "LOCAL" else name, end.end())
    packed = fields.get("CompressedData", "False")[:1] in "Tt1"
    size = _whole(fields, "CompressedDataSize") if packed else 0
    skip = _whole(fields, "HeaderSize")
    if skip:
        start = place.stat().st_size - _raw_bytes(fields) if skip < 0 else skip
    turned = not {"TransformMatrix", "Rotation", "Orientation"}.isdisjoint(fields)
    return _Stored(place, start, start + size if size > 0 else None, "gzip" if packed else "raw", 0, turned)


def _raw_bytes(fields: dict[str, str]) -> int:
    """Bytes of the values of a MetaImage that is not packed."""
    kinds = (("CHAR", 1), ("SHORT", 2), ("DOUBLE", 8), ("LONG_LONG", 8), ("", 4))
    width = next(size for name, size in kinds if fields["ElementType"].endswith(name))
    return math.prod(map(int, fields["DimSize"].split())) * width * (_whole(fields, "ElementNumberOfChannels") or 1)


def _fields(lines: list[str], form: str, called: Any) -> dict[str, str]:
    """Name -> value of the lines of a header.

    Raises:
        ValueError: one that names a file is there twice: two readers might take different ones.
    """
    found: dict[str, str] = {}
    for line in lines:
        if match := re.fullmatch(form, line):
            name = called(match[1])
            if name in found and "file" in name.lower():
                raise ValueError(f"its header has {match[1]} twice")
            found[name] = match[2].strip()
    return found


def _whole(fields: dict[str, str], name: str) -> int:
    text = fields.get(name, "0")
    if not re.fullmatch(r"-?\d{1,18}", text):
        raise ValueError(f'"{text[:40]}" is no number for {name}')
    return int(text)


def _place(path: Path, name: str | None, behind: int) -> tuple[Path, int]:
    """The file of the values and where they begin in it; ``name`` as the header has it, None: ``behind`` the header."""
    if name is None:
        return path, behind
    plain = name.removeprefix("./")
    if "%" in plain or plain.split(" ")[0] == "LIST":
        raise ValueError(f"it has its values in several files ({name[:60]}): write it anew with SimpleITK")
    if not plain or plain in {".", ".."} or not {"/", "\\", "\0"}.isdisjoint(plain):
        raise ValueError(f'it points to "{name[:100]}": {_ONE_FOLDER}')
    if not (path.parent / plain).exists():
        raise ValueError(f"the file of its values, {plain[:100]}, is not beside it")
    return path.parent / plain, 0


def _refuse_short(stored: _Stored, stream: BinaryIO, wanted: int) -> None:
    """Refuse values that lack, or that are others than were packed: ITK would read these as they are.

    Raises:
        ValueError: there are fewer than the ``wanted`` bytes, or their check sum is another.
    """
    size = os.fstat(stream.fileno()).st_size
    end = size if stored.end is None else stored.end
    wanted += stored.skip
    held = end - stored.start
    if stored.packing == "gzip" and end <= size:
        stream.seek(stored.start)
        held = _unpacked(stream, held, wanted)
    if end > size or (stored.packing in {"raw", "gzip"} and held < wanted):
        where = "" if stored.start else f" in {stored.path.name}"
        raise ValueError(f"it is cut off: its values{where} are less than the {wanted} bytes that its header says")


def _unpacked(stream: BinaryIO, packed: int, wanted: int) -> int:
    """How many bytes come out of the next ``packed`` ones; at most a piece more than are ``wanted``.

    Raises:
        ValueError: the check sum is another.
    """
    unpacking, held = zlib.decompressobj(47), 0  # both gzip and zlib
    while held <= wanted and not unpacking.eof and (piece := stream.read(min(_PIECE, packed))):
        packed -= len(piece)
        while piece and held <= wanted and not unpacking.eof:
            try:
                held += len(unpacking.decompress(piece, _PIECE))
            except zlib.error as error:
                raise ValueError(f"its values are damaged: {error}") from None
            piece = unpacking.unconsumed_tail
    return held if unpacking.eof or held > wanted else 0
