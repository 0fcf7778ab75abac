"""Lines of styled text, made to measure: cut and padded by cells, framed, compared.

A `Line` is a list of (text, look); a look is what `tui.theme.style_of` takes, so that nothing that is drawn
knows the theme. All of it passes `to_strip`, which makes text from files harmless.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import TypeAlias

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from tui.text import one_line
from tui.theme import style_of

Span: TypeAlias = tuple[str, str]
Line: TypeAlias = list[Span]
Cell: TypeAlias = tuple[str, Style | None]
_ODD = re.compile("[^ -~\xa0-\u02ff\u2190-\u2193\u2500-\u25fc\u2800-\u28ff]")  # what may be of no cell, or of two
_NEAR = 12  # cells between two changes that cost less than to move there and name the colours again
PLACEHOLDER = "\U0010eeee"  # a cell in which kitty shows a piece of a picture; Unicode has no such letter


def fit(text: str, width: int, *, right: bool = False) -> str:
    """``text`` in exactly ``width`` cells: cut with ``…``, or padded (``right``: on its left)."""
    size = cell_len(text)
    if size > width:
        return set_cell_size(text, max(0, width - 1)) + "…" if width > 0 else ""
    return " " * (width - size) + text if right else text + " " * (width - size)


def length(line: Iterable[Span]) -> int:
    """Width of a line in cells."""
    return sum(cell_len(text) for text, _ in line)


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


def flowed(parts: list[Line], width: int, *, most: int = 9) -> Iterator[Line]:
    """The parts one after the other, on as many lines as they need, ``most`` at most."""
    line: Line = []
    lines: list[Line] = []
    for part in parts:
        while length(part) > width and len(part) == 1:  # a path that no line holds
            text, look = part[0]
            lines += [line] if line else []
            line, part = [(text[:width], look)], [(text[width:], look)]  # noqa: PLW2901
            lines, line = [*lines, line], []
        if line and length(line) + 3 + length(part) > width:
            lines.append(line)
            line = []
        line = [*line, *([("   ", "ink")] if line else []), *part]
    yield from [*lines, *([line] if line else [])][:most]


def ends(left: Line, parts: Iterable[Line], width: int) -> Line:
    """``left``, and at the right end of ``width`` cells as many of ``parts`` as fit; wide lines have wider gaps."""
    right = fitted(parts, max(width - length(left) - 3, width - 30), 3 if width >= 100 else 2)
    left = cut(left, width - length(right) - 2)
    return [*left, (" " * (width - length(left) - length(right) - 1), "ink"), *right]


def to_strip(line: Line, width: int, palette: str) -> Strip:
    """A strip of exactly ``width`` cells, without anything that a terminal would obey."""
    line = [(text if text.replace(PLACEHOLDER, "").isprintable() else one_line(text), look) for text, look in line]
    segments = [Segment(text, style_of(look, palette)) for text, look in line if text]
    return Strip(segments).adjust_cell_length(width, style_of("ink", palette)).simplify()


def framed(body: list[Line], width: int, height: int, *, title: Line, note: Line, border: str) -> list[Line]:
    """``body`` in a box of ``width`` x ``height`` cells with a title at the left and a note at the right."""
    inner = width - 2
    lines = [frame_top(title, note, width, border)]
    for row in range(height - 2):
        content = cut(body[row], inner) if row < len(body) else []
        lines.append([("│", border), *content, (" " * (inner - length(content)), "ink"), ("│", border)])
    return [*lines, [("╰" + "─" * inner + "╯", border)]]


def frame_top(title: Line, note: Line, width: int, border: str) -> Line:
    """The upper edge of a frame; the note gives way to the title."""
    title = cut(title, max(0, width - 4))
    room = width - 6 - length(title)
    note = cut(note, room - 2) if room > 6 else []
    bar = room - length(note) + (0 if title else 2) - (2 if note else 0)
    line: Line = [("╭─", border)]
    line += [(" ", border), *title, (" ", border)] if title else []
    line += [("─" * bar, border)]
    line += [(" ", border), *note, (" ", border)] if note else []
    return [*line, ("─╮", border)]


def bar(share: float, width: int, look: str = "accent") -> Line:
    """A bar of ``width`` cells that is full by ``share``, 0 to 1."""
    full = round(min(1.0, max(0.0, share)) * width)
    return [("━" * full, look), ("─" * (width - full), "faint")]


def changed(old: Strip, new: Strip) -> tuple[int, int] | None:
    """First and last-plus-one cell that differ between two strips of one width; ``None`` where none does."""
    if old is new or list(old) == list(new):
        return None
    spans = differing(cells(old), cells(new))
    return (spans[0][0], spans[-1][1]) if spans else None


def differing(old: Sequence[Cell], new: Sequence[Cell]) -> list[tuple[int, int]]:
    """Where two rows of one width differ: spans of cells (first, last plus one), near ones as one."""
    if len(old) != len(new):
        return [(0, len(new))]
    spans: list[tuple[int, int]] = []
    for at in (i for i, (a, b) in enumerate(zip(old, new, strict=True)) if a != b):
        end = at + 1
        while end < len(new) and not new[end][0]:  # the right half of a wide letter
            end += 1
        if spans and at - spans[-1][1] <= _NEAR:
            spans[-1] = spans[-1][0], end
        else:
            spans.append((at, end))
    return spans


def cells(strip: Strip, first: int = 0, last: int | None = None) -> list[Cell]:
    """The cells of a strip from ``first`` to before ``last``: a letter with its marks, "" right of a wide one."""
    last = strip.cell_length if last is None else last
    found: list[Cell] = []
    at = 0
    for text, style, _ in strip:
        if at >= last:
            break
        if _ODD.search(text):
            row = _odd_cells(text, style)
            found += row[max(0, first - at) : last - at]
            at += len(row)
        else:
            found += [(letter, style) for letter in text[max(0, first - at) : last - at]]
            at += len(text)
    return found


def _odd_cells(text: str, style: Style | None) -> list[Cell]:
    found: list[Cell] = []
    for letter in text:
        size = cell_len(letter)
        if size == 0 and found:
            found[-1] = (found[-1][0] + letter, style)
            continue
        found.append((letter, style))
        found += [("", style)] * (size - 1)
    return found


def joined(row: Sequence[Cell]) -> Strip:
    """Cells as a strip again."""
    parts = (Segment("".join(letter for letter, _ in same), style) for style, same in groupby(row, itemgetter(1)))
    return Strip(parts, len(row))
