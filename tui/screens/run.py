"""The run: its head, its panes, its keys."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar

from textual import work
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.widget import Widget

from engine.errors import MedtuiError
from engine.runfolder import RunFolder, read_metrics
from engine.runfolder.mirror import STREAM, command_for, fetch, is_mirror, path_of
from tui.screens.confirm import Confirm, Prompt
from tui.screens.findings import Findings
from tui.screens.notifier import Notifier, notify
from tui.screens.of_run import ScreenOfRun
from tui.screens.tiled import TiledScreen
from tui.state.feed import PUBLISH_S, RunSnapshot
from tui.state.ghosts import GhostChooser
from tui.state.go_on import go_on, set_options, write_report
from tui.text import one_line
from tui.widgets.board import PANES, arrange
from tui.widgets.canvas import Canvas
from tui.widgets.cases import Cases
from tui.widgets.classes import Classes
from tui.widgets.control_bar import ControlBar
from tui.widgets.curves import RunCurves
from tui.widgets.end_card import EndCard
from tui.widgets.head import Head
from tui.widgets.pane import Pane

_CLOCK_S = 1.0
_SHARE, _SLOWEST_S = 0.003, 3.0
"""Drawing takes this share of a core, and about as much again to be sent: the processor is the trainer's. On a
slow or busy machine new numbers come more rarely for that, but at least so often."""
_PATIENCE_S = 0.3  # a run of which nothing is known so long after the screen was opened is drawn as that


class RunScreen(ScreenOfRun):
    """Follows one run folder while it is open."""

    NAME = "run"
    PANES = PANES
    BARS = (ControlBar, EndCard)
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("t", "replay", "replay", show=False, tooltip="replay the run by a time slider"),
        Binding("d", "findings", "findings", show=False, tooltip="what is wrong with the run, and what to do"),
        Binding("f", "figures", "figures", show=False, tooltip="what the run has drawn"),
        Binding("V", "copy_path", "copy path", show=False, tooltip="copy the path of the run folder"),
    ]

    def __init__(
        self, runs: Path, folder: RunFolder, *, read_only: bool = False, panes: Sequence[type[Pane]] = PANES
    ) -> None:
        """``runs``: the folder of all; ``panes``: those without a place in the layout are shown alone."""
        super().__init__(folder, panes=panes)
        self._runs, self._read_only = runs, read_only
        (self.feed,) = self.feeds
        self.snapshot: RunSnapshot | None = None
        self.head = self._head = Head()
        self.control = ControlBar(folder, read_only=read_only)
        self.card = EndCard(folder)
        self.curves = self.pane(RunCurves)
        self._ghosts = GhostChooser(runs, folder)
        self._notifier = Notifier(self.app, folder.id)
        self._settled = self._drawing = self._card_stands = False
        self._left_at = (self.tiles.chosen, False)  # the pane with the focus, and whether it stands alone

    def above(self) -> Iterable[Widget]:
        yield self.card

    def below(self) -> Iterable[Widget]:
        yield self.control

    def placed(self, width: int, height: int, chosen: str) -> dict[str, Region]:
        return arrange(width, height, chosen)

    # --- life ----------------------------------------------------------------------------------

    def on_mount(self) -> None:
        settings = self.app.settings  # type: ignore[attr-defined]
        self.curves.smoothing, self.curves.mode = settings.smoothing, settings.axis
        self.tiles.borders = dict(settings.borders.get(self.folder.id, {}))
        pane, alone = settings.places.get(self.folder.id, self._left_at)
        self.choose(pane if pane in self.panes else self.tiles.chosen, full=alone)
        self.set_interval(_CLOCK_S, self._tick)
        self.call_after_refresh(self._settle)
        self.set_timer(_PATIENCE_S, self._begin)

    def on_unmount(self) -> None:
        self.app.remember_place(self.folder.id, *self._left_at, self.tiles.borders)  # type: ignore[attr-defined]
        self._notifier.leave()

    def on_screen_resume(self) -> None:
        if self._drawing:
            self.show(self.snapshot)
            self.repaint()

    def on_tiled_screen_updated(self, message: TiledScreen.Updated) -> None:
        before, self.snapshot = self.snapshot, message.snapshot
        self.control.show(message.snapshot)
        self._head.fit(message.snapshot)
        self.card.take(message.snapshot)
        if before is None or before.state != message.snapshot.state:
            self.name_keys()
        ended = before is None or not before.over or before.view.results is not message.snapshot.view.results
        if message.snapshot.over and ended:
            self._read_results()
        self.control.take_answers(message.snapshot.view)
        if self._settled and not self._drawing:
            self._begin()
        elif self._drawing and self.is_current:
            began = time.thread_time()
            self.show(message.snapshot)
            cost = time.thread_time() - began
            self.feed.interval_s = min(_SLOWEST_S, max(PUBLISH_S, cost / _SHARE))
        self._notifier.update(message.snapshot)

    def relayout(self) -> None:
        super().relayout()
        crowded = len(self.tiles.regions()) == 1
        self.control.display = not crowded or self.size.height >= 30
        self._left_at = self.tiles.chosen, self.tiles.full

    def _settle(self, before: object = None) -> None:
        """Textual lays a new screen out several times, and sends it whole each time: empty until all have a place."""
        places = [part.region for part in self.query(Canvas)]
        if places != before:
            self.call_after_refresh(self._settle, places)
            return
        self._settled = True
        if self.snapshot is not None:
            self._begin()

    def _begin(self) -> None:
        """From here on panes are drawn."""
        if self._drawing:
            return
        if self.snapshot is not None and self.snapshot.over and not self._card_stands:
            return  # it moves all panes; `_read_results` begins
        self._drawing = True
        self.show(self.snapshot)

    def _tick(self) -> None:
        """The clock in the head goes on while nothing else happens."""
        if self.is_current:
            self.head.redraw()

    # --- a run that is over --------------------------------------------------------------------

    @work(exclusive=True, group="results")
    async def _read_results(self) -> None:
        await asyncio.to_thread(fetch, self.folder, STREAM)
        self.card.summaries = await asyncio.to_thread(read_metrics, self.folder)
        self.card.known = True
        self.card.reported = (self.folder.root / "report.html").is_file()
        self.card.fit()
        self._card_stands = True
        self.call_after_refresh(self._settle)

    def on_end_card_wanted(self, message: EndCard.Wanted) -> None:
        if message.what == "report":
            self._report()
        elif self._read_only:
            notify(self.app, "this dashboard only looks: it was opened read-only", "warning")
        elif is_mirror(self.folder):
            words = command_for(self.folder, "resume" + " --fork" * (message.what == "fork"))
            notify(self.app, f"do this over there: {words}", "warning", 15)
        elif message.what == "resume":
            asked = Confirm(f"Go on with {one_line(self.folder.id)} from its last checkpoint?")
            self.app.push_screen(asked, self._resume)
        else:
            example = "train.epochs=200 optimizer.lr=1e-4; empty: it trains on as it is"
            self.app.push_screen(Prompt("fork with keys that change", hint=example), self._fork)

    def _resume(self, yes: bool | None) -> None:
        if yes:
            self._go_on()

    def _fork(self, text: str | None) -> None:
        if text is None:
            return
        try:
            self._go_on("--fork", *set_options(text))
        except ValueError as error:  # a quote that is not closed
            notify(self.app, str(error), "error")

    @work(exclusive=True, group="go on")
    async def _go_on(self, *words: str) -> None:
        self.card.do("the trainer starts: it loads PyTorch")
        try:
            folder = await asyncio.to_thread(go_on, self.folder, *words)
        except MedtuiError as error:
            notify(self.app, str(error), "error", 15)
            return
        finally:
            self.card.do("")
        if folder.id != self.folder.id:
            self.app.push_screen(RunScreen(self._runs, folder))
        else:
            self.feed.nudge()

    @work(exclusive=True, group="report")
    async def _report(self) -> None:
        try:
            path = str((await asyncio.to_thread(write_report, self.folder)).resolve())
        except MedtuiError as error:
            notify(self.app, str(error), "error", 15)
            return
        self.app.copy_to_clipboard(path)
        notify(self.app, f"copied: {path}")
        self._read_results()

    # --- panes ---------------------------------------------------------------------------------

    def action_pane(self, by: int) -> None:
        """The next or the previous pane: of those that are shown, or of all where one is shown."""
        names, shown = list(self.panes), self.tiles.regions()
        reachable = names if len(shown) == 1 else [name for name in names if name in shown]
        self.choose(reachable[(reachable.index(self.tiles.chosen) + by) % len(reachable)])

    def action_back(self) -> None:
        """One step back; from the screen itself to the curves, where a run was opened alone."""
        shown, first = len(self.tiles.regions()), len(self.app.screen_stack) <= 2
        if first and shown == 1 and not self.tiles.full and self.chosen is not self.curves:
            self.choose(self.curves.ID)
        else:
            super().action_back()

    def on_control_bar_sent(self) -> None:
        self.feed.nudge()

    def on_rows_pane_opened(self) -> None:
        from tui.screens.case import CaseScreen

        case = self.pane(Cases).chosen_case()
        self.app.push_screen(CaseScreen(self.folder, lambda: self.snapshot, case=case))

    def on_classes_cell_opened(self, message: Classes.CellOpened) -> None:
        from tui.screens.case import CaseScreen

        words = f'split:{message.split} true:"{message.true}" predicted:"{message.predicted}"'
        self.app.push_screen(CaseScreen(self.folder, lambda: self.snapshot, words=words))

    def action_replay(self) -> None:
        from tui.screens.replay import ReplayScreen

        self.app.push_screen(ReplayScreen(self.folder))

    def action_findings(self) -> None:
        shown = self.snapshot
        if shown and (shown.findings or (shown.over and shown.state != "finished")):
            self.app.push_screen(Findings(shown))
        else:
            notify(self.app, "nothing is wrong with this run")

    def action_figures(self) -> None:
        from tui.screens.gallery import GalleryScreen

        self.app.push_screen(GalleryScreen(self.folder))

    # --- curves --------------------------------------------------------------------------------

    def on_curves_options_changed(self) -> None:
        self.app.remember(smoothing=self.curves.smoothing, axis=self.curves.mode)  # type: ignore[attr-defined]

    @work(exclusive=True, group="ghost")
    async def on_run_curves_ghost_wanted(self) -> None:
        view = self.snapshot.view if self.snapshot else None
        if view is None or view.started is None:
            return
        name, task = view.started.name, view.started.task
        self.curves.ghost = await asyncio.to_thread(self._ghosts.next, name, task=task, up=view.monitor_up)
        self.curves.redraw()
        if not self._ghosts.found:
            notify(self.app, f"no other finished run of a {task} to compare with")

    def action_copy_path(self) -> None:
        path = path_of(self.folder)
        self.app.copy_to_clipboard(path)
        notify(self.app, f"copied: {path}")
