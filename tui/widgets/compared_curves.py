"""The curves of several runs over each other, with all the keys of a run's own curves."""

from __future__ import annotations

from collections.abc import Sequence

from tui.plotting.charts import Chart, Mode, Steps, steps_of
from tui.plotting.comparison import ComparedRun, compared_charts
from tui.plotting.plotted import Window
from tui.state.run_view import RunView
from tui.widgets.curves import Curves


class ComparedCurves(Curves):
    """Charts with a curve a run; the horizontal axis is as long as the longest run."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.mode = "epoch"
        self.sides: Sequence[ComparedRun] = ()

    def charts(self) -> list[Chart]:
        words = self.filter.lower().split()
        charts = compared_charts(self.sides, self.mode)
        return [chart for chart in charts if all(word in chart.name.lower() for word in words)]

    def _end(self) -> float:
        ends = [_end_of(side.view, self.mode) for side in self.sides]
        return max([1.0 if self.mode != "time" else 60.0, *ends])

    def _visible(self, view: RunView, steps: Steps, *, over: bool) -> Window:  # noqa: ARG002
        end = self._end()
        low, high = self.zoom or (0.0, end)
        return Window(low, high, end)

    def _newest(self) -> float:
        return self._end()


def _end_of(view: RunView, mode: Mode) -> float:
    if mode == "time":
        return steps_of(view, mode).knots[-1]
    return view.iteration / (max(1, view.iterations_per_epoch) if mode == "epoch" else 1)
