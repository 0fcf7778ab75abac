"""The worst cases of the newest validation, worst first."""

from __future__ import annotations

from typing import Any, ClassVar

from rich.cells import cell_len
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from engine.events import number
from tui.plotting.cells import Line, fit
from tui.state.feed import RunSnapshot
from tui.state.reasons import no_validation
from tui.text import figure, one_line
from tui.widgets.pane import FAR, Pane, stage

SAID = "true→said"


class Cases(Pane):
    """A table; Enter opens the case under the cursor."""

    ID, NAME, TITLE = "cases", "worst", "worst cases"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "open", key_display="Enter", tooltip="open the case: all cases, images, numbers"),
    ]

    class Opened(Message):
        """A person wants to see a case."""

        def __init__(self, case: str) -> None:
            super().__init__()
            self.case = case

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.row = 0

    def depends_on(self, snapshot: RunSnapshot) -> tuple[object, ...]:
        return *stage(snapshot), snapshot.view.validations

    def rows(self) -> tuple[dict[str, Any], ...]:
        return tuple(_said(row) for row in self.snapshot.view.worst) if self.snapshot else ()

    def note(self) -> Line:
        view = self.snapshot.view if self.snapshot else None
        newest = next((v for v in reversed(view.validations) if v.cases), None) if view else None
        return [(f"epoch {newest.epoch}", self.style("muted"))] if newest else []

    def body(self, width: int, height: int) -> list[Line]:
        rows = self.rows()
        if not rows:
            return self.reason(no_validation(self.snapshot), width, height)
        self.row = max(0, min(self.row, len(rows) - 1))
        columns = _columns(rows, width)
        label = max(6, width - sum(size for _, size in columns))
        muted = self.style("muted")
        head: Line = [
            (fit("case", label), muted),
            *((fit(one_line(n), size - 1, right=True) + " ", muted) for n, size in columns),
        ]
        self._follow(height)
        return [head, *(self._line(row, at == self.row, columns, label) for at, row in enumerate(rows))]

    def _follow(self, height: int) -> None:
        """Keep the chosen row in sight."""
        at = self.row + 1
        self.top = 0 if at < height else max(self.top, at - height + 1)
        self.top = min(self.top, at)

    def _line(self, row: dict[str, Any], chosen: bool, columns: list[tuple[str, int]], label: int) -> Line:
        ground = "raised" if chosen else "ground"
        ink = self.style("ink", ground=ground, bold=chosen)
        mark = "▸" if chosen and self.has_focus else " "
        line: Line = [(fit(f"{mark}{one_line(str(row.get('id', '?')))}", label), ink)]
        return [*line, *((fit(_text(row.get(name)), size - 1, right=True) + " ", ink) for name, size in columns)]

    def scroll_lines(self, by: int) -> None:
        step = by if abs(by) == FAR else (1 if by > 0 else -1)
        self.row = max(0, min(len(self.rows()) - 1, self.row + step))
        self.redraw()

    def action_open(self) -> None:
        """Show the chosen case."""
        if rows := self.rows():
            self.post_message(self.Opened(str(rows[self.row].get("id", ""))))

    def on_click(self, event: events.Click) -> None:
        at = event.y - 2 + self.top
        if 0 <= at < len(self.rows()):
            self.row = at
            self.redraw()
            if event.chain == 2:
                self.action_open()


def _said(row: dict[str, Any]) -> dict[str, Any]:
    """A row of a classification says in one column what was taken for what."""
    if "true" not in row or "predicted" not in row:
        return row
    true, predicted = _text(row["true"]), _text(row["predicted"])
    words = {SAID: true if true == predicted else f"{true} → {predicted}"}
    first = {name: row[name] for name in ("id", "loss") if name in row}
    return first | words | {name: value for name, value in row.items() if name not in {"true", "predicted"}}


def _columns(rows: tuple[dict[str, Any], ...], width: int) -> list[tuple[str, int]]:
    """Name and width of the columns that fit behind the name of the case."""
    room = width - min(20, max(6, *(cell_len(str(row.get("id", "?"))) + 1 for row in rows)))
    columns: list[tuple[str, int]] = []
    for name in rows[0]:
        if name == "id" or not all(isinstance(row.get(name), int | float | str | None) for row in rows):
            continue
        widest, least = (40, len(SAID) + 1) if name == SAID else (16, min(8, len(name) + 2))
        size = min(widest, max(least, *(cell_len(_text(row.get(name))) + 2 for row in rows)))
        size = max(least, min(size, room)) if name == SAID else size
        if size > room:
            break
        columns.append((name, size))
        room -= size
    for at, (name, size) in enumerate(columns):  # what is left lets the heads be read whole
        extra = max(0, min(cell_len(one_line(name)) + 2 - size, room))
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
