"""Numeric columns that grow at their end and whose older snapshots stay valid and unchanged.

A snapshot is a pair (shared buffer, length). Appending to the newest snapshot writes behind its end,
where no older snapshot looks; appending to any other one copies first. So a fold over a million
events costs one array a column, each view in between costs nothing, and a thread may draw a snapshot
while another appends.
"""

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.events import number

Array = NDArray[Any]
_FIRST_CAPACITY = 32


class _Buffer:
    """The arrays behind a family of snapshots."""

    __slots__ = ("arrays", "cache", "lock", "used")

    def __init__(self, arrays: dict[str, Array], used: int) -> None:
        self.arrays = arrays
        self.used = used
        self.cache: dict[str, Any] = {}
        self.lock = threading.Lock()

    def claim(self, start: int, count: int) -> bool:
        """Take ``count`` places from ``start`` on; False where they are taken or not there."""
        with self.lock:
            if start != self.used or start + count > len(next(iter(self.arrays.values()))):
                return False
            self.used = start + count
            return True


class Columns:
    """An immutable table of equally long numeric columns; ``table["name"]`` is a read-only array (n,)."""

    __slots__ = ("_buffer", "_length")

    def __init__(self, dtypes: Mapping[str, str]) -> None:
        """An empty table with columns of the given NumPy dtypes."""
        self._buffer = _Buffer({name: np.empty(0, dtype) for name, dtype in dtypes.items()}, 0)
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, name: str) -> Array:
        column = self._buffer.arrays[name][: self._length]
        column.flags.writeable = False
        return column

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Columns):
            return NotImplemented
        mine, theirs = self._buffer.arrays, other._buffer.arrays
        return mine.keys() == theirs.keys() and all(
            np.array_equal(self[name], other[name], equal_nan=mine[name].dtype.kind == "f") for name in mine
        )

    __hash__ = None  # type: ignore[assignment]  # compared by content

    def __repr__(self) -> str:
        return f"Columns({', '.join(self._buffer.arrays)}; {self._length} rows)"

    @property
    def cache(self) -> dict[str, Any]:
        """A place for what is derived from rows of this table; snapshots that share rows share it.

        A row that a snapshot has seen never changes, so what was derived from the first n rows holds
        for every snapshot that has as many.
        """
        return self._buffer.cache

    def append(self, rows: Mapping[str, Sequence[Any] | Array]) -> "Columns":
        """This table with more rows at its end. Every column must be given, all of one length."""
        count = len(next(iter(rows.values())))
        if count == 0:
            return self
        buffer, start = self._buffer, self._length
        if not buffer.claim(start, count):
            buffer = self._copy(max(_FIRST_CAPACITY, start + count, int(start * 1.5)))
            buffer.claim(start, count)
        with np.errstate(over="ignore"):  # what a narrow column cannot hold is infinite there
            for name, array in buffer.arrays.items():
                array[start : start + count] = numbers(rows[name])
        return self._snapshot(buffer, start + count)

    def head(self, length: int) -> "Columns":
        return self if length >= self._length else self._snapshot(self._buffer, max(0, length))

    def _copy(self, capacity: int) -> _Buffer:
        arrays = {}
        for name, old in self._buffer.arrays.items():
            arrays[name] = np.empty(capacity, old.dtype)
            arrays[name][: self._length] = old[: self._length]
        return _Buffer(arrays, self._length)

    @staticmethod
    def _snapshot(buffer: _Buffer, length: int) -> "Columns":
        table = Columns.__new__(Columns)
        table._buffer, table._length = buffer, length
        return table


def numbers(values: Sequence[Any] | Array) -> Array:
    """``values`` of the stream as an array (n,): ``None`` is nan, and ``"nan"``, ``"inf"`` are what they say."""
    if isinstance(values, np.ndarray):
        return values
    try:
        array = np.asarray(values)
        if array.dtype.kind in "fiub":
            return array
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return np.array([_lenient(value) for value in values], dtype=np.float64)


def _lenient(value: Any) -> float:
    try:
        return number(value)
    except (TypeError, ValueError):
        return float("nan")
