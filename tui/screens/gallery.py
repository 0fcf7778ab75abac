"""The figures of a run, one after the other."""

import asyncio

from textual import work
from textual.geometry import Region

from engine.readers.figure_index import FigureResult
from engine.runfolder import RunFolder
from tui.plotting.cells import Line
from tui.screens.tiled import TiledScreen
from tui.state.figure_files import Pixels, list_figures, load_figure
from tui.text import one_line
from tui.widgets.gallery import FigureList, Picture

_LOOK_S = 3.0
_KEPT = 6  # pictures that are kept: going back and forth reads nothing


class GalleryScreen(TiledScreen):
    """Looks at the figures again while a run draws them."""

    NAME = "figures"
    PANES = (Picture, FigureList)

    def __init__(self, folder: RunFolder) -> None:
        super().__init__()
        self.folder = folder
        self.picture, self.figures = self.pane(Picture), self.pane(FigureList)
        self.picture.root = self.figures.root = folder.root
        self._pixels: dict[str, Pixels | str] = {}
        self._wanted = ""

    def head_line(self, width: int) -> Line:
        figures = self.figures.rows or ()
        failed = sum(not figure.ok for figure in figures)
        line: Line = [*super().head_line(width), (one_line(self.folder.id), "ink bold")]
        line.append((f"   {len(figures) - failed} drawn", "ink"))
        return [*line, (f"   ✕ {failed} could not be drawn", "warning")] if failed else line

    def placed(self, width: int, height: int, chosen: str) -> dict[str, Region]:
        if width >= 110:
            side = min(44, width // 4)
            return {"picture": Region(side, 0, width - side, height), "figures": Region(0, 0, side, height)}
        return {chosen: Region(0, 0, width, height)}

    def on_mount(self) -> None:
        self._look()
        self.set_interval(_LOOK_S, self._look)

    # --- reading -------------------------------------------------------------------------------

    @work(exclusive=True, group="list")
    async def _look(self) -> None:
        found = await asyncio.to_thread(list_figures, self.folder)
        if self.figures.rows != found:
            self.figures.all = found
            self.figures.fill()
            self.head.redraw()

    def _show(self) -> None:
        figure, count = self.figures.chosen_row(), len(self.figures.rows or ())
        pixels = self._pixels.get(figure.path) if figure else None
        self.picture.set_figure(figure, f"{self.figures.row + 1} of {count}", pixels, self.figures.why_empty())
        if figure is not None and pixels is None:
            self._wanted = figure.path
            self._read(figure)

    @work(exclusive=True, group="picture")
    async def _read(self, figure: FigureResult) -> None:
        pixels = await asyncio.to_thread(load_figure, self.folder, figure)
        while len(self._pixels) >= _KEPT:
            del self._pixels[next(iter(self._pixels))]
        self._pixels[figure.path] = pixels
        if figure == self.figures.chosen_row():
            self._show()

    # --- messages ------------------------------------------------------------------------------

    def on_rows_pane_filled(self) -> None:
        self._show()

    def on_rows_pane_moved(self) -> None:
        self._show()

    def on_rows_pane_opened(self) -> None:
        self.choose(self.picture.ID)

    def on_picture_turned(self, message: Picture.Turned) -> None:
        self.figures.go(self.figures.row + message.by)
