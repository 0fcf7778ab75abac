"""What a file says of its volume before its values are read, and how the lines of a header in text are read."""

import math
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from engine.runfolder.regular import most_unpacked

Affine = npt.NDArray[np.float64]

AFFINE_TOLERANCE = 0.1  # share of the smallest voxel side by which two grids may lie apart and still count as the same
MAX_VOXELS = 2**31  # larger volumes are refused: a damaged header must not ask for all the memory there is
MOST_HEADER = 1 << 20  # bytes of a header in text
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])  # from ITK's axes, to the left and to the back, to RAS+


@dataclass(frozen=True, slots=True, eq=False)
class Header:
    """What a file says of its volume before its values are read."""

    shape: tuple[int, ...]  # of a volume three axes, S
    channels: int
    dtype: np.dtype[np.generic]  # of the values, as they are stored
    affine: Affine | None  # (4, 4), from voxel indices to mm in RAS+; None where the file does not say


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


def refuse_huge(shape: Sequence[int], dtype: np.dtype[np.generic], key: str, stream: BinaryIO) -> None:
    """Refuse a volume of so many values that the file in ``stream`` cannot hold them. Raises as `refuse_more`."""
    refuse_more(shape, dtype, key, most_unpacked(stream))


def refuse_more(shape: Sequence[int], dtype: np.dtype[np.generic], key: str, most: int) -> None:
    """Refuse a volume of so many values that it takes more than ``most`` bytes.

    Raises:
        ValueError: it would take far more memory than its files take on the disk.
    """
    voxels = math.prod(int(side) for side in shape)
    held = max(dtype.itemsize, 1 if key == "label" else 4)  # an image becomes float32
    if voxels > MAX_VOXELS or voxels * held > most:
        way = "; masks are saved as uint8" if key == "label" and dtype.itemsize > 1 else ""
        raise ValueError(f"its header asks for {voxels} values of {dtype}, far more than its size on the disk{way}")


def place_of(path: Path, name: str) -> Path:
    """The file that the header ``path`` calls ``name``.

    Raises:
        ValueError: it lies elsewhere, is not there, or there are several.
    """
    plain = name.removeprefix("./")
    if re.search(r"%\d*[du]", plain) or plain.split(" ")[0] == "LIST":
        raise ValueError(f"it has its values in several files ({name[:60]}): write it anew with SimpleITK")
    if not plain or plain in {".", ".."} or not {"/", "\\", "\0"}.isdisjoint(plain):
        raise ValueError(f'it points to "{name[:100]}": values are read only from a file beside it, under a plain name')
    if not os.path.lexists(path.parent / plain):
        raise ValueError(f"the file of its values, {plain[:100]}, is not beside it")
    return path.parent / plain


def fields(lines: list[str], form: str, called: Callable[[str], str]) -> dict[str, str]:
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
