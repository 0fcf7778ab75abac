"""The run under the cursor in a few lines: what it said, how it went, what it reached."""

import time
from typing import ClassVar

import numpy as np
from textual.binding import Binding, BindingType
from textual.message import Message

from engine.measures import spoken
from engine.runfolder.mirror import path_of
from tui.plotting.cells import Line, flowed
from tui.plotting.chart import chart_rows
from tui.plotting.charts import charts_of, end_of, steps_of
from tui.state.run_facts import RunFacts
from tui.state.runs_index import RunRow
from tui.text import age, clock, figure, one_line, sparkline, wrapped
from tui.widgets.head import SEVERITY_COLORS, SEVERITY_MARKS
from tui.widgets.pane import Pane
from tui.widgets.study_lines import result_lines, study_lines


class FactsPane(Pane):
    """Lines about one run."""

    ID, NAME, TITLE = "facts", "run", "run"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "open", key_display="Enter", show=False, tooltip="open the run"),
        Binding("v", "copy", "copy path", show=False, tooltip="copy the path of the run folder"),
    ]

    class Opened(Message):
        """A person wants to see the run."""

    run: RunRow | None = None
    facts: RunFacts | None = None

    def set_run(self, run: RunRow | None, facts: RunFacts | None) -> None:
        """Show another run; ``facts`` come later than ``run``."""
        self.run, self.facts = run, facts
        self.redraw()

    def action_open(self) -> None:
        self.post_message(self.Opened())

    def copied(self) -> str:
        return path_of(self.run.folder) if self.run else ""

    def note(self) -> Line:
        return [(one_line(self.run.id), "muted")] if self.run else []

    def body(self, width: int, height: int) -> list[Line]:
        run = self.run
        if run is None:
            return self.reason("no run is chosen", width, height)
        note = f"note: {run.label.note}" if run.label.note else ""
        lines: list[Line] = [[(row, "ink")] for row in wrapped(one_line(note), width)]
        lines += self._state(run, width)
        if self.facts is None:
            return [*lines, [("reading", "muted")]]
        facts = self.facts
        if run.folder.is_study:
            return [*lines, *study_lines(run, facts, width, height - len(lines))]
        lines += [*self._history(facts, width), *result_lines(facts.results, width), *self._made(facts, width)]
        view = facts.view
        charts = charts_of(view) if len(view.steps) else []
        return [*lines, *chart_rows(charts, steps_of(view, "epoch"), end_of(view, "epoch"), width, height - len(lines))]

    def _state(self, run: RunRow, width: int) -> list[Line]:
        """What a run that ended badly said, and what helps; what is wrong with it."""
        lines: list[Line] = []
        for text, color in (
            (run.status.message, "error" if run.state == "failed" else "warning"),
            (run.status.hint, "ink"),
        ):
            lines += [[(row, color)] for row in wrapped(one_line(text), width)]
        for finding in run.findings:
            text = f"{SEVERITY_MARKS[finding.severity]} {finding.code.replace('_', ' ')}: {finding.message}"
            lines += [[(row, SEVERITY_COLORS[finding.severity])] for row in wrapped(one_line(text), width)]
        return lines

    def _history(self, facts: RunFacts, width: int) -> list[Line]:
        view = facts.view
        history, found = facts.history, facts.best
        if not history or not np.isfinite(history).any():
            loss = view.steps["loss"]
            if not len(loss):
                return [[("no iteration yet", "muted")]]
            bars = sparkline(loss[-4000:].tolist(), max(8, min(60, width - 24)))
            return [[("train loss ", "muted"), (bars, "ink"), (f" {figure(float(loss[-1]))}", "ink")]]
        name = spoken(one_line(view.monitor))
        parts: list[Line] = [[(f"val {name}", "muted")]]
        if found:
            parts.append([("best ", "muted"), (figure(found[0]), "ink bold"), (f" @ {found[1]}", "muted")])
        room = max(8, min(60, width - sum(len(text) for part in parts for text, _ in part) - 6))
        bars = sparkline(history, room, view.monitor)
        return [[*parts[0], (" ", "ink"), (bars, "accent"), ("  ", "ink"), *(parts[1] if len(parts) > 1 else [])]]

    def _made(self, facts: RunFacts, width: int) -> list[Line]:
        view = facts.view
        if view.started is None:
            return []
        cases = "  ".join(f"{one_line(split)} {n}" for split, n in view.started.cases.items())
        worked = steps_of(view, "time").knots[-1]
        parts: list[Line] = [[("worked ", "muted"), (clock(worked), "ink")]]
        parts.append([("on ", "muted"), (one_line(view.started.device), "ink")])
        parts += [[("cases ", "muted"), (cases, "ink")]] if cases else []
        parts.append([("classes ", "muted"), (", ".join(map(one_line, view.classes)), "ink")])
        parts.append([("last event ", "muted"), (age(time.time() - view.time_s), "ink"), (" ago", "muted")])
        return list(flowed(parts, width))
