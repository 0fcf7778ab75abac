"""One-line bars: the names of the panes, the newest events, the keys."""

from __future__ import annotations

import time

from textual import events
from textual.message import Message

from tui.plotting.cells import Line, length
from tui.state.feed import RunSnapshot
from tui.text import one_line
from tui.widgets.lines import describe, notable
from tui.widgets.pane import Canvas


class Tabs(Canvas):
    """The panes by name and number; a click chooses one."""

    class Chosen(Message):
        """A pane was clicked."""

        def __init__(self, pane: str) -> None:
            super().__init__()
            self.pane = pane

    def __init__(self, names: tuple[tuple[str, str], ...], *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.names = names  # (id, title)
        self.chosen = names[0][0]
        self._ends: list[tuple[int, str]] = []

    def choose(self, pane: str) -> None:
        """Mark a pane as the one that is shown."""
        self.chosen = pane
        self.redraw()

    def depends_on(self, snapshot: RunSnapshot) -> tuple[object, ...]:  # noqa: ARG002
        return ()

    def draw(self, width: int, height: int) -> list[Line]:  # noqa: ARG002
        line, at, self._ends = [], 0, []
        spare = width - sum(len(title) + 4 for _, title in self.names)
        for number, (pane, title) in enumerate(self.names, start=1):
            marked = pane == self.chosen
            shown = title if spare >= 0 or marked else title[:5]
            text = f" {number} {shown} "
            line.append(
                (text, self.style("ink" if marked else "muted", bold=marked, ground="raised" if marked else "ground"))
            )
            at += len(text)
            self._ends.append((at, pane))
        return [line]

    def on_click(self, event: events.Click) -> None:
        if pane := next((pane for end, pane in self._ends if event.x < end), None):
            self.post_message(self.Chosen(pane))


class Ticker(Canvas):
    """The newest notable events, as many as fit, and requests that wait for their answer."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.pending: tuple[str, ...] = ()

    def depends_on(self, snapshot: RunSnapshot) -> tuple[object, ...]:
        return (snapshot.view.journal,)

    def draw(self, width: int, height: int) -> list[Line]:  # noqa: ARG002
        ink, muted = self.style("ink"), self.style("muted")
        line: Line = [(" ", ink)]
        for command in self.pending:
            line.append((f"◌ {command.replace('_', ' ')} asked, waiting for the trainer   ", self.style("warning")))
        parts: list[Line] = []
        for event in reversed([e for e in self.snapshot.view.journal if notable(e)] if self.snapshot else []):
            kind, text, color = describe(event)
            when = time.strftime("%H:%M:%S", time.localtime(event.time_s))
            part: Line = [(f"{when} ", muted), (f"{kind} ", self.style(color)), (one_line(text), ink), ("   ", ink)]
            if parts and length(line) + sum(map(length, parts)) + length(part) > width:
                break
            parts.insert(0, part)
        return [[*line, *(span for part in parts for span in part)]]


class Keys(Canvas):
    """What can be pressed now; a click does the same."""

    class Pressed(Message):
        """A key of the bar was clicked."""

        def __init__(self, action: str) -> None:
            super().__init__()
            self.action = action

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.keys: tuple[tuple[str, str, str], ...] = ()
        self.more: tuple[tuple[str, str, str], ...] = ()
        self._ends: list[tuple[int, str]] = []

    def tell(self, keys: tuple[tuple[str, str, str], ...], more: tuple[tuple[str, str, str], ...] = ()) -> None:
        """Take other keys, (key as shown, what it does, action): those that matter, and more for wide screens."""
        self.keys, self.more = keys, more
        self.redraw()

    def depends_on(self, snapshot: RunSnapshot) -> tuple[object, ...]:  # noqa: ARG002
        return ()

    def draw(self, width: int, height: int) -> list[Line]:  # noqa: ARG002
        line: Line = [(" ", self.style("ink"))]
        self._ends, at = [], 1
        room = width - 1 - sum(len(key) + len(does) + 3 for key, does, _ in self.keys)
        more = []
        for extra in self.more:
            room -= len(extra[0]) + len(extra[1]) + 3
            if room >= 0:
                more.append(extra)
        for key, does, action in (*self.keys[:-1], *more, *self.keys[-1:]):
            size = len(key) + len(does) + 3
            last = (key, does, action) == self.keys[-1]
            if not last and at + size > width - sum(len(part) for part in self.keys[-1][:2]) - 2:
                continue
            line += [(key, self.style("accent", bold=True)), (f" {does}  ", self.style("muted"))]
            at += size
            self._ends.append((at, action))
        return [line]

    def on_click(self, event: events.Click) -> None:
        if action := next((action for end, action in self._ends if event.x < end), None):
            self.post_message(self.Pressed(action))
