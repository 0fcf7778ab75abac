"""What every part of a screen is: a list of lines, redrawn only where they changed, whose faults stay its own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import ClassVar

from textual import events
from textual.binding import Binding
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from tui.plotting.cells import Line, changed, to_strip
from tui.state.faults import in_short, write_fault
from tui.state.feed import RunSnapshot
from tui.text import one_line, wrapped
from tui.theme import style_of


class Canvas(Widget):
    """A widget that is a list of lines. `draw` is asked for them; only cells that changed are sent."""

    ID: ClassVar[str] = ""  # what it is known by in its screen
    NAME: ClassVar[str] = ""  # what people call it: in tabs, help and messages

    @dataclass
    class Asked(Message):
        """A line of text is wanted of the user; the screen asks for it."""

        question: str
        on_submit: Callable[[str], None]
        value: str = ""
        hint: str = ""

    @dataclass
    class Doubted(Message):
        """Something that cannot be taken back is wanted: the screen asks whether the user is sure."""

        questions: tuple[str, ...]
        on_yes: Callable[[], None]

    snapshot: RunSnapshot | None = None
    fault = ""  # why it draws nothing, where it failed

    _strips: Sequence[Strip] = ()
    _texts: Sequence[Line] = ()  # of which the strips are made
    _palette = ""  # in whose colours

    def __init__(self) -> None:
        super().__init__(id=self.ID or None)

    @property
    def ascii_only(self) -> bool:
        """Whether the terminal writes no Unicode."""
        return bool(getattr(self.app, "ascii_only", False))

    def draw(self, width: int, height: int) -> list[Line]:
        """The lines of the whole widget."""
        raise NotImplementedError

    def offers(self, action: str) -> bool:  # noqa: ARG002
        """Whether a key of it is named now: one that could only say no is not."""
        return True

    def called(self, binding: Binding) -> str:
        """What the key bar calls a key of it now."""
        return binding.description

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
        fits, before = self._has_its_size(), self._strips
        self._strips = strips = self._strips_of(width, height)
        if not fits:
            self.refresh()
            return
        # Spans and not rows: beside a sharp picture Textual sends them as they are.
        spans = [(row, changed(old, new)) for row, (old, new) in enumerate(zip(before, strips, strict=True))]
        regions = [Region(span[0], row, span[1] - span[0], 1) for row, span in spans if span]
        if regions:
            self.refresh(*regions)

    def _strips_of(self, width: int, height: int) -> list[Strip]:
        lines = self._drawn(width, height)[:height]
        lines += [[] for _ in range(height - len(lines))]
        palette = self.app.theme
        same = self._palette == palette and self._has_its_size()
        before = zip(self._texts, self._strips, strict=True) if same else repeat((None, Strip([])), height)
        drawn = zip(lines, before, strict=True)
        strips = [kept if line == old else to_strip(line, width, palette) for line, (old, kept) in drawn]
        self._texts, self._palette = lines, palette
        return strips

    def _has_its_size(self) -> bool:
        """Whether what was drawn has the size that the widget has now."""
        width, height = self.size
        return len(self._strips) == height and self._strips[0].cell_length == width

    def render_line(self, y: int) -> Strip:
        if self._strips and not self._has_its_size():  # laid out anew, as it will hear yet: no torn frame till then
            self._strips = self._strips_of(*self.size)
        blank = Strip.blank(self.size.width, style_of("ink", self.app.theme))
        return self._strips[y] if y < len(self._strips) else blank

    def on_resize(self) -> None:
        self.redraw()

    def on_show(self) -> None:
        self.redraw()

    # --- faults --------------------------------------------------------------------------------

    def failed(self, error: Exception) -> None:
        """Keep a fault to this part of the screen: a line in it, the rest in a file. The others go on."""
        text = in_short(error)
        if text not in self.fault:
            self.fault = f"this pane failed: {text}; details in {write_fault(self.id or type(self).__name__, error)}"

    def _drawn(self, width: int, height: int) -> list[Line]:
        try:
            lines = self.draw(width, height)
        except Exception as error:  # noqa: BLE001  # the wall between a pane and the others
            self.failed(error)
            return [[(part, "error")] for part in wrapped(one_line(self.fault), width)]
        self.fault = ""
        return lines

    async def on_event(self, event: events.Event) -> None:
        """Handle an event of the mouse or of Textual; a fault in that is this widget's own."""
        try:
            await super().on_event(event)
        except Exception as error:  # noqa: BLE001  # the same wall
            self.failed(error)
            self.notify(one_line(self.fault), severity="error", markup=False)


def _same(before: tuple[object, ...], now: tuple[object, ...]) -> bool:
    return all(a is b or (isinstance(a, str | int | float) and a == b) for a, b in zip(before, now, strict=True))
