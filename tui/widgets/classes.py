"""The table of classes: course, last, best, change since the best; classes without a case are marked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from engine.events import Number, number
from tui.run_view import RunView, Tracks, best, higher_is_better, last
from tui.text import figure, sparkline
from tui.theme import MARKS
from tui.widgets.cells import Line, Span, fit, length, one_line
from tui.widgets.pane import Pane

_MAIN = ("dice", "f1", "recall", "accuracy")
_SECOND = ("hd95", "recall", "precision", "jaccard")


@dataclass(frozen=True, slots=True)
class _Shown:
    """The columns of the table."""

    metric: str
    second: str  # a second metric, or ""
    label: int  # cells of the name
    spark: int  # cells of the course, 0 for none
    test: Mapping[str, Number] | None  # class -> value in the test, where there was one


class Classes(Pane):
    """One row a class."""

    TITLE = "classes"
    KEYS = (("↑↓", "scroll", "scroll(1)"), ("m", "metric", "metric"))

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.metric = ""

    def metrics(self, view: RunView) -> list[str]:
        """Metrics that are measured by class, the usual one first."""
        names = list(dict.fromkeys(m for tracks in view.validation_classes.values() for m in tracks if m != "support"))
        first = next((m for m in (view.monitor, *_MAIN) if m in names), "")
        return [first, *(m for m in names if m != first)] if first else names

    def action_metric(self) -> None:
        """The next metric."""
        if self.snapshot is not None and (names := self.metrics(self.snapshot.view)):
            at = names.index(self.metric) if self.metric in names else 0
            self.metric = names[(at + 1) % len(names)]
            self.redraw()

    def note(self) -> Line:
        if self.snapshot is None or not (track := self._any_track()):
            return []
        return [(f"validation {track}", self.look("muted"))]

    def _any_track(self) -> str:
        view = self.snapshot.view if self.snapshot else None
        count = len(view.validations) if view else 0
        return f"epoch {view.validations[-1].epoch}" if view and count else ""

    def body(self, width: int, height: int) -> list[Line]:
        if self.snapshot is None:
            return self.reason("no event yet", width, height)
        view = self.snapshot.view
        names = self.metrics(view)
        if not names:
            return self.reason(_why_empty(view), width, height)
        metric = self.metric if self.metric in names else names[0]
        second = next((m for m in _SECOND if m in names and m != metric), "")
        test = view.results["test"].per_class if "test" in view.results else {}
        heads = [metric, "best", "Δ", *([second] if second else []), *(["test"] if test else [])]
        numbers = 7 * len(heads)
        label = max(
            8,
            min(
                max((length([(one_line(c), self.look("ink"))]) for c in view.classes), default=8),
                24,
                width - numbers - 2,
            ),
        )
        spark = max(0, min(40, width - numbers - label - 3))
        if spark < 5:
            spark = 0
        muted = self.look("muted")
        gap = 2 + label + (spark + 1 if spark else 0)
        lines: list[Line] = [[(" " * gap, muted), *((fit(_short(h), 7, right=True), muted) for h in heads)]]
        shown = _Shown(metric, second, label, spark, {k: v.get(metric) for k, v in test.items()} if test else None)
        return [*lines, *(self._row(view, at, name, shown) for at, name in enumerate(view.classes))]

    def _row(self, view: RunView, at: int, name: str, shown: _Shown) -> Line:
        ink, muted = self.look("ink"), self.look("muted")
        tracks: Tracks = view.validation_classes.get(name, {})
        color = self.look(self.palette.series[at % len(self.palette.series)])
        line: Line = [(MARKS[at % len(MARKS)] + " ", color), (fit(one_line(name), shown.label), ink)]
        track = tracks.get(shown.metric)
        if track is None or not np.isfinite(track["value"]).any():
            why = "no case in validation" if track is not None and len(track) else "not measured yet"
            return [*line, (f"  {why}", muted)]
        up = higher_is_better(shown.metric)
        found, now = best(track, up=up), last(track)
        if shown.spark:
            line += [(" ", ink), (sparkline(track["value"].tolist(), shown.spark).ljust(shown.spark), color)]
        line.append((fit(figure(now), 7, right=True), self.look("ink", bold=True)))
        line.append((fit(figure(found[0]) if found else "–", 7, right=True), ink))
        line.append(self._change(now, found[0] if found else now, up=up))
        if shown.second:
            line.append((fit(figure(last(tracks.get(shown.second))), 7, right=True), muted))
        if shown.test is not None:
            line.append((fit(figure(number(shown.test.get(name))), 7, right=True), self.look("accent")))
        return line

    def _change(self, now: float, top: float, *, up: bool) -> Span:
        change = now - top
        if not np.isfinite(change):
            return fit("–", 7, right=True), self.look("muted")
        if change == 0:
            return fit("★", 7, right=True), self.look("accent")
        text = f"{'+' if change > 0 else '−'}{figure(abs(change))}"
        return fit(text, 7, right=True), self.look("ink" if (change > 0) == up else "warning")


def _short(name: str) -> str:
    """A metric's name in 6 cells."""
    return {"accuracy": "acc", "precision": "prec", "jaccard": "jacc", "sensitivity": "sens"}.get(
        name, one_line(name)[:6]
    )


def _why_empty(view: RunView) -> str:
    if view.started is None:
        return "the run has not started yet"
    if not view.started.cases.get("validation", 1):
        return "no validation split in this run: classes are measured by the test at its end"
    if view.validations:
        return "the last validation measured nothing by class"
    return "first validation after the first epoch"
