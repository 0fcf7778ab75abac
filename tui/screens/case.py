"""The cases of a run: a table, the worst first, and one case with its image and its numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import ClassVar

from textual import work
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.widget import Widget

from engine.events import Preview
from engine.runfolder import RunFolder
from tui.plotting.cells import Line, cut
from tui.screens.confirm import Prompt
from tui.screens.tiled import Key, TiledScreen
from tui.state.case_files import (
    ORDERS,
    CaseRow,
    chosen_cases,
    list_examples,
    main_metric,
    measured_cases,
    read_cases,
    read_example,
)
from tui.state.feed import RunSnapshot
from tui.state.previews import read_preview
from tui.state.run_view import EMPTY, RunView
from tui.text import figure, one_line
from tui.widgets.case_panes import CaseImage, CaseList, CaseNumbers
from tui.widgets.pane import Canvas, Pane
from tui.widgets.slice_view import SliceView

_LOOK_S = 1.0


class CaseHead(Canvas):
    """The run and the case."""

    DEFAULT_CSS = "CaseHead { height: 1; }"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.run = ""
        self.case: CaseRow | None = None
        self.metric = ""

    def draw(self, width: int, height: int) -> list[Line]:  # noqa: ARG002
        ink, muted = self.style("ink"), self.style("muted")
        line: Line = [(" medtui   " if width >= 100 else " ", self.style("accent", bold=True)), ("cases ", muted)]
        line.append((one_line(self.run), ink))
        if self.case is not None:
            line += [("   case ", muted), (one_line(self.case.id), self.style("ink", bold=True))]
            value = self.case.values.get(self.metric)
            line += [(f"   {one_line(self.metric)} ", muted), (figure(value), ink)] if value is not None else []
        return [cut(line, width)]


class CaseScreen(TiledScreen):
    """Cases of a live run by its newest validation, of a finished one by ``cases.csv``."""

    PANES = (("cases", "cases"), ("image", "image"), ("numbers", "numbers"))
    BAR: ClassVar[tuple[Key, ...]] = (("Tab", "pane", "pane(1)"), ("Esc", "back", "back"))
    SECTIONS = (
        (
            "cases",
            (
                ("Enter", "open the case under the cursor"),
                ("[ ]", "previous, next case"),
                ("← →", "image: earlier, later epoch; the last is of the chosen checkpoint"),
                ("↑ ↓", "image: slice"),
                ("/", "filter: words that id, split, group or classes have"),
                ("o", "order: worst first, best first, by id"),
                ("v", "copy the id, or the numbers"),
                ("Esc", "the list, then back"),
            ),
        ),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "filter", show=False),
        Binding("o", "order", "order", show=False),
    ]

    def __init__(self, folder: RunFolder, source: Callable[[], RunSnapshot | None], *, case: str = "") -> None:
        """The cases of a run.

        Args:
            folder: the run.
            source: gives the newest snapshot of it; asked every second.
            case: the id of the case to open.
        """
        super().__init__()
        self.folder = folder
        self._source = source
        self._wanted = case
        self._seen: RunView | None = None
        self._all: tuple[CaseRow, ...] = ()
        self._from_file = False
        self._shown: tuple[str, str] | None = None
        self._examples: dict[tuple[str, str], str] = {}

    def top(self) -> Iterable[Widget]:
        yield CaseHead(id="case_head")

    def panes(self) -> Iterable[Pane]:
        yield CaseList(id="cases")
        yield CaseImage(id="image")
        yield CaseNumbers(id="numbers")

    def placed(self, width: int, height: int, chosen: str) -> dict[str, Region]:
        if width >= 110:
            left, right = round(width * 0.34), max(34, round(width * 0.26))
            return {
                "cases": Region(0, 0, left, height),
                "image": Region(left, 0, width - left - right, height),
                "numbers": Region(width - right, 0, right, height),
            }
        if chosen == "cases" or width < 70:
            return {chosen: Region(0, 0, width, height)}
        right = min(36, width // 2)
        return {
            "image": Region(0, 0, width - right, height),
            "numbers": Region(width - right, 0, right, height),
        }

    @property
    def cases(self) -> CaseList:
        return self.query_one("#cases", CaseList)

    @property
    def image(self) -> CaseImage:
        return self.query_one("#image", CaseImage)

    @property
    def view(self) -> RunView:
        """The run as it was last seen."""
        return self._seen or EMPTY

    # --- reading -------------------------------------------------------------------------------

    def on_mount(self) -> None:
        self.query_one("#case_head", CaseHead).run = self.folder.id
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
        if not self._from_file:
            self._take(measured_cases(snapshot.view))
        if first or over:
            self._read()

    @work(thread=True, exclusive=True, group="cases")
    def _read(self) -> None:
        rows, examples = read_cases(self.folder), list_examples(self.folder)
        self.call_later(self._arrived, rows, examples)

    def _arrived(self, rows: tuple[CaseRow, ...], examples: dict[tuple[str, str], str]) -> None:
        self._examples = examples
        self._from_file = bool(rows)
        self._take(rows or self._all)

    def _take(self, rows: tuple[CaseRow, ...]) -> None:
        self._all = rows
        cases = self.cases
        cases.take(chosen_cases(rows, cases.filter, cases.order), main_metric(rows))
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
        case = self.cases.chosen_case()
        head, numbers, image = (
            self.query_one("#case_head", CaseHead),
            self.query_one("#numbers", CaseNumbers),
            self.image,
        )
        if case is None or (case.split, case.id) != self._shown:
            self._shown = (case.split, case.id) if case else None
            image.epoch = image.at = None
        head.case, head.metric = case, self.cases.metric
        head.redraw()
        snapshot = self._source()
        numbers.case = case
        numbers.show(snapshot)
        if snapshot is None:
            return
        image.why_empty = self._why_no_image(case)
        image.show(replace(snapshot, view=replace(EMPTY, started=self.view.started, previews=self._pictures(case))))

    def _pictures(self, case: CaseRow | None) -> tuple[Preview, ...]:
        """The previews of a case, and its example as if it were one more epoch."""
        if case is None:
            return ()
        found = tuple(preview for preview in self.view.previews if preview.case == case.id)
        path = self._examples.get((case.split, case.id))
        if path is None:
            return found
        after = max((preview.epoch for preview in found), default=self.view.epoch) + 1
        return (*found, Preview(path=path, epoch=after, case=case.id, split=case.split))

    def _why_no_image(self, case: CaseRow | None) -> str:
        if case is None:
            return "no case is chosen"
        if self.view.previews and all(preview.case.startswith("case ") for preview in self.view.previews):
            return "previews are kept without names in this run: figures.case_names is false in its recipe"
        kept = "the worst of each validation, and of the test the best, the median and the worst"
        if self.view.started is not None and self.view.started.task == "classification":
            kept = "the worst mistakes of each validation, and some right and wrong ones of the test"
        return f"no image of case {case.id} was kept: only {kept}"

    def on_slice_view_wanted(self, message: SliceView.Wanted) -> None:
        self._read_image(message.preview, self.view)

    @work(thread=True, group="previews")
    def _read_image(self, preview: Preview, view: RunView) -> None:
        if preview.path.startswith("examples/"):
            found = read_example(self.folder, preview.path, view.classes)
        else:
            found = read_preview(self.folder, preview, view)
        self.call_later(self.image.arrived, preview.path, found)

    # --- keys ----------------------------------------------------------------------------------

    def on_rows_pane_moved(self) -> None:
        self._wanted = ""
        self._show()

    def on_rows_pane_opened(self) -> None:
        self.choose("image")

    def action_next(self, by: int) -> None:
        """The next or the previous case."""
        self.cases.go(self.cases.row + by)

    def action_page(self, by: int) -> None:
        """A page of the list; elsewhere the next case."""
        if self.tiles.chosen == "cases":
            super().action_page(by)
        else:
            self.action_next(by)

    def action_end(self, last: int) -> None:
        """The first or the last slice, case or line."""
        if self.tiles.chosen == "image":
            self.image.at = 1 << 30 if last else 0  # the pane knows how many there are
            self.image.redraw()
        else:
            super().action_end(last)

    def action_back(self) -> None:
        """The pane alone, the list, then the screen before."""
        if not self.tiles.full and self.tiles.chosen != "cases" and "cases" not in self.tiles.regions():
            self.choose("cases")
        else:
            super().action_back()

    def action_filter(self) -> None:
        """Ask which cases to show."""

        def on_submit(text: str | None) -> None:
            if text is not None:
                self.cases.filter = text.strip()
                self.cases.row = 0
                self._take(self._all)

        self.app.push_screen(Prompt("cases that have these words", self.cases.filter, hint="test melanoma"), on_submit)

    def action_order(self) -> None:
        """Worst first, best first, by id."""
        cases = self.cases
        cases.order = ORDERS[(ORDERS.index(cases.order) + 1) % len(ORDERS)]
        self._take(self._all)

    def copied(self) -> str:
        case = self.cases.chosen_case()
        return case.id if case is not None and self.tiles.chosen != "numbers" else super().copied()

    def commands(self) -> list[tuple[str, str, Callable[[], None]]]:
        return [
            ("Filter cases", "By id, split, group or class", self.action_filter),
            ("Order", "Worst first, best first, by id", self.action_order),
            *super().commands(),
        ]
