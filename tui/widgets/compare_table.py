"""A table with a column for each compared run."""

from typing import ClassVar

from rich.cells import cell_len
from textual.binding import Binding, BindingType

from tui.plotting.cells import Line, cut, fit
from tui.plotting.comparison import TableRow
from tui.text import one_line, shorten, wrapped
from tui.theme import mark
from tui.widgets.pane import Pane

_LEAST, _MOST = 13, 40  # cells of a run's column: fewer are not shown, more are not needed


class CompareTable(Pane):
    """Rows of names and values; left and right move through the runs where they do not all fit."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right,l", "side(1)", "runs", key_display="← →", tooltip="the runs that do not fit")
    ]
    EMPTY: ClassVar[str] = ""
    RIGHT: ClassVar[bool] = True  # cells are numbers

    labels: tuple[str, ...] = ()
    rows: tuple[TableRow, ...] = ()
    warnings: tuple[str, ...] = ()
    left = 0  # the first run in sight
    first = 0  # the first line in sight
    _fit = 1  # runs in sight
    _first_cells, _run_cells = 8, _LEAST

    def set_rows(self, labels: tuple[str, ...], rows: list[TableRow], warnings: list[str]) -> None:
        """Take other rows."""
        self.labels, self.rows, self.warnings = labels, tuple(rows), tuple(warnings)
        self.redraw()

    def note(self) -> Line:
        if self._fit >= len(self.labels):
            return []
        return [(f"runs {self.left + 1}–{self.left + self._fit} of {len(self.labels)}  ← →", "warning")]

    def body(self, width: int, height: int) -> list[Line]:
        if not self.rows:
            return self.reason(self.EMPTY, width, height)
        self._measure(width)
        head = self._head(width)
        lines = [line for row in self.rows for line in self._row(row)]
        room = max(1, height - len(head))
        self.first = max(0, min(self.first, len(lines) - room))
        return [*head, *lines[self.first : self.first + room]]

    def copied(self) -> str:
        rows = ["\t".join(("", *self.labels)), *("\t".join((row.name, *row.cells)) for row in self.rows)]
        return "\n".join(rows)

    def scroll_lines(self, by: int) -> None:
        self.first = max(0, self.first + by)
        self.redraw()

    def action_side(self, by: int) -> None:
        self.left = max(0, min(self.left + by, len(self.labels) - self._fit))
        self.redraw()

    def _measure(self, width: int) -> None:
        """Widths of the first column and of the others, and how many of those fit."""
        names = max((cell_len(one_line(row.name)) for row in self.rows if not row.head), default=8)
        self._first_cells = max(8, min(names + 1, width // 3 + 2))
        cells = max((cell_len(cell) + 3 for row in self.rows for cell in row.cells), default=_LEAST)
        wanted = min(_MOST, max(_LEAST, cells, *(cell_len(label) + self._beside for label in self.labels)))
        room = max(1, width - self._first_cells)
        self._run_cells = min(room, max(_LEAST, min(wanted, room // max(1, len(self.labels)))))
        self._fit = max(1, min(len(self.labels), room // self._run_cells))
        self.left = max(0, min(self.left, len(self.labels) - self._fit))

    @property
    def _beside(self) -> int:
        """Cells of a column's head beside the name: its mark and a space, and where the star of a number is."""
        return 4 if self.RIGHT else 3

    def _shown(self) -> range:
        return range(self.left, min(len(self.labels), self.left + self._fit))

    def _head(self, width: int) -> list[Line]:
        """Warnings, and the runs by mark and name."""
        lines: list[Line] = [[(fit(part, width), "warning")] for text in self.warnings for part in wrapped(text, width)]
        line: Line = [(" " * self._first_cells, "ink")]
        for at in self._shown():
            name = shorten(self.labels[at], self._run_cells - self._beside)
            pad = max(0, self._run_cells - 2 - cell_len(name) - 1)
            before, after = (pad, 1) if self.RIGHT else (0, pad + 1)
            line += [(" " * before + mark(at) + " ", f"{at} bold"), (name + " " * after, "ink")]
        used = self._first_cells + self._run_cells * len(self._shown())
        return [*lines, cut([*line, (" " * max(0, width - used), "ink")], width)]

    def _row(self, row: TableRow) -> list[Line]:
        if row.head:
            return [[(one_line(row.name), "accent bold")]]
        cells = [_wrapped(row.cells[at], self._run_cells - 3) for at in self._shown()]
        lines: list[Line] = []
        for y in range(max((len(cell) for cell in cells), default=1)):
            name = fit(one_line(row.name), self._first_cells - 1) if y == 0 else " " * (self._first_cells - 1)
            line: Line = [(name + " ", "muted")]
            for at, cell in zip(self._shown(), cells, strict=True):
                text = cell[y] if y < len(cell) else ""
                star = "★" if at in row.best and y == 0 else " "
                ink = f"ink{' bold' if at in row.best else ''}"
                line.append((fit(text, self._run_cells - 2, right=self.RIGHT), ink))
                line.append((star + " ", "accent"))
            lines.append(line)
        return lines


class MetricsTable(CompareTable):
    """Metrics side by side; the best of each row is marked."""

    ID = NAME = TITLE = "metrics"
    EMPTY = "reading the runs"


class RecipeTable(CompareTable):
    """The keys of the recipes that differ."""

    ID, NAME, TITLE = "recipes", "recipe", "recipe differences"
    EMPTY = "the recipes are the same"
    RIGHT = False


def _wrapped(text: str, width: int) -> list[str]:
    return wrapped(text, max(6, width)) or [""]
