"""The figures of a run, one after the other."""

from __future__ import annotations

from collections.abc import Iterable

from textual import work
from textual.geometry import Region
from textual.widget import Widget

from engine.readers.figure_index import FigureResult
from engine.runfolder import RunFolder
from tui.plotting.cells import Line, cut
from tui.screens.tiled import TiledScreen
from tui.state.figure_files import Pixels, list_figures, load_figure
from tui.text import one_line
from tui.widgets.canvas import Canvas
from tui.widgets.gallery import FigureList, Picture

_LOOK_S = 3.0
_KEPT = 6
"""Pictures that are kept: going back and forth reads nothing."""


class GalleryHead(Canvas):
    """Whose figures these are."""

    DEFAULT_CSS = "GalleryHead { height: 1; }"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.run = ""
        self.figures: tuple[FigureResult, ...] = ()

    def draw(self, width: int, height: int) -> list[Line]:  # noqa: ARG002
        ink, muted = self.style("ink"), self.style("muted")
        failed = sum(not figure.ok for figure in self.figures)
        line: Line = [(" medtui   " if width >= 100 else " ", self.style("accent", bold=True)), ("figures ", muted)]
        line += [(one_line(self.run), self.style("ink", bold=True)), (f"   {len(self.figures) - failed} drawn", ink)]
        line += [(f"   ✕ {failed} could not be drawn", self.style("warning"))] if failed else []
        return [cut(line, width)]


class GalleryScreen(TiledScreen):
    """Looks at the figures again while a run draws them."""

    NAME = "figures"
    PANES = (Picture, FigureList)

    def __init__(self, folder: RunFolder) -> None:
        super().__init__()
        self.folder = folder
        self.head, self.picture, self.figures = (
            GalleryHead(id="gallery_head"),
            self.pane(Picture),
            self.pane(FigureList),
        )
        self.picture.root = self.figures.root = folder.root
        self.head.run = folder.id
        self._pixels: dict[str, Pixels | str] = {}
        self._wanted = ""

    def top(self) -> Iterable[Widget]:
        yield self.head

    def placed(self, width: int, height: int, chosen: str) -> dict[str, Region]:
        if width >= 110:
            side = min(44, width // 4)
            return {"picture": Region(side, 0, width - side, height), "figures": Region(0, 0, side, height)}
        return {chosen: Region(0, 0, width, height)}

    def on_mount(self) -> None:
        self._look()
        self.set_interval(_LOOK_S, self._look)

    # --- reading -------------------------------------------------------------------------------

    @work(thread=True, exclusive=True, group="list")
    def _look(self) -> None:
        found = list_figures(self.folder)
        self.call_later(self._listed, found)

    def _listed(self, found: tuple[FigureResult, ...]) -> None:
        before = self.figures.figures
        if before == found:
            return
        old = self.figures.chosen_figure()
        self.figures.figures = found
        if old in found:
            self.figures.row = found.index(old)
        self.head.figures = found
        self.head.redraw()
        self.figures.redraw()
        self._show()

    def _show(self) -> None:
        figure, count = self.figures.chosen_figure(), self.figures.count()
        pixels = self._pixels.get(figure.path) if figure else None
        self.picture.set_figure(figure, f"{self.figures.row + 1} of {count}", pixels, self.figures.why_empty())
        if figure is not None and pixels is None:
            self._wanted = figure.path
            self._read(figure)

    @work(thread=True, exclusive=True, group="picture")
    def _read(self, figure: FigureResult) -> None:
        pixels = load_figure(self.folder, figure)
        self.call_later(self._arrived, figure, pixels)

    def _arrived(self, figure: FigureResult, pixels: Pixels | str) -> None:
        while len(self._pixels) >= _KEPT:
            del self._pixels[next(iter(self._pixels))]
        self._pixels[figure.path] = pixels
        if figure == self.figures.chosen_figure():
            self._show()

    # --- messages ------------------------------------------------------------------------------

    def on_rows_pane_moved(self) -> None:
        self._show()

    def on_rows_pane_opened(self) -> None:
        self.choose(self.picture.ID)

    def on_picture_turned(self, message: Picture.Turned) -> None:
        self.figures.go(self.figures.row + message.by)
