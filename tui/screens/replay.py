"""Replay of a run by a time slider: curves, classes, slices and worst cases as they were at each epoch."""

from collections.abc import Iterable
from functools import partial
from typing import ClassVar

import numpy as np
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.timer import Timer
from textual.widget import Widget

from engine.measures import spoken
from engine.readers.run_view import last
from engine.runfolder import RunFolder
from tui.plotting.cells import Line, cut, ends
from tui.plotting.charts import steps_of
from tui.screens.of_run import ScreenOfRun
from tui.screens.tiled import TiledScreen
from tui.state.feed import RunSnapshot
from tui.state.replaying import Stop, beside, nearest, stops, view_at
from tui.text import clock, figure, one_line
from tui.widgets.cases import Cases
from tui.widgets.classes import Classes
from tui.widgets.replay_panes import ReplayCurves, ReplaySlice
from tui.widgets.slider import Slider

_FRAME_S = 0.2
_FRAMES = 100  # a run of more epochs is played in steps of several


class ReplayScreen(ScreenOfRun):
    """One run at a moment that keys choose."""

    NAME = "replay"
    PANES = (ReplayCurves, Classes, ReplaySlice, Cases)
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right,l", "epoch(1)", "epoch", key_display="← →", priority=True, tooltip="an epoch earlier, later"),
        Binding("left,h", "epoch(-1)", priority=True),
        Binding("space", "play", "play", key_display="space", priority=True, tooltip="play, wait"),
        Binding(
            "full_stop", "step(1)", "iteration", key_display=", .", priority=True, tooltip="an iteration earlier, later"
        ),
        Binding("comma", "step(-1)", priority=True),
        Binding("home", "end(0)", priority=True),
        Binding(
            "end", "end(1)", "ends", key_display="Home End", priority=True, show=False, tooltip="the beginning, the end"
        ),
    ]

    def __init__(self, folder: RunFolder) -> None:
        super().__init__(folder)
        self.whole: RunSnapshot | None = None
        self.places: tuple[Stop, ...] = ()
        self.stop: Stop | None = None
        self.slider = Slider()
        self.curves, self.slices = self.pane(ReplayCurves), self.pane(ReplaySlice)
        self._timer: Timer | None = None

    def head_line(self, width: int) -> Line:
        brand = super().head_line(width)
        if self.whole is None or self.stop is None:
            return [*brand, ("reading the run", "muted")]
        whole, share, view = self.whole.view, self.whole.read_share, view_at(self.whole.view, self.stop)
        name = one_line(whole.started.name if whole.started else "")
        left = cut([*brand, (name, "ink bold")], max(20, width // 3))
        parts: list[Line] = [[("epoch ", "muted"), (f"{view.epoch}/{whole.epochs}", "ink bold")]]
        track = view.validation.get(view.monitor)
        if track is not None:
            parts.append([(f"val {spoken(one_line(view.monitor))} ", "muted"), (figure(last(track)), "accent bold")])
        parts.append([("iteration ", "muted"), (f"{view.iteration}/{whole.iteration}", "ink")])
        worked = float(steps_of(whole, "time").to_axis(np.array([self.stop.time_s]))[0])
        parts.append([(clock(worked), "ink"), (" in", "muted")])
        parts += [[("the end", "muted")]] if self.stop.end else []
        parts += [[(f"reading {share * 100:.0f} %", "warning")]] if share < 1 else []
        return ends(left, parts, width)

    def below(self) -> Iterable[Widget]:
        yield self.slider

    def placed(self, width: int, height: int, chosen: str) -> dict[str, Region]:
        if width >= 100 and height >= 28:
            below = max(13, min(26, round(height * 0.42)))
            top, first, second = height - below, round(width * 0.36), round(width * 0.28)
            return {
                "curves": Region(0, 0, width, top),
                "classes": Region(0, top, first, below),
                "slice": Region(first, top, width - first - second, below),
                "cases": Region(width - second, top, second, below),
            }
        return {chosen: Region(0, 0, width, height)}

    # --- life ----------------------------------------------------------------------------------

    def on_mount(self) -> None:
        self.curves.smoothing = self.app.settings.smoothing  # type: ignore[attr-defined]

    def on_tiled_screen_updated(self, message: TiledScreen.Updated) -> None:
        """More of the run was read, or a live run went on: the moment stays, but for the end, which moves."""
        self.whole = message.snapshot
        self.places = stops(message.snapshot.view)
        if self.places:
            self.move(self.places[-1] if self.stop is None or self.stop.end else self.stop)

    def move(self, stop: Stop) -> None:
        """Show the run at ``stop``."""
        whole = self.whole
        if whole is None:
            return
        self.stop = stop
        slider = self.slider
        slider.stop, slider.total = stop, whole.view.iteration
        slider.stars = tuple(c.iteration for c in whole.view.checkpoints if c.why == "best")[-1:]
        slider.plays = self._timer is not None
        self.curves.whole = self.slices.whole = whole.view
        self.show(RunSnapshot(view_at(whole.view, stop), whole.status, whole.read_share))

    # --- keys ----------------------------------------------------------------------------------

    def action_epoch(self, by: int) -> None:
        self._hold()
        self._by(by)

    def action_step(self, by: int) -> None:
        self._hold()
        if self.whole is not None and self.stop is not None:
            self.move(beside(self.whole.view, self.stop, by))

    def action_end(self, last: int) -> None:
        self._hold()
        if self.places:
            self.move(self.places[-1 if last else 0])

    def action_play(self) -> None:
        """Play from here, or from the beginning where this is the end; or wait."""
        if self._timer is not None or not self.places or self.stop is None:
            self._hold()
        else:
            self._timer = self.set_interval(_FRAME_S, partial(self._by, max(1, len(self.places) // _FRAMES)))
            self.move(self.places[0] if self.stop.end else self.stop)
            return
        if self.stop is not None:
            self.move(self.stop)

    def on_slider_moved(self, message: Slider.Moved) -> None:
        if self.whole is not None and self.places:
            self._hold()
            wanted = message.share * self.whole.view.iteration
            self.move(min(self.places, key=lambda place: abs(place.iteration - wanted)))

    def on_rows_pane_opened(self) -> None:
        case = self.pane(Cases).chosen_case()
        if self.slices.open_case(case):
            self.choose(self.slices.ID)
        else:
            self.notify(f"there is no preview of case {case}", severity="warning", markup=False)

    def _by(self, by: int) -> None:
        """So many stops on; playing ends at the end."""
        if self.stop is None or not self.places:
            return
        at = nearest(self.places, self.stop)
        between = not self.stop.end and self.places[at].iteration < self.stop.iteration
        at = max(0, min(len(self.places) - 1, at + by + (1 if between and by < 0 else 0)))
        if at == len(self.places) - 1:
            self._hold()
        self.move(self.places[at])

    def _hold(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
