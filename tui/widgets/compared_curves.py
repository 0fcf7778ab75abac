"""The curves of several runs over each other, with all the keys of a run's own curves."""

from collections.abc import Sequence

from engine.readers.run_view import EMPTY, RunView
from tui.plotting.charts import Chart, Mode, end_of
from tui.plotting.comparison import ComparedRun, compared_charts
from tui.widgets.curves import Curves


class ComparedCurves(Curves):
    """Charts with a curve a run; the horizontal axis is as long as the longest run."""

    mode: Mode = "epoch"
    sides: Sequence[ComparedRun] = ()

    def charts(self) -> list[Chart]:
        return self.filtered(compared_charts(self.sides, self.mode))

    def whole_axis(self, view: RunView = EMPTY, *, over: bool = True) -> float:  # noqa: ARG002
        return max([60.0 if self.mode == "time" else 1.0, *(end_of(side.view, self.mode) for side in self.sides)])

    def _newest(self) -> float:
        return self.whole_axis()
