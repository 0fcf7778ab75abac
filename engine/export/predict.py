#!/usr/bin/env python3
"""Predict new images with the network in this folder: neither PyTorch nor medtui is needed.

    pip install -r requirements.txt
    python predict.py IMAGE... -o OUT

An IMAGE is a file, or a folder of files. Volumes are NIfTI, NRRD or MetaImage, or a folder with the slices of a DICOM
series; a folder of such folders gives a case each. Pictures are PNG, JPEG, TIFF, BMP, WebP or DICOM. Several files or
series <case>_0000, <case>_0001, ... are the channels of one volume. Masks have the geometry of their input, and are
NIfTI of volumes, PNG of pictures; classes come as one table, OUT/predictions.csv. What the network expects stands in
model.json, and here is what is done with it. This is no medical device.
"""

import argparse
import bz2
import csv
import gzip
import hashlib
import importlib
import io
import itertools
import json
import logging
import math
import os
import re
import signal
import sys
import tempfile
import threading
import unicodedata
import warnings
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

try:
    import numpy as np
except ImportError as absent:
    print(f"error: {absent}: pip install -r {Path(__file__).with_name('requirements.txt')}", file=sys.stderr)
    sys.exit(2)
except KeyboardInterrupt:
    sys.exit(130)

Array = np.ndarray[Any, Any]
HERE = Path(__file__).resolve().parent
MADE_BY = "predicted by medtui"
FORMAT = 1  # of model.json
KEYS = {"format", "task", "classes", "label_values", "image", "output", "networks", "ranges"}
PICTURES = (".png", ".jpg", ".jpeg", ".jfif", ".tif", ".tiff", ".bmp", ".webp", ".dcm", ".dicom")
DICOM = (".dcm", ".dicom")
SLICES = (*DICOM, ".ima")
NRRD, META = (".nrrd", ".nhdr"), (".mha", ".mhd")
VOLUMES = (".nii.gz", ".nii", *NRRD, *META)
OTHERS = (".h5", ".hdf5")  # volumes that medtui reads, and this script does not
DEEP = {"I", "I;16", "I;16B", "I;16L", "I;16N", "F"}  # Pillow's names of pictures of more than 8 bits
GREY = {"1", "L", "LA", "La", *DEEP}
MOST_HEADER = 1 << 20  # bytes of a header in text
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])  # from axes to the left and the back, as ITK and DICOM have them, to RAS+
APART = 0.1  # share of a voxel by which grids may differ and count as the same
MOST_PACKED = 1100  # times the size of a file: deflate packs a byte of a thousand at best
LOW_BYTES = {f"{kind};16{own}": f"{kind};16{other}" for kind in ("RGB", "RGBA") for own, other in ("BL", "LB", "NB")}
COLOURS = (
    (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167),
)  # fmt: skip


class UnusableError(Exception):
    """What cannot be done, in a line for people."""


class EndedError(BaseException):
    """A signal came that says to end: the number of it."""


CAME: list[int] = []  # such signals


@dataclass
class Case:
    """One image as its files have it."""

    name: str
    files: list[Path]
    values: Array = field(default_factory=lambda: np.zeros(0))  # (C, *S)
    affine: Array | None = None  # (4, 4), from voxels to mm
    header: Any = None  # of the NIfTI file
    ends: tuple[float, float] | None = None  # black and white, where the file says them (DICOM)
    notes: list[str] = field(default_factory=list)  # what its reader should tell

    @property
    def spacing(self) -> tuple[float, ...] | None:
        """Size of a voxel along each axis in mm."""
        return None if self.affine is None else tuple(np.sqrt((self.affine[:3, :3] ** 2).sum(axis=0)).tolist())


@dataclass
class Seen:
    """One image on the network's grid, and what leads back to its own."""

    image: Array  # float32 (C, *N)
    inner: tuple[slice, ...]  # the part of N that is no padding
    turned: tuple[int, ...]  # shape of the file's grid with its axes in the network's order
    turn: Array | None  # how they were turned, as nibabel has it


# Reading


def find_cases(inputs: Sequence[Path], axes: int, channels: int) -> list[Case]:
    """The cases in files and folders, by name."""
    endings = VOLUMES if axes == 3 else PICTURES
    files: list[Path] = []
    series: dict[Path, Path] = {}  # folders with slices of DICOM, and the named folder that each lies in
    for path in inputs:
        if path.is_dir():
            files += sorted(p for p in path.iterdir() if is_taken(p, axes) and p.name[0] != "." and not p.is_dir())
            series |= dict.fromkeys(series_below(path), path) if axes == 3 else {}
        elif not path.is_file():
            raise UnusableError(f"no input at {path}")
        elif is_taken(path, axes) or (axes == 2 and is_dicom(path)):
            files.append(path)
        elif axes == 3 and is_slice(path):
            raise UnusableError(f"{path} is a slice of DICOM: name the folder that holds its series")
        else:
            raise UnusableError(f"{path} is not read: convert it to one of {' '.join(endings)}")
    cases: dict[tuple[Path, str], dict[int, Path]] = {}
    called = series_names(series)
    for path in dict.fromkeys([*files, *series]):
        # a number ends an identifier, as DICOM has them
        stem = called.get(path) or re.sub(r"(?i)(\.nii)?\.(?!\d*$)[^.]+$", "", path.name)
        part = re.match(r"^(.+)_(\d{4})$", stem) if axes == 3 and channels > 1 else None
        if part and int(part[2]) < channels:
            cases.setdefault((path.parent, part[1]), {})[int(part[2])] = path
        else:
            cases[path, stem] = dict.fromkeys(range(channels), path)
    names = [name for _, name in cases]
    if not names:
        other = ", or folders with slices of DICOM" if axes == 3 else ""
        other += f"; {others}" if (others := not_taken(inputs, axes)) else ""
        raise UnusableError(f"the inputs hold no files to predict: {' '.join(endings)}{other}")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UnusableError(
            f"several inputs are called {twice[0]}: predict them one after the other, each with its own -o"
        )
    if short := [name for (_, name), own in cases.items() if len(own) < channels]:
        raise UnusableError(f"{short[0]} lacks channels: a case is one file, or {channels} files {short[0]}_0000, ...")
    found = [Case(name, list(dict.fromkeys(own[n] for n in sorted(own)))) for (_, name), own in cases.items()]
    return sorted(found, key=lambda case: case.name)


def is_taken(path: Path, axes: int) -> bool:
    """Whether a file is read: by its ending, and DICOM of one picture without an ending by how it begins."""
    return path.name.lower().endswith(VOLUMES if axes == 3 else PICTURES) or (axes == 2 and is_slice(path))


def not_taken(inputs: Sequence[Path], axes: int) -> str:
    """Volumes that lie in folders that were named and are not read, in words; "" for none."""
    files = [p for path in inputs if path.is_dir() for p in sorted(path.iterdir()) if p.name[0] != "."]
    files = [p for p in files if axes == 3 and p.name.lower().endswith(OTHERS)]
    return f"not read, convert to NIfTI: {len(files)} of the inputs ({some(p.name for p in files)})" if files else ""


def series_below(place: Path) -> list[Path]:
    """The folders in and below ``place`` that hold slices of DICOM."""
    found = []
    for at, folders, names in os.walk(place):
        folders[:] = sorted(name for name in folders if name[0] != "." and name not in {"__MACOSX", "@eaDir"})
        if any(name[0] != "." and is_slice(Path(at, name)) for name in names):
            found.append(Path(at))
    return found


def series_names(series: dict[Path, Path]) -> dict[Path, str]:
    """What results are called: as the folder of the series, with those above it where several are called alike."""
    counts = Counter(path.absolute().name for path in series)
    return {
        path: path.absolute().name
        if path == named or counts[path.absolute().name] == 1
        else "__".join(path.relative_to(named).parts)
        for path, named in series.items()
    }


def is_slice(path: Path) -> bool:
    """Whether a file is DICOM by its ending, or where that is none or a number by how it begins."""
    ending = path.suffix.lower()
    unnamed = re.fullmatch(r"(\.\d*)?", ending) and path.name.upper() != "DICOMDIR"
    return ending in SLICES or bool(unnamed and begins_as_dicom(path))


def is_dicom(path: Path) -> bool:
    """Whether a picture is DICOM by its ending, or under another name by how it begins."""
    name = path.name.lower()
    return name.endswith(DICOM) or (not name.endswith(PICTURES) and begins_as_dicom(path))


def begins_as_dicom(path: Path) -> bool:
    """Whether a file begins with 128 bytes and ``DICM``."""
    try:
        with path.open("rb") as stream:
            return path.is_file() and stream.read(132)[128:] == b"DICM"
    except OSError:
        return False


