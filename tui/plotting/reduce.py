"""From any number of points to one value a column of the screen. Pure NumPy.

Points are searched for, not converted: the edges of the columns are given in the units of ``x``.
Long series are read through `Blocks`, ranges of 64 points that are computed once.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.readers.columns import Array, Columns

Floats: TypeAlias = NDArray[np.float64]
Flags: TypeAlias = NDArray[np.bool_]
BLOCK = 64
LARGEST = 1e100  # what is beyond counts as infinite: an axis up to it would overflow
_BLOCKS_A_COLUMN = 8  # through blocks an edge is off by up to half a block: less than a sixteenth of a column
_MEMORY = 6.0  # half-lives before the left edge that still count for a smoothed line


@dataclass(frozen=True, slots=True)
class Reduced:
    """One row a column: of its usable values the range, the sum and the number; and what was not finite."""

    least: Floats  # nan where there is none
    most: Floats
    total: Floats
    count: Floats
    nans: Flags
    pos_inf: Flags  # an infinity
    neg_inf: Flags  # a minus infinity

    @property
    def mean(self) -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.total / np.where(self.count > 0, self.count, np.nan)


def reduce(table: Columns, name: str, at: NDArray[np.intp]) -> Reduced:
    """Column ``name`` over the rows ``at[i]`` to ``at[i + 1]``, for each i.

    Args:
        at: (n + 1,) row numbers, ascending.
    """
    if int(at[-1] - at[0]) < BLOCK * _BLOCKS_A_COLUMN * len(at):
        return _over(_single(table[name][at[0] : at[-1]]), at - at[0])
    blocks = _blocks(table, name)
    return _over(blocks, np.minimum((at + BLOCK // 2) // BLOCK, len(blocks.least)))


def search(table: Columns, name: str, edges: Floats) -> NDArray[np.intp]:
    """Row number of the first point at or after each edge; ``edges`` in the units of column ``name``."""
    places = table[name]
    if places.dtype.kind == "i":
        edges = np.clip(np.ceil(edges), -(2.0**62), 2.0**62).astype(places.dtype)
    return np.searchsorted(places, edges, "left")


def average(places: Floats, values: Floats, counts: Floats, half_life: float) -> Floats:
    """The debiased exponential moving average along ``places``.

    The weight of a point halves with every ``half_life`` of distance. That is the average that
    TensorBoard and W&B draw, taken by place and not by number, so that it looks the same for 100
    points and for a million.

    Args:
        places: (n,) ascending.
        values: (n,) finite means.
        counts: (n,) points behind each mean.
        half_life: in the units of ``places``; 0 leaves the values as they are.
    """
    if half_life <= 0 or len(values) < 2:
        return values
    decay = np.exp2(-np.diff(places, prepend=places[0]) / half_life)
    top = bottom = 0.0
    out = np.empty(len(values))
    steps = zip(decay.tolist(), (values * counts).tolist(), counts.tolist(), strict=True)
    for i, (share, weighted, count) in enumerate(steps):
        top, bottom = top * share + weighted, bottom * share + count
        out[i] = top / bottom
    return out


def columns_before(half_life: float, width: float, limit: int) -> int:
    """How many columns of ``width`` left of the screen still weigh in an average."""
    return min(int(np.ceil(_MEMORY * half_life / width)), limit) if width > 0 else 0


def usable(values: Array) -> Flags:
    """Which values can be drawn."""
    return np.abs(values) <= LARGEST


def _single(values: Array) -> Reduced:
    values = values.astype(np.float64, copy=False)
    finite = usable(values)
    if finite.all():
        none = np.zeros(len(values), bool)
        return Reduced(values, values, values, np.ones(len(values)), none, none, none)
    return Reduced(
        np.where(finite, values, np.nan),
        np.where(finite, values, np.nan),
        np.where(finite, values, 0.0),
        finite.astype(np.float64),
        np.isnan(values),
        values > LARGEST,
        values < -LARGEST,
    )


def _over(parts: Reduced, at: NDArray[np.intp]) -> Reduced:
    """Ranges of ranges: rows ``at[i]`` to ``at[i + 1]`` of ``parts`` for each i."""
    sizes = np.diff(at)
    filled = np.flatnonzero(sizes)
    starts = at[:-1][filled]

    def over(function: np.ufunc, values: Array, default: float | bool) -> Array:
        out = np.full(len(sizes), default, values.dtype)
        if len(starts) and (default is not False or values.any()):
            out[filled] = function.reduceat(values[: at[-1]], starts)  # the last range ends where the values do
        return out

    with np.errstate(over="ignore"):
        return Reduced(*(over(way, getattr(parts, name), default) for name, (way, default) in _WAYS.items()))


_WAYS: dict[str, tuple[np.ufunc, float | bool]] = {
    "least": (np.fmin, np.nan),
    "most": (np.fmax, np.nan),
    "total": (np.add, 0.0),
    "count": (np.add, 0.0),
    "nans": (np.logical_or, False),
    "pos_inf": (np.logical_or, False),
    "neg_inf": (np.logical_or, False),
}
"""How each field of ranges of ranges comes about, and what it is of none."""


def _blocks(table: Columns, name: str) -> Reduced:
    """Ranges of `BLOCK` rows each, the last of them perhaps not full; the full ones are kept."""
    known: Reduced | None = table.cache.get(name)
    done = 0 if known is None else len(known.least)
    full = len(table) // BLOCK
    if done < full:
        fresh = _ranges(table[name][done * BLOCK : full * BLOCK])
        known = fresh if known is None else _appended(known, fresh)
        table.cache[name] = known
    if known is None:
        return _ranges(table[name])
    kept = known if len(known.least) == full else Reduced(*(getattr(known, f)[:full] for f in _WAYS))
    rest = table[name][full * BLOCK :]
    return _appended(kept, _ranges(rest)) if len(rest) else kept


def _ranges(values: Array) -> Reduced:
    edges = np.arange(0, len(values) + BLOCK, BLOCK)
    return _over(_single(values), np.minimum(edges, len(values)))


def _appended(first: Reduced, second: Reduced) -> Reduced:
    return Reduced(*(np.concatenate((getattr(first, f), getattr(second, f))) for f in _WAYS))
