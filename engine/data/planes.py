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
    """
    volume = np.empty(shape, np.float32)
    block, places = np.empty((_AT_ONCE, *shape[1::-1]), np.float32), list[int]()
    for place, plane in planes:
        block[len(places)] = plane
        places.append(place)
        if len(places) == _AT_ONCE:
            _write(volume, block, places)
            places = []
    _write(volume, block[: len(places)], places)
    return volume


def _write(volume: Floats, block: Floats, places: list[int]) -> None:
    if places:
        row = range(places[0], places[0] + len(places))
        volume[:, :, slice(row.start, row.stop) if [*row] == places else places] = block.T