def read_volume(case: Case, expected: dict[str, Any]) -> None:
    """Fill ``case`` from its files, or from its series of DICOM."""
    parts: list[Array] = []
    for path in case.files:
        if path.is_dir():
            values, affine, header = *read_series(path), None
        elif path.name.lower().endswith((*NRRD, *META)):
            with named(path):
                values, affine, turned = read_headed(path)
            header, told = (
                None,
                f"{path.name} says nothing of its orientation: x is taken to run to the left",
            )
            case.notes += [] if turned else [told]
        else:
            values, affine, header = read_nifti(path)
        if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) <= 1e-12:
            raise UnusableError(f"{path.name} has an affine that is not invertible")
        if parts and values.shape[1:] != parts[0].shape[1:]:
            raise UnusableError(f"{path.name} has another shape than {case.files[0].name}")
        if case.affine is None:
            case.affine, case.header = affine, header
        ends = np.array([*itertools.product(*((0, side - 1) for side in values.shape[1:]))])
        apart = np.abs((affine - case.affine)[:3] @ np.c_[ends, np.ones(len(ends))].T).max()
        if apart > APART * min(case.spacing or (math.inf,)):
            raise UnusableError(f"{path.name} lies up to {apart:.3g} mm from {case.files[0].name}")
        parts.append(values)
    image = np.concatenate(parts)
    if len(image) != expected["channels"]:
        raise UnusableError(f"{len(image)} channels; the network takes {expected['channels']}")
    order, notes = channel_order(case.files[0].absolute().parent, expected["channel_names"])
    case.notes += notes
    image = image[order] if order else image
    case.values = np.ascontiguousarray(image, dtype=np.float32)


def read_nifti(path: Path) -> tuple[Array, Array, Any]:
    """Values (C, *S), affine in mm, and header."""
    import nibabel

    kinds = [kind for kind in (nibabel.Nifti1Image, nibabel.Nifti2Image) if kind.path_maybe_image(path)[0]]
    if not kinds:
        raise UnusableError(f"{path.name} is no NIfTI file")
    with gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb") as stream:
        file = kinds[0].from_stream(stream)
        if math.prod(file.shape) * file.get_data_dtype().itemsize > MOST_PACKED * path.stat().st_size:
            raise UnusableError(f"the header of {path.name} asks for {file.shape} voxels, far more than it holds")
        values = np.asanyarray(file.dataobj)
        read_to_the_end(stream)
    if values.dtype.kind not in "biuf":
        raise UnusableError(f"{path.name} holds {values.dtype}, in place of integers or real numbers")
    affine = np.array(file.affine, dtype=np.float64)
    affine[:3] *= {1: 1e3, 3: 1e-3}.get(int(file.header["xyzt_units"]) & 7, 1.0)  # from metres, from micrometres
    if values.ndim == 5 and values.shape[3] == 1:
        values = values[:, :, :, 0]
    if values.ndim not in {3, 4} or not values.size:
        raise UnusableError(f"{path.name} has the shape {'x'.join(map(str, values.shape))}")
    return values[None] if values.ndim == 3 else np.moveaxis(values, -1, 0), affine, file.header


def read_to_the_end(stream: Any) -> None:
    """To where gzip keeps its check sum; other bytes behind what is packed do not matter, as to gzip itself."""
    try:
        while stream.read(1 << 20):
            pass
    except gzip.BadGzipFile as error:
        if "gzipped" not in str(error):
            raise


def channel_order(folder: Path, wanted: Sequence[str]) -> tuple[list[int], list[str]]:
    """Which channel of the files stands first, second, ..., by a dataset.json beside or above them; and what to tell.

    An empty order: as they are.
    """
    found = channel_names(folder) or channel_names(folder.parent)
    own, known = [folded(name) for name in found], [folded(name) for name in wanted]
    if not own or not known or own == known:
        return [], []
    names, trained = ", ".join(found), ", ".join(wanted)
    if len(own) == len(known) == 1:  # nothing can be in another order: MR, MRI and T1 may be the same
        return [], [f"dataset.json calls the channel {names}; in training it was {trained}"]
    if set(own) != set(known):
        raise UnusableError(f"dataset.json names the channels {names}; the network takes {trained}")
    order = [own.index(name) for name in known]
    return order, [f"its channels lie in another order ({names}) than in training: put in order by their names"]


def channel_names(folder: Path) -> list[str]:
    """What the dataset.json of a folder calls the channels; nothing where it does not say so, or says it twice."""
    try:
        table = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
        names = table.get("channel_names") or table.get("modality")
        if isinstance(names, dict):
            places = {float(place): name for place, name in names.items()}
            names = [places.get(place) for place in range(len(names))]
    except (OSError, ValueError, AttributeError):
        return []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return []
    return names if len({*map(folded, names)}) == len(names) else []


def folded(name: str) -> str:
    """``name`` without what people write now so, now so."""
    return unicodedata.normalize("NFC", " ".join(name.split()).casefold())


# Reading NRRD and MetaImage: a header in text, and the values behind it or in a file beside it


@dataclass
class Stored:
    """How the values of a file are stored, as its header says."""

    sizes: list[int]  # along all axes, the fastest first
    channels: int | None  # which of these axes is no axis of space
    kind: Any  # of a value, with the order of its bytes
    affine: Array  # (4, 4), from voxels to mm
    turned: bool  # whether the header says how the axes lie; else they are taken for ITK's own
    place: Path  # of the file that holds the values
    packing: str  # "raw", "gzip" (zlib too), "bzip2" or "text"
    start: int = 0  # the byte there at which they begin, packed or not
    lines: int = 0  # to be skipped then
    skip: int = 0  # bytes to be skipped once they are unpacked; -1: all but the last ones


NRRD_KINDS = {
    "i1": "signed char|int8|int8_t",
    "u1": "uchar|unsigned char|uint8|uint8_t",
    "i2": "short|short int|signed short|signed short int|int16|int16_t",
    "u2": "ushort|unsigned short|unsigned short int|uint16|uint16_t",
    "i4": "int|signed int|int32|int32_t",
    "u4": "uint|unsigned int|uint32|uint32_t",
    "i8": "longlong|long long|long long int|signed long long|signed long long int|int64|int64_t",
    "u8": "ulonglong|unsigned long long|unsigned long long int|uint64|uint64_t",
    "f4": "float",
    "f8": "double",
}
NRRD_PACKINGS = {
    "raw": "raw", "gzip": "gzip", "gz": "gzip", "bzip2": "bzip2", "bz2": "bzip2", "ascii": "text", "text": "text",
    "txt": "text",
}  # fmt: skip
META_KINDS = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4", "MET_UINT": "u4",
    "MET_LONG": "i4", "MET_ULONG": "u4", "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4", "MET_DOUBLE": "f8",
}  # fmt: skip


def read_headed(path: Path) -> tuple[Array, Array, bool]:
    """Values (C, *S), affine in mm, and `Stored.turned`, of an NRRD or MetaImage file."""
    with path.open("rb") as stream:
        head = stream.read(MOST_HEADER)
    found = (nrrd_header if path.name.lower().endswith(NRRD) else meta_header)(path, head)
    count, wanted = math.prod(found.sizes), math.prod(found.sizes) * found.kind.itemsize
    if wanted > MOST_PACKED * found.place.stat().st_size:
        raise UnusableError(f"its header asks for {found.sizes} values, far more than it holds")
    with found.place.open("rb") as stream:
        stream.seek(found.start)
        for _ in range(found.lines):
            stream.readline(MOST_HEADER)
        content = stream.read()
    if found.packing == "text":
        values = np.array(content.split()[:count]).astype(found.kind)
    else:
        if found.packing != "raw":
            content = unpacked(content, wanted + max(found.skip, 0), found.packing)
        begin = len(content) - wanted if found.skip < 0 else found.skip
        whole = 0 <= begin <= len(content) - wanted
        values = np.frombuffer(content, found.kind, count if whole else 0, begin if whole else 0)
    if len(values) < count:
        raise UnusableError(f"it is cut off: its values are less than the {count} that its header asks for")
    values = values.reshape(found.sizes, order="F").astype(found.kind.newbyteorder("="), copy=False)
    values = values[None] if found.channels is None else np.moveaxis(values, found.channels, 0)
    return values, found.affine, found.turned


