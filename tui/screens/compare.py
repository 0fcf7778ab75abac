"""Runs side by side: curves over each other, metrics in a table, and what their recipes have different."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from operator import add

from textual import work
from textual.geometry import Region
from textual.widget import Widget

from engine.runfolder import RunFolder, read_status, shown_name
from engine.runfolder.mirror import STREAM, fetch
from tui.plotting.cells import Line, fitted, length
from tui.plotting.comparison import ComparedRun, labels, metric_rows, read_compared_run, recipe_rows, warnings
from tui.screens.tiled import TiledScreen
from tui.state.feed import RunSnapshot
from tui.text import shorten
from tui.theme import mark
from tui.widgets.bars import HeadLine
from tui.widgets.compare_table import MetricsTable, RecipeTable
from tui.widgets.compared_curves import ComparedCurves
from tui.widgets.head import STATE_COLORS


class _SecondLine(HeadLine):
    ID = "legend"


class CompareScreen(TiledScreen):
    """Follows two to eight runs while it is open."""

    NAME = "comparison"
    PANES = (ComparedCurves, MetricsTable, RecipeTable)

    def __init__(self, folders: Sequence[RunFolder]) -> None:
        super().__init__(*folders)
        self.folders = list(folders)
        self.sides = [ComparedRun(folder, folder.name) for folder in folders]
        self.compared = self.pane(ComparedCurves)
        self._more = _SecondLine(lambda width: self._legend(width)[-1])
        self._reference: RunSnapshot | None = None  # any of them: the curves need one to be drawn at all

    def head_line(self, width: int) -> Line:
        return self._legend(width)[0]

    def above(self) -> Iterable[Widget]:
        yield self._more

    def _legend(self, width: int) -> list[Line]:
        """Mark and name of every run: on one line, with states where there is room, else on two with shorter names."""
        brand: Line = [(" medtui   ", "accent bold"), ("compare ", "ink")] if width >= 100 else [(" ", "ink")]
        names = [[(f"{mark(at)} ", f"{at} bold"), (side.label, "ink")] for at, side in enumerate(self.sides)]
        states = [[(f" {side.state}", STATE_COLORS.get(side.state, "muted"))] for side in self.sides]
        for parts in ([*map(add, names, states)] if width >= 100 else names, names):
            if sum(length(part) + 2 for part in parts) <= width - length(brand):
                return [[*brand, *fitted(parts, width, 2)]]
        across = -(-len(names) // 2)
        room = (width - length(brand)) // across - 4
        names = [[sign, (shorten(text, room), look)] for sign, (text, look) in names]
        indent: Line = [(" " * length(brand), "ink")]
        return [[*brand, *fitted(names[:across], width, 2)], [*indent, *fitted(names[across:], width, 2)]]

    def relayout(self) -> None:
        self._more.display = len(self._legend(self.size.width)) > 1
        super().relayout()

    def placed(self, width: int, height: int, chosen: str) -> dict[str, Region]:
        if width >= 170 and height >= 30:
            left, top = width * 3 // 5, height * 3 // 5
            return {
                "curves": Region(0, 0, left, height),
                "metrics": Region(left, 0, width - left, top),
                "recipes": Region(left, top, width - left, height - top),
            }
        if width >= 100 and height >= 28:
            top, half = height // 2, width // 2
            return {
                "curves": Region(0, 0, width, top),
                "metrics": Region(0, top, half, height - top),
                "recipes": Region(half, top, width - half, height - top),
            }
        return {chosen: Region(0, 0, width, height)}

    # --- life ----------------------------------------------------------------------------------

    def on_mount(self) -> None:
        self._read()

    @work
    async def _read(self) -> None:
        """Names, recipes and data of the runs."""
        read = await asyncio.to_thread(_read_sides, self.folders)
        self.sides = [replace(new, view=old.view, state=old.state) for new, old in zip(read, self.sides, strict=True)]
        self._show_all()

    def on_tiled_screen_updated(self, message: TiledScreen.Updated) -> None:
        at, snapshot = message.at, message.snapshot
        self.sides[at] = replace(self.sides[at], view=snapshot.view, state=snapshot.state)
        self._reference = snapshot
        self._show_all()

    def _show_all(self) -> None:
        sides, called = list(self.sides), tuple(side.label for side in self.sides)
        if self._more.display != (len(self._legend(self.size.width)) > 1):
            self.relayout()
        self.head.redraw()
        self._more.redraw()
        self.compared.sides, self.compared.snapshot = sides, self._reference
        self.compared.redraw()  # names may be new where the curves are not
        said = warnings(sides)
        read = all(side.recipe or side.problem for side in sides)
        self.pane(MetricsTable).set_rows(called, metric_rows(sides), said)
        recipes = self.pane(RecipeTable)
        recipes.set_rows(called, recipe_rows(sides) if read else [], [side.problem for side in sides if side.problem])


def _read_sides(folders: Sequence[RunFolder]) -> list[ComparedRun]:
    for folder in folders:
        fetch(folder, STREAM)
    called = labels(folders, [shown_name(folder, read_status(folder).name) for folder in folders])
    return [read_compared_run(folder, label) for folder, label in zip(folders, called, strict=True)]
