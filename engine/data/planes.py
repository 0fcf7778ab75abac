"""A volume of planes that come one after the other: so it is in memory once, and no second time as its file has it."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]
Floats = npt.NDArray[np.float32]

_AT_ONCE = 16  # planes that are written together: as many float32 as a line of the cache holds


def volume_of(shape: tuple[int, int, int], planes: Iterable[tuple[int, Array]]) -> Floats:
    """The float32 volume (X, Y, Z) of ``shape``, with the values of the last axis side by side, as networks take it.

    Args:
        planes: place along the last axis, and values (Y, X), of each.

    Raises:
        ValueError: they are fewer, or one is of another size, as where a file changes while it is read.
    """
    volume = np.empty(shape, np.float32)
    block, places, count = np.empty((_AT_ONCE, *shape[1::-1]), np.float32), list[int](), 0
    for place, plane in planes:
        if plane.shape != block.shape[1:]:
            raise ValueError(f"a slice of it is {plane.shape[1]}x{plane.shape[0]}, in place of {shape[0]}x{shape[1]}")
        block[len(places)] = plane
        places.append(place)
        count += 1
        if len(places) == _AT_ONCE:
            _write(volume, block, places)
            places = []
    _write(volume, block[: len(places)], places)
    if count < shape[2]:
        raise ValueError(f"it has {count} slices, in place of {shape[2]}")
    return volume


def _write(volume: Floats, block: Floats, places: list[int]) -> None:
    if places:
        row = range(places[0], places[0] + len(places))
        volume[:, :, slice(row.start, row.stop) if [*row] == places else places] = block.T
