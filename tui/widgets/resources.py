"""What the trainer uses: processor, memory, GPU, and what is left on the disk."""

import math

import numpy as np

from engine.errors import counted
from engine.readers.columns import Columns
from engine.readers.health import time_words
from engine.readers.run_view import EMPTY
from tui.plotting.cells import Line, bar, fit
from tui.state.feed import RunSnapshot
from tui.state.reasons import no_sample
from tui.text import figure, sparkline
from tui.widgets.pane import Pane, stage

_WIDE = len("1235/2015 GB")


class Resources(Pane):
    """One row a resource: the number, and its history or its share."""

    ID = NAME = TITLE = "resources"

    def depends_on(self, snapshot: RunSnapshot) -> tuple[object, ...]:
        return *stage(snapshot), snapshot.view.resources

    def body(self, width: int, height: int) -> list[Line]:
        table = self.snapshot.view.resources if self.snapshot else None
        if table is None or not len(table):
            return self.reason(no_sample(self.snapshot), width, height)
        lines = [self._history("cpu", table, "cpu_percent", width, max(100.0, float(np.nanmax(table["cpu_percent"]))))]
        lines.append(self._share("memory", table, "memory_mb", "memory_total_mb", width))
        if math.isfinite(table["gpu_percent"][-1]) or math.isfinite(table["gpu_memory_mb"][-1]):
            lines.append(self._history("gpu", table, "gpu_percent", width, 100.0))
            lines.append(self._share("gpu mem", table, "gpu_memory_mb", "gpu_memory_total_mb", width))
        else:
            lines.append([(fit("gpu", 8), "muted"), ("none in use", "muted")])
        free = float(table["disk_free_gb"][-1])
        color = "error" if free < 2 else "warning" if free < 10 else "ink"
        text = "unknown" if math.isnan(free) else f"{figure(free)} GB left"
        lines.append([(fit("disk", 8), "muted"), (text, color)])
        return [*lines, *self._spent(table, width - 8)]

    def _spent(self, table: Columns, width: int) -> list[Line]:
        """Where the time goes, what others use of the host, and how far a step moves the weights."""
        view = self.snapshot.view if self.snapshot else EMPTY
        ratios = view.steps["update_ratio"]
        measured = np.flatnonzero(np.isfinite(ratios))
        cores, others = float(table["cores"][-1]), float(table["others_percent"][-1])
        busy = cores > 0 and others > 50 * cores
        spent = time_words(view)
        while len(spent) > width and ", " in spent:  # the loader and the step stand first
            spent = spent.rpartition(", ")[0]
        parts = [("time", spent, "ink")]
        if math.isfinite(others):
            parts.append(("others", f"{others:.0f} % of {counted(round(cores), 'core')}", "warning" if busy else "ink"))
        if len(measured):
            parts.append(("update", f"{100 * float(ratios[measured[-1]]):.2g} % of the weights a step", "ink"))
        return [[(fit(name, 8), "muted"), (text, look)] for name, text, look in parts if text]

    def _history(self, name: str, table: Columns, column: str, width: int, high: float) -> Line:
        """The number and a line of its last values."""
        values = table[column]
        text = fit(f"{float(values[-1]):.0f} %", _WIDE, right=True)
        room = max(0, width - _WIDE - 10)
        # the scale is fixed, so that a quiet machine looks quiet
        recent = [0.0, *(min(v, high) if math.isfinite(v) else v for v in values[-room:].tolist()), high]
        bars = sparkline(recent, len(recent))[1:-1] if room >= 4 else ""
        return [(fit(name, 8), "muted"), (text, "ink"), ("  ", "ink"), (bars, "faint")]

    def _share(self, name: str, table: Columns, column: str, total: str, width: int) -> Line:
        """The number, of how much, and a bar."""
        used, whole = float(table[column][-1]) / 1024, float(table[total][-1]) / 1024
        known = math.isfinite(whole) and whole > 0
        said = f"{used:.1f}" if used < 100 else f"{used:.0f}"
        text = f"{said}/{whole:.0f} GB" if known else f"{said} GB"
        line: Line = [(fit(name, 8), "muted"), (fit(text, _WIDE, right=True), "ink"), ("  ", "ink")]
        room = width - _WIDE - 10
        if known and math.isfinite(used) and room >= 4:
            color = "error" if used / whole > 0.95 else "warning" if used / whole > 0.85 else "muted"
            line += bar(used / whole, room, color)
        return line
