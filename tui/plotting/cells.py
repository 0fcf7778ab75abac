"""Lines of styled text, made to measure: cut and padded by cells, framed, compared.

A `Line` is a list of (text, style). Everything that is drawn here passes `to_strip`, which makes
text from files harmless and turns the screen to ASCII where that is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from tui.ascii import to_ascii
from tui.text import one_line

Span: TypeAlias = tuple[str, Style]
Line: TypeAlias = list[Span]


def fit(text: str, width: int, *, right: bool = False) -> str:
    """``text`` in exactly ``width`` cells: cut with ``…``, or padded (``right``: on its left)."""
    size = cell_len(text)
    if size > width:
        return set_cell_size(text, max(0, width - 1)) + "…" if width > 0 else ""
    return " " * (width - size) + text if right else text + " " * (width - size)


def length(line: Iterable[Span]) -> int:
    """Width of a line in cells."""
    return sum(cell_len(text) for text, _ in line)


def joined(left: Line, right: Line, width: int, fill: Style) -> Line:
    """``left`` and ``right`` at the two ends of ``width`` cells; the left one gives way."""
    gap = width - length(left) - length(right)
    if gap >= 0:
        return [*left, (" " * gap, fill), *right]
    return [*cut(left, max(0, width - length(right) - 1)), (" ", fill), *right]


def cut(line: Line, width: int) -> Line:
    """The first ``width`` cells of a line, with ``…`` where something is missing."""
    out: Line = []
    for text, style in line:
        size = cell_len(text)
        if size > width:
            out.append((fit(text, width), style))
            return out
        out.append((text, style))
        width -= size
    return out


def fitted(parts: Iterable[Line], width: int, gap: int = 3) -> Line:
    """The first parts that fit in ``width`` cells, ``gap`` cells apart; the others are left out whole."""
    line: Line = []
    used = 0
    for part in parts:
        size = length(part) + (gap if line else 0)
        if not part or used + size > width:
            if part:
                break
            continue
        line += [(" " * gap, part[0][1]), *part] if line else part
        used += size
    return line


def to_strip(line: Line, width: int, fill: Style, *, ascii_only: bool) -> Strip:
    """A strip of exactly ``width`` cells, without anything that a terminal would obey."""
    line = [(text if text.isprintable() else one_line(text), style) for text, style in line]
    if ascii_only:
        line = [(to_ascii(text), style) for text, style in line]
    segments = [Segment(text, style) for text, style in line if text]
    return Strip(segments).adjust_cell_length(width, fill).simplify()


def framed(
    body: list[Line], width: int, height: int, *, title: Line, note: Line, border: Style, fill: Style
) -> list[Line]:
    """``body`` in a box of ``width`` x ``height`` cells with a title at the left and a note at the right."""
    inner = width - 2
    title = cut(title, max(0, inner - 2))
    room = inner - 4 - length(title)
    note = cut(note, room - 2) if room > 6 else []
    bar = inner - length(title) - length(note) - (2 if title else 0) - (2 if note else 0) - 2
    top: Line = [("╭─", border)]
    top += [(" ", border), *title, (" ", border)] if title else []
    top += [("─" * bar, border)]
    top += [(" ", border), *note, (" ", border)] if note else []
    top += [("─╮", border)]
    lines = [top]
    for row in range(height - 2):
        content = cut(body[row], inner) if row < len(body) else []
        lines.append([("│", border), *content, (" " * (inner - length(content)), fill), ("│", border)])
    return [*lines, [("╰" + "─" * inner + "╯", border)]]


def changed(old: Strip, new: Strip) -> tuple[int, int] | None:
    """First and last-plus-one cell that differ between two strips of one width; ``None`` where none does."""
    if old is new or list(old) == list(new):
        return None
    before, after = _cells(old), _cells(new)
    if len(before) != len(after):
        return 0, new.cell_length
    first = next((i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b), None)
    if first is None:
        return None
    last = next(i for i in range(len(before) - 1, -1, -1) if before[i] != after[i])
    return first, last + 1


def _cells(strip: Strip) -> list[tuple[str, Style | None]]:
    cells: list[tuple[str, Style | None]] = []
    for text, style, _ in strip:
        if text.isascii():
            cells += [(c, style) for c in text]
            continue
        for char in text:
            size = cell_len(char)
            if size == 0 and cells:
                cells[-1] = (cells[-1][0] + char, style)
                continue
            cells.append((char, style))
            cells += [("", style)] * (size - 1)
    return cells
