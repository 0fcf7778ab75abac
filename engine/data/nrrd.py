"""The header of an NRRD file: https://teem.sourceforge.net/nrrd/format.html, read as ITK reads it."""

import re
from pathlib import Path

import numpy as np

from engine.data.headers import LPS, MOST_HEADER, Affine, Headed, affine_of, counts, fields, numbers, place_of, whole

_TYPES = {
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
_KNOWN = {name: kind for kind, names in _TYPES.items() for name in names.split("|")}
_PACKINGS = {
    **dict.fromkeys(("raw",), "raw"),
    **dict.fromkeys(("gzip", "gz"), "gzip"),
    **dict.fromkeys(("bzip2", "bz2"), "bzip2"),
    **dict.fromkeys(("ascii", "text", "txt"), "ascii"),
}
_OF_SPACE = {"domain", "space", "time", "none", "???"}
"""Kinds of axes that are none of channels; "time" is one too many, and "???" not known."""
_SPACES = {
    **dict.fromkeys(("right-anterior-superior", "ras"), np.eye(4)),
    **dict.fromkeys(("left-anterior-superior", "las"), np.diag([-1.0, 1.0, 1.0, 1.0])),
}
"""Into RAS+; all others are taken for LPS."""


def of_nrrd(path: Path, head: bytes) -> Headed:
    """What the header of the NRRD file ``path`` says; ``head`` are its first `MOST_HEADER` bytes.

    Raises:
        ValueError: it is damaged, or of no volume.
    """
    end = re.search(rb"\r?\n\r?\n", head)
    if end is None and len(head) == MOST_HEADER:
        raise ValueError(f"its header does not end within {MOST_HEADER >> 20} MB")
    lines = (head[: end.start()] if end else head).decode("utf-8", "surrogateescape").splitlines()[1:]
    known = fields(lines, r"([^:#][^:]*):(?!=)(.*)", lambda name: re.sub(r"\s", "", name.lower()))
    if "datafile" not in known and end is None:
        raise ValueError("it ends within its header")
    sizes, channels = _axes(known)
    packing = _PACKINGS.get(known.get("encoding", "").lower())
    if packing is None:
        raise ValueError(f'its encoding "{known.get("encoding", "")[:40]}" is not read, but raw, gzip, bzip2 and text')
    affine, turned = _geometry(known, len(sizes), channels)
    name = known.get("datafile")
    return Headed(
        sizes=sizes,
        channel_axis=channels,
        dtype=_dtype(known, packing),
        affine=affine,
        turned=turned,
        place=path if name is None else place_of(path, name),
        start=end.end() if name is None and end else 0,
        packing=packing,
        lines=min(max(0, whole(known.get("lineskip", "0"), "line skip")), MOST_HEADER),
        skip=whole(known.get("byteskip", "0"), "byte skip"),
    )


def _dtype(known: dict[str, str], packing: str) -> "np.dtype[np.generic]":
    text = " ".join(known.get("type", "").lower().split())
    if text not in _KNOWN:
        raise ValueError(f'it holds values of type "{text[:40]}", in place of integers or real numbers')
    kind = np.dtype(_KNOWN[text])
    order = known.get("endian", "").lower()
    if kind.itemsize > 1 and packing != "ascii" and order not in {"little", "big"}:
        raise ValueError("its header does not say in which order bytes are (endian)")
    return kind.newbyteorder(">" if order == "big" else "<")


def _axes(known: dict[str, str]) -> tuple[tuple[int, ...], int | None]:
    """The sizes, and which of the axes is that of channels."""
    number = whole(known.get("dimension", ""), "dimension")
    if not 1 <= number <= 16:
        raise ValueError(f"it has {number} axes")
    sizes = counts(known.get("sizes", ""), "sizes", number)
    kinds = known.get("kinds", " ".join(["???"] * number)).lower().split()
    if len(kinds) != number:
        raise ValueError(f'"{known["kinds"][:60]}" is not {number} kinds of axes')
    if "complex" in kinds:
        raise ValueError("it holds complex numbers, in place of integers or real ones")
    others = [axis for axis, kind in enumerate(kinds) if kind not in _OF_SPACE]
    if not others and number == 4:
        vectors = _vectors(known)
        others = [axis for axis, vector in enumerate(vectors) if vector == "none"] if len(vectors) == 4 else []
    if number - len(others) != 3 or len(others) > 1:
        found = f"{number - len(others)} axes ({'x'.join(map(str, sizes))})"
        raise ValueError(f"it has {found}, in place of 3; channels are an axis of the kind list or vector")
    return sizes, others[0] if others else None


def _vectors(known: dict[str, str]) -> list[str]:
    return re.findall(r"none|\([^()]*\)", known.get("spacedirections", "").lower())


def _geometry(known: dict[str, str], number: int, channels: int | None) -> tuple[Affine, bool]:
    """The affine, and whether the header says how the axes lie."""
    space = known.get("space", "").lower().split(" ")[0]
    if known.get("spacedimension", "3") != "3" or space.endswith("time") or space in {"rast", "last", "lpst"}:
        raise ValueError("its space has not 3 dimensions")
    vectors = _vectors(known)
    if vectors:
        vectors = [vector for axis, vector in enumerate(vectors) if axis != channels or vector != "none"]
        if len(vectors) != 3 or "none" in vectors:
            raise ValueError(f'"{known["spacedirections"][:80]}" is no direction for each axis of space')
        axes = np.array([numbers(vector.strip("()"), "space directions", 3) for vector in vectors]).T
    else:
        sides = known.get("spacings", " ".join(["1"] * number)).split()
        sides = [side for axis, side in enumerate(sides) if axis != channels]
        axes = np.diag(numbers(" ".join(sides), "spacings", 3))
    origin = numbers(known.get("spaceorigin", "0,0,0").strip("() "), "space origin", 3)
    return affine_of(axes, origin, _SPACES.get(space, LPS)), bool(vectors)
