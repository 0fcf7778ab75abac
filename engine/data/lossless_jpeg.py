"""JPEG without losses (ITU-T T.81, process 14), as archives of X-rays pack pictures: no free decoder for it is safe.

GDCM, and so ITK, ends the process over damaged files.
"""

import re
import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.data.compiled import compiled

Array = npt.NDArray[np.generic]

_MARKER = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]")  # behind the values of a scan; not between their restarts
_RESTART = re.compile(rb"\xff+[\xd0-\xd7]")
_MOST_BITS = 16


@dataclass(slots=True)
class _Frame:
    """What the segments of a file said so far."""

    bits: int = 0  # of a value
    components: list[int] = field(default_factory=list)  # by their numbers
    every: int = 0  # values of a component between restarts; 0: there are none
    tables: dict[int, Array] = field(default_factory=dict)  # uint16 (65536,), see `_table`
    values: npt.NDArray[np.uint16] = field(default_factory=lambda: np.zeros((0, 0, 0), np.uint16))  # (H, W, C)


def unpack(data: bytes) -> npt.NDArray[np.uint16]:
    """The values of a file, (H, W, C).

    Raises:
        ValueError: it is damaged, cut off, or not of this kind. And `struct.error`, IndexError.
    """
    frame, at, scanned = _Frame(), 2, 0
    while scanned < len(frame.components) or not frame.components:
        while data[at + 1] == 0xFF:
            at += 1
        kind, length = data[at + 1], struct.unpack_from(">H", data, at + 2)[0]
        body = data[at + 4 : at + 2 + length]
        at += 2 + length
        if kind == 0xC3:
            _begin(frame, body)
        elif kind == 0xC4:
            _add_tables(frame, body)
        elif kind == 0xDD:
            frame.every = struct.unpack(">H", body)[0]
        elif kind == 0xDA:
            end = _MARKER.search(data, at)
            stop = end.start() if end else len(data)
            scanned += _scan(frame, body, data[at:stop])
            at = stop
        elif kind in {0xD8, 0xD9} or 0xC0 <= kind < 0xD0:
            raise ValueError("no JPEG without losses, or damaged")
    return frame.values


def _begin(frame: _Frame, body: bytes) -> None:
    bits, rows, columns, count = struct.unpack_from(">B2HB", body)
    if frame.components or not 2 <= bits <= _MOST_BITS or not rows or not columns or count not in {1, 3}:
        raise ValueError("a damaged header")
    if any(body[7 + 3 * place] != 0x11 for place in range(count)):
        raise ValueError("colours at several resolutions")
    frame.bits, frame.components = bits, [body[6 + 3 * place] for place in range(count)]
    frame.values = np.zeros((rows, columns, count), np.uint16)


def _add_tables(frame: _Frame, body: bytes) -> None:
    at = 0
    while at < len(body):
        counts = body[at + 1 : at + 17]
        frame.tables[body[at]] = _table(counts, body[at + 17 : at + 17 + sum(counts)])
        at += 17 + sum(counts)


def _table(counts: bytes, symbols: bytes) -> Array:
    """For each 16 bits that may come next: 256 times the length of the code that they begin with, and its symbol."""
    if len(counts) < 16 or len(symbols) < sum(counts) or max(symbols, default=0) > _MOST_BITS:
        raise ValueError("a damaged table of codes")
    table, code, place = np.zeros(1 << 16, np.uint16), 0, 0
    for length, count in enumerate(counts, 1):
        width = 1 << (16 - length)
        for _ in range(count):
            table[code : code + width] = length << 8 | symbols[place]
            code, place = code + width, place + 1
    if code > 1 << 16:
        raise ValueError("a damaged table of codes")
    return table


def _scan(frame: _Frame, body: bytes, coded: bytes) -> int:
    """Fill in the values of a scan; the number of its components."""
    count = body[0]
    places = [frame.components.index(body[1 + 2 * at]) for at in range(count)]
    tables = [frame.tables[body[2 + 2 * at] >> 4] for at in range(count)]
    rule, shift = body[1 + 2 * count], body[3 + 2 * count] & 15
    rows, columns, _ = frame.values.shape
    lines, odd = divmod(frame.every or rows * columns, columns)
    if not count or not 1 <= rule <= 7 or shift >= frame.bits or odd or not lines:
        raise ValueError("a damaged scan")
    parts = _RESTART.split(coded)
    if len(parts) < -(-rows // lines):
        raise ValueError("cut off")
    found = np.zeros((rows, columns, count), np.uint16)
    for first, part in zip(range(0, rows, lines), parts, strict=False):
        plain = np.frombuffer(part.replace(b"\xff\x00", b"\xff"), np.uint8)
        strip = found[first : first + lines]
        if not _decode(plain, np.stack(tables), strip, rule, 1 << (frame.bits - shift - 1)):
            raise ValueError("damaged or cut off")
    frame.values[..., places] = found << shift
    return count


@compiled
def _foreseen(values: Any, at: tuple[int, int, int], rule: int, middle: int) -> Any:
    """The value at (row, column, component) by those beside it (T.81, table H.1)."""
    row, column, place = at
    if row == 0 and column == 0:
        return np.int64(middle)
    if row == 0:
        return np.int64(values[0, column - 1, place])
    above = np.int64(values[row - 1, column, place])
    if column == 0:
        return above
    left, corner = np.int64(values[row, column - 1, place]), np.int64(values[row - 1, column - 1, place])
    leaning = left + (above - corner >> 1), above + (left - corner >> 1)
    return (left, above, corner, left + above - corner, *leaning, left + above >> 1)[rule - 1]


@compiled
def _decode(data: Any, tables: Any, values: Any, rule: int, middle: int) -> bool:
    """Fill ``values`` (H, W, C) from its bits, each as a difference to what ``rule`` foresees; False: damaged."""
    rows, columns, count = values.shape
    size, at = data.size, 0
    held: Any = 0  # the bits that come next
    bits: Any = 0  # how many of them
    for row in range(rows):
        for column in range(columns):
            for place in range(count):
                while bits <= 32:
                    held = (held << 8 | (np.int64(data[at]) if at < size else 0)) & 0xFFFFFFFFFFFF
                    at, bits = at + 1, bits + 8
                entry = np.int64(tables[place, held >> (bits - 16) & 0xFFFF])
                bits -= entry >> 8
                more = entry & 255
                step: Any = 0
                if entry == 0:
                    return False
                if more == 16:
                    step = 32768
                elif more:
                    bits -= more
                    step = held >> bits & ((1 << more) - 1)
                    if step < 1 << (more - 1):
                        step += 1 - (1 << more)
                guess = _foreseen(values, (row, column, place), rule, middle)
                values[row, column, place] = (guess + step) & 0xFFFF
    return bool(at - bits // 8 <= size)
