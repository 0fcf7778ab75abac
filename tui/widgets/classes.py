"""The table of classes: history, last, best, change since the best; classes without a case are marked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from rich.cells import cell_len
from textual.binding import Binding, BindingType

from engine.events import number
from engine.measures import better_up, is_count, is_distance, leading, short_title
from engine.readers.columns import Columns
from engine.readers.run_view import RunView, best, last
from tui.plotting.cells import Line, Span, cut, fit, fitted, length
from tui.state.feed import RunSnapshot
from tui.state.reasons import no_validation
from tui.text import figure, one_line, sparkline, with_unit
from tui.theme import mark
from tui.widgets.pane import Pane, stage


@dataclass(frozen=True, slots=True)
class _Row:
    """One line of the table: the history of one metric of one class."""

    name: Line  # what stands at its left
    track: Columns | None
    up: bool
    color: str
    second: Columns | None = None
    test: float | None = None


@dataclass(frozen=True, slots=True)
class _Widths:
    """The columns of the table, in cells; 0 for one that is left out."""

    label: int
    spark: int
    change: int
    second: int
    test: int


class Classes(Pane):
    """One row a class."""

    ID = NAME = TITLE = "classes"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("m", "metric", "metric", tooltip="the next metric")]

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.metric = ""

    def depends_on(self, snapshot: RunSnapshot) -> tuple[object, ...]:
        view = snapshot.view
        return *stage(snapshot), view.validation_classes, view.validations, view.results

    def metrics(self, view: RunView) -> list[str]:
        """Metrics that are measured by class, the monitored or else the leading one first."""
        tested = view.results["test"].per_class.values() if "test" in view.results else ()
        tables = (*view.validation_classes.values(), *tested)
        names = leading(m for table in tables for m in table if not is_count(m))
        return sorted(names, key=lambda name: name != view.monitor)

    def action_metric(self) -> None:
        """The next metric."""
        if self.snapshot is not None and (names := self.metrics(self.snapshot.view)):
            at = names.index(self.metric) if self.metric in names else 0
            self.metric = names[(at + 1) % len(names)]
            self.redraw()

    def note(self) -> Line:
        if self.snapshot is None or not (track := self._any_track()):
            return []
        view = self.snapshot.view
        parts: list[Line] = [[(f"validation {track}", "muted")]]
        if view.unit and any(map(is_distance, self.metrics(view))):
            parts.append([(f"distances in {view.unit}", "muted")])
        return fitted(parts, self.size.width - len(self.TITLE) - 9, 2)

    def _any_track(self) -> str:
        view = self.snapshot.view if self.snapshot else None
        count = len(view.validations) if view else 0
        return f"epoch {view.validations[-1].epoch}" if view and count else ""

    def body(self, width: int, height: int) -> list[Line]:
        if self.snapshot is None:
            return self.reason(no_validation(None), width, height)
        view = self.snapshot.view
        names = self.metrics(view)
        if not names:
            return self.reason(no_validation(self.snapshot), width, height)
        if len(view.classes) * (len(names) + 1) + 1 <= height:
            return self._grouped(view, names, width)
        self.top = max(0, min(self.top, len(view.classes) + 1 - height))
        return self._compact(view, names, width, range(self.top - 1, self.top + height))

    def _grouped(self, view: RunView, names: list[str], width: int) -> list[Line]:
        """All metrics of each class, where there is room for them."""
        widths = _widths(
            width,
            max(len(with_unit(one_line(name), view.unit)) for name in names) + 2,
            second=False,
            test="test" in view.results,
        )
        lines = [self._header(widths, "last", "")]
        for at, label in enumerate(view.classes):
            lines.append([(f"{mark(at)} ", str(at)), (one_line(label), "ink bold")])
            for name in names:
                track = view.validation_classes.get(label, {}).get(name)
                title: Line = [("  " + with_unit(one_line(name), view.unit), "muted")]
                test = _tested(view, label, name) if widths.test else None
                lines.append(self._line(_Row(title, track, better_up(name), str(at), test=test), widths))
        return lines

    def _compact(self, view: RunView, names: list[str], width: int, seen: range) -> list[Line]:
        """One metric and a second one, a line a class; of a thousand classes those in ``seen`` are drawn."""
        metric = self.metric if self.metric in names else names[0]
        second = next((m for m in names if m != metric), "")
        longest = max((cell_len(one_line(label)) for label in view.classes), default=8) + 2
        widths = _widths(width, longest, second=bool(second), test="test" in view.results)
        lines = [self._header(widths, metric, second)]
        for at, label in enumerate(view.classes):
            if at not in seen:
                lines.append([])
                continue
            tracks = view.validation_classes.get(label, {})
            title: Line = [(f"{mark(at)} ", str(at)), (one_line(label), "ink")]
            test = _tested(view, label, metric) if widths.test else None
            row = _Row(title, tracks.get(metric), better_up(metric), str(at), tracks.get(second), test)
            lines.append(self._line(row, widths))
        return lines

    def _header(self, widths: _Widths, metric: str, second: str) -> Line:
        heads = [one_line(short_title(metric)), "best"]
        heads += ["Δ"] if widths.change else []
        heads += [one_line(short_title(second))] if widths.second else []
        heads += ["test"] if widths.test else []
        gap = " " * (widths.label + widths.spark)
        return [(gap, "muted"), *((fit(head, 7, right=True), "muted") for head in heads)]

    def _line(self, row: _Row, widths: _Widths) -> Line:
        name = cut(row.name, widths.label)
        line: Line = [*name, (" " * (widths.label - length(name)), "ink")]
        track = row.track
        if track is None or not np.isfinite(track["value"]).any():
            if row.test is not None and np.isfinite(row.test):
                return [*line, *self._tested_only(row.test, widths)]
            why = "absent: no case" if track is not None and len(track) else "not measured yet"
            return [*line, (f" {why}", "muted")]
        found, now = best(track, up=row.up), last(track)
        top = found[0] if found else now
        if widths.spark:
            bars = sparkline(track["value"].tolist(), widths.spark - 2)
            line.append((f" {bars}".ljust(widths.spark), row.color))
        line += [(fit(figure(now), 7, right=True), "ink bold"), (fit(figure(top), 7, right=True), "ink")]
        line += [self._change(now, top, up=row.up)] if widths.change else []
        line += [(fit(figure(last(row.second)), 7, right=True), "muted")] if widths.second else []
        line += [(fit(figure(row.test), 7, right=True), "accent")] if widths.test else []
        return line

    def _tested_only(self, test: float, widths: _Widths) -> Line:
        """The rest of a line whose metric no validation measured, as distances are by default."""
        blank = fit("–", 7, right=True)
        unknown = 2 + bool(widths.change) + bool(widths.second)
        return [
            (" " * widths.spark, "muted"),
            *([(blank, "muted")] * unknown),
            (fit(figure(test), 7, right=True), "accent"),
        ]

    def _change(self, now: float, top: float, *, up: bool) -> Span:
        change = now - top
        if not np.isfinite(change):
            return fit("–", 7, right=True), "muted"
        if change == 0:
            return fit("★", 7, right=True), "accent"
        # Below what the columns beside it show, the sign is all that there is to say.
        size = figure(abs(change)) if abs(change) >= 0.001 else "0.000"
        text = f"{'+' if change > 0 else '−'}{size}"
        return fit(text, 7, right=True), "ink" if (change > 0) == up else "warning"


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


def _tested(view: RunView, label: str, metric: str) -> float:
    return number(view.results["test"].per_class.get(label, {}).get(metric))
