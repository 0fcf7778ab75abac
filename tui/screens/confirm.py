"""Questions: yes or no, asked twice where the answer cannot be taken back; and one line of text."""

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from tui.text import one_line


class Confirm(ModalScreen[bool]):
    """Asks each question in turn; every one must be answered with y."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("y", "yes", "yes"), Binding("n,escape,q,enter", "no", "no")]

    def __init__(self, *questions: str) -> None:
        super().__init__()
        self._questions = list(questions)

    def compose(self) -> ComposeResult:
        with Vertical(id="sure"):
            yield Static(self._text(), id="question")

    def _text(self) -> Text:
        return Text.assemble(self._questions[0], "\n\n", ("y", "bold"), "  yes      ", ("n", "bold"), "  no")

    def action_yes(self) -> None:
        self._questions.pop(0)
        if self._questions:
            self.query_one("#question", Static).update(self._text())
        else:
            self.dismiss(True)

    def action_no(self) -> None:
        self.dismiss(False)


class Prompt(ModalScreen[str | None]):
    """One line of text at the bottom; Escape gives ``None``."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "leave")]

    def __init__(self, label: str, value: str = "", *, hint: str = "") -> None:
        super().__init__()
        self._label, self._value, self._hint = label, value, hint

    def compose(self) -> ComposeResult:
        with Vertical(id="asked"):
            yield Static(Text(one_line(self._label)))
            yield Input(one_line(self._value), placeholder=self._hint)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.dismiss(event.value)

    def action_leave(self) -> None:
        self.dismiss(None)
