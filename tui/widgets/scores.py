"""ROC curves and reliability of the probabilities of a classification."""

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType

from engine.errors import counted
from engine.runfolder import CaseRow
from tui.plotting.cells import Line
from tui.plotting.score_curves import reliability_lines, roc_lines, scored
from tui.text import one_line
from tui.widgets.pane import Pane


class Scores(Pane):
    """One of the two, for the cases of one split."""

    ID, NAME, TITLE = "scores", "ROC", "ROC"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("m", "curve", "ROC, reliability", tooltip="ROC curves, or the reliability of the probabilities")
    ]

    reliable = False
    rows: Sequence[CaseRow] = ()  # with probabilities

    def set_rows(self, rows: Sequence[CaseRow]) -> None:
        """Take the cases of a run: those of the test, or else of the split of the first one that has probabilities."""
        found = [row for row in rows if row.probabilities and row.true]
        split = "test" if any(row.split == "test" for row in found) else found[0].split if found else ""
        self.rows = [row for row in found if row.split == split]
        self.redraw()

    def title(self) -> str:
        return "reliability" if self.reliable else self.TITLE

    def note(self) -> Line:
        return [(f"{one_line(self.rows[0].split)}, {counted(len(self.rows), 'case')}", "muted")] if self.rows else []

    def body(self, width: int, height: int) -> list[Line]:
        classes, true, probabilities = scored(self.rows)
        if not len(true):
            return self.reason("ROC and reliability need the probabilities of a test (cases.csv)", width, height)
        if self.reliable:
            return reliability_lines(true, probabilities, (width, height))
        return roc_lines(classes, true, probabilities, (width, height))

    def action_curve(self) -> None:
        self.reliable = not self.reliable
        self.redraw()
