"""The cases of a run: a table, the worst first, and one case with its image and its numbers."""

import asyncio
from collections.abc import Callable

from textual import work
from textual.geometry import Region

from engine.measures import spoken
from engine.readers.run_view import EMPTY, RunView
from engine.runfolder import CaseRow, RunFolder, read_cases
from engine.runfolder.mirror import STREAM, fetch
from tui.plotting.cells import Line
from tui.screens.of_run import ScreenOfRun
from tui.state.case_files import example_of, measured_cases
from tui.state.feed import RunSnapshot
from tui.state.images import Example
from tui.text import figure, one_line, shorten
from tui.widgets.case_image import CaseImage
from tui.widgets.case_panes import CaseList, CaseNumbers, CaseTurned
from tui.widgets.image_pane import ImageFile
from tui.widgets.scores import Scores

_LOOK_S = 1.0


class CaseScreen(ScreenOfRun):
    """Cases of a live run by its newest validation, of a finished one by ``cases.csv``."""

    NAME = "cases"
    PANES = (CaseList, CaseImage, CaseNumbers, Scores)

    def __init__(
        self, folder: RunFolder, source: Callable[[], RunSnapshot | None], *, case: str = "", words: str = ""
    ) -> None:
        """``source`` gives the newest snapshot; ``case``: the id of that to open; ``words``: the filter of the list."""
        now = source()
        started = now.view.started if now else None
        scored = started is None or started.task == "classification"
        super().__init__(folder, follow=False, panes=self.PANES if scored else self.PANES[:-1])
        self.cases, self.image = self.pane(CaseList), self.pane(CaseImage)
        self._scores = self.pane(Scores) if scored else None
        self.cases.filter = words
        self._source = source
        self._wanted = case
        self._seen: RunView | None = None
        self._from_file = False
        self._shown: tuple[str, str] | None = None

    def head_line(self, width: int) -> Line:
        case, metric = self.cases.chosen_row(), self.cases.metric
        line: Line = []
        if case is not None:
            line += [("   case ", "muted"), (one_line(case.id), "ink bold")]
            value = case.values.get(metric)
            line += [(f"   {spoken(one_line(metric))} ", "muted"), (figure(value), "ink")] if value is not None else []
        before = super().head_line(width)
        room = width - 1 - sum(len(text) for text, _ in [*before, *line])  # a number that is cut is another one
        return [*before, (shorten(one_line(self.folder.id), max(12, room)), "ink"), *line]

    def placed(self, width: int, height: int, chosen: str) -> dict[str, Region]:
        if width >= 110:
            left, right = round(width * 0.34), max(34, round(width * 0.26))
            regions = {
                "cases": Region(0, 0, left, height),
                "image": Region(left, 0, width - left - right, height),
                "numbers": Region(width - right, 0, right, height),
            }
            if height >= 34 and self._scores is not None and self._scores.rows:
                half = height // 2
                regions |= {"numbers": Region(width - right, 0, right, half)}
                regions["scores"] = Region(width - right, half, right, height - half)
            return regions if chosen in regions else {chosen: Region(0, 0, width, height)}
        if chosen in {"cases", "scores"} or width < 70:
            return {chosen: Region(0, 0, width, height)}
        right = min(36, width // 2)
        return {"image": Region(0, 0, width - right, height), "numbers": Region(width - right, 0, right, height)}

    @property
    def view(self) -> RunView:
        """The run as it was last seen."""
        return self._seen or EMPTY

    # --- reading -------------------------------------------------------------------------------

    def on_mount(self) -> None:
        if self._wanted:
            self.tiles.chosen = "image"
        self._look()
        self.set_interval(_LOOK_S, self._look)

    def _look(self) -> None:
        """Take the run as it is now, if it is another than before."""
        snapshot = self._source()
        if snapshot is None or snapshot.view is self._seen:
            return
        over = snapshot.over and not self._from_file
        first = self._seen is None
        self._seen = snapshot.view
        self.show(snapshot)
        if not self._from_file:
            self._take(measured_cases(snapshot.view))
        if first or over:
            self._read()

    @work(exclusive=True, group="cases")
    async def _read(self) -> None:
        await asyncio.to_thread(fetch, self.folder, STREAM)
        rows = await asyncio.to_thread(read_cases, self.folder)
        self._from_file = bool(rows)
        self._take(rows or tuple(self.cases.all))

    def _take(self, rows: tuple[CaseRow, ...]) -> None:
        cases = self.cases
        cases.all, cases.whole = rows, self._from_file
        cases.fill()
        if self._scores is not None:
            self._scores.set_rows(rows)
        if self._wanted and (at := self._place(self._wanted)) is not None:
            cases.row = at
            self._wanted = "" if self._from_file else self._wanted
            cases.redraw()
        self._show()

    def _place(self, case: str) -> int | None:
        """The row of a case; that of the validation where several splits have it: from there it was opened."""
        rows = self.cases.rows or []
        found = [at for at, row in enumerate(rows) if row.id == case]
        return next((at for at in found if rows[at].split == "validation"), found[0] if found else None)

    # --- one case ------------------------------------------------------------------------------

    def _show(self) -> None:
        """The case under the cursor in the other panes."""
        case = self.cases.chosen_row()
        other = case is None or (case.split, case.id) != self._shown
        self._shown = (case.split, case.id) if case else None
        self.head.redraw()
        numbers = self.pane(CaseNumbers)
        numbers.case, numbers.chosen = case, self._from_file
        numbers.redraw()
        self.image.set_files(self._pictures(case), self._why_no_image(case), other_case=other)

    def _pictures(self, case: CaseRow | None) -> tuple[ImageFile, ...]:
        """The previews of a case by epoch, then its example of the test."""
        if case is None:
            return ()
        found = tuple(preview for preview in self.view.previews if preview.case == case.id)
        path = example_of(self.folder, case.split, case.id)
        return found if path is None else (*found, Example(path, case.id, case.split))

    def _why_no_image(self, case: CaseRow | None) -> str:
        if case is None:
            return "no case is chosen"
        if self.view.previews and all(preview.case.startswith("case ") for preview in self.view.previews):
            return "previews are kept without names in this run: figures.case_names is false in its recipe"
        kept = "the worst of each validation, and of the test the best, the median and the worst"
        if self.view.started is not None and self.view.started.task == "classification":
            kept = "the worst mistakes of each validation, and some right and wrong ones of the test"
        return f"no image of case {case.id} was kept: only {kept}"

    # --- keys ----------------------------------------------------------------------------------

    def on_rows_pane_filled(self) -> None:
        self._show()

    def on_rows_pane_moved(self) -> None:
        self._wanted = ""
        self._show()

    def on_rows_pane_opened(self) -> None:
        self.choose("image")

    def on_case_turned(self, message: CaseTurned) -> None:
        self.cases.go(self.cases.row + message.by)

    def action_back(self) -> None:
        """The pane alone, the list, then the screen before."""
        if not self.tiles.full and self.tiles.chosen != "cases" and "cases" not in self.tiles.regions():
            self.choose("cases")
        else:
            super().action_back()
