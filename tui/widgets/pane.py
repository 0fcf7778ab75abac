"""What all panes share: a frame with a title, lines drawn from a snapshot, redrawn only where they changed."""

from __future__ import annotations

from typing import ClassVar

from rich.style import Style
from textual import events
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from tui.plotting.cells import Line, changed, framed, to_strip
from tui.state.feed import RunSnapshot
from tui.text import one_line
from tui.theme import DARK, PALETTES, Palette, rich_style


class Canvas(Widget):
    """A widget that is a list of lines. `draw` is asked for them; only cells that changed are sent."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  # Textual's name
        super().__init__(id=id)
        self.snapshot: RunSnapshot | None = None
        self._strips: list[Strip] = []

    @property
    def palette(self) -> Palette:
        return PALETTES.get(self.app.theme, DARK)

    @property
    def ascii_only(self) -> bool:
        return bool(getattr(self.app, "ascii_only", False))

    def style(self, color: str, *, bold: bool = False, reverse: bool = False, ground: str = "") -> Style:
        """A style on this palette's ground; ``color`` is the name of one of its colours, or ``#rrggbb``."""
        front = color if color.startswith("#") else str(getattr(self.palette, color))
        back = ground or self.palette.ground
        return rich_style(
            front, back if back.startswith("#") else str(getattr(self.palette, back)), bold=bold, reverse=reverse
        )

    def draw(self, width: int, height: int) -> list[Line]:
        """The lines of the whole widget."""
        raise NotImplementedError

    def depends_on(self, snapshot: RunSnapshot) -> tuple[object, ...]:
        """The parts of a snapshot that `draw` looks at; where they are the old ones, nothing is drawn.

        Parts of a view are compared by identity: they are immutable, and a new one stands for a change.
        """
        return (snapshot,)

    def show(self, snapshot: RunSnapshot | None) -> None:
        """Take a new snapshot; draws it only where the widget can be seen, and where something in it changed.

        The processor is the trainer's: what is drawn for nothing is taken from it.
        """
        before, self.snapshot = self.snapshot, snapshot
        if before is None or snapshot is None or not _same(self.depends_on(before), self.depends_on(snapshot)):
            self.redraw()

    def redraw(self) -> None:
        """Draw again and send what changed."""
        width, height = self.size
        if not self.display or width == 0 or height == 0 or not self.is_attached:
            return
        fill = self.style("ink")
        lines = self.draw(width, height)[:height]
        lines += [[] for _ in range(height - len(lines))]
        strips = [to_strip(line, width, fill, ascii_only=self.ascii_only) for line in lines]
        before, self._strips = self._strips, strips
        if len(before) != height or (before and before[0].cell_length != width):
            self.refresh()
            return
        spans = [(row, changed(old, new)) for row, (old, new) in enumerate(zip(before, strips, strict=True))]
        regions = [Region(span[0], row, span[1] - span[0], 1) for row, span in spans if span]
        if regions:
            self.refresh(*regions)

    def render_line(self, y: int) -> Strip:
        return self._strips[y] if y < len(self._strips) else Strip.blank(self.size.width, self.style("ink"))

    def on_resize(self) -> None:
        self.redraw()

    def on_show(self) -> None:
        self.redraw()


def _same(before: tuple[object, ...], now: tuple[object, ...]) -> bool:
    return all(a is b or (isinstance(a, str | int | float) and a == b) for a, b in zip(before, now, strict=True))


def stage(snapshot: RunSnapshot) -> tuple[object, ...]:
    """How far the run is: what the reason for an empty pane depends on."""
    view = snapshot.view
    return snapshot.state, view.started, view.phase, snapshot.recipe_text, bool(view.validations), bool(len(view.steps))


class Pane(Canvas, can_focus=True):
    """A framed part of the board that takes the focus."""

    TITLE: ClassVar[str] = ""
    KEYS: ClassVar[tuple[tuple[str, str, str], ...]] = ()
    """What the key bar says while this pane has the focus: (key as shown, what it does, action)."""

    MORE: ClassVar[tuple[tuple[str, str, str], ...]] = ()
    """Further keys, said where there is room."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.top = 0  # first line shown, where there are more than fit

    def body(self, width: int, height: int) -> list[Line]:
        """The lines inside the frame: all of them, also those that do not fit."""
        raise NotImplementedError

    def title(self) -> str:
        """What stands on the frame."""
        return self.TITLE

    def note(self) -> Line:
        """What stands at the right of the title."""
        return []

    def draw(self, width: int, height: int) -> list[Line]:
        lines = self.body(width - 4, height - 2)
        self.top = max(0, min(self.top, len(lines) - (height - 2)))
        shown = [[(" ", self.style("ink")), *line] for line in lines[self.top : self.top + height - 2]]
        border = self.style("accent" if self.has_focus else "faint")
        title: Line = [(self.title(), self.style("accent" if self.has_focus else "ink", bold=True))]
        return framed(shown, width, height, title=title, note=self.note(), border=border, fill=self.style("ink"))

    def reason(self, text: str, width: int, height: int) -> list[Line]:
        """An empty pane: why, in the middle of it."""
        words, lines = one_line(text).split(" "), [""]
        for word in words:
            if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
                lines.append("")
            lines[-1] += (" " if lines[-1] else "") + word
        above = max(0, (height - len(lines)) // 2)
        muted = self.style("muted")
        return [[] for _ in range(above)] + [[(line.center(width), muted)] for line in lines]

    def scroll_lines(self, by: int) -> None:
        """Move the lines that are shown."""
        self.top = max(0, self.top + by)
        self.redraw()

    def side(self, by: int) -> None:
        """Left (-1) or right (1) was pressed."""

    def page(self, by: int) -> None:
        """The next (1) or the previous (-1) page was asked for."""
        self.scroll_lines(by * max(1, self.size.height - 3))

    def watch_has_focus(self, _has_focus: bool) -> None:
        """The border says who has the focus; on_blur would come before the focus is gone."""
        super().watch_has_focus(_has_focus)
        self.redraw()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.scroll_lines(3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.scroll_lines(-3)
