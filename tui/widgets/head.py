"""The lines on top of a run: how it stands, how long it still takes, how far it is; and what is wrong with it."""

import math
import time

from engine.events import number
from engine.measures import spoken
from engine.readers.run_view import RunView
from tui.plotting.cells import Line, cut, ends, fitted, length
from tui.settings import keyed
from tui.state.estimate import done_share, elapsed_s, left_s
from tui.state.feed import RunSnapshot
from tui.text import clock, figure, one_line, rate
from tui.widgets.canvas import Canvas
from tui.widgets.end_card import ending

STATE_MARKS = {
    "starting": "◌",
    "running": "●",
    "paused": "‖",
    "finished": "■",
    "stopped": "■",
    "failed": "✕",
    "lost": "✕",
    "silent": "?",
}
STATE_COLORS = {
    "running": "accent",
    "finished": "accent",
    "paused": "warning",
    "stopped": "warning",
    "failed": "error",
    "lost": "error",
    "silent": "warning",
}


SEVERITY_MARKS = {"error": "✕", "warning": "▲", "note": "·"}
SEVERITY_COLORS = {"error": "error", "warning": "warning", "note": "accent"}


class Head(Canvas):
    """State, elapsed, left, metric; below it the bar, iteration, speed, device, learning rate."""

    ID = "head"

    def fit(self, snapshot: RunSnapshot) -> None:
        """Take as many lines as there are; apart from drawing, so that they count while the layout settles."""
        self.styles.height = 1 + _progress(snapshot) + bool(snapshot.findings)

    def draw(self, width: int, height: int) -> list[Line]:
        if self.snapshot is None:
            return [[(" medtui", "accent bold")], []]
        lines = [self._first(self.snapshot, width, time.time())]
        lines += [self._second(self.snapshot, width)] if _progress(self.snapshot) else []
        return [*lines, *self._third(self.snapshot, width)][:height]

    def _third(self, snapshot: RunSnapshot, width: int) -> list[Line]:
        """The worst finding; no line where all is well."""
        if not snapshot.findings:
            return []
        worst, more = snapshot.findings[0], len(snapshot.findings) - 1
        color = SEVERITY_COLORS[worst.severity]
        since = f" since epoch {worst.since_epoch}" if worst.since_epoch else ""
        left: Line = [
            (f" {SEVERITY_MARKS[worst.severity]} {worst.code.replace('_', ' ')}{since}", f"{color} bold"),
            (f"   {one_line(worst.message)}", "ink"),
            (f"   {one_line(worst.remedy)}", "muted"),
        ]
        count = f" {more + 1}" if more else ""
        return [ends(left, [[(keyed("<findings:d> shows all"), "muted"), (count, "ink")]], width)]

    def _first(self, snapshot: RunSnapshot, width: int, now: float) -> Line:
        view, state = snapshot.view, one_line(snapshot.state)[:12]
        label = snapshot.label
        name = one_line(label.title or (view.started.name if view.started else snapshot.status.name or "run"))
        color = f"{STATE_COLORS.get(state, 'ink')} bold"
        parts: list[Line] = [[(f"{STATE_MARKS.get(state, '●')} {state}", color)]]
        elapsed = elapsed_s(view, view.time_s if snapshot.over else now)  # of a lost run: until its last event
        if snapshot.status.started_s > view.time_s and not snapshot.over:
            elapsed = view.active_s + now - snapshot.status.started_s  # its stream has not begun, or is not resumed
        parts.append([(clock(elapsed), "ink"), (" elapsed", "muted")])
        if not snapshot.over and view.started is not None:
            paused = state == "paused" and len(view.steps)
            rest = left_s(view, float(view.steps["time_s"][-1]) if paused else now)
            parts.append([("–" if rest is None else clock(rest), "ink"), (" left", "muted")])
        if metric := self._metric(view):
            parts.append(metric)
        if snapshot.read_share < 1:
            parts.append([(f"reading {snapshot.read_share * 100:.0f} %", "warning")])
        brand = (" medtui   " if width >= 100 else " ", "accent bold")
        return ends([brand, (name, "ink bold"), (f"   {one_line(label.note)}", "muted")], parts, width)

    def _metric(self, view: RunView) -> Line:
        """The newest monitored value and whether it went up or down; after the test, that of the test."""
        tested = view.results.get("test")
        if tested is not None and view.monitor in tested.metrics:
            value = figure(number(tested.metrics[view.monitor]))
            return [(f"test {spoken(one_line(view.monitor))} ", "muted"), (value, "accent bold")]
        track = view.validation.get(view.monitor)
        if track is None or not len(track):
            return []
        values = track["value"]
        arrow, better = "", True
        if len(values) > 1 and math.isfinite(float(values[-1] - values[-2])) and values[-1] != values[-2]:
            arrow = " ▲" if values[-1] > values[-2] else " ▼"
            better = (values[-1] > values[-2]) == view.monitor_up
        name = spoken(one_line(view.monitor))
        color = "accent" if better else "warning"
        return [(f"val {name} ", "muted"), (figure(float(values[-1])), "ink bold"), (arrow, color)]

    def _second(self, snapshot: RunSnapshot, width: int) -> Line:
        view = snapshot.view
        if snapshot.problem:
            return cut([(f" {one_line(snapshot.problem)}", "error")], width)
        if snapshot.state == "silent":
            return cut([(f" {one_line(ending(snapshot)[0])}", "warning")], width)
        left: Line = [
            (" epoch ", "muted"),
            (f"{view.epoch}/{view.epochs}" if view.epochs else str(view.epoch), "ink"),
            (f" of {view.started.minutes:g} min" if view.started and view.started.minutes else "", "muted"),
            ("  ", "ink"),
        ]
        share = done_share(view)
        parts = self._facts(snapshot, share)
        right = fitted(parts, width - length(left) - 14, 3 if width >= 100 else 2)
        room = width - length(left) - length(right) - 3
        return [*left, *self._bar(share or 0.0, max(4, room)), ("  ", "ink"), *right]

    def _facts(self, snapshot: RunSnapshot, share: float | None) -> list[Line]:
        view = snapshot.view
        parts: list[Line] = []
        if share is not None:
            parts.append([(f"{share * 100:3.0f} %", "ink")])
        parts.append(self._step(view))
        speed = float(view.steps["cases_per_s"][-1]) if len(view.steps) else 0.0
        if speed > 0 and not snapshot.over:
            parts.append([(figure(speed), "ink"), (" cases/s", "muted")])
        if view.started is not None:
            parts.append([(one_line(view.started.device), "ink")])
        if len(view.steps):
            parts.append([("lr ", "muted"), (rate(float(view.steps["lr"][-1])), "ink")])
        return [part for part in parts if part]

    def _step(self, view: RunView) -> Line:
        phase = view.phase.phase if view.phase else ""
        if view.ended is None and phase and not phase.startswith("train"):
            done = f" {view.progress.done}/{view.progress.total}" if view.progress else ""
            return [(one_line(phase), "accent"), (done, "ink")]
        if not view.iterations_per_epoch:
            return [("iteration ", "muted"), (str(view.iteration), "ink")]
        digits = len(str(view.iterations_per_epoch))
        return [("iteration ", "muted"), (f"{view.iteration_in_epoch:>{digits}}/{view.iterations_per_epoch}", "ink")]

    def _bar(self, share: float, width: int) -> Line:
        halves = round(min(1.0, max(0.0, share)) * width * 2)
        full, half = divmod(halves, 2)
        bar = "━" * full + ("╸" if half else "")
        return [(bar, "accent"), ("─" * (width - len(bar)), "faint")]


def _progress(snapshot: RunSnapshot) -> bool:
    """Whether the second line is needed: at its end the card of the run takes the place of the progress."""
    return not snapshot.over or bool(snapshot.problem)
