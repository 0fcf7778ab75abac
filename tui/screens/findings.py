"""What is wrong with a run: every word of each finding, with its numbers, its remedy and its key."""

from __future__ import annotations

from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from engine.diagnosis import Finding
from tui.ascii import to_ascii
from tui.screens.help import Reading
from tui.settings import keyed
from tui.text import one_line
from tui.theme import style_of
from tui.widgets.head import SEVERITY_COLORS, SEVERITY_MARKS

_KEYS = {
    "s": "<stop:s> stops after this epoch",
    "2": "<number(2):2> shows the classes",
    "4": "<number(4):4> shows the worst cases",
    "5": "<number(5):5> shows the resources",
    "6": "<number(6):6> shows the log",
}
"""What the keys do that findings name; they name them as they usually are."""


class Findings(Reading):
    """All findings on a run, as they were when it was opened."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("d", "dismiss", "close")]

    def __init__(self, found: tuple[Finding, ...], *, over: bool = False) -> None:
        """``over``: the run has ended, and nobody is there who could stop it."""
        super().__init__()
        self._found, self._over = found, over

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="help"):
            yield Static(Text("\n\n").join(map(self._text, self._found)))

    def _text(self, finding: Finding) -> Text:
        plain = bool(getattr(self.app, "ascii_only", False))
        look = style_of(f"{SEVERITY_COLORS[finding.severity]} bold", self.app.theme)
        since = f" since epoch {finding.since_epoch}" if finding.since_epoch else ""
        does = _KEYS.get(finding.key, finding.key)
        if self._over and finding.key == "s":
            does = "<fork:F> begins a new run at its last checkpoint, with other keys"
        parts: list[tuple[str, str | Style]] = [
            (f"{SEVERITY_MARKS[finding.severity]} {finding.code.replace('_', ' ')}{since}", look),
            (f"\n{one_line(finding.message)}", ""),
            (f"\n{one_line(finding.evidence)}", "dim"),
            (f"\nto do: {one_line(finding.remedy)}", ""),
            (f"\nkey: {keyed(does)}", "dim"),
        ]
        return Text.assemble(*((to_ascii(text) if plain else text, style) for text, style in parts))
