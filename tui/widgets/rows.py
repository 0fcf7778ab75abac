"""A list with a cursor and a head that stays: only the rows in sight are made."""

from collections.abc import Hashable, Sequence
from typing import ClassVar, Generic, TypeVar

from textual import events
from textual.message import Message

from tui.plotting.cells import Line, cut, length
from tui.text import one_line
from tui.widgets.pane import Pane

R = TypeVar("R")


class RowsPane(Pane, Generic[R]):
    """Base of lists. Up and down move the cursor, Enter opens what is under it, a filter chooses the rows."""

    FILTER: ClassVar[tuple[str, str]] = ("", "")  # what is asked for a filter, and an example of one
    NEWEST_FIRST: ClassVar[bool] = False
    """The cursor stays on the first place, not on its row, where rows are added above it."""

    class Moved(Message):
        """The cursor is on another row."""

    class Filled(Message):
        """The rows are others: sorted, filtered or read again."""

    class Opened(Message):
        """A person wants to see what is under the cursor."""

    all: Sequence[R] = ()  # before the filter
    rows: Sequence[R] | None = None  # in order; None: not known yet
    row = 0  # under the cursor
    first = 0  # the first row in sight
    filter = ""

    def choose_rows(self) -> Sequence[R]:
        """The rows that the filter lets through, in order."""
        raise NotImplementedError

    def row_key(self, row: R) -> Hashable:
        """What a row is known by, whatever is measured of it."""
        return row

    def header(self, width: int) -> list[Line]:  # noqa: ARG002
        """What stays above the rows."""
        return []

    def line(self, row: R, at: int, width: int) -> Line:
        """One row on the usual ground; ``at``: its place."""
        raise NotImplementedError

    def why_empty(self) -> str:
        """What to say where there is no row."""
        raise NotImplementedError

    def body(self, width: int, height: int) -> list[Line]:
        rows = self.rows
        if not rows:
            return self.reason(self.why_empty(), width, height)
        self.row = max(0, min(self.row, len(rows) - 1))
        head = self.header(width)
        room = max(1, height - len(head))
        self.first = max(0, min(self.first, self.row, len(rows) - room))
        self.first = max(self.first, self.row - room + 1)
        lines = [self._whole(rows[at], at, width) for at in range(self.first, min(len(rows), self.first + room))]
        return [*head, *lines]

    def _whole(self, row: R, at: int, width: int) -> Line:
        line = cut(self.line(row, at, width), width)
        line = [*line, (" " * (width - length(line)), "ink")]
        return [(text, f"{look} on raised") for text, look in line] if at == self.row else line

    def cursor(self, at: int) -> str:
        """The mark of the row under the cursor."""
        return "▸" if at == self.row and self.has_focus else " "

    def position(self) -> Line:
        """The filter, and ``12 of 500`` where not all rows are in sight."""
        count = len(self.rows or ())
        if self.filter:
            found = f"  {count} of {len(self.all)}" if count else ""
            return [("filter ", "muted"), (one_line(self.filter), "warning"), (found, "muted")]
        return [(f"{self.row + 1} of {count}", "muted")] if count > max(1, self.size.height - 3) else []

    def note(self) -> Line:
        return self.position()

    def chosen_row(self) -> R | None:
        """The row under the cursor."""
        return self.rows[min(self.row, len(self.rows) - 1)] if self.rows else None

    def fill(self) -> None:
        """Choose the rows again; the cursor stays on its row."""
        before, place = self.chosen_row(), self.row - self.first
        self.rows = rows = self.choose_rows()
        if before is not None and (self.row > 0 or not self.NEWEST_FIRST):
            known = self.row_key(before)
            self.row = next((at for at, row in enumerate(rows) if self.row_key(row) == known), self.row)
            self.first = max(0, self.row - place)
        self.redraw()
        self.post_message(self.Filled())

    def go(self, row: int) -> None:
        """Put the cursor on a row."""
        before, self.row = self.row, max(0, min(row, len(self.rows or ()) - 1))
        self.redraw()
        if self.row != before:
            self.post_message(self.Moved())

    # --- keys ----------------------------------------------------------------------------------

    def scroll_lines(self, by: int) -> None:
        self.go(self.row + by)

    def action_page(self, by: int) -> None:
        self.go(self.row + by * max(1, self.size.height - 4))

    def action_open(self) -> None:
        if self.rows:
            self.post_message(self.Opened())

    def action_filter(self) -> None:
        question, example = self.FILTER
        self.post_message(self.Asked(question, self.filter_by, value=self.filter, hint=example))

    def filter_by(self, words: str) -> None:
        """Show the rows that have ``words``, from the first one on."""
        self.filter, self.row = words, 0
        self.fill()

    def on_click(self, event: events.Click) -> None:
        if not self.rows:
            return  # nor is there a head
        at = event.y - 1 - len(self.header(max(0, self.size.width - 4)))
        if at >= 0 and self.first + at < len(self.rows or ()):
            self.go(self.first + at)
            if event.chain == 2:
                self.action_open()
