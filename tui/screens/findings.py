"""What is wrong with a run: every word of each finding, with its numbers, its remedy and its key."""

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static

from engine.diagnosis import Finding
from tui.screens.help import Reading
from tui.settings import keyed
from tui.state.feed import RunSnapshot
from tui.text import one_line
from tui.theme import style_of
from tui.widgets.end_card import ending
from tui.widgets.head import SEVERITY_COLORS, SEVERITY_MARKS, STATE_COLORS, STATE_MARKS

_KEYS = {
    "s": "<stop:s> stops after this epoch",
    "2": "<number(2):2> shows the classes",
    "4": "<number(4):4> shows the worst cases",
    "5": "<number(5):5> shows the resources",
    "6": "<number(6):6> shows the log",
}
"""What the keys do that findings name; they name them as they usually are."""


class Findings(Reading):
    """How a run ended that did not end well, and all findings on it, as they were when it was opened."""

    OPENED = "findings"

    def __init__(self, snapshot: RunSnapshot) -> None:
        super().__init__()
        self._run = snapshot

    def compose(self) -> ComposeResult:
        ended = [self._ending()] if self._run.over and self._run.state != "finished" else []
        with VerticalScroll(id="help"):
            yield Static(Text("\n\n").join([*ended, *map(self._text, self._run.findings)]))

    def _ending(self) -> Text:
        state = self._run.state
        look = style_of(f"{STATE_COLORS.get(state, 'error')} bold", self.app.theme)
        message, hint = map(one_line, ending(self._run))
        return Text.assemble((f"{STATE_MARKS.get(state, '')} {state}", look), f"\n{message}\n{hint}")

    def _text(self, finding: Finding) -> Text:
        look = style_of(f"{SEVERITY_COLORS[finding.severity]} bold", self.app.theme)
        since = f" since epoch {finding.since_epoch}" if finding.since_epoch else ""
        does = _KEYS.get(finding.key, finding.key)
        if self._run.over and finding.key == "s":
            does = "<fork:F> begins a new run at its last checkpoint, with other keys"
        return Text.assemble(
            (f"{SEVERITY_MARKS[finding.severity]} {finding.code.replace('_', ' ')}{since}", look),
            f"\n{one_line(finding.message)}",
            (f"\n{one_line(finding.evidence)}", "dim"),
            f"\nto do: {one_line(finding.remedy)}",
            (f"\nkey: {keyed(does)}", "dim"),
        )
