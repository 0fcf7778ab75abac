"""All runs: sorted, filtered, live. Enter opens one, marked ones are compared."""

import asyncio
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual import work
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.message import Message

from engine.errors import counted
from engine.runfolder import RunFolder
from engine.runfolder.mirror import place_of
from tui.plotting.cells import Line
from tui.screens.changing import ChangingScreen
from tui.screens.run import RunScreen
from tui.settings import keyed
from tui.state.run_facts import RunFacts, read_facts
from tui.state.runs_index import RunRow, RunsWatch, counts
from tui.text import one_line
from tui.widgets.head import STATE_COLORS, STATE_MARKS
from tui.widgets.run_facts import FactsPane
from tui.widgets.runs_list import RunsList

_REST_S = 0.12  # the cursor rests so long on a run before its folder is read
_AGES_S = 10.0


class HomeScreen(ChangingScreen):
    """The list of runs, and a summary of the one under the cursor."""

    NAME = "all runs"
    PANES = (RunsList, FactsPane)
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c", "compare", "compare", tooltip="compare the marked runs"),
        Binding("t", "replay", "replay", show=False, tooltip="replay the run by a time slider"),
        Binding("f", "figures", "figures", show=False, tooltip="the figures of the run"),
        Binding("escape", "back", "back", key_display="Esc", show=False, tooltip="drop the filter, then the marks"),
    ]

    @dataclass
    class Found(Message):
        """The folder of runs was looked at; an older look that still waits is not worth drawing."""

        rows: tuple[RunRow, ...]
        whole: bool
        problem: str

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, HomeScreen.Found)

    def __init__(self, runs: Path, *, at: RunFolder | None = None, read_only: bool = False) -> None:
        """``at``: the run that the cursor starts on; by default the newest."""
        super().__init__()
        self.runs, self.read_only = runs, read_only
        self.listed, self.facts = self.pane(RunsList), self.pane(FactsPane)
        self.listed.where = place_of(runs)
        self.problem = ""  # why the folder of runs cannot be read
        self._at = at.id if at is not None else ""
        self._known: dict[str, tuple[RunRow, RunFacts]] = {}
        self._tall = 0  # rows without a filter: the panes stay where they are while one is tried
        self._watch = RunsWatch(runs, self._post)

    def head_line(self, width: int) -> Line:  # noqa: ARG002
        line: Line = [(" medtui   ", "accent bold")]
        if self.problem:
            return [*line, (one_line(self.problem), "error")]
        rows = [row for row in self.listed.all if not row.folder.is_study]
        line.append((counted(len(rows), "run"), "ink bold"))
        for state, count in counts(rows):
            mark = STATE_MARKS.get(state, "●")
            line += [("   ", "ink"), (f"{mark} {count} {state}", STATE_COLORS.get(state, "ink"))]
        return [*line, (f"   {one_line(self.listed.where)}", "muted")]

    def placed(self, width: int, height: int, chosen: str) -> dict[str, Region]:
        if width >= 150:
            side = min(76, width * 2 // 5)
            return {"runs": Region(0, 0, width - side, height), "facts": Region(width - side, 0, side, height)}
        if height >= 18:
            least = 8 if height < 40 else 11  # what the rows leave goes to the curves of the run under the cursor
            below = max(least, min(height - max(self._tall + 4, height // 3), 24)) if self._tall else least
            return {"runs": Region(0, 0, width, height - below), "facts": Region(0, height - below, width, below)}
        return {chosen: Region(0, 0, width, height)}

    # --- life ----------------------------------------------------------------------------------

    def on_mount(self) -> None:
        self.listed.fresh = partial(self.app.kept, self.runs)  # type: ignore[attr-defined]
        self.listed.kept = self.listed.fresh()
        self._watch.start()
        self.set_interval(_AGES_S, self._ages)

    def on_unmount(self) -> None:
        self._watch.stop()

    def _post(self, rows: tuple[RunRow, ...], whole: bool, problem: str) -> None:
        if self.is_running:
            self.post_message(self.Found(rows, whole, problem))

    def on_home_screen_found(self, message: Found) -> None:
        self.problem = message.problem
        self.listed.set_runs(message.rows, whole=message.whole)
        self.head.redraw()
        self._follow()

    def _ages(self) -> None:
        if self.is_current:
            self.listed.redraw()

    def _follow(self) -> None:
        """Put the cursor on the run that it was to start on, once that is found; a member's study is opened."""
        studies = {row.study for row in self.listed.all if row.id == self._at and row.study} - self.listed.opened
        if studies:
            self.listed.opened |= studies
            self.listed.fill()
        found = [at for at, row in enumerate(self.listed.rows or ()) if row.id == self._at]
        if found:
            self._at = ""
            self.listed.go(found[0])

    # --- the run under the cursor --------------------------------------------------------------

    def on_rows_pane_moved(self) -> None:
        self._at = ""
        self._look_at()

    def run_to_change(self) -> RunRow | None:
        return self.listed.chosen_row()

    def changed(self) -> None:
        self._watch.nudge()

    def on_runs_list_kept_changed(self) -> None:
        self.app.keep(self.runs, self.listed.kept)  # type: ignore[attr-defined]

    def on_rows_pane_filled(self) -> None:
        if self.listed.wanted.reads:
            self._watch.nudge(reads=True)
        if not self.listed.filter:
            self._tall = len(self.listed.rows or ())
        self.tiles.relayout()
        self._look_at()

    def _look_at(self) -> None:
        row = self.listed.chosen_row()
        known = self._known.get(row.id) if row else None
        self.facts.set_run(row, known[1] if known else None)
        if row is not None and (known is None or known[0] != row):
            self._read(row)

    @work(exclusive=True, group="facts")
    async def _read(self, row: RunRow) -> None:
        """Read a run once the cursor rests on it: the next one cancels this."""
        await asyncio.sleep(_REST_S)
        facts = await asyncio.to_thread(read_facts, row.folder)
        if len(self._known) > 50:
            self._known.clear()
        self._known[row.id] = row, facts
        now = self.listed.chosen_row()
        if now is not None and now.id == row.id:
            self.facts.set_run(now, facts)

    # --- keys ----------------------------------------------------------------------------------

    def on_rows_pane_opened(self) -> None:
        row = self.listed.chosen_row()
        if row is not None:
            self.app.push_screen(RunScreen(self.runs, row.folder, read_only=self.read_only))

    def on_facts_pane_opened(self) -> None:
        self.listed.action_open()

    def action_back(self) -> None:
        """The pane alone, the filter, then the marks are given up; the home screen stays."""
        if self.tiles.full:
            self.choose(self.listed.ID, full=False)
        else:
            self.listed.leave()

    def action_compare(self) -> None:
        from tui.screens.compare import CompareScreen

        by_id = {row.id: row.folder for row in self.listed.all}
        chosen = [by_id[name] for name in self.listed.marked if name in by_id]
        if len(chosen) < 2:
            words = keyed("mark two runs or more with <mark:space>, then press <compare:c>")
            self.notify(words, severity="warning", markup=False)
            return
        self.app.push_screen(CompareScreen(chosen))

    def _member(self) -> RunFolder | None:
        """The run under the cursor, for what a study has not."""
        row = self.listed.chosen_row()
        if row is not None and row.folder.is_study:
            self.notify(keyed("only its members have that: <open:Enter> shows them"), markup=False, timeout=3)
            return None
        return row.folder if row else None

    def action_replay(self) -> None:
        from tui.screens.replay import ReplayScreen

        if folder := self._member():
            self.app.push_screen(ReplayScreen(folder))

    def action_figures(self) -> None:
        from tui.screens.gallery import GalleryScreen

        if folder := self._member():
            self.app.push_screen(GalleryScreen(folder))
