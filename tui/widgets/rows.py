"""A list with a cursor and a head that stays: only the rows in sight are made."""

from __future__ import annotations

from textual import events
from textual.message import Message

from tui.plotting.cells import Line, cut, length
from tui.widgets.pane import Pane


class RowsPane(Pane):
    """Base of lists. Up and down move the cursor, Enter opens what is under it."""

    class Moved(Message):
        """The cursor is on another row."""

        def __init__(self, pane: RowsPane) -> None:
            super().__init__()
            self.pane = pane

    class Filled(Message):
        """The rows are others: sorted, filtered or read again."""

    class Opened(Message):
        """A person wants to see what is under the cursor."""

        def __init__(self, pane: RowsPane) -> None:
            super().__init__()
            self.pane = pane

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.row = 0
        self.first = 0  # the first row in sight

    def count(self) -> int:
        """How many rows there are."""
        raise NotImplementedError

    def header(self, width: int) -> list[Line]:
        """What stays above the rows."""
        raise NotImplementedError

    def line(self, at: int, width: int, *, chosen: bool) -> Line:
        """One row."""
        raise NotImplementedError

    def why_empty(self) -> str:
        """What to say where there is no row."""
        raise NotImplementedError

    def body(self, width: int, height: int) -> list[Line]:
        count = self.count()
        if not count:
            return self.reason(self.why_empty(), width, height)
        self.row = max(0, min(self.row, count - 1))
        head = self.header(width)
        room = max(1, height - len(head))
        self.first = max(0, min(self.first, self.row, count - room))
        self.first = max(self.first, self.row - room + 1)
        lines = [self._whole(at, width) for at in range(self.first, min(count, self.first + room))]
        return [*head, *lines]

    def _whole(self, at: int, width: int) -> Line:
        chosen = at == self.row
        line = cut(self.line(at, width, chosen=chosen), width)
        ground = "raised" if chosen else "ground"
        return [*line, (" " * (width - length(line)), self.style("ink", ground=ground))]

    def cursor(self, *, chosen: bool) -> str:
        """The mark of the row under the cursor."""
        return "▸" if chosen and self.has_focus else " "

    def position(self) -> Line:
        """``12 of 500``, where not all rows are in sight."""
        count = self.count()
        if count <= max(1, self.size.height - 3):
            return []
        return [(f"{self.row + 1} of {count}", self.style("muted"))]

    def note(self) -> Line:
        return self.position()

    def go(self, row: int) -> None:
        """Put the cursor on a row."""
        before, self.row = self.row, max(0, min(row, self.count() - 1))
        self.redraw()
        if self.row != before:
            self.post_message(self.Moved(self))

    def scroll_lines(self, by: int) -> None:
        self.go(self.row + by)

    def action_page(self, by: int) -> None:
        self.go(self.row + by * max(1, self.size.height - 4))

    def action_end(self, last: int) -> None:
        self.go(self.count() - 1 if last else 0)

    def action_open(self) -> None:
        """Open what is under the cursor."""
        if self.count():
            self.post_message(self.Opened(self))

    def on_click(self, event: events.Click) -> None:
        at = event.y - 1 - len(self.header(max(0, self.size.width - 4)))
        if at >= 0 and self.first + at < self.count():
            self.go(self.first + at)
            if event.chain == 2:
                self.action_open()
