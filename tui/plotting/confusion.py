"""A confusion matrix as lines, with a cell under the cursor. Pure."""

from collections.abc import Sequence

from tui.plotting.cells import Line, cut, fit
from tui.settings import keyed
from tui.text import one_line

Counts = Sequence[Sequence[int]]  # rows true, columns predicted
_LABEL, _CORNER = 16, "true↓ pred→"


def fits(counts: Counts, classes: Sequence[str]) -> bool:
    """Whether the matrix is one of these classes: a stream can hold anything."""
    return bool(counts) and len(counts) == len(classes) and all(len(row) == len(classes) for row in counts)


def matrix_lines(
    counts: Counts, classes: Sequence[str], room: tuple[int, int], cursor: tuple[int, int] | None
) -> list[Line]:
    """The matrix with the support and the recall of each class, in ``room`` (width, lines).

    Of more classes than fit, those around the ``cursor``, the (true, predicted) of a cell, are shown.
    """
    width, height = room
    names = [one_line(name) for name in classes]
    size = max(4, max(len(str(n)) for row in counts for n in row) + 1)
    label = min(_LABEL, max(map(len, [*names, _CORNER])) + 1, max(4, width - 24, min(8, width - size * len(names))))
    tail = 14 if width - label >= 14 + size * len(names) else 0
    size = max(size, min(9, (width - label - tail) // max(1, len(names))))
    rows = _around(cursor[0] if cursor else 0, len(names), height - 2)
    columns = _around(cursor[1] if cursor else 0, len(names), (width - label - tail) // size)
    shorts = (names[at][: size - 1] for at in columns)
    lines: list[Line] = [[(fit(_CORNER, label), "muted")]]
    lines[0] += [(fit(short, size, right=True), "ink" if cursor else "muted") for short in shorts]
    lines[0] += [("     n recall" if tail else "", "muted")]
    for row in rows:
        line: Line = [(fit(names[row], label - 1) + " ", str(row))]
        line += [_cell(counts[row], row, column, size, cursor) for column in columns]
        support = sum(counts[row])
        recall = f"{counts[row][row] / support:.3f}" if support else "–"
        line += [(f"{support:>6} {recall:>6}", "muted")] if tail else []
        lines.append(line)
    hint: Line = [(keyed("<matrix:x> puts a cursor into the matrix"), "muted")]
    return [*lines, cut(_chosen(counts, names, cursor, width) if cursor else hint, width)]


def _around(at: int, count: int, shown: int) -> range:
    shown = max(1, min(shown, count))
    first = max(0, min(at - shown // 2, count - shown))
    return range(first, first + shown)


def _cell(counts: Sequence[int], row: int, column: int, size: int, cursor: tuple[int, int] | None) -> tuple[str, str]:
    count, share = counts[column], counts[column] / max(1, sum(counts))
    text = fit(f"[{count}]" if cursor == (row, column) else f"{count or '·'}", size, right=True)
    look = (
        "accent bold" if row == column and count else "faint" if not count else "error" if share >= 0.2 else "warning"
    )
    return text, f"{look} on raised" if cursor == (row, column) else look


def _chosen(counts: Counts, names: Sequence[str], cursor: tuple[int, int], width: int) -> Line:
    true, predicted = cursor
    support, found = sum(counts[true]), counts[true][predicted]
    share = f" ({found / support:.3f})" if support else ""
    said = f"{found} of {support} {names[true]} "
    whole, short = f"{said}predicted as {names[predicted]}{share}", f"{said}as {names[predicted]}"
    key, lists = (keyed("  <open:Enter>"), " lists them") if found else ("", "")
    ways = ((whole, key + lists), (whole, key), (short, key + lists))
    words, hint = next((way for way in ways if len("".join(way)) <= width), ways[-1])
    return [(words, "ink"), (hint, "muted")]
