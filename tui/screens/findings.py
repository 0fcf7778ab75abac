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

_ACTIONS = {"s": "stop"}
"""What a finding names by its usual key, other than the numbers of panes."""


class Findings(Reading):
    """All findings on a run, as they were when it was opened."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("d", "dismiss", "close")]

    def __init__(self, found: tuple[Finding, ...]) -> None:
        super().__init__()
        self._found = found

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="help"):
            yield Static(Text("\n\n").join(map(self._text, self._found)))

    def _text(self, finding: Finding) -> Text:
        plain = bool(getattr(self.app, "ascii_only", False))
        look = style_of(f"{SEVERITY_COLORS[finding.severity]} bold", self.app.theme)
        since = f" since epoch {finding.since_epoch}" if finding.since_epoch else ""
        parts: list[tuple[str, str | Style]] = [
            (f"{SEVERITY_MARKS[finding.severity]} {finding.code.replace('_', ' ')}{since}", look),
            (f"\n{one_line(finding.message)}", ""),
            (f"\n{one_line(finding.evidence)}", "dim"),
            (f"\nto do: {one_line(finding.remedy)}", ""),
            (keyed(f"\nkey: <{_ACTIONS.get(finding.key, f'number({finding.key})')}:{finding.key}>"), "dim"),
        ]
        return Text.assemble(*((to_ascii(text) if plain else text, style) for text, style in parts))
