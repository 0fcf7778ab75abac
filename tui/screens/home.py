"""All runs: sorted, filtered, live. Enter opens one, marked ones are compared."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import ClassVar

from textual import work
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.message import Message
from textual.timer import Timer
from textual.widget import Widget

from engine.runfolder import RunFolder
from tui.plotting.cells import Line, cut
from tui.screens.confirm import Prompt
from tui.screens.run import RunScreen
from tui.screens.tiled import Key, TiledScreen
from tui.state.run_facts import RunFacts, read_facts
from tui.state.runs_index import SORT_KEYS, RunRow, RunsWatch, SortKey, chosen_rows, counts
from tui.text import one_line
from tui.widgets.head import STATE_COLORS, STATE_MARKS
from tui.widgets.pane import Canvas, Pane
from tui.widgets.rows import RowsPane
from tui.widgets.run_facts import FactsPane
from tui.widgets.runs_list import MOST_MARKED, RunsList

_REST_S = 0.12
"""The cursor rests so long on a run before its folder is read."""
_AGES_S = 10.0


class HomeHead(Canvas):
    """How many runs there are in which state."""

    DEFAULT_CSS = "HomeHead { height: 1; }"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.rows: tuple[RunRow, ...] = ()
        self.problem = ""
        self.where = ""

    def draw(self, width: int, height: int) -> list[Line]:  # noqa: ARG002
        ink, muted = self.style("ink"), self.style("muted")
        line: Line = [(" medtui ", self.style("accent", bold=True)), ("  ", ink)]
        if self.problem:
            return [cut([*line, (one_line(self.problem), self.style("error"))], width)]
        line.append((f"{len(self.rows)} run{'' if len(self.rows) == 1 else 's'}", self.style("ink", bold=True)))
        for state, count in counts(self.rows):
            look = self.style(STATE_COLORS.get(state, "ink"))
            line += [("   ", ink), (f"{STATE_MARKS.get(state, '●')} {count} {state}", look)]
        return [cut([*line, ("   ", ink), (one_line(self.where), muted)], width)]


class HomeScreen(TiledScreen):
    """The list of runs, and a summary of the one under the cursor."""

    PANES = (("runs", "runs"), ("facts", "run"))
    BAR: ClassVar[tuple[Key, ...]] = (("q", "close", "app.quit"),)
    SECTIONS = (
        (
            "all runs",
            (
                ("Enter", "open the run"),
                ("space", "mark or unmark, up to eight"),
                ("c", "compare the marked runs"),
                ("/", "filter: words that state, recipe, task, metric or id have"),
                ("o  O", "order by the next column, backwards; or click on its head"),
                ("t  f", "replay the run, its figures"),
                ("Home End", "first, last"),
                ("v", "copy the path of the run folder"),
                ("Esc", "drop the filter, then the marks"),
            ),
        ),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "mark", "mark", show=False),
        Binding("c", "compare", "compare", show=False),
        Binding("slash", "filter", "filter", show=False),
        Binding("o", "order", "order", show=False),
        Binding("O", "backwards", "backwards", show=False),
        Binding("t", "replay", "replay", show=False),
        Binding("f", "figures", "figures", show=False),
    ]

    class Found(Message):
        """The folder of runs was looked at; an older look that still waits is not worth drawing."""

        def __init__(self, rows: tuple[RunRow, ...], whole: bool, problem: str) -> None:
            super().__init__()
            self.rows, self.whole, self.problem = rows, whole, problem

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, HomeScreen.Found)

    def __init__(self, runs: Path, *, at: RunFolder | None = None, read_only: bool = False) -> None:
        """The home screen.

        Args:
            runs: the folder of all runs.
            at: the run that the cursor starts on; by default the newest.
            read_only: runs are opened to look at only.
        """
        super().__init__()
        self.runs, self.read_only = runs, read_only
        self.all: tuple[RunRow, ...] = ()
        self._at = at.id if at is not None else ""
        self._facts: dict[str, tuple[RunRow, RunFacts]] = {}
        self._watch = RunsWatch(runs, self._post)
        self._rest: Timer | None = None

    def top(self) -> Iterable[Widget]:
        yield HomeHead(id="home_head")

    def panes(self) -> Iterable[Pane]:
        yield RunsList(id="runs")
        yield FactsPane(id="facts")

    def placed(self, width: int, height: int, chosen: str) -> dict[str, Region]:
        if width >= 150:
            side = min(76, width * 2 // 5)
            return {"runs": Region(0, 0, width - side, height), "facts": Region(width - side, 0, side, height)}
        if height >= 18:
            below = 8 if height < 40 else 11
            return {"runs": Region(0, 0, width, height - below), "facts": Region(0, height - below, width, below)}
        return {chosen: Region(0, 0, width, height)}

    @property
    def listed(self) -> RunsList:
        return self.query_one("#runs", RunsList)

    # --- life ----------------------------------------------------------------------------------

    def on_mount(self) -> None:
        self.listed.where = str(self.runs)
        self.query_one("#home_head", HomeHead).where = str(self.runs)
        self._watch.start()
        self.set_interval(_AGES_S, self._ages)

    def on_unmount(self) -> None:
        self._watch.stop()

    def _post(self, rows: tuple[RunRow, ...], whole: bool, problem: str) -> None:
        if self.is_running:
            self.post_message(self.Found(rows, whole, problem))

    def on_home_screen_found(self, message: Found) -> None:
        self.all = message.rows
        head = self.query_one("#home_head", HomeHead)
        head.rows, head.problem = message.rows, message.problem
        head.redraw()
        self.listed.whole = message.whole
        self._fill()

    def _ages(self) -> None:
        if self.is_current:
            self.listed.redraw()

    def _fill(self) -> None:
        """Sort and filter again."""
        runs = self.listed
        runs.take(chosen_rows(self.all, runs.filter, runs.key, backwards=runs.backwards), len(self.all))
        runs.marked = [name for name in runs.marked if any(row.id == name for row in self.all)]
        if self._at and (at := next((n for n, row in enumerate(runs.rows) if row.id == self._at), None)) is not None:
            self._at = ""
            runs.go(at)
        self._rested_later()

    # --- the run under the cursor --------------------------------------------------------------

    def on_rows_pane_moved(self) -> None:
        self._at = ""
        self._rested_later()

    def _rested_later(self) -> None:
        row, pane = self.listed.chosen_row(), self.query_one("#facts", FactsPane)
        known = self._facts.get(row.id) if row else None
        pane.tell(row, known[1] if known else None)
        if row is None or (known is not None and known[0] == row):
            return
        if self._rest is not None:
            self._rest.stop()
        self._rest = self.set_timer(_REST_S, self._rested)

    def _rested(self) -> None:
        row = self.listed.chosen_row()
        if row is not None:
            self._read(row)

    @work(thread=True, exclusive=True, group="facts")
    def _read(self, row: RunRow) -> None:
        facts = read_facts(row.folder)
        self.call_later(self._take, row, facts)

    def _take(self, row: RunRow, facts: RunFacts) -> None:
        if len(self._facts) > 50:
            self._facts.clear()
        self._facts[row.id] = row, facts
        now = self.listed.chosen_row()
        if now is not None and now.id == row.id:
            self.query_one("#facts", FactsPane).tell(now, facts)

    # --- keys ----------------------------------------------------------------------------------

    def on_rows_pane_opened(self, message: RowsPane.Opened) -> None:  # noqa: ARG002
        row = self.listed.chosen_row()
        if row is not None:
            self.app.push_screen(RunScreen(self.runs, row.folder, read_only=self.read_only))

    def action_open(self) -> None:
        """Open the run under the cursor, whichever pane has the focus."""
        self.listed.open()

    def action_back(self) -> None:
        """The pane alone, the filter, then the marks are given up; the home screen stays."""
        runs = self.listed
        if self.tiles.full:
            self.choose("runs", full=False)
        elif runs.filter:
            runs.filter = ""
            self._fill()
        else:
            runs.marked = []
            runs.redraw()

    def action_mark(self) -> None:
        """Mark the run under the cursor, or take its mark away, and go on to the next."""
        runs, row = self.listed, self.listed.chosen_row()
        if row is None:
            return
        if row.id in runs.marked:
            runs.marked.remove(row.id)
        elif len(runs.marked) >= MOST_MARKED:
            self.notify(f"{MOST_MARKED} runs at most can be compared", severity="warning")
            return
        else:
            runs.marked.append(row.id)
        runs.go(runs.row + 1)
        runs.redraw()

    def action_compare(self) -> None:
        """Compare the marked runs."""
        from tui.screens.compare import CompareScreen

        by_id = {row.id: row.folder for row in self.all}
        chosen = [by_id[name] for name in self.listed.marked if name in by_id]
        if len(chosen) < 2:
            self.notify("mark two runs or more with space, then press c", severity="warning")
            return
        self.app.push_screen(CompareScreen(chosen))

    def action_filter(self) -> None:
        """Ask which runs to show."""

        def on_submit(text: str | None) -> None:
            if text is not None:
                self.listed.filter = text.strip()
                self.listed.row = 0
                self._fill()

        self.app.push_screen(
            Prompt("runs that have these words", self.listed.filter, hint="failed left_atrium"), on_submit
        )

    def action_order(self) -> None:
        """Order by the next column."""
        runs = self.listed
        self._order(SORT_KEYS[(SORT_KEYS.index(runs.key) + 1) % len(SORT_KEYS)], backwards=False)

    def action_backwards(self) -> None:
        """The other way round."""
        self._order(self.listed.key, backwards=not self.listed.backwards)

    def on_runs_list_ordered(self, message: RunsList.Ordered) -> None:
        self._order(message.key, backwards=message.key == self.listed.key and not self.listed.backwards)

    def _order(self, key: SortKey, *, backwards: bool) -> None:
        runs = self.listed
        runs.key, runs.backwards = key, backwards
        runs.row = runs.first = 0
        self._fill()

    def action_replay(self) -> None:
        """Replay the run under the cursor."""
        from tui.screens.replay import ReplayScreen

        row = self.listed.chosen_row()
        if row is not None:
            self.app.push_screen(ReplayScreen(row.folder))

    def action_figures(self) -> None:
        """The figures of the run under the cursor."""
        from tui.screens.gallery import GalleryScreen

        row = self.listed.chosen_row()
        if row is not None:
            self.app.push_screen(GalleryScreen(row.folder))

    def copied(self) -> str:
        row = self.listed.chosen_row()
        return str(row.folder.root.resolve()) if row is not None else ""

    def commands(self) -> list[tuple[str, str, Callable[[], None]]]:
        return [
            ("Open", "The run under the cursor", self.action_open),
            ("Compare", "The marked runs", self.action_compare),
            ("Mark", "The run under the cursor", self.action_mark),
            ("Filter runs", "By state, recipe, task, metric or id", self.action_filter),
            ("Order", "By the next column", self.action_order),
            ("Replay", "The run under the cursor by a time slider", self.action_replay),
            ("Figures", "Of the run under the cursor", self.action_figures),
            ("Copy path", "Of the run folder", self.action_copy),
        ]
