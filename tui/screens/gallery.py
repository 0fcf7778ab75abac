"""The figures of a run, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ClassVar

from textual import work
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.widget import Widget

from engine.runfolder import RunFolder
from tui.plotting.cells import Line, cut
from tui.screens.tiled import Key, TiledScreen
from tui.state.figure_files import FigureFile, Pixels, list_figures, load_figure
from tui.text import one_line
from tui.widgets.gallery import FigureList, Picture
from tui.widgets.pane import Canvas, Pane

_LOOK_S = 3.0
_KEPT = 6
"""Pictures that are kept: going back and forth reads nothing."""


class GalleryHead(Canvas):
    """Whose figures these are."""

    DEFAULT_CSS = "GalleryHead { height: 1; }"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.run = ""
        self.figures: tuple[FigureFile, ...] = ()

    def draw(self, width: int, height: int) -> list[Line]:  # noqa: ARG002
        ink, muted = self.style("ink"), self.style("muted")
        failed = sum(not figure.ok for figure in self.figures)
        line: Line = [(" medtui   " if width >= 100 else " ", self.style("accent", bold=True)), ("figures ", muted)]
        line += [(one_line(self.run), self.style("ink", bold=True)), (f"   {len(self.figures) - failed} drawn", ink)]
        line += [(f"   ✕ {failed} could not be drawn", self.style("warning"))] if failed else []
        return [cut(line, width)]


class GalleryScreen(TiledScreen):
    """Looks at the figures again while a run draws them."""

    PANES = (("picture", "figure"), ("figures", "list"))
    BAR: ClassVar[tuple[Key, ...]] = (("Tab", "list", "pane(1)"), ("Esc", "back", "back"))
    SECTIONS = (
        (
            "figures",
            (
                ("← →  h l", "previous, next figure; zoomed in: move"),
                ("[ ]", "previous, next figure at any zoom"),
                ("Home End", "first, last"),
                ("z Z  + -", "zoom in, out"),
                ("↑ ↓", "zoomed in: move; in the list: choose"),
                ("0", "the whole figure"),
                ("v", "copy its path"),
                ("Esc", "whole figure, then back"),
            ),
        ),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("z,plus,equals_sign", "zoom(1)", "zoom in", show=False),
        Binding("Z,minus", "zoom(-1)", "zoom out", show=False),
        Binding("0", "reset", "whole figure", show=False),
    ]

    def __init__(self, folder: RunFolder) -> None:
        super().__init__()
        self.folder = folder
        self._pixels: dict[str, Pixels | str] = {}
        self._wanted = ""

    def top(self) -> Iterable[Widget]:
        yield GalleryHead(id="gallery_head")

    def panes(self) -> Iterable[Pane]:
        yield Picture(id="picture")
        yield FigureList(id="figures")

    def placed(self, width: int, height: int, chosen: str) -> dict[str, Region]:
        if width >= 110:
            side = min(44, width // 4)
            return {"picture": Region(side, 0, width - side, height), "figures": Region(0, 0, side, height)}
        return {chosen: Region(0, 0, width, height)}

    @property
    def figures(self) -> FigureList:
        return self.query_one("#figures", FigureList)

    @property
    def picture(self) -> Picture:
        return self.query_one("#picture", Picture)

    def on_mount(self) -> None:
        self.query_one("#gallery_head", GalleryHead).run = self.folder.id
        self._look()
        self.set_interval(_LOOK_S, self._look)

    # --- reading -------------------------------------------------------------------------------

    @work(thread=True, exclusive=True, group="list")
    def _look(self) -> None:
        found = list_figures(self.folder)
        self.call_later(self._listed, found)

    def _listed(self, found: tuple[FigureFile, ...]) -> None:
        before = self.figures.figures
        if before == found:
            return
        old = self._chosen_figure()
        self.figures.figures = found
        if old in found:
            self.figures.row = found.index(old)
        head = self.query_one("#gallery_head", GalleryHead)
        head.figures = found
        head.redraw()
        self.figures.redraw()
        self._show()

    def _chosen_figure(self) -> FigureFile | None:
        figures = self.figures.figures or ()
        return figures[min(self.figures.row, len(figures) - 1)] if figures else None

    def _show(self) -> None:
        figure, count = self._chosen_figure(), self.figures.count()
        pixels = self._pixels.get(figure.path) if figure else None
        self.picture.tell(figure, f"{self.figures.row + 1} of {count}", pixels, self.figures.why_empty())
        if figure is not None and pixels is None:
            self._wanted = figure.path
            self._read(figure)

    @work(thread=True, exclusive=True, group="picture")
    def _read(self, figure: FigureFile) -> None:
        pixels = load_figure(self.folder, figure)
        self.call_later(self._arrived, figure, pixels)

    def _arrived(self, figure: FigureFile, pixels: Pixels | str) -> None:
        while len(self._pixels) >= _KEPT:
            del self._pixels[next(iter(self._pixels))]
        self._pixels[figure.path] = pixels
        if figure == self._chosen_figure():
            self._show()

    # --- keys ----------------------------------------------------------------------------------

    def on_rows_pane_moved(self) -> None:
        self._show()

    def on_rows_pane_opened(self) -> None:
        self.choose("picture")

    def action_side(self, by: int) -> None:
        """The next figure, or the part at the side of a zoomed one."""
        if self.picture.zoom > 1 and self.tiles.chosen == "picture":
            self.picture.pan(by, 0)
        else:
            self.figures.go(self.figures.row + by)

    def action_scroll(self, by: int) -> None:
        """Up or down: in the list, or in a zoomed figure."""
        if self.picture.zoom > 1 and self.tiles.chosen == "picture":
            self.picture.pan(0, by)
        else:
            self.figures.go(self.figures.row + by)

    def action_page(self, by: int) -> None:
        """The next figure."""
        self.figures.go(self.figures.row + by)

    def action_end(self, last: int) -> None:
        """The first or the last figure."""
        self.figures.go(self.figures.count() - 1 if last else 0)

    def action_zoom(self, by: int) -> None:
        """Closer or farther."""
        self.picture.zoom_by(by)

    def action_reset(self) -> None:
        """The whole figure."""
        self.picture.zoom, self.picture.centre = 1.0, (0.5, 0.5)
        self.picture.redraw()

    def action_back(self) -> None:
        """The whole figure, then the screen before."""
        if self.picture.zoom > 1:
            self.action_reset()
        else:
            super().action_back()

    def copied(self) -> str:
        figure = self._chosen_figure()
        return str((self.folder.root / figure.path).resolve()) if figure else ""

    def commands(self) -> list[tuple[str, str, Callable[[], None]]]:
        return [("Copy path", "Of the figure", self.action_copy), ("Whole figure", "No zoom", self.action_reset)]
