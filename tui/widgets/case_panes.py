"""Panes of the case screen: the list of cases, and the numbers of one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from textual.binding import Binding, BindingType
from textual.message import Message

from engine.errors import counted
from engine.measures import better_up, find, is_count, spoken
from engine.readers.run_view import RunView
from engine.runfolder import CaseRow
from tui.plotting.cells import Line, bar, cut, fit, fitted
from tui.settings import keyed
from tui.state.case_files import ORDERS, Order, case_history, chosen_cases, main_metric
from tui.text import UNION, figure, one_line, sparkline, wrapped
from tui.widgets.pane import Pane
from tui.widgets.rows import RowsPane

_SIZE, _ONE_SIZE = 10, 8  # cells of a column of numbers
_ORDERED = {"worst": "worst first", "best": "best first", "id": "by id"}


@dataclass
class CaseTurned(Message):
    """The next (1) or the previous (-1) case is wanted."""

    by: int


class CaseList(RowsPane[CaseRow]):
    """All cases, the worst first."""

    ID = NAME = TITLE = "cases"
    FILTER = "cases that have these words", "test melanoma"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "open", key_display="Enter", tooltip="open the case under the cursor"),
        Binding("slash,ctrl+f", "filter", "filter", tooltip="filter: words that id, split, group or classes have"),
        Binding("o", "order", "order", tooltip="order: worst first, best first, by id"),
        Binding("v", "copy", "copy id", show=False, tooltip="copy the id of the case"),
    ]

    order: Order = "worst"
    whole = False  # all cases of all splits are there

    def choose_rows(self) -> list[CaseRow]:
        return chosen_cases(self.all, self.filter, self.order)

    def row_key(self, row: CaseRow) -> tuple[str, str]:
        return row.id, row.split

    @property
    def metric(self) -> str:
        """What the cases are ordered by."""
        return main_metric(self.all)

    def action_order(self) -> None:
        self.order = ORDERS[(ORDERS.index(self.order) + 1) % len(ORDERS)]
        self.fill()

    def copied(self) -> str:
        case = self.chosen_row()
        return case.id if case else ""

    def why_empty(self) -> str:
        if self.rows is None:
            return "reading the cases"
        if self.filter:
            known = "" if self.whole else "; until the test only the worst of a validation are known"
            return f'no case has "{one_line(self.filter)}" in it{known} {keyed("(<filter:/> changes the filter)")}'
        return "no case was measured yet: first validation after the first epoch"

    def note(self) -> Line:
        if self.filter:
            return cut(self.position(), self.size.width - 16)
        return fitted([[(_ORDERED[self.order], "muted")], self.position()], self.size.width - 14, 2)

    def header(self, width: int) -> list[Line]:
        label, split, words, size = self._columns(width)
        line: Line = [(fit("  case", label), "muted"), (fit("split", split) if split else "", "muted")]
        line += [(fit("true→pred", words), "muted")] if words else []
        return [[*line, *((fit(spoken(one_line(name)), size, right=True), "muted") for name in self._metrics(width))]]

    def line(self, row: CaseRow, at: int, width: int) -> Line:
        label, split, words, size = self._columns(width)
        ink = "ink bold" if at == self.row else "ink"
        line: Line = [(f"{self.cursor(at)} ", "accent"), (fit(one_line(row.id), label - 3) + " ", ink)]
        line.append((fit(one_line(row.split), split) if split else "", "muted"))
        if words:
            right = row.true == row.predicted
            said = row.true if right else f"{row.true} → {row.predicted}"
            line.append((fit(one_line(said), words - 1) + " ", "ink" if right else "warning"))
        values = (row.values.get(name, math.nan) for name in self._metrics(width))
        return [*line, *((fit(figure(value), size, right=True), ink) for value in values)]

    def _metrics(self, width: int) -> list[str]:
        """The metric that orders, and others where there is room."""
        label, split, words, size = self._columns(width)
        known = list((self.rows or [CaseRow("")])[0].values)
        names = [self.metric, *(name for name in known if name != self.metric and (is_count(name) or find(name).shown))]
        return [name for name in names if name][: max(1, (width - label - split - words) // size)]

    def _columns(self, width: int) -> tuple[int, int, int, int]:
        """Cells of: case, split, classes, each metric."""
        rows = (self.rows or [])[:200]
        longest = max((cell_len(row.id) for row in rows), default=6) + 4
        size = 9
        words = 0
        if any(row.true for row in rows):
            wanted = max(len(f"{row.true} → {row.predicted}") for row in rows) + 2
            words = max(0, min(wanted, width - size - min(longest, 18)))
            words = words if words >= 8 else 0
        split = 11 if width - words - size - longest >= 11 else 0
        return max(8, min(longest, width - words - split - size)), split, words, size


class CaseNumbers(Pane):
    """What was measured of one case."""

    ID = NAME = TITLE = "numbers"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right_square_bracket,pagedown", "page(1)", "case", key_display="[ ]", tooltip="previous, next case")
    ]

    case: CaseRow | None = None
    chosen = False  # measured with the chosen checkpoint, not by the newest validation
    _history_of: tuple[object, list[tuple[int, float]]] = (None, [])

    def note(self) -> Line:
        return [(one_line(self.case.id), "ink")] if self.case else []

    def body(self, width: int, height: int) -> list[Line]:
        row = self.case
        if row is None:
            return self.reason("no case is chosen", width, height)
        lines: list[Line] = [[("split ", "muted"), (one_line(row.split) or "–", "ink")]]
        if row.group:
            lines[0] += [("   group ", "muted"), (one_line(row.group), "ink")]
        lines += [[("of the chosen checkpoint", "muted")]] if self.chosen else []
        lines += self._said(row)
        view = self.snapshot.view if self.snapshot else None
        lines += self._table(row, width, view.unit if view else "", view.regions if view else ())
        lines += self._bars(row, width)
        return [*lines, *(self._history(row, view, width) if view else [])]

    def _said(self, row: CaseRow) -> list[Line]:
        if not row.true:
            return []
        right = row.true == row.predicted
        said = ("right", "accent") if right else ("wrong", "warning bold")
        return [
            [("true      ", "muted"), (one_line(row.true), "truth bold")],
            [("predicted ", "muted"), (one_line(row.predicted), "prediction bold"), ("  ", "muted"), said],
        ]

    def action_page(self, by: int) -> None:
        self.post_message(CaseTurned(by))

    def _table(self, row: CaseRow, width: int, unit: str, regions: Sequence[str] = ()) -> list[Line]:
        """Metrics down, the case, its classes and regions across, in as many tables as they need."""
        if not row.values:
            return []
        columns = {"case": row.values, **(row.per_class if len(row.per_class) > 1 else {})}
        titles = {name: spoken(one_line(name), unit) for name in row.values if not is_count(name)}
        size, labels = _SIZE if len(columns) > 1 else _ONE_SIZE, list(columns)
        first = max(0, min(max(map(cell_len, titles.values()), default=0) + 1, width - size))
        fitting = max(1, (width - first) // size)
        lines: list[Line] = []
        for shown in (labels[at : at + fitting] for at in range(0, len(labels), fitting)):
            lines.append([])
            if len(columns) > 1:
                names = (f"{UNION} {one_line(label)}" if label in regions else one_line(label) for label in shown)
                heads = ((fit(name, size - 1, right=True) + " ", "muted") for name in names)
                lines.append([(" " * first, "muted"), *heads])
            for name, title in titles.items():
                cells = (fit(figure(columns[label].get(name, math.nan)), size - 1, right=True) for label in shown)
                lines.append([(fit(title, first), "muted"), *((f"{cell} ", "ink") for cell in cells)])
        if row.values.get("missed", 0) > 0:
            lines.append([("missed: nothing of it was found", "warning")])
        return lines

    def _bars(self, row: CaseRow, width: int) -> list[Line]:
        """The probability of each class, the likeliest first."""
        if not row.probabilities:
            return []
        label = min(22, max(cell_len(one_line(name)) for name in row.probabilities) + 3)
        lines: list[Line] = [[]]
        for name, share in sorted(row.probabilities.items(), key=lambda item: -_known(item[1])):
            mark, color = ("▲", "prediction") if name == row.predicted else (" ", "muted")
            mark, color = ("●", "truth") if name == row.true else (mark, color)
            title = (fit(one_line(name), label - 2), "ink" if mark != " " else "muted")
            number = (fit("–" if math.isnan(share) else f"{share:.3f}", 7, right=True), "ink")
            lines.append([(f"{mark} ", color), title, *bar(_known(share), max(4, width - label - 8), color), number])
        return lines

    def _history(self, row: CaseRow, view: RunView, width: int) -> list[Line]:
        metric = main_metric([row])
        key = (id(view.validations), len(view.validations), row.id, metric)
        if self._history_of[0] != key:
            self._history_of = key, case_history(view, row.id, metric)
        points = self._history_of[1]
        if not points:
            return []
        values = [value for _, value in points]
        best = max(values) if better_up(metric) else min(values)
        bars = sparkline(values, max(8, width), metric)
        said = f"{spoken(one_line(metric))} in {counted(len(points), 'validation')}, epoch {points[0][0]}"
        said += f" to {points[-1][0]}" if len(points) > 1 else ""
        return [
            [],
            *([(part, "muted")] for part in wrapped(said, max(10, width))),
            [(bars, "accent")],
            [("last ", "muted"), (figure(values[-1]), "ink"), ("   best ", "muted"), (figure(best), "ink")],
        ]


def _known(share: float) -> float:
    return share if math.isfinite(share) else 0.0
