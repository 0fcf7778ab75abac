"""The run: its head, its panes, its keys."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual import work
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.message import Message
from textual.widget import Widget

from engine.runfolder import RunFolder
from tui.screens.control_keys import ControlScreen
from tui.screens.notifier import Notifier, notify
from tui.screens.tiled import Key
from tui.state.feed import PUBLISH_S, Feed, RunSnapshot
from tui.state.ghosts import Ghost, GhostChooser
from tui.widgets.bars import Ticker
from tui.widgets.board import PANES, arrange
from tui.widgets.cases import Cases
from tui.widgets.classes import Classes
from tui.widgets.curves import Curves
from tui.widgets.head import Head
from tui.widgets.lines import Journal, LogPane
from tui.widgets.pane import Pane
from tui.widgets.recipe import RecipePane
from tui.widgets.resources import Resources
from tui.widgets.slice_view import SliceView

_CONTROL = (("p", "pause", "pause"), ("s", "stop", "stop"), ("c", "checkpoint", "checkpoint"), ("n", "note", "note"))
_ALWAYS = (("Tab", "pane", "pane(1)"), ("r", "runs", "app.runs"), ("q", "close", "app.quit"))
_CLOCK_S = 1.0
_SHARE, _SLOWEST_S = 0.003, 3.0
"""Drawing takes this share of a core, and about as much again to be sent: the processor is the trainer's. On a
slow or busy machine new numbers come more rarely for that, but at least so often."""
_SETTLING_S = 0.2
"""Textual lays a new screen out several times, each time sending all of it: it is empty till then."""


class RunScreen(ControlScreen):
    """Follows one run folder while it is open."""

    PANES = PANES
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("g", "ghost", "ghost", show=False),
        Binding("m", "metric", "metric", show=False),
        Binding("e", "level", "log level", show=False),
        Binding("G", "newest", "newest", show=False),
        Binding("V", "copy_path", "copy path", show=False),
        Binding("t", "replay", "replay", show=False),
        Binding("f", "figures", "figures", show=False),
    ]

    class Updated(Message):
        """A new snapshot of the run; an older one that still waits is not worth drawing."""

        def __init__(self, snapshot: RunSnapshot) -> None:
            super().__init__()
            self.snapshot = snapshot

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, RunScreen.Updated)

    def __init__(self, runs: Path, folder: RunFolder, *, read_only: bool = False) -> None:
        super().__init__(folder, Feed(folder, self._post), read_only=read_only)
        self._ghosts = GhostChooser(runs, folder)
        self._notifier = Notifier(self.app, folder.id)
        self._drawing = False
        self._left_at = ("curves", False)  # the pane with the focus, and whether it stands alone

    def top(self) -> Iterable[Widget]:
        yield Head(id="head")

    def panes(self) -> Iterable[Pane]:
        yield Curves(id="curves")
        yield Classes(id="classes")
        yield SliceView(id="slice")
        yield Cases(id="cases")
        yield Resources(id="resources")
        yield LogPane(id="log")
        yield Journal(id="journal")
        yield RecipePane(id="recipe")

    def below(self) -> Iterable[Widget]:
        yield Ticker(id="ticker")

    def placed(self, width: int, height: int, chosen: str) -> dict[str, Region]:
        return arrange(width, height, chosen)

    # --- life ----------------------------------------------------------------------------------

    def on_mount(self) -> None:
        settings = self.app.settings  # type: ignore[attr-defined]
        self.curves.smoothing, self.curves.mode = settings.smoothing, settings.axis
        self.choose(settings.pane if settings.pane in dict(PANES) else "curves", full=settings.alone)
        self.feed.start()
        self.set_interval(_CLOCK_S, self._tick)
        self.set_timer(_SETTLING_S, self._begin)

    def on_unmount(self) -> None:
        self.app.remember(pane=self._left_at[0], alone=self._left_at[1])  # type: ignore[attr-defined]
        self.feed.stop()
        self._notifier.leave()

    def on_screen_resume(self) -> None:
        if self._drawing:
            self.show(self.snapshot)
            self.repaint()

    def on_run_screen_updated(self, message: Updated) -> None:
        over, self.snapshot = self.over, message.snapshot
        if over != self.over:
            self.tell_keys()
        self.answered(message.snapshot.view)
        if self._drawing and self.is_current:
            began = time.thread_time()
            self.show(message.snapshot)
            cost = time.thread_time() - began
            self.feed.interval_s = min(_SLOWEST_S, max(PUBLISH_S, cost / _SHARE))
        self._notifier.update(message.snapshot)

    def relayout(self) -> None:
        super().relayout()
        crowded = len(self.tiles.regions()) == 1
        self.query_one("#ticker", Ticker).display = not crowded or self.size.height >= 30
        self._left_at = self.tiles.chosen, self.tiles.full

    def tell_keys(self) -> None:
        control: tuple[Key, ...] = () if self.read_only or self.over else _CONTROL
        self.say_keys(self.chosen.KEYS, (*control, *_ALWAYS))

    def _begin(self) -> None:
        """The layout is settled: from here on panes are drawn."""
        self._drawing = True
        self.show(self.snapshot)

    def _post(self, snapshot: RunSnapshot) -> None:
        if self.is_running:
            self.post_message(self.Updated(snapshot))

    def _tick(self) -> None:
        """The clock in the head goes on while nothing else happens."""
        if self.is_current:
            self.query_one("#head", Head).redraw()

    # --- panes ---------------------------------------------------------------------------------

    def action_pane(self, by: int) -> None:
        """The next or the previous pane: of those that are shown, or of all where one is shown."""
        names, shown = [name for name, _ in PANES], self.tiles.regions()
        reachable = names if len(shown) == 1 else [name for name in names if name in shown]
        self.choose(reachable[(reachable.index(self.tiles.chosen) + by) % len(reachable)])

    def action_back(self) -> None:
        """One step back: cursor, zoom, full curve, pane alone; then the list of runs, if it is below."""
        shown = len(self.tiles.regions())
        if self.tiles.chosen == "curves" or self.tiles.full or len(self.app.screen_stack) > 2:
            super().action_back()
        elif shown == 1:
            self.choose("curves")

    def action_open(self) -> None:
        """What Enter does in the pane that has the focus."""
        if self.tiles.chosen == "cases":
            self.query_one("#cases", Cases).action_open()
        else:
            super().action_open()

    def on_cases_opened(self, message: Cases.Opened) -> None:
        from tui.screens.case import CaseScreen

        self.app.push_screen(CaseScreen(self.folder, lambda: self.snapshot, case=message.case))

    def action_metric(self) -> None:
        """The next metric of the table of classes."""
        self.query_one("#classes", Classes).action_metric()

    def action_level(self) -> None:
        """The next level of the log."""
        self.query_one("#log", LogPane).action_level()

    def action_newest(self) -> None:
        """The newest line of the log or of the events."""
        if self.tiles.chosen == "journal":
            self.query_one("#journal", Journal).action_newest()
        else:
            self.query_one("#log", LogPane).action_newest()

    def action_replay(self) -> None:
        """The run at an earlier moment."""
        from tui.screens.replay import ReplayScreen

        self.app.push_screen(ReplayScreen(self.folder))

    def action_figures(self) -> None:
        """The figures of the run."""
        from tui.screens.gallery import GalleryScreen

        self.app.push_screen(GalleryScreen(self.folder))

    # --- curves --------------------------------------------------------------------------------

    def on_curves_settled(self) -> None:
        self.app.remember(smoothing=self.curves.smoothing, axis=self.curves.mode)  # type: ignore[attr-defined]

    def action_ghost(self) -> None:
        """The next earlier run behind the curves, or none: those of the same recipe first."""
        view = self.snapshot.view if self.snapshot else None
        if view is not None and view.started is not None:
            self._next_ghost(view.started.name, view.started.task, up=view.monitor_up)

    @work(thread=True, exclusive=True, group="ghost")
    def _next_ghost(self, name: str, task: str, *, up: bool) -> None:
        self.call_later(self._take_ghost, self._ghosts.next(name, task=task, up=up), task)

    def _take_ghost(self, ghost: Ghost | None, task: str) -> None:
        for curves in self.query(Curves):
            curves.ghost = ghost
            curves.redraw()
        if self._ghosts.none:
            notify(self.app, f"no other finished run of a {task} to compare with")

    # --- copies and commands -------------------------------------------------------------------

    def copied(self) -> str:
        chosen = self.tiles.chosen
        if chosen == "recipe":
            return str(self.folder.recipe)
        if chosen == "log" and self.snapshot is not None:
            return "\n".join(line.message for line in self.snapshot.view.logs)
        return super().copied()

    def action_copy_path(self) -> None:
        """Copy the path of the run folder."""
        self.copy(str(self.folder.root.resolve()))

    def commands(self) -> list[tuple[str, str, Callable[[], None]]]:
        return [
            ("Ghost", "An earlier run behind the curves, the best of the same recipe first", self.action_ghost),
            ("Replay", "The run at an earlier moment, by a time slider", self.action_replay),
            ("Figures", "What the run has drawn", self.action_figures),
            ("Copy path", "The path of the run folder", self.action_copy_path),
            *super().commands(),
            *(
                (f"Pane: {name}", "Show it alone", partial(self.action_number, number))
                for number, (_, name) in enumerate(PANES, start=1)
            ),
        ]
