"""The table of classes, and of regions after them: history, last, best, change since the best; classes without a case
are marked."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from rich.cells import cell_len
from textual.binding import Binding, BindingType
from textual.message import Message

from engine.errors import counted
from engine.events import number
from engine.measures import better_up, is_count, is_distance, leading, short_title, spoken
from engine.readers.run_view import RunView, best, last
from tui.plotting.cells import Line, Span, cut, fit, fitted, length
from tui.plotting.confusion import Counts, fits, matrix_lines
from tui.state.feed import RunSnapshot
from tui.state.reasons import no_validation
from tui.text import UNION, figure, one_line, sparkline
from tui.theme import mark
from tui.widgets.pane import Pane, stage


@dataclass(frozen=True, slots=True)
class _Widths:
    """The columns of the table, in cells; 0 for one that is left out."""

    label: int
    spark: int
    change: int
    second: int
    test: int
    count: int = 0


class Classes(Pane):
    """One row a class, and one a region."""

    ID = NAME = TITLE = "classes"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("m", "metric", "metric", tooltip="the next metric; in the matrix: of the validation, of the test"),
        Binding("x", "matrix", "matrix", tooltip="the confusion matrix: arrows move in it, a cell opens to its cases"),
    ]

    @dataclass
    class CellOpened(Message):
        """The cases of a cell of the confusion matrix are wanted."""

        split: str
        true: str
        predicted: str

    metric = ""
    split = ""  # of the matrix; "": the test where it was measured, else the validation
    cell: tuple[int, int] | None = None  # of the matrix under the cursor; None: the table has the keys

    def depends_on(self, snapshot: RunSnapshot) -> tuple[object, ...]:
        view = snapshot.view
        return *stage(snapshot), view.validation_classes, view.validation_regions, view.validations, view.results

    def metrics(self, view: RunView) -> list[str]:
        """Metrics that are measured by class, the monitored or else the leading one first."""
        tested = view.results["test"].per_class.values() if "test" in view.results else ()
        tables = (*view.validation_classes.values(), *tested)
        names = leading(m for table in tables for m in table if not is_count(m))
        return sorted(names, key=lambda name: (name != view.monitor, name != "recall"))

    def matrices(self) -> dict[str, Counts]:
        """The confusion matrices that there are, by split, the test first."""
        view = self.snapshot.view if self.snapshot else None
        if view is None:
            return {}
        found = {"test": view.results["test"].confusion} if "test" in view.results else {}
        found |= {"validation": view.validations[-1].confusion} if view.validations else {}
        return {split: counts for split, counts in found.items() if fits(counts, view.classes)}

    def offers(self, action: str) -> bool:
        return action != "matrix" or bool(self.matrices())

    def action_matrix(self) -> None:
        if self.matrices():
            self.cell = (0, 0) if self.cell is None else None
            self.redraw()

    def leave(self) -> bool:
        left, self.cell = self.cell is not None, None
        self.redraw()
        return left

    def _move(self, down: int, across: int) -> bool:
        """Move the cursor of the matrix; False where it has none."""
        if self.cell is None or self.snapshot is None:
            return False
        most = max(0, len(self.snapshot.view.classes) - 1)
        self.cell = max(0, min(most, self.cell[0] + down)), max(0, min(most, self.cell[1] + across))
        self.redraw()
        return True

    def scroll_lines(self, by: int) -> None:
        if not self._move(by, 0):
            super().scroll_lines(by)

    def action_side(self, by: int) -> None:
        self._move(0, by)

    def action_open(self) -> None:
        split = self._split()
        if self.cell is None or self.snapshot is None or not split:
            return super().action_open()
        true, predicted = (self.snapshot.view.classes[at] for at in self.cell)
        self.post_message(self.CellOpened(split, true, predicted))
        return None

    def _split(self) -> str:
        found = self.matrices()
        return self.split if self.split in found else next(iter(found), "")

    def action_metric(self) -> None:
        if self.cell is not None:
            found = list(self.matrices())
            self.split = found[(found.index(self._split()) + 1) % len(found)] if found else ""
            return self.redraw()
        if self.snapshot is not None and (names := self.metrics(self.snapshot.view)):
            at = names.index(self.metric) if self.metric in names else 0
            self.metric = names[(at + 1) % len(names)]
            self.redraw()
        return None

    def note(self) -> Line:
        view = self.snapshot.view if self.snapshot else None
        if view is None or not view.validations:
            return []
        if self.cell is not None:
            return [(f"confusion, {self._split()}", "muted")]
        parts: list[Line] = [[(f"validation epoch {view.validations[-1].epoch}", "muted")]]
        parts += [[(f"{UNION} regions", "muted")]] if view.regions else []
        if view.unit and any(map(is_distance, self.metrics(view))):
            parts.append([(f"distances in {_MANY.get(view.unit, view.unit)}", "muted")])
        return fitted(parts, self.size.width - len(self.TITLE) - 9, 2)

    def body(self, width: int, height: int) -> list[Line]:
        if self.snapshot is None or not (names := self.metrics(self.snapshot.view)):
            return self.reason(no_validation(self.snapshot), width, height)
        view = self.snapshot.view
        counts, matrix = self.matrices().get(self._split()), len(view.classes) + 3
        if counts and 2 * len(view.classes) + 4 <= height:
            self.top, rest = 0, height - len(view.classes) - 2
            table = self._compact(view, names, width, range(len(view.classes)))
            heading: Line = [(f"confusion, {self._split()}", "muted")]
            return [*table, heading, *matrix_lines(counts, view.classes, (width, min(matrix, rest)), self.cell)]
        if counts and self.cell is not None:
            self.top = 0
            return matrix_lines(counts, view.classes, (width, height), self.cell)
        rows = len(view.classes) + len(view.regions)
        if rows * (len(names) + 1) + 1 <= height:
            return self._grouped(view, names, width)
        self.top = max(0, min(self.top, rows + 1 - height))
        return self._compact(view, names, width, range(self.top - 1, self.top + height))

    def _grouped(self, view: RunView, names: list[str], width: int) -> list[Line]:
        titles = {name: "  " + spoken(one_line(name), view.unit) for name in names}
        widths = _widths(width, max(map(len, titles.values())), second=False, test="test" in view.results)
        lines = [_header(widths, "last", "")]
        for at, label in enumerate(_labels(view)):
            head: Line = [_mark(view, at), (one_line(label), "ink bold"), (_present(view, label), "muted")]
            lines.append(cut(head, width))
            lines += [_values(view, at, name, [(title, "muted")], widths) for name, title in titles.items()]
        return lines

    def _compact(self, view: RunView, names: list[str], width: int, seen: range) -> list[Line]:
        """One metric and a second one, a line a class; of a thousand classes those in ``seen`` are drawn."""
        metric = self.metric if self.metric in names else names[0]
        second = next((m for m in names if m != metric), "")
        labels = _labels(view)
        longest = max((cell_len(one_line(label)) for label in labels), default=8) + 2
        support = {label: _support(view, label) for label in labels}
        known = any(support.values())
        widths = _widths(width - 6 * known, longest, second=bool(second), test="test" in view.results)
        widths = replace(widths, count=6 * known)
        lines = [_header(widths, metric, second)]
        for at, label in enumerate(labels):
            title: Line = [_mark(view, at), (one_line(label), "ink")]
            values = _values(view, at, metric, title, widths, second=second) if at in seen else []
            gap = (" " * max(0, length(lines[0]) - 6 - length(values)), "ink")
            lines.append([*values, gap, (f"{support[label]:>6}", "muted")] if values and known else values)
        return lines


def _labels(view: RunView) -> tuple[str, ...]:
    """The rows of the table."""
    return *view.classes, *view.regions


def _mark(view: RunView, at: int) -> Span:
    """Before the name in a row: of a class its own, of a region that of a union."""
    return f"{mark(at) if at < len(view.classes) else UNION} ", str(at)


_MANY = {"voxel": "voxels", "pixel": "pixels"}


def _support(view: RunView, label: str) -> str:
    """In how many cases of the newest validation, or else of the test, a class is."""
    tracks, tested = view.of_label(label)
    found = [last(tracks.get("support")), last(tracks.get("present"))]
    found += [number(tested.get("support")), number(tested.get("present"))]
    return next((f"{n:.0f}" for n in found if np.isfinite(n)), "")


def _present(view: RunView, label: str) -> str:
    """In how many cases of the newest validation a class is, and in how many it was made up."""
    tracks, _ = view.of_label(label)
    made_up, support = last(tracks.get("false_positive_cases")), last(tracks.get("support"))
    there = last(tracks.get("present")) if np.isnan(support) else support
    text = f"  in {counted(round(there), 'case')}" if np.isfinite(there) else ""
    return f"{text}, made up in {made_up:.0f}" if made_up > 0 else text


def _header(widths: _Widths, metric: str, second: str) -> Line:
    heads = [one_line(short_title(metric)), "best"]
    heads += ["Δ"] if widths.change else []
    heads += [one_line(short_title(second))] if widths.second else []
    heads += ["test"] if widths.test else []
    gap = " " * (widths.label + widths.spark)
    count = fit("n", widths.count, right=True)
    return [(gap, "muted"), *((fit(head, 7, right=True), "muted") for head in heads), (count, "muted")]


def _values(view: RunView, at: int, metric: str, title: Line, widths: _Widths, *, second: str = "") -> Line:
    """A line of the table: ``metric`` of the class at a place."""
    tracks, tested = view.of_label(_labels(view)[at])
    tested = tested if widths.test else {}
    test, track = number(tested.get(metric)), tracks.get(metric)
    name = cut(title, widths.label)
    line: Line = [*name, (" " * (widths.label - length(name)), "ink")]
    if track is not None and np.isfinite(track["value"]).any():
        found, now = best(track, up=better_up(metric)), last(track)
        top = found[0] if found else now
        bars = f" {sparkline(track['value'].tolist(), widths.spark - 2, metric)}"
        cells: Line = [(figure(now), "ink bold"), (figure(top), "ink")]
        cells += [_change(now - top, up=better_up(metric))] if widths.change else []
        cells += [(figure(last(tracks.get(second))), "muted")] if widths.second else []
    elif np.isfinite(test):  # no validation measured it, as is usual for distances
        bars, cells = "", [("–", "muted")] * (2 + bool(widths.change) + bool(widths.second))
    else:
        return [*line, (" absent: no case" if track is not None and len(track) else " not measured yet", "muted")]
    cells += [(figure(test), "accent")] if widths.test else []
    line.append((bars.ljust(widths.spark) if widths.spark else "", str(at)))
    return [*line, *((fit(text, 7, right=True), look) for text, look in cells)]


def _change(change: float, *, up: bool) -> Span:
    if not np.isfinite(change):
        return "–", "muted"
    if change == 0:
        return "★", "accent"
    sign = "+" if change > 0 else "−"
    if abs(change) < 0.001:  # less than the columns beside it show: nothing to be warned of
        return f"{sign}{abs(change):.0e}".replace("e-0", "e-"), "muted"
    return f"{sign}{figure(abs(change))}", "ink" if (change > 0) == up else "warning"


def _widths(width: int, label: int, *, second: bool, test: bool) -> _Widths:
    """Which columns fit: the name, the last and the best value always; then test, change, history, second metric."""
    label = min(label, 26, max(13, width - 14 - 7 - 8))
    room = width - label - 14
    shown = {}
    for name, wanted in (("test", 7 if test else 0), ("change", 7), ("spark", 8), ("second", 7 if second else 0)):
        shown[name] = wanted if wanted and room >= wanted else 0
        room -= shown[name]
    if shown["spark"]:
        shown["spark"] += min(room, 30)
    return _Widths(label, **shown)
