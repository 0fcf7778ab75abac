"""Panes of the replay that know the whole run: the axis of curves holds still, an empty slice says until when."""

from __future__ import annotations

from tui.plotting.charts import Steps, steps_of
from tui.plotting.plotted import Window
from tui.state.run_view import EMPTY, RunView
from tui.widgets.curves import Curves
from tui.widgets.slice_view import SliceView


class ReplayCurves(Curves):
    """As the run's own curves."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.whole: RunView = EMPTY

    def _visible(self, view: RunView, steps: Steps, *, over: bool) -> Window:  # noqa: ARG002
        whole = self.whole
        if self.mode == "time":
            end = steps_of(whole, "time").knots[-1]
        else:
            end = whole.iteration / (max(1, whole.iterations_per_epoch) if self.mode == "epoch" else 1)
        end = max(end, 1.0)
        low, high = self.zoom or (0.0, end)
        return Window(low, high, end)


class ReplaySlice(SliceView):
    """As the run's own slices."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.whole: RunView = EMPTY

    def why_no_image(self) -> str:
        later = self.whole.previews
        return (
            f"no preview yet: the first that is kept is of epoch {later[0].epoch}" if later else super().why_no_image()
        )
