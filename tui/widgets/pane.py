"""What all panes share: a frame with a title, and keys that each declares for itself."""

from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from tui.plotting.cells import Line, framed
from tui.state.feed import RunSnapshot
from tui.text import one_line, wrapped
from tui.widgets.canvas import Canvas

FAR = 1 << 30  # more lines, slices or rows than anything has


def stage(snapshot: RunSnapshot) -> tuple[object, ...]:
    """How far the run is: what the reason for an empty pane depends on."""
    view = snapshot.view
    return snapshot.state, view.started, view.phase, snapshot.recipe_text, bool(view.validations), bool(len(view.steps))


class Pane(Canvas, can_focus=True):
    """A framed part of the board that takes the focus. Its keys are its BINDINGS, see `tui.widgets.keys`."""

    TITLE: ClassVar[str] = ""  # what stands on the frame
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "scroll(-1)"),
        Binding("down,j", "scroll(1)", "scroll", key_display="↑ ↓", show=False, tooltip="scroll, choose"),
        Binding("left,h", "side(-1)"),
        Binding("right,l", "side(1)"),
        Binding("left_square_bracket,pageup", "page(-1)"),
        Binding("right_square_bracket,pagedown", "page(1)", "page", key_display="[ ]", show=False),
        Binding("home", "end(0)"),
        Binding("end,G", "end(1)", "ends", key_display="Home End", show=False, tooltip="the first, the last line"),
        Binding("enter", "open", "alone", key_display="Enter", show=False, tooltip="the pane alone, and back"),
        Binding("v", "copy", "copy", show=False, tooltip="copy what the pane says"),
    ]

    @dataclass
    class Alone(Message):
        """The pane is to be shown alone, or with the others again; ``None``: whichever it is not."""

        pane: "Pane"
        alone: bool | None = None

    top = 0  # first line shown, where there are more than fit

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
        if width < 6 or height < 3:  # no room for anything inside a frame
            return [[(self.title(), "accent" if self.has_focus else "ink")]]
        lines = self.body(width - 4, height - 2)
        self.top = max(0, min(self.top, len(lines) - (height - 2)))
        shown = [[(" ", "ink"), *line] for line in lines[self.top : self.top + height - 2]]
        border = "accent" if self.has_focus else "faint"
        title: Line = [(self.title(), f"{'accent' if self.has_focus else 'ink'} bold")]
        return framed(shown, width, height, title=title, note=self.note(), border=border)

    def reason(self, text: str, width: int, height: int) -> list[Line]:
        """An empty pane: why, in the middle of it."""
        lines = wrapped(one_line(text), width)
        above = max(0, (height - len(lines)) // 2)
        return [[] for _ in range(above)] + [
            [(" " * ((width - cell_len(line)) // 2) + line, "muted")] for line in lines
        ]

    # --- keys ----------------------------------------------------------------------------------

    def action_scroll(self, by: int) -> None:
        """Up (-1) or down (1)."""
        self.scroll_lines(by)

    def action_side(self, by: int) -> None:
        """Left (-1) or right (1)."""

    def action_page(self, by: int) -> None:
        """The next (1) or the previous (-1) page."""
        self.scroll_lines(by * max(1, self.size.height - 3))

    def action_end(self, last: int) -> None:
        """The first (0) or the last (1) line."""
        self.scroll_lines(FAR if last else -FAR)

    def action_open(self) -> None:
        """What Enter does: the pane alone, or all again."""
        self.post_message(self.Alone(self))

    def action_copy(self) -> None:
        """Copy what `copied` gives (OSC 52)."""
        if text := self.copied():
            self.app.copy_to_clipboard(text)
            self.notify(f"copied: {text.splitlines()[0][:60]}", markup=False, timeout=2)

    def copied(self) -> str:
        """What `v` copies: by default the text of the pane."""
        return "\n".join(strip.text.strip("│ ").rstrip() for strip in self._strips[1:-1]).strip("\n")

    def leave(self) -> bool:
        """Esc: give up a choice in the pane, one at a time; False where there is none."""
        return False

    def scroll_lines(self, by: int) -> None:
        """Move the lines that are shown."""
        self.top = max(0, self.top + by)
        self.redraw()

    # --- focus and mouse -----------------------------------------------------------------------

    def watch_has_focus(self, _has_focus: bool) -> None:
        """The border says who has the focus; on_blur would come before the focus is gone."""
        super().watch_has_focus(_has_focus)
        self.redraw()

    def wheel(self, event: events.MouseEvent, by: int) -> None:  # noqa: ARG002
        """The wheel was turned up (-1) or down (1) at the place of ``event``."""
        self.scroll_lines(3 * by)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.wheel(event, 1)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.wheel(event, -1)
