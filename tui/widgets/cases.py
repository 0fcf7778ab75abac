"""The worst cases of the newest validation, worst first; of a run that has none, of its test."""

from collections.abc import Sequence
from typing import Any, ClassVar

from rich.cells import cell_len
from textual.binding import Binding, BindingType

from engine.events import CaseEntry, number
from engine.measures import find, spoken
from engine.readers.run_view import EMPTY
from tui.plotting.cells import Line, fit
from tui.state.feed import RunSnapshot
from tui.state.reasons import no_validation
from tui.text import figure, one_line
from tui.widgets.pane import stage
from tui.widgets.rows import RowsPane

TAKEN_FOR = "true→pred"


class Cases(RowsPane[CaseEntry]):
    """A table; Enter opens the case under the cursor."""

    ID, NAME, TITLE = "cases", "worst", "worst cases"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "open", key_display="Enter", tooltip="open the case: all cases, images, numbers")
    ]

    def depends_on(self, snapshot: RunSnapshot) -> tuple[object, ...]:
        return *stage(snapshot), snapshot.view.validations, snapshot.view.results

    def _measured(self) -> tuple[str, Sequence[CaseEntry]]:
        """What was measured last, and its cases."""
        view = self.snapshot.view if self.snapshot else EMPTY
        newest = next((v for v in reversed(view.validations) if v.cases), None)
        test = view.results.get("test")
        return (
            (f"epoch {newest.epoch}", newest.cases)
            if newest
            else ("test", test.cases)
            if test and test.cases
            else ("", ())
        )

    def note(self) -> Line:
        return [(name, "muted")] if (name := self._measured()[0]) else []

    def body(self, width: int, height: int) -> list[Line]:
        self.rows = [_taken_for(row) for row in self._measured()[1]]
        return super().body(width, height)

    def why_empty(self) -> str:
        return no_validation(self.snapshot)

    def header(self, width: int) -> list[Line]:
        columns, label = self._columns(width)
        heads = ((fit(self._head(name, size - 1), size - 1, right=True) + " ", "muted") for name, size in columns)
        return [[(fit("case", label), "muted"), *heads]]

    def line(self, row: CaseEntry, at: int, width: int) -> Line:
        columns, label = self._columns(width)
        look = "ink bold" if at == self.row else "ink"
        name = fit(f"{self.cursor(at)}{one_line(str(row.get('id', '?')))}", label)
        cells = ((_text(row.get(name)), size) for name, size in columns)
        return [(name, look), *((fit(text, size - 1, right=True) + " ", look) for text, size in cells)]

    def _unit(self) -> str:
        return self.snapshot.view.unit if self.snapshot else ""

    def _head(self, name: str, room: int) -> str:
        whole = spoken(one_line(name), self._unit())
        return whole if cell_len(whole) <= room else find(name).short or spoken(one_line(name))

    def chosen_case(self) -> str:
        """The id of the case under the cursor."""
        row = self.chosen_row()
        return str(row.get("id", "")) if row else ""

    def _columns(self, width: int) -> tuple[list[tuple[str, int]], int]:
        """Name and width of the columns, and the width of the name of the case."""
        columns = _columns(self.rows or (), width, self._unit())
        return columns, max(6, width - sum(size for _, size in columns))


def _taken_for(row: CaseEntry) -> CaseEntry:
    """A row of a classification says in one column what was taken for what."""
    if "true" not in row or "predicted" not in row:
        return row
    true, predicted = _text(row["true"]), _text(row["predicted"])
    words = {TAKEN_FOR: true if true == predicted else f"{true} → {predicted}"}
    first = {name: row[name] for name in ("id", "loss") if name in row}
    return first | words | {name: value for name, value in row.items() if name not in {"true", "predicted"}}


def _columns(rows: Sequence[CaseEntry], width: int, unit: str) -> list[tuple[str, int]]:
    """Name and width of the columns that fit behind the name of the case."""
    room = width - min(20, max(6, *(cell_len(str(row.get("id", "?"))) + 1 for row in rows)))
    columns: list[tuple[str, int]] = []
    for name in rows[0]:
        if name == "id" or not all(isinstance(row.get(name), int | float | str | None) for row in rows):
            continue
        widest, least = (40, len(TAKEN_FOR) + 1) if name == TAKEN_FOR else (16, min(8, len(name) + 2))
        size = min(widest, max(least, *(cell_len(_text(row.get(name))) + 2 for row in rows)))
        size = max(least, min(size, room)) if name == TAKEN_FOR else size
        if size > room:
            break
        columns.append((name, size))
        room -= size
    for at, (name, size) in enumerate(columns):  # what is left lets the heads be read whole
        extra = max(0, min(cell_len(spoken(one_line(name), unit)) + 2 - size, room))
        columns[at] = name, size + extra
        room -= extra
    return columns


def _text(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return "yes" if value else "–"
    if isinstance(value, int | float):
        return figure(float(value))
    if value in {"nan", "inf", "-inf"}:
        return figure(number(value))
    return one_line(value) if isinstance(value, str) else "?"