def unpacked(content: bytes, most: int, packing: str) -> bytes:
    """At most ``most`` bytes of what ``content`` holds, of which the check sum is right; none where its end lacks."""
    found = bytearray()
    while content and len(found) < most:  # pigz, bgzip and pbzip2 pack in several parts
        tool: Any = bz2.BZ2Decompressor() if packing == "bzip2" else zlib.decompressobj(47)  # both gzip and zlib
        try:
            found += tool.decompress(content, most - len(found))
            more = b"more"
            while more and not tool.eof:  # it counts for the check sum alone
                more = tool.decompress(b"" if packing == "bzip2" else tool.unconsumed_tail, 1 << 20)
        except (zlib.error, OSError) as error:
            raise UnusableError(f"its values are damaged: {error}") from None
        if not tool.eof:
            return b""
        content = tool.unused_data
    return bytes(found)


def nrrd_header(path: Path, head: bytes) -> Stored:
    """What https://teem.sourceforge.net/nrrd/format.html says, as ITK reads it."""
    end = re.search(rb"\r?\n\r?\n", head)
    lines = (head[: end.start()] if end else head).decode("utf-8", "surrogateescape").splitlines()
    known = fields(lines[1:], r"([^:#][^:]*):(?!=)(.*)", lambda name: re.sub(r"\s", "", name.lower()))
    if not head.startswith(b"NRRD") or not (end or "datafile" in known):
        raise UnusableError("it is no NRRD file, or ends within its header")
    (number,) = wholes(known, "dimension", 1)
    kinds = known.get("kinds", " ".join(["???"] * number)).lower().split()
    vectors = re.findall(r"none|\([^()]*\)", known.get("spacedirections", "").lower())
    others = [axis for axis, kind in enumerate(kinds) if kind not in {"domain", "space", "time", "none", "???"}]
    if not others and number == len(vectors) == 4:
        others = [axis for axis, vector in enumerate(vectors) if vector == "none"]
    if number - len(others) != 3 or len(others) > 1 or len(kinds) != number or "complex" in kinds:
        raise UnusableError("it has not 3 axes of space and at most one of channels")
    space = known.get("space", "").lower().split(" ")[0]
    if known.get("spacedimension", "3") != "3" or space.endswith("time") or space in {"rast", "last", "lpst"}:
        raise UnusableError("it lies in a space that has not 3 dimensions")
    if vectors:
        own = [each for axis, each in enumerate(vectors) if axis not in others or each != "none"]
        axes = np.array([numbers(each.strip("()"), 3, "space directions") for each in own]).T
    else:
        sides = (known.get("spacings") or " ".join(["1"] * number)).split()
        axes = np.diag(numbers(" ".join(each for at, each in enumerate(sides) if at not in others), 3, "spacings"))
    turns = {"right-anterior-superior": (1, 1, 1, 1), "left-anterior-superior": (-1, 1, 1, 1)}
    turns |= {"ras": turns["right-anterior-superior"], "las": turns["left-anterior-superior"]}
    origin = numbers(known.get("spaceorigin", "0,0,0").strip("() "), 3, "space origin")
    kind, packing = nrrd_kind(known)
    return Stored(
        sizes=wholes(known, "sizes", number, least=1),
        channels=others[0] if others else None,
        kind=kind,
        affine=affine_of(axes, origin, np.diag(turns[space]) if space in turns else LPS),
        turned=bool(vectors),
        place=beside(path, known["datafile"]) if "datafile" in known else path,
        packing=packing,
        start=end.end() if end and "datafile" not in known else 0,
        lines=wholes(known, "lineskip", 1, "0")[0],
        skip=wholes(known, "byteskip", 1, "0", least=-1)[0],
    )


def nrrd_kind(known: dict[str, str]) -> tuple[Any, str]:
    """The type of a value, with the order of its bytes; and how all of them are packed."""
    named = " ".join(known.get("type", "").lower().split())
    kind = next((kind for kind, names in NRRD_KINDS.items() if named in names.split("|")), "")
    packing = NRRD_PACKINGS.get(known.get("encoding", "").lower(), "")
    if not kind or not packing:
        what = f'values of type "{named[:40]}", packed as "{known.get("encoding", "")[:40]}"'
        raise UnusableError(f"it holds {what}: write it anew, for instance with SimpleITK")
    order = known.get("endian", "").lower()
    if kind[1] != "1" and packing != "text" and order not in {"little", "big"}:
        raise UnusableError("its header does not say in which order bytes are (endian)")
    return np.dtype(kind).newbyteorder(">" if order == "big" else "<"), packing


def meta_header(path: Path, head: bytes) -> Stored:
    """What the header of a MetaImage file says, as ITK reads it."""
    end = re.search(rb"^[ \t]*ElementDataFile[ \t]*[=:][^\n]*(\n|\Z)", head, re.MULTILINE)
    lines = head[: end.end() if end else 0].decode("utf-8", "surrogateescape").splitlines()
    known = fields(lines, r"\s*([^=:]+?)\s*[=:](.*)", str)
    if not end or "NDims" not in known:
        raise UnusableError("it is no MetaImage file, or ends within its header")
    kind = known.get("ElementType", "of no type")
    if kind not in META_KINDS or known.get("ObjectType", "Image") != "Image":
        raise UnusableError(f"it is no image, or holds values {kind[:40]}")
    if known["NDims"] != "3":
        raise UnusableError(f"it has {known['NDims'][:9]} axes, in place of 3")

    def first(names: str, default: str) -> tuple[str, str]:
        return next(((known[name], name) for name in names.split() if name in known), (default, ""))

    def true(name: str, default: str = "False") -> bool:
        return known.get(name, default)[:1] in {"T", "t", "1"}

    matrix, turned = first("TransformMatrix Rotation Orientation", "1 0 0 0 1 0 0 0 1")
    sides = np.array(numbers(first("ElementSpacing ElementSize", "1 1 1")[0], 3, "ElementSpacing"))
    origin = numbers(first("Offset Position Origin", "0 0 0")[0], 3, "Offset")
    (channels,) = wholes(known, "ElementNumberOfChannels", 1, "1", least=1)
    (begin,) = wholes(known, "HeaderSize", 1, "0", least=-1)
    sizes, local = wholes(known, "DimSize", 3, least=1), known["ElementDataFile"].upper() == "LOCAL"
    packed, big = true("CompressedData"), true("BinaryDataByteOrderMSB") or true("ElementByteOrderMSB")
    return Stored(
        sizes=[channels, *sizes] if channels > 1 else sizes,
        channels=0 if channels > 1 else None,
        kind=np.dtype(META_KINDS[kind]).newbyteorder(">" if big else "<"),
        affine=affine_of(np.reshape(numbers(matrix, 9, turned), (3, 3)).T * sides, origin, LPS),
        turned=bool(turned),
        place=path if local else beside(path, known["ElementDataFile"]),
        packing="gzip" if packed else "raw" if true("BinaryData", "True") else "text",
        start=end.end() if local else max(0, begin),
        skip=-1 if begin < 0 and not packed else 0,
    )


def fields(lines: Sequence[str], form: str, called: Callable[[str], str]) -> dict[str, str]:
    """Name -> value of the lines that have the ``form``; ``called`` gives a name its one spelling."""
    found: dict[str, str] = {}
    for line in lines:
        if match := re.fullmatch(form, line):
            name, value = called(match[1]), match[2].strip()
            if found.setdefault(name, value) != value:  # two readers might take different ones
                raise UnusableError(f"its header has {match[1][:40]} twice")
    return found


def wholes(known: dict[str, str], name: str, number: int, default: str = "", *, least: int = 0) -> list[int]:
    """The whole numbers of a field, each at least ``least``."""
    parts = known.get(name, default).split()
    if len(parts) != number or not all(re.fullmatch(r"-?\d{1,12}", part) and int(part) >= least for part in parts):
        raise UnusableError(f'"{known.get(name, default)[:60]}" is not {number} whole numbers for {name}')
    return [*map(int, parts)]


def numbers(text: str, number: int, name: str) -> list[float]:
    """The finite numbers in ``text``, with spaces or commas between them; ``name`` is what they stand for."""
    try:
        found = [float(part) for part in re.split(r"[\s,]+", text.strip())]
    except ValueError:
        found = []
    if len(found) != number or not all(map(math.isfinite, found)):
        raise UnusableError(f'"{text[:60]}" is not {number} numbers for {name}')
    return found


def beside(path: Path, name: str) -> Path:
    """The file beside ``path`` that its header names."""
    plain = name.removeprefix("./")
    if re.search(r"%\d*[du]", plain) or plain.split(" ")[0] == "LIST":
        raise UnusableError("it has its values in several files: write it anew, for instance with SimpleITK")
    if plain in {"", ".", ".."} or not {"/", "\\", "\0"}.isdisjoint(plain):
        raise UnusableError(f'it points to "{name[:100]}": values are read only from a file beside it')
    if not path.with_name(plain).is_file():
        raise UnusableError(f"the file of its values, {plain[:100]}, is not beside it")
    return path.with_name(plain)


