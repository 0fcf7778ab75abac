"""The inside of a chart: bands, lines, marks, the cursor. Pure."""

from dataclasses import dataclass

import numpy as np

from engine.readers.run_view import best
from tui.plotting.axes import Axis
from tui.plotting.charts import Chart
from tui.plotting.plotted import Plotted, Window
from tui.plotting.raster import Raster
from tui.plotting.reduce import Floats


@dataclass(frozen=True, slots=True)
class PlotArea:
    """A raster with its two axes."""

    raster: Raster
    axis: Axis  # the vertical one
    window: Window

    def across(self, x: Floats) -> Floats:
        """Places on the horizontal axis in cells from the left."""
        return (x - self.window.low) / (self.window.high - self.window.low) * self.raster.width

    def up(self, y: Floats) -> Floats:
        """Values in cells from the bottom; nan for what a log axis cannot show."""
        if self.axis.log:
            y = np.where(y > 0, np.log10(np.where(y > 0, y, 1.0)), np.nan)
        with np.errstate(over="ignore", invalid="ignore"):
            return (y - self.axis.low) / (self.axis.high - self.axis.low) * self.raster.height

    def fill(self, chart: Chart, plotted: list[Plotted], cursor: float | None) -> None:
        """Draw everything, from the back to the front."""
        for p in plotted:
            if len(p.least):
                high = self.up(p.most)
                known = np.flatnonzero(np.isfinite(high))
                self.raster.band(known, np.nan_to_num(self.up(p.least)[known], nan=0.0), high[known], "band")
        if cursor is not None and self.window.low <= cursor <= self.window.high:
            for row in range(self.raster.height):
                self.put(cursor, row, "│", "muted")
        for p in plotted:
            self.raster.line(self.across(p.x), self.up(p.y), p.curve.color)
        for p in plotted:
            self._marks(p, alone=len(plotted) == 1)
            self._odd(p)
        if chart.monitored and plotted:
            self._star(plotted[-1], up=chart.up)

    def rule(self, places: tuple[float, ...]) -> None:
        """Faint vertical lines behind all else."""
        for place in places:
            for row in range(self.raster.height):
                self.put(place, row, "╎", "faint")

    def level(self, value: float) -> None:
        """A faint horizontal line behind all else, where the axis has the value."""
        row = float(self.up(np.array([value]))[0])
        if 0 <= row <= self.raster.height:
            for column in range(0, self.raster.width, 2):
                self.raster.put(column, min(row, self.raster.height - 0.5), "╌", "faint")

    def put(self, x: float, row: float, char: str, color: str) -> None:
        """A character at a place on the horizontal axis and a row; the edges count as inside."""
        column = float(self.across(np.array([x]))[0])
        if -0.5 <= column <= self.raster.width + 0.01:
            inside = min(max(column, 0.0), self.raster.width - 0.5)
            self.raster.put(inside, min(max(row, 0.0), self.raster.height - 0.5), char, color)

    def _marks(self, p: Plotted, *, alone: bool) -> None:
        """The series' mark: at each point where there is room, else now and then, always at the last."""
        rows = self.up(p.y)
        known = np.flatnonzero(np.isfinite(rows))
        if not len(known):
            return
        if p.curve.dense:
            chosen = known if len(known) == 1 else known[:0] if alone else known[-1:]
        elif p.points and len(known) * 4 <= self.raster.width:
            chosen = known
        else:
            chosen = known[:: -(len(known) if alone else max(1, len(known) // 5))]
        top = self.raster.height
        for at in chosen.tolist():
            self.put(p.x[at], rows[at], p.curve.mark, p.curve.color)
        for at in known[(rows[known] > top + 0.5) | (rows[known] < -0.5)].tolist():  # off the scale
            self.put(p.x[at], rows[at], "▴" if rows[at] > top else "▾", p.curve.color)

    def _odd(self, p: Plotted) -> None:
        """Marks for what is not finite, and for spikes beyond the axis."""
        top = self.raster.height - 0.5
        marks = [(p.cells.pos_inf, "∞", top, "error"), (p.cells.neg_inf, "∞", 0.0, "error")]
        marks.append((p.cells.nans, "✕", 0.0, "error"))
        if len(p.least):
            marks.insert(0, (self.up(p.most) > self.raster.height + 0.5, "▴", top, "muted"))
            marks.insert(0, (self.up(p.least) < -0.5, "▾", 0.0, "muted"))
        for flags, char, row, color in marks:
            for column in np.flatnonzero(flags).tolist():
                self.raster.put(column, row, char, color)

    def _star(self, p: Plotted, *, up: bool) -> None:
        table = p.curve.table
        found = best(table, up=up)
        if found is None:
            return
        row = int(np.searchsorted(table["epoch"], found[1]))
        x = float(p.steps.to_axis(table[p.steps.column][row : row + 1])[0])
        self.put(x, float(self.up(np.array([found[0]]))[0]), "★", "warning")
