"""The header of a MetaImage file (.mha, .mhd), read as ITK reads it."""

import re
from pathlib import Path

import numpy as np

from engine.data.headers import LPS, Headed, affine_of, counts, fields, numbers, place_of, whole

_TYPES = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4", "MET_UINT": "u4",
    "MET_LONG": "i4", "MET_ULONG": "u4", "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4", "MET_DOUBLE": "f8",
}  # fmt: skip


def of_meta(path: Path, head: bytes) -> Headed:
    """What the header of the MetaImage file ``path`` says; ``head`` are its first bytes.

    Raises:
        ValueError: it is damaged, or of no volume.
    """
    end = re.search(rb"^[ \t]*ElementDataFile[ \t]*[=:][^\n]*(\n|\Z)", head, re.MULTILINE)
    if end is None:
        raise ValueError("its header names no ElementDataFile")
    known = fields(head[: end.end()].decode("utf-8", "surrogateescape").splitlines(), r"\s*([^=:]+?)\s*[=:](.*)", str)
    kind = known.get("ElementType", "of no type")
    if kind not in _TYPES:
        raise ValueError(f"it holds values {kind[:40]}, in place of integers or real numbers")
    if known.get("ObjectType", "Image") != "Image":
        raise ValueError(f'it is a MetaObject of the type "{known["ObjectType"][:40]}", and no image')
    number = whole(known.get("NDims", ""), "NDims")
    if number != 3:
        sides = "x".join(known.get("DimSize", "").split())[:40]
        raise ValueError(f"it has {number} axes ({sides}), in place of 3; channels are components of a pixel")
    channels = whole(known.get("ElementNumberOfChannels", "1"), "ElementNumberOfChannels")
    sizes = counts(known.get("DimSize", ""), "DimSize", 3)
    if not 1 <= channels < 10_000:
        raise ValueError(f"it has {channels} components of a pixel")
    several = channels > 1
    axes, origin, turned = _geometry(known)
    packed = _true(known, "CompressedData")
    size = whole(known.get("CompressedDataSize", "0"), "CompressedDataSize") if packed else 0
    skip = whole(known.get("HeaderSize", "0"), "HeaderSize")
    local = known["ElementDataFile"].upper() == "LOCAL"
    start = end.end() if local else max(0, skip)
    big = _true(known, "BinaryDataByteOrderMSB") or _true(known, "ElementByteOrderMSB")
    return Headed(
        sizes=(channels, *sizes) if several else sizes,
        channel_axis=0 if several else None,
        dtype=np.dtype(_TYPES[kind]).newbyteorder(">" if big else "<"),
        affine=affine_of(axes, origin, LPS),
        turned=turned,
        place=path if local else place_of(path, known["ElementDataFile"]),
        start=start,
        packing="gzip" if packed else "raw" if _true(known, "BinaryData", "True") else "ascii",
        end=start + size if size > 0 else None,
        skip=-1 if skip < 0 and not packed else 0,
    )


def _true(known: dict[str, str], name: str, default: str = "False") -> bool:
    return known.get(name, default)[:1] in {"T", "t", "1"}


def _geometry(known: dict[str, str]) -> tuple[object, list[float], bool]:
    """Axes (3, 3), of which columns are steps of a voxel; the place of the first one; whether the header has both."""
    names = [name for name in ("TransformMatrix", "Rotation", "Orientation") if name in known]
    matrix = numbers(known[names[0]], names[0], 9) if names else [1, 0, 0, 0, 1, 0, 0, 0, 1]
    spacing = numbers(known.get("ElementSpacing", known.get("ElementSize", "1 1 1")), "ElementSpacing", 3)
    at = next((name for name in ("Offset", "Position", "Origin") if name in known), "")
    origin = numbers(known[at], at, 3) if at else [0.0, 0.0, 0.0]
    return np.reshape(matrix, (3, 3)).T * np.array(spacing), origin, bool(names)
