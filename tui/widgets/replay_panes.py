"""Panes of the replay that know the whole run: the axis of curves holds still, an empty slice says until when."""

from engine.readers.run_view import EMPTY, RunView
from tui.plotting.charts import end_of
from tui.widgets.curves import Curves
from tui.widgets.slice_view import SliceView


class ReplayCurves(Curves):
    """As the run's own curves."""

    whole: RunView = EMPTY

    def whole_axis(self, view: RunView, *, over: bool) -> float:  # noqa: ARG002
        return max(1.0, end_of(self.whole, self.mode))


class ReplaySlice(SliceView):
    """As the run's own slices."""

    whole: RunView = EMPTY

    def why_no_image(self) -> str:
        later = self.whole.previews
        return (
            f"no preview yet: the first that is kept is of epoch {later[0].epoch}" if later else super().why_no_image()
        )