def affine_of(axes: Any, origin: Any, to_ras: Array) -> Array:
    """(4, 4) of axes (3, 3), of which columns are steps of a voxel, and the place (3) of the first voxel."""
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = axes, origin
    return np.asarray(to_ras @ affine, np.float64) + 0.0  # no -0


# Reading DICOM


@dataclass
class Slice:
    """One slice of a series as its header has it. Nothing of a patient is looked at."""

    path: Path
    frame: int  # in its file
    series: tuple[str, str]  # its identifier, which is never shown, and its number
    shape: tuple[int, int]  # rows, columns
    place: Array  # (3), of the first pixel, in mm to the left, the back, the top
    axes: Array  # (2, 3), directions of a row and of a column
    sides: tuple[float, float]  # mm from row to row, and from column to column
    scale: tuple[float, float] | None  # slope and intercept of one of many frames


TAGS = [
    *("SOPClassUID", "SeriesInstanceUID", "SeriesNumber", "NumberOfFrames", "Rows", "Columns", "SamplesPerPixel"),
    *("PhotometricInterpretation", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
]
MASKS = "1.2.840.10008.5.1.4.1.1.66."  # how the kinds of Segmentations begin
SAME = 1e-3  # of directions, and as a share of the distance of slices: what differs less is the same


def dicom_library() -> Any:
    """The library that reads DICOM, which says nothing itself: its words may hold what nobody should see."""
    try:
        library = importlib.import_module("pydicom")
        importlib.import_module("pydicom.pixels.utils")
    except ImportError:
        raise UnusableError("DICOM is read by pydicom 3: pip install 'pydicom>=3'") from None
    warnings.filterwarnings("ignore", module=r"pydicom(\.|$)")
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
    library.config.settings.reading_validation_mode = library.config.IGNORE
    return library


@contextmanager
def named(path: Path) -> Iterator[None]:
    """What is wrong with a file, with its name before it."""
    try:
        yield
    except (UnusableError, OSError) as error:
        raise UnusableError(f"{path.name}: {getattr(error, 'strerror', None) or error}") from None
    except Exception:  # noqa: BLE001  (of a damaged file anything; the words may hold the name of a patient)
        raise UnusableError(f"{path.name}: it is damaged or cut off, or not what its name says") from None


def decoded(held: Any) -> Array:
    """The values that are stored, (H, W), (F, H, W) of many frames, or (H, W, 3) in red, green and blue."""
    pixels, packed = dicom_library().pixels, held.file_meta.TransferSyntaxUID
    plugin = ""
    if packed.is_compressed and not packed.is_deflated:
        # Pillow where it can, as medtui, since losses are undone in several ways; GDCM ends the process over damage
        known = pixels.get_decoder(packed).available_plugins
        if not known:
            raise UnusableError(f"its pixels are packed as {packed.name}: pip install 'pylibjpeg[all]'")
        plugin = min(known, key=lambda name: {"pillow": 0, "gdcm": 2}.get(name, 1))
    try:
        return np.asarray(pixels.utils.pixel_array(held, decoding_plugin=plugin))
    except Exception:  # noqa: BLE001  (of damaged pixels anything)
        raise UnusableError(f"its pixels ({packed.name}) are damaged or cut off") from None


def read_series(folder: Path) -> tuple[Array, Array]:
    """Values (1, columns, rows, slices), rescaled as the headers say (CT: to HU), and affine in mm."""
    slices = slices_of(folder)
    rows, columns = slices[0].shape
    places = {(each.path, each.frame): (at, each.scale) for at, each in enumerate(slices)}
    volume = np.empty((columns, rows, len(slices)), np.float32, order="F")
    for path in dict.fromkeys(each.path for each in slices):
        with named(path):
            held = dicom_library().dcmread(path)
            for frame, stored in enumerate(decoded(held).reshape(-1, rows, columns)):
                at, scale = places[path, frame]
                volume[:, :, at] = rescaled(stored, held, scale).T
    step = (slices[-1].place - slices[0].place) / (len(slices) - 1)
    (along_row, along_column), (row, column) = slices[0].axes, slices[0].sides
    return volume[None], affine_of(np.stack([along_row * column, along_column * row, step], 1), slices[0].place, LPS)


def rescaled(stored: Array, held: Any, scale: tuple[float, float] | None) -> Array:
    """What the values that are stored stand for."""
    if scale is None and (table := held.get("ModalityLUTSequence")):
        return looked_up(stored, table[0], held)[0]
    if scale is None:
        slope = held.get("RescaleSlope")
        scale = 1.0 if slope is None else float(slope), float(held.get("RescaleIntercept") or 0)
    if not scale[0]:
        raise UnusableError("its header is damaged: values are rescaled by 0")
    return np.asarray(stored.astype(np.float64) * scale[0] + scale[1])


def slices_of(folder: Path) -> list[Slice]:
    """The slices of the one series in ``folder``, along the normal of their planes."""
    found: list[Slice] = []
    others: list[str] = []
    for path in sorted(folder.iterdir()):
        if path.name[0] != "." and is_slice(path):
            with named(path):
                found += slices_in(path, others)
    series: defaultdict[tuple[str, str], int] = defaultdict(int)
    for each in found:
        series[each.series] += 1
    if len(series) > 1:
        known = some(f"{count} slices of {number}" for (_, number), count in series.items())
        raise UnusableError(f"it holds {len(series)} series ({known}): put each into a folder of its own")
    if not found and any(others):
        raise UnusableError(f"it holds no DICOM slices, but {next(filter(None, others))}: not read; take it out")
    if len(found) < 2:
        raise UnusableError(f"it holds {'one slice' if found else 'no slices'}, where a volume is wanted")
    refuse_unlike(found)
    normal = np.cross(*found[0].axes)
    found.sort(key=lambda each: float(each.place @ normal))
    refuse_uneven(found, normal)
    return found


def slices_in(path: Path, others: list[str]) -> Iterator[Slice]:
    """What the header of a file says of its slices; of what has no pixels, such as a report, its kind to ``others``."""
    held = dicom_library().dcmread(path, stop_before_pixels=True, specific_tags=TAGS)
    if "Rows" not in held or "Columns" not in held:
        others.append(getattr(held.get("SOPClassUID"), "name", ""))
        return
    if str(held.get("SOPClassUID", "")).startswith(MASKS):
        raise UnusableError("it is a DICOM Segmentation, which is not read: take it out")
    if held.get("SamplesPerPixel", 1) != 1 or held.get("PhotometricInterpretation") != "MONOCHROME2":
        raise UnusableError("it is in colours, or in grey of which 0 is white: take it out")
    count, frames = int(held.get("NumberOfFrames") or 1), held.get("PerFrameFunctionalGroupsSequence")
    if (frames is None and count > 1) or (frames is not None and len(frames) != count):
        raise UnusableError(f"it holds {count} frames, and not where each of them lies")
    number = str(held.get("SeriesNumber", ""))
    series = str(held.get("SeriesInstanceUID", "")), f"number {number}" if number.isdecimal() else "no number"
    for at in range(count):
        groups = frames and [frames[at], *(held.get("SharedFunctionalGroupsSequence") or [])]
        place = said(held, groups, "PlanePositionSequence", "ImagePositionPatient")
        axes = said(held, groups, "PlaneOrientationSequence", "ImageOrientationPatient")
        sides = said(held, groups, "PixelMeasuresSequence", "PixelSpacing")
        for what, found in (("place", place), ("orientation", axes), ("size of a pixel", sides)):
            if not found:
                raise UnusableError(f"it does not say the {what} of its slice")
        known = np.array([*map(float, (*place, *axes, *sides))])
        if len(known) != 11 or not np.isfinite(known).all() or min(known[9:]) <= 0:
            raise UnusableError("it says no possible place of its slice")
        slope, shift = (
            said(held, groups, "PixelValueTransformationSequence", f"Rescale{name}") for name in ("Slope", "Intercept")
        )
        yield Slice(
            path, at, series, (int(held.Rows), int(held.Columns)), known[:3], known[3:9].reshape(2, 3),
            (float(known[9]), float(known[10])),
            (1.0 if slope is None else float(slope), float(shift or 0)) if groups else None,
        )  # fmt: skip


def said(held: Any, groups: Sequence[Any] | None, group: str, name: str) -> Any:
    """What a header says of a slice: at its top, or of one of many frames in the first of its ``groups`` that does."""
    if not groups:
        return held.get(name)
    return next((each[group][0].get(name) for each in groups if each.get(group)), None)


def refuse_unlike(found: Sequence[Slice]) -> None:
    """Refuse slices of different size, or turned to each other."""
    if len(shapes := {each.shape for each in found}) > 1:
        raise UnusableError(f"its slices have {len(shapes)} sizes: {some(f'{s[1]}x{s[0]}' for s in sorted(shapes))}")
    first = found[0].axes
    if turned := [each for each in found if np.abs(each.axes - first).max() > SAME]:
        names = f"{found[0].path.name} and {turned[0].path.name}"
        raise UnusableError(
            f"its slices lie in several directions, as those of a localizer do ({names}): take them out"
        )
    sides = np.array([each.sides for each in found])
    if (np.ptp(sides, axis=0) * max(found[0].shape) > APART * sides.min()).any():  # apart at the far corner
        least, most = sides[np.lexsort(sides.T)][[0, -1]]
        known = f"{least[1]:g}x{least[0]:g} to {most[1]:g}x{most[0]:g} mm"
        raise UnusableError(f"its slices have pixels of different size: {known}")
    if abs(first[0] @ first[1]) > SAME or np.abs((first**2).sum(axis=1) - 1).max() > SAME:
        raise UnusableError("the directions of its rows and columns are not at right angles, or not of length 1")


def refuse_uneven(ordered: Sequence[Slice], normal: Array) -> None:
    """Refuse slices of which some lack, that lie at one place, or not in one line."""
    gaps = np.diff([float(each.place @ normal) for each in ordered])
    usual, close, wide = float(np.median(gaps)), int(gaps.argmin()), int(gaps.argmax())
    names = [each.path.name + (f", frame {each.frame + 1}" if each.scale else "") for each in ordered]
    if gaps[close] <= SAME * max(usual, SAME):
        where = f"{names[close]} and {names[close + 1]}"
        way = "put time points or echoes each into a folder of its own; of copies leave one"
        raise UnusableError(f"slices lie at one place ({where}): {way}")
    if gaps[wide] > (1 + APART) * usual or gaps[close] < (1 - APART) * usual:
        where = f"between {names[wide]} and {names[wide + 1]}"
        raise UnusableError(f"slices are missing: {gaps[wide]:.4g} mm lie {where}, where {usual:.4g} mm are usual")
    places = np.stack([each.place for each in ordered])
    line = np.linspace(places[0], places[-1], len(places))
    if np.abs(places - line).max() > APART * min(usual, *ordered[0].sides):
        raise UnusableError("its slices are not in one line, or not at even distances")


def some(words: Iterable[str]) -> str:
    """The first few."""
    shown = [*words]
    return ", ".join(shown[:5]) + (", ..." if len(shown) > 5 else "")


def read_dicom(path: Path) -> tuple[Array, tuple[float, float] | None]:
    """The picture in a DICOM file, dense bright, (H, W) or (H, W, 3); and its black and white where it says them."""
    held = dicom_library().dcmread(path)
    from pydicom.pixels.processing import apply_color_lut, apply_modality_lut

    if int(held.get("NumberOfFrames") or 1) > 1:
        raise UnusableError("it holds several frames, and one picture is read: save each as a file of its own")
    values, bits, kind = decoded(held), int(held.BitsStored), str(held.PhotometricInterpretation)
    if kind == "PALETTE COLOR":
        values = apply_color_lut(values, held)[..., :3]
        return (values >> 8 if values.max() > 255 else values).astype(np.uint8), None
    signed, whole = bool(held.get("PixelRepresentation")), bits == 8 or bits < held.BitsAllocated
    low, high = (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1) if signed else (0.0, 2.0**bits - 1)
    if values.ndim == 3:
        return values, None if values.dtype == np.uint8 else (low, high)
    values = values.astype(np.float64)
    if table := held.get("ModalityLUTSequence"):
        (values, high), low, signed, whole = looked_up(values, table[0], held), 0.0, False, True
    else:
        values = apply_modality_lut(values, held)
        slope, shift = float(held.get("RescaleSlope") or 1), float(held.get("RescaleIntercept") or 0)
        low, high = sorted((low * slope + shift, high * slope + shift))
    ends = (low, high) if whole and not signed else None
    window = [np.ravel(held.get(name) or 0)[0] for name in ("WindowCenter", "WindowWidth")]
    centre, width = map(float, window)
    function = str(held.get("VOILUTFunction") or "LINEAR").upper()
    if function == "LINEAR":
        centre, width = centre - 0.5, width - 1
    if table := held.get("VOILUTSequence"):
        (values, high), low = looked_up(values, table[0], held), 0.0
        ends = 0.0, high
    elif width > 0 and function == "SIGMOID":
        values, low, high, ends = 1 / (1 + np.exp(-4 * (values - centre) / width)), 0.0, 1.0, (0.0, 1.0)
    elif width > 0 and centre - width / 2 < values.max() and centre + width / 2 > values.min():
        ends = centre - width / 2, centre + width / 2
    if kind == "MONOCHROME1":
        values, ends = low + high - values, ends and (low + high - ends[1], low + high - ends[0])
    if ends and values.min() >= 0 and (high, bits) == (255, 8) and abs(ends[0]) <= 1 and abs(ends[1] - 255) <= 1:
        return values.astype(np.uint8), None
    return values.astype(np.float32), ends


def looked_up(values: Array, item: Any, held: Any) -> tuple[Array, float]:
    """What a table of a DICOM file has for ``values``, and the greatest value of the bits that it needs."""
    entries = item.LUTData
    order = "<u2" if held.original_encoding[1] else ">u2"
    table = np.frombuffer(entries, order) if isinstance(entries, bytes) else np.asarray(entries, np.uint16)
    places = np.clip(np.rint(values).astype(np.int64) - int(item.LUTDescriptor[1]), 0, table.size - 1)
    return table[places].astype(np.float64), 2.0 ** max(8, int(table.max()).bit_length()) - 1


def read_picture(path: Path, channels: int) -> tuple[Array, tuple[float, float] | None]:
    """A picture upright, at the depth of its file, (channels, H, W); and its own black and white where it says them."""
    if is_dicom(path):
        with named(path):
            values, ends = read_dicom(path)
        return in_channels(values, channels), ends
    return in_channels(read_plain(path), channels), None


def read_plain(path: Path) -> Array:
    """A picture that is not DICOM, (H, W) or (H, W, 3)."""
    from PIL import ImageOps

    with open_picture(path) as file:
        # Of colours of 16 bits Pillow gives the high bytes. Read in the other order of bytes, it gives the low ones.
        low = [tile for tile in getattr(file, "tile", []) if raw_mode(tile) in LOW_BYTES]
        ImageOps.exif_transpose(file, in_place=True)
        if file.mode in DEEP:
            values: Array = np.asarray(file)
            values = values.astype(values.dtype.newbyteorder("="), copy=False)
        else:
            values = np.asarray(file.convert("L" if file.mode in GREY else "RGB"))
    if low:
        with open_picture(path) as file:
            setattr(file, "tile", [tile._replace(args=low_bytes(tile.args)) for tile in low])  # noqa: B010
            ImageOps.exif_transpose(file, in_place=True)
            values = values.astype(np.uint16) << 8 | np.asarray(file.convert("RGB"))
    return values


def in_channels(values: Array, channels: int) -> Array:
    """A picture (H, W) or (H, W, 3) as (channels, H, W)."""
    from PIL import Image

    if values.ndim == 2:
        return np.repeat(values[None], channels, axis=0)
    if channels == 3:
        return np.ascontiguousarray(np.moveaxis(values, -1, 0))
    if values.dtype != np.uint8:
        return np.asarray((values @ np.array([0.299, 0.587, 0.114], np.float32))[None])
    return np.asarray(Image.fromarray(values).convert("L"))[None]


def open_picture(path: Path) -> Any:
    """A picture, of which the header is read; Pillow also knows formats that run programs (PostScript)."""
    from PIL import Image

    return Image.open(path, formats=("PNG", "JPEG", "TIFF", "BMP", "WEBP"))


def is_deep(path: Path) -> bool:
    """Whether a picture has more than 8 bits, or may have them, by its header."""
    if is_dicom(path):
        return True
    try:
        with open_picture(path) as file:
            return file.mode in DEEP or any(raw_mode(tile) in LOW_BYTES for tile in getattr(file, "tile", []))
    except Exception:  # noqa: BLE001  (`unreadable` says what)
        return False


def raw_mode(tile: Any) -> str:
    """How the values of a tile lie in the file."""
    return str(tile.args if isinstance(tile.args, str) else (tile.args or ("",))[0])


def low_bytes(args: Any) -> Any:
    """The arguments of a decoder that takes the low bytes."""
    return LOW_BYTES[args] if isinstance(args, str) else (LOW_BYTES[args[0]], *args[1:])


def read(case: Case, expected: dict[str, Any]) -> None:
    """Fill ``case`` from its files; a picture keeps the values of its file."""
    if expected["axes"] == 3:
        read_volume(case, expected)
    else:
        case.values, case.ends = read_picture(case.files[0], expected["channels"])
        if case.values.dtype != np.uint8 or case.ends:
            case.values = case.values.astype(np.float32)
    flat = case.values.reshape(len(case.values), -1)
    constant = flat.min(axis=1) == flat.max(axis=1)
    if not np.isfinite(flat).all():
        raise UnusableError("it has NaN or infinite values")
    if constant.all() if flat.dtype == np.uint8 else constant.any():
        raise UnusableError("a channel of it has one value throughout")


# To the network's grid and intensities


def normalised(volume: Array, how: dict[str, Any]) -> Array:
    """One channel of a volume as the network sees it."""
    values = volume.astype(np.float32)
    if how["intensity"] == "none":
        return values
    if how["intensity"] == "window":
        low, high = how["window"]
        return np.asarray((np.clip(values, low, high) - np.float32(low)) / np.float32(high - low))
    if how["intensity"] == "minmax":
        low, high = float(values.min()), float(values.max())
        return np.asarray((values - np.float32(low)) / np.float32(max(high - low, 1e-12)))
    part = np.asarray(body(values, how), np.float32)
    step = max(1, part.size // 1_000_000)
    low, high = np.percentile(part.ravel()[::step], how["percentiles"])
    if high > low:
        values = np.clip(values, low, high)
        part = values if how["intensity"] == "zscore" else np.clip(part, low, high)
    mean, deviation = float(part.mean(dtype=np.float64)), float(part.std(dtype=np.float64))
    return np.asarray((values - np.float32(mean)) / np.float32(max(deviation, 1e-12)))


def body(values: Array, how: dict[str, Any]) -> Array:
    """The values that statistics are of: all; with "body" those that are neither 0 nor the least."""
    if how["intensity"] != "body":
        return values
    found = values[(values != 0) & (values != values.min())]
    return found if found.size else values


def shaded(image: Array, part: Array, how: dict[str, Any]) -> Array:
    """A picture (C, H, W) of shades from 0 to 255 as the network sees it; ``part``: what of it statistics are of."""
    scale, shift = np.ones(len(image)), np.zeros(len(image))
    if how["intensity"] == "imagenet":
        scale = 1 / np.array(how["std"])
        shift = -np.array(how["mean"]) * scale
    elif how["intensity"] in {"zscore", "body"}:
        found = body(part, how)
        deviation = max(float(found.std(dtype=np.float64)) / 255, 1e-6)
        scale, shift = scale / deviation, shift - float(found.mean(dtype=np.float64)) / 255 / deviation
    elif how["intensity"] == "minmax":
        low, high = float(part.min()), float(part.max())
        extent = max(high - low, 1 if part.dtype == np.uint8 else 1e-6)
        scale, shift = scale * 255 / extent, shift - low / extent
    elif how["intensity"] == "window":
        low, high = how["window"]
        scale, shift = scale * 255 / (high - low), shift - low / (high - low)
    factor, offset = (each.astype(np.float32)[:, None, None] for each in (scale, shift))
    values = image.astype(np.float32) / np.float32(255) * factor + offset
    return np.asarray(np.clip(values, 0, 1) if how["intensity"] == "window" else values)


def to_shades(picture: Array, ends: Sequence[float] | None) -> Array:
    """``picture`` from 0 (black) to 255 (white), with all its depth."""
    if picture.dtype == np.uint8 or ends is None:
        return picture
    low, high = ends
    return np.asarray(np.clip((picture - np.float32(low)) * np.float32(255 / max(high - low, 1e-12)), 0, 255))


def range_of(pictures: Iterable[Array]) -> tuple[float, float] | None:
    """Black and white of pictures of more than 8 bits, where those of training had 8."""
    low, high, whole = math.inf, -math.inf, True
    for picture in pictures:
        if picture.dtype != np.uint8:
            low, high = min(low, float(picture.min())), max(high, float(picture.max()))
            whole = whole and bool((picture == np.rint(picture)).all())
    if low > high:
        return None
    if whole and low >= 0:
        return 0.0, float(next((2**bits - 1 for bits in (8, 10, 12, 14, 16) if high < 2**bits), high))
    return (0.0, 1.0) if low >= 0 and high <= 1 else (low, high)


def shrunk(image: Array, how: dict[str, Any]) -> Array:
    """A picture (C, H, W) at the network's size: stretched, or its centre."""
    (rows, columns), (height, width) = image.shape[1:], how["size"]
    if (rows, columns) == (height, width):
        return image
    left, top, right, bottom = 0.0, 0.0, float(columns), float(rows)
    if how["resize"] == "crop":
        scale = min(rows / height, columns / width)
        top, left = (rows - height * scale) / 2, (columns - width * scale) / 2
        right, bottom = left + width * scale, top + height * scale
    return np.stack([resized(channel, (height, width), (left, top, right, bottom)) for channel in image])


def seen_whole(case: Case, how: dict[str, Any]) -> Array:
    """An image as a network of classes sees it, (C, *size): all of it, or its centre."""
    if how["axes"] == 2:
        image = shrunk(case.values, how)
        return shaded(image, image, how)
    image = prepared(case, how, how["size"] if how["resize"] == "stretch" else None).image
    starts = [(a - b) // 2 for a, b in zip(image.shape[1:], how["size"], strict=True)]
    return image[(slice(None), *(slice(a, a + b) for a, b in zip(starts, how["size"], strict=True)))]


def resized(channel: Array, shape: Sequence[int], box: tuple[float, float, float, float] | None = None) -> Array:
    """One channel of a picture (H, W) on a grid of ``shape``: each new pixel the mean of what it covers."""
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(channel))
    return np.asarray(picture.resize((shape[1], shape[0]), Image.Resampling.BILINEAR, box=box))


def resampled(volume: Array, shape: Sequence[int]) -> Array:
    """``volume`` on a grid of ``shape`` over the same extent: linear, of a coarser one smoothed before."""
    from scipy import ndimage

    if volume.shape == tuple(shape):
        return volume
    factors = [new / old for old, new in zip(volume.shape, shape, strict=True)]
    deviations = [math.sqrt(max(factor**-2 - 1, 0) / (8 * math.log(2))) for factor in factors]
    if any(deviations):
        volume = ndimage.gaussian_filter(volume, deviations, mode="nearest", truncate=4.0)
    return np.asarray(ndimage.zoom(volume, factors, order=1, mode="nearest", grid_mode=True))


def prepared(case: Case, how: dict[str, Any], stretched: Sequence[int] | None = None) -> Seen:
    """An image on the network's grid: turned to RAS+, at the network's spacing or ``stretched``, normalised, padded."""
    image, turn, spacing, size = case.values, None, case.spacing, how["size"]
    if case.affine is not None:
        from nibabel.orientations import apply_orientation, io_orientation

        turn = io_orientation(case.affine)
        image = np.stack([apply_orientation(channel, turn) for channel in image])
        spacing = tuple(np.array(case.spacing)[np.argsort(turn[:, 0])].tolist())
    turned = image.shape[1:]
    shape = turned
    spacing = (1.0, 1.0) if how["axes"] == 2 else spacing
    if how["spacing"] and spacing:
        shape = tuple(max(1, round(n * a / b)) for n, a, b in zip(turned, spacing, how["spacing"], strict=True))
    shape = shape if stretched is None else tuple(stretched)
    if how["axes"] == 3:
        image = np.stack([resampled(normalised(channel, how), shape) for channel in image]).astype(np.float32)
    elif shape != turned:
        image = np.stack([resized(channel.astype(np.float32), shape) for channel in image])
    outer = tuple(max(side, least) for side, least in zip(shape, size, strict=True))
    inner = tuple(slice((a - b) // 2, (a - b) // 2 + b) for a, b in zip(outer, shape, strict=True))
    padded = np.zeros((len(image), *outer), image.dtype)
    padded[(slice(None), *inner)] = image
    if how["axes"] == 2:
        padded = shaded(padded, image, how)
    return Seen(padded, inner, turned, turn)


# The network


def read_facts(path: Path) -> dict[str, Any]:
    """What ``model.json`` says."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UnusableError(f"{path} is damaged, copy the folder again: {error}") from error
    if not isinstance(facts, dict) or KEYS - facts.keys() or not facts["networks"]:
        raise UnusableError(f"{path} is damaged, copy the folder again: it lacks what a network needs")
    if facts["format"] != FORMAT:
        raise UnusableError(f"{path} is of another version than this predict.py: take both from one folder")
    return facts


class Network:
    """The networks of this folder, which vote by their mean probability."""

    def __init__(self, folder: Path = HERE, *, threads: int = 0, cpu: bool = False) -> None:
        import onnxruntime

        self.facts = read_facts(folder / "model.json")
        self.expected, self.output = self.facts["image"], self.facts["output"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        own = [name for name in onnxruntime.get_available_providers() if name.startswith(("CUDA", "CPU"))]
        self.sessions = []
        for member in self.facts["networks"]:
            content = (folder / member["file"]).read_bytes()
            if hashlib.sha256(content).hexdigest() != member["sha256"]:
                raise UnusableError(f"{member['file']} is not the file that was exported: copy the folder again")
            providers = ["CPUExecutionProvider"] if cpu else own
            try:
                self.sessions.append(onnxruntime.InferenceSession(content, options, providers=providers))
            except Exception as error:
                why = f"{member['file']} cannot be used by onnxruntime {onnxruntime.__version__}: {first_line(error)}"
                raise UnusableError(why) from error
            if self.sessions[-1].get_inputs()[0].shape != [1, self.expected["channels"], *self.expected["size"]]:
                raise UnusableError(f"{folder / 'model.json'} does not fit {member['file']}: copy the folder again")

    def logits(self, session: Any, image: Array) -> Array:
        """Of an image (C, *size), without a batch: the mean over mirrored inputs."""
        axes, total = self.output["mirror_axes"], 0
        flips = [each for n in range(len(axes) + 1) for each in itertools.combinations(axes, n)]
        for each in flips:
            turned = tuple(axis + 1 for axis in each)
            try:
                (found,) = session.run(None, {"image": np.ascontiguousarray(np.flip(image, turned))[None]})
            except Exception as error:
                raise UnusableError(f"the network cannot be run: {first_line(error)}") from error
            total = total + (np.flip(found[0], turned) if found[0].ndim == image.ndim else found[0])
        return np.asarray(total / np.float32(len(flips)), np.float32)

    def windows(self, session: Any, image: Array) -> Array:
        """Logits (O, *N) of an image (C, *N): the mean of overlapping windows, weighted by Gaussians."""
        size, shape = tuple(self.expected["size"]), image.shape[1:]
        if shape == size:
            return self.logits(session, image)
        steps = [
            side if side == length else max(1, int(side * (1 - self.output["overlap"])))
            for length, side in zip(shape, size, strict=True)
        ]
        starts = [
            [min(i * step, length - side) for i in range(math.ceil((length - side) / step) + 1)]
            for length, side, step in zip(shape, size, steps, strict=True)
        ]
        gaussian = np.ones((), np.float32)
        for side in size:
            axis = np.arange(side, dtype=np.float32) - (side - 1) / 2
            gaussian = gaussian[..., None] * np.exp(axis**2 / (-2 * (0.125 * side) ** 2)).astype(np.float32)
        gaussian = np.maximum(gaussian, max(float(gaussian.min()), 1e-3))
        total, weight = np.zeros((0, *shape), np.float32), np.zeros(shape, np.float32)
        for corner in itertools.product(*starts):
            refuse_ended()
            box = tuple(slice(start, start + side) for start, side in zip(corner, size, strict=True))
            found = self.logits(session, image[(slice(None), *box)])
            total = total if len(total) else np.zeros((len(found), *shape), np.float32)
            total[(slice(None), *box)] += found * gaussian
            weight[box] += gaussian
        total /= weight
        return total

    def probabilities(self, logits: Array) -> Array:
        """Of logits whose first axis is that of the classes."""
        if self.output["activation"] == "sigmoid":
            return np.asarray(1 / (1 + np.exp(-logits)))
        powers = np.exp(logits - logits.max(axis=0))
        return np.asarray(powers / powers.sum(axis=0))

    def mask(self, seen: Seen) -> Array:
        """Class indices (*S) of an image, on the grid of its file."""
        alone, same = len(self.sessions) == 1, tuple(s.stop - s.start for s in seen.inner) == seen.turned
        scores: Array | None = None
        for session in self.sessions:
            found = self.windows(session, seen.image)[(slice(None), *seen.inner)]
            if not (alone and same and self.output["activation"] == "softmax"):  # there the greatest logit decides
                found = self.probabilities(found)
            scores = found if scores is None else scores + found
        assert scores is not None  # noqa: S101  (a folder has a network)
        scores /= np.float32(len(self.sessions))
        mask = self.decided(resampled(channel, seen.turned) for channel in scores)
        if seen.turn is not None:
            from nibabel.orientations import apply_orientation

            back = np.zeros_like(seen.turn)
            for axis, (place, sign) in enumerate(seen.turn):
                back[int(place)] = (axis, sign)
            mask = np.ascontiguousarray(apply_orientation(mask, back))
        return self.cleaned(mask) if self.output["largest_component"] else mask

    def decided(self, channels: Iterator[Array]) -> Array:
        """Class indices of the scores of each channel, of which the greatest so far is kept."""
        best = next(channels)
        if self.output["activation"] == "sigmoid":
            return np.asarray(best >= self.output["threshold"], np.uint8)
        mask = np.zeros(best.shape, np.uint8 if len(self.facts["classes"]) <= 255 else np.int32)
        for index, scores in enumerate(channels, 1):
            mask[scores > best] = index
            best = np.maximum(best, scores)
        return mask

    def cleaned(self, mask: Array) -> Array:
        """``mask`` with only the largest connected component of each class."""
        from scipy import ndimage

        kept = np.zeros_like(mask)
        touching = ndimage.generate_binary_structure(mask.ndim, 1 if self.output["connectivity"] == 6 else mask.ndim)
        for value, box in enumerate(ndimage.find_objects(mask, len(self.facts["classes"])), 1):
            if box is not None:
                labels, _ = ndimage.label(mask[box] == value, touching)
                sizes = np.bincount(labels.ravel())
                sizes[0] = 0
                kept[box][labels == sizes.argmax()] = value
        return kept

    def shares(self, image: Array) -> Array:
        """Probabilities of the classes of a picture (C, H, W)."""
        logits = [self.logits(session, image).astype(np.float64) for session in self.sessions]
        return np.asarray(np.mean([self.probabilities(own) for own in logits], axis=0))


# Writing


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A file beside ``path``, which takes its place when all of it is written."""
    beside = path.with_name(f".writing.{path.name}")
    try:
        yield beside
        beside.replace(path)
    except OSError as error:
        why = f"cannot write {path}: {error.strerror or error}; other results are whole: name another folder with -o"
        raise UnusableError(why) from error
    finally:
        beside.unlink(missing_ok=True)


def make_folder(path: Path) -> None:
    """A folder that can be written to: to be told before hours of work."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path).close()
    except OSError as error:
        why = f"cannot write into {path}: {error.strerror or error}; name another folder with -o"
        raise UnusableError(why) from error


def write_mask(path: Path, mask: Array, case: Case, values: Sequence[int]) -> None:
    """Class indices as a file with the label values of training, in the geometry of the input."""
    data = np.array([0, *values], np.uint16 if max(values, default=1) > 255 else np.uint8)[mask]
    with whole(path) as beside:
        if path.suffix == ".png":
            from PIL import Image
            from PIL.PngImagePlugin import PngInfo

            note, picture = PngInfo(), Image.fromarray(data)
            note.add_text("Description", MADE_BY)
            if data.dtype == np.uint8:
                palette = np.zeros((256, 3), np.uint8)
                palette[list(values)] = [COLOURS[index % len(COLOURS)] for index in range(len(values))]
                picture.putpalette(palette.ravel().tolist())
            picture.save(beside, format="PNG", pnginfo=note)
        else:
            import nibabel

            if case.header is not None:
                image = nibabel.Nifti1Image(data, None, case.header.copy())
            else:
                image = nibabel.Nifti1Image(data, case.affine)
                image.set_sform(case.affine, 1)  # 1: scanner coordinates
                image.set_qform(case.affine, 1)
                image.header.set_xyzt_units("mm")
            image.set_data_dtype(data.dtype)
            image.header.set_slope_inter(1, 0)
            image.header["descrip"] = MADE_BY
            nibabel.save(image, beside)


def write_table(path: Path, rows: Sequence[Sequence[str]]) -> None:
    """A CSV file; a name that a spreadsheet would take for a formula gets an apostrophe before it."""
    text = io.StringIO()
    for row in rows:
        odd = any("\r" in cell for cell in row)
        csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL if odd else csv.QUOTE_MINIMAL).writerow(
            [escaped(cell) for cell in row]
        )
    with whole(path) as beside:  # names that are no Unicode are spelt out
        beside.write_text(text.getvalue(), encoding="utf-8", errors="backslashreplace", newline="")


def escaped(cell: str) -> str:
    """``cell`` as text for a spreadsheet."""
    try:
        float(cell)
    except ValueError:
        return f"'{cell}" if re.match(r"'*[=+\-@\t\r]", cell) else cell
    return cell


def warned(case: Case, known: dict[str, Sequence[float]], *, stretched: bool = False) -> Iterator[str]:
    """In what an image is unlike those that the network was trained on; ``stretched``: to one size, with its voxels."""
    yield from case.notes
    image = case.values
    if not {"low", "high", "blank"} <= known.keys():
        return
    low, high, extent = float(image.min()), float(image.max()), known["high"][1] - known["low"][0]
    narrow = high - low < (known["high"][0] - known["low"][1]) / 10
    if image.ndim == 4 and (narrow or low < known["low"][0] - extent or high > known["high"][1] + extent):
        yield f"values from {low:g} to {high:g}; trained on values from {known['low'][0]:g} to {known['high'][1]:g}"
    rows = image[:, :: max(1, image.shape[1] // 16)]
    blank = np.count_nonzero((rows == 0) | (rows == image.dtype.type(low)) if low else rows == 0) / rows.size
    if blank > known["blank"][1] + 0.2:
        yield f"{blank:.0%} of it is 0 or its least value; in training at most {known['blank'][1]:.0%}"
    for axis, side in enumerate(() if stretched else case.spacing or ()):
        least, most = known.get(f"spacing {axis}", (side, side))
        if not least / 1.1 <= side <= most * 1.1:
            yield f"voxels of {side:.4g} mm along axis {axis}; trained on {least:.4g} to {most:.4g} mm"


# The command


def predict(network: Network, cases: Sequence[Case], output: Path, *, overwrite: bool) -> int:
    """Predict ``cases``, tell where the results are, and how many cases could not be read."""
    how, masks = network.expected, network.facts["task"] == "segmentation"
    ending = ".nii.gz" if how["axes"] == 3 else ".png"
    targets = [output / f"{case.name}{ending}" for case in cases] if masks else [output / "predictions.csv"]
    sources = {os.path.realpath(path) for case in cases for path in case.files}
    if over := [path for path in targets if os.path.realpath(path) in sources]:
        raise UnusableError(f"{over[0]} is an input: the result would be written over it; name another folder with -o")
    if there := [path for path in targets if path.exists() and not overwrite]:
        raise UnusableError(f"{there[0]} is there already: name another folder with -o, or add --overwrite")
    left, ends, rows = 0, how["value_range"], []
    if how["axes"] == 2 and ends is None:
        ends = range_of(deep_pictures(cases, how))
    for case in cases:
        refuse_ended()
        if problem := unreadable(case, how):
            say(f"left out: case {case.name}: {problem}", sys.stderr)
            left += 1
            continue
        stretched = not masks and how["resize"] == "stretch"
        for note in warned(case, network.facts["ranges"], stretched=stretched):
            say(f"case {case.name}: {note}", sys.stderr)
        make_folder(output)
        if how["axes"] == 2:
            case.values = to_shades(case.values, case.ends or ends)
        if masks:
            mask = network.mask(prepared(case, how))
            write_mask(output / f"{case.name}{ending}", mask, case, network.facts["label_values"])
            say(output / f"{case.name}{ending}")
        else:
            shares = network.shares(seen_whole(case, how))
            if not np.isfinite(shares).all():
                raise UnusableError(f"the network gives values that are not finite for {case.name}")
            rows.append([case.name, network.facts["classes"][int(shares.argmax())], *map(repr, shares.tolist())])
        case.values = np.zeros(0)
    if rows:
        write_table(targets[0], [["id", "predicted", *(f"prob:{name}" for name in network.facts["classes"])], *rows])
        say(targets[0])
    return left


def deep_pictures(cases: Iterable[Case], how: dict[str, Any]) -> Iterator[Array]:
    """The values of each picture of more than 8 bits; one at a time is held."""
    for case in cases:
        if is_deep(case.files[0]) and not unreadable(case, how) and not case.ends:
            yield case.values
            case.values = np.zeros(0)


def unreadable(case: Case, how: dict[str, Any]) -> str:
    """Read a case; what keeps it from being predicted, or nothing."""
    try:
        read(case, how)
    except Exception as error:  # noqa: BLE001  (damaged files raise anything, and cost no other case)
        return first_line(error)
    return ""


def first_line(error: Exception) -> str:
    """What an error says."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def say(text: object, stream: TextIO | None = None) -> None:
    """Print a line, with what could move the cursor of a terminal, or cannot be printed, spelt out."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))
    print(shown, file=stream, flush=True)


def be_quiet() -> None:
    """Let libraries tell no details of a header or of rounding, and let no name be one that cannot be printed."""
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    logging.getLogger("nibabel.global").setLevel(logging.CRITICAL)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def main(words: Sequence[str] | None = None) -> int:
    """Exit code: 0 done, 1 some inputs could not be read and were left out, 2 something is wrong and the rest was not
    predicted, 130 interrupted, 143 terminated."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", nargs="+", type=Path, metavar="IMAGE", help="files, or folders of files")
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="OUT", help="folder of the results")
    parser.add_argument("--overwrite", action="store_true", help="replace results that are there")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="threads of the network (all cores)")
    parser.add_argument("--cpu", action="store_true", help="use no GPU, also where onnxruntime-gpu is installed")
    asked = parser.parse_args(words)
    be_quiet()
    try:
        with told_to_end():
            return run(asked)
    except ImportError as error:
        say(f"error: {error}: pip install -r {HERE / 'requirements.txt'}", sys.stderr)
        return 2
    except (UnusableError, OSError) as error:
        say(f"error: {error}", sys.stderr)
        return 2
    except EndedError as told:
        word = "interrupted" if told.args[0] == signal.SIGINT else "terminated"
        say(f"{word}: results that are there are whole", sys.stderr)
        return 128 + int(told.args[0])
    except Exception as error:  # noqa: BLE001  (the boundary: nobody sees a traceback)
        say(f"error: {error!r}: copy the folder again, or tell those who make medtui", sys.stderr)
        return 2


def run(asked: argparse.Namespace) -> int:
    """Predict what a command line asks for; the exit code."""
    network = Network(threads=asked.threads, cpu=asked.cpu)
    importlib.import_module("nibabel" if network.expected["axes"] == 3 else "PIL")  # once, not for every case
    cases = find_cases(asked.inputs, network.expected["axes"], network.expected["channels"])
    if others := not_taken(asked.inputs, network.expected["axes"]):
        say(others, sys.stderr)
    if any(path.is_dir() or is_dicom(path) for case in cases for path in case.files):
        dicom_library()
    left = predict(network, cases, asked.output, overwrite=asked.overwrite)
    return 0 if not left else 1 if left < len(cases) else 2


@contextmanager
def told_to_end() -> Iterator[None]:
    """Ctrl-C, and SIGTERM as a batch system sends it, raise `EndedError`: what is half written is cleared away."""

    def end(number: int, _frame: Any) -> None:
        CAME.append(number)
        if len(CAME) == 1:  # others may not cut off what clears away
            raise EndedError(number)

    def unraised(what: Any) -> None:
        if not isinstance(what.exc_value, EndedError):
            sys.__unraisablehook__(what)

    CAME.clear()
    if threading.current_thread() is not threading.main_thread():  # others may set no handlers
        yield
        return
    numbers = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) != signal.SIG_IGN]  # nohup, "&"
    before = {number: signal.signal(number, end) for number in numbers}
    sys.unraisablehook, hook = unraised, sys.unraisablehook
    try:
        yield
    finally:
        sys.unraisablehook = hook
        for number, own in before.items():
            signal.signal(number, own)


def refuse_ended() -> None:
    """Raise `EndedError` once more: what is raised where Python destroys an object is lost."""
    if CAME:
        raise EndedError(CAME[0])


if __name__ == "__main__":
    sys.exit(main())
