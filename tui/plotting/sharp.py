"""Pictures in the pixels of the terminal: kitty's placeholders, iTerm's inline images, sixel. Pure.

kitty's stand in cells like text. The others are drawn over blank cells, a row of cells at a time, so that a row that
is sent again brings its part of the picture along.
"""

import re
import struct
import zlib
from base64 import b64encode
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tui.plotting.cells import PLACEHOLDER, Line

Protocol: TypeAlias = Literal["kitty", "iterm", "sixel"]
Pixels: TypeAlias = NDArray[np.uint8]
_MOST_COLORS = 256
_CHUNK = 4096
_ROWS = [
    *(0x305, 0x30D, 0x30E, 0x310, 0x312, 0x33D, 0x33E, 0x33F, 0x346, 0x34A, 0x34B, 0x34C, 0x350, 0x351, 0x352, 0x357),
    *(0x35B, *range(0x363, 0x370), *range(0x483, 0x488), *range(0x592, 0x596), *range(0x597, 0x59A)),
    *(*range(0x59C, 0x5A2), 0x5A8, 0x5A9, 0x5AB, 0x5AC, 0x5AF, 0x5C4, *range(0x610, 0x618), *range(0x657, 0x65C)),
]
"""Marks by which kitty numbers the rows of a placeholder."""
MOST_ROWS = len(_ROWS)


@dataclass(frozen=True, slots=True)
class Sharp:
    """A picture as the terminal takes it."""

    cells: tuple[int, int]  # (columns, rows) that it stands on
    lines: tuple[Line, ...]  # what is written into them
    rows: tuple[str, ...]  # what is written after each of them, with the cursor at their right end; "" for kitty
    upload: str = ""  # what is sent before them
    remove: str = ""  # what is sent when it is no longer shown


def fine(cell: tuple[int, int], rows: int, high: int, protocol: Protocol) -> tuple[int, int]:
    """The size of a cell in pixels that ``rows`` of them are drawn with for an image of ``high`` pixels.

    What the terminal enlarges itself need not be sent much finer than it is known.
    """
    while protocol != "sixel" and cell[1] >= 12 and rows * cell[1] > 4 * high:
        cell = cell[0] // 2, cell[1] // 2
    return cell


def sharp(picture: Pixels, protocol: Protocol, cell: tuple[int, int], number: int) -> Sharp:
    """A picture (H, W, 3) of whole cells of ``cell`` (width, height) pixels, for a terminal.

    ``number``: 1 to 2**24 - 1; a new picture has a new one.
    """
    columns, rows = picture.shape[1] // cell[0], picture.shape[0] // cell[1]
    index, palette = indexed(picture)
    if protocol == "kitty":
        lines: tuple[Line, ...] = tuple(
            [(PLACEHOLDER + chr(_ROWS[row]) + chr(_ROWS[0]) + PLACEHOLDER * (columns - 1), f"#{number:06x}")]
            for row in range(rows)
        )
        upload = _upload(png(index, palette), number, columns, rows)
        return Sharp((columns, rows), lines, ("",) * rows, upload, f"\x1b_Ga=d,d=I,i={number},q=2\x1b\\")
    # a ground of its own: cells that had a picture, or get one, differ from all others, and are sent again
    blank: Line = [(" " * columns, "ink on #010203")]
    draw = _inline if protocol == "iterm" else sixel
    parts = [draw(part, palette, columns) for part in np.split(index, rows)]
    return Sharp((columns, rows), (blank,) * rows, tuple(f"\x1b7\x1b[{columns}D{part}\x1b8" for part in parts))


def indexed(picture: Pixels) -> tuple[Pixels, Pixels]:
    """Places (H, W) of the colours of a picture (H, W, 3) in a palette (N, 3) of at most 256, as fine as it can be."""
    for levels in (31, 15, 7, 5):
        coarse = np.rint(np.arange(256) / 255 * levels).astype(np.uint16)[picture]
        codes = coarse[..., 0] << 10 | coarse[..., 1] << 5 | coarse[..., 2]
        used = np.flatnonzero(np.bincount(codes.ravel(), minlength=1 << 15))
        if len(used) <= _MOST_COLORS:
            break
    places = np.zeros(1 << 15, np.uint8)
    places[used] = np.arange(len(used))
    palette = np.stack([used >> 10, used >> 5 & 31, used & 31], axis=1) * (255 / levels)
    return places[codes], np.rint(palette).astype(np.uint8)


def png(index: Pixels, palette: Pixels) -> bytes:
    """A PNG of places in a palette."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = index.shape
    head = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    data = zlib.compress(np.pad(index, ((0, 0), (1, 0))).tobytes(), 6)
    parts = (chunk(b"IHDR", head), chunk(b"PLTE", palette.tobytes()), chunk(b"IDAT", data), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def sixel(index: Pixels, palette: Pixels, _columns: int = 0) -> str:
    """The sixels of places in a palette, six rows of pixels at a time, in each one colour after the other."""
    height, width = index.shape
    used = np.unique(index)
    shares = np.rint(palette / 2.55).astype(int)
    said = [f'\x1bP0;1;0q"1;1;{width};{height}', *("#{};2;{};{};{}".format(c, *shares[c]) for c in used)]
    for top in range(0, height, 6):
        band = index[top : top + 6]
        weights = (1 << np.arange(len(band), dtype=np.uint8))[:, None]
        values = ((color, ((band == color) * weights).sum(axis=0, dtype=np.uint8)) for color in np.unique(band))
        rows = [f"#{color}" + _runs(bits + 63) for color, bits in values]
        said.append("$".join(rows) + "-")
    return "".join(said) + "\x1b\\"


def _runs(values: Pixels) -> str:
    """Bytes with four of a kind and more in a row as their number."""
    text = values.tobytes().decode("ascii").rstrip("?")
    return re.sub(r"(.)\1{3,}", lambda run: f"!{len(run[0])}{run[1]}", text)


def _inline(index: Pixels, palette: Pixels, columns: int) -> str:
    """iTerm's sequence for one row of cells."""
    data = png(index, palette)
    size = f"size={len(data)};width={columns};height=1;preserveAspectRatio=0"
    return f"\x1b]1337;File=inline=1;{size};doNotMoveCursor=1:{b64encode(data).decode()}\x07"


def _upload(data: bytes, number: int, columns: int, rows: int) -> str:
    """kitty's sequences that store a picture, to be shown where its placeholders stand."""
    text = b64encode(data).decode()
    parts = [text[at : at + _CHUNK] for at in range(0, len(text), _CHUNK)]
    head = f"a=T,U=1,f=100,i={number},c={columns},r={rows},q=2,"
    return "".join(
        f"\x1b_G{head if at == 0 else ''}m={int(at < len(parts) - 1)};{part}\x1b\\" for at, part in enumerate(parts)
    )
