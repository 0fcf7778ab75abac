"""Where the panes stand: one at a time on a small terminal, all together on a big one."""

from __future__ import annotations

from itertools import pairwise

from textual.geometry import NULL_OFFSET, Region, Size, Spacing
from textual.layout import ArrangeResult, Layout, WidgetPlacement
from textual.widget import Widget

PANES: tuple[tuple[str, str], ...] = (
    ("curves", "curves"),
    ("classes", "classes"),
    ("slice", "slice"),
    ("cases", "worst"),
    ("resources", "resources"),
    ("log", "log"),
    ("journal", "events"),
    ("recipe", "recipe"),
)
"""Id and short name of each pane, in the order of Tab and of the number keys."""


def arrange(width: int, height: int, chosen: str, *, full: bool) -> dict[str, Region]:
    """The panes that are shown on ``width`` x ``height`` cells, and where.

    Args:
        width: of the board, without head and key bar.
        height: of the board.
        chosen: the pane that has the focus.
        full: show it alone.
    """
    if full or width < 60 or height < 24 or (width < 110 and height < 40):
        return {chosen: Region(0, 0, width, height)}
    if width < 110:
        return _tall(width, height)
    if width < 170 or height < 30:
        return _middle(width, height)
    left = min(width - 50, round(width * 0.69))
    side = width - left
    rows = _parts(height, (3, 2, 4))
    regions = _middle(left, height)
    for name, (top, tall) in zip(("log", "journal", "recipe"), rows, strict=True):
        regions[name] = Region(left, top, side, tall)
    return regions


def _middle(width: int, height: int) -> dict[str, Region]:
    """Curves above; below them classes, the slice, and worst cases over resources."""
    below = max(13, min(22, round(height * 0.38)))
    top = height - below
    classes, cases = round(width * 0.38), round(width * 0.3)
    resources = 7
    return {
        "curves": Region(0, 0, width, top),
        "classes": Region(0, top, classes, below),
        "slice": Region(classes, top, width - classes - cases, below),
        "cases": Region(width - cases, top, cases, below - resources),
        "resources": Region(width - cases, height - resources, cases, resources),
    }


def _tall(width: int, height: int) -> dict[str, Region]:
    """For terminals that are high and narrow."""
    top, middle, bottom = _parts(height, (5, 3, 3))
    half = width // 2
    return {
        "curves": Region(0, 0, width, top[1]),
        "classes": Region(0, middle[0], half, middle[1]),
        "slice": Region(half, middle[0], width - half, middle[1]),
        "log": Region(0, bottom[0], half, bottom[1]),
        "resources": Region(half, bottom[0], width - half, bottom[1]),
    }


def _parts(height: int, weights: tuple[int, ...]) -> list[tuple[int, int]]:
    """(first row, rows) of parts of ``height``."""
    edges = [height * sum(weights[:i]) // sum(weights) for i in range(len(weights) + 1)]
    return [(first, second - first) for first, second in pairwise(edges)]


class _BoardLayout(Layout):
    """Puts children where `arrange` says."""

    name = "board"

    def arrange(self, parent: Widget, children: list[Widget], size: Size, greedy: bool = True) -> ArrangeResult:  # noqa: ARG002
        assert isinstance(parent, Board)  # noqa: S101  # it is its layout
        regions = arrange(size.width, size.height, parent.chosen, full=parent.full)
        return [
            WidgetPlacement(regions[child.id or ""], NULL_OFFSET, Spacing(), child)
            for child in children
            if child.id in regions
        ]


class Board(Widget):
    """Holds the panes."""

    def __init__(self, *children: Widget, id: str | None = None) -> None:  # noqa: A002
        super().__init__(*children, id=id)
        self.chosen = PANES[0][0]
        self.full = False
        self._regions: dict[str, Region] = {}
        self._board_layout = _BoardLayout()

    @property
    def layout(self) -> Layout:
        return self._board_layout

    def place(self, chosen: str, *, full: bool, size: Size) -> bool:
        """Show the panes that have a place on ``size`` cells and hide the others; True where one is alone."""
        self.chosen, self.full = chosen, full
        regions = arrange(size.width, size.height, chosen, full=full)
        if regions != self._regions:  # a layout paints the whole screen again
            self._regions = regions
            for child in self.children:
                child.display = child.id in regions
            self.refresh(layout=True)
        return len(regions) == 1

    def regions(self) -> dict[str, Region]:
        """The panes that are shown, and where."""
        return arrange(self.size.width, self.size.height, self.chosen, full=self.full)
