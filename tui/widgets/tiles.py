"""A screen's panes, put where a function of the size says: one alone on a small terminal, more on a big one.

The user moves the borders between them. A border is called by the first pane that ends at it, such as ``x classes``
or ``y curves``, and moved by a share of the board, so that it stays in its place at another size.
"""

from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

from textual import events
from textual.geometry import NULL_OFFSET, Region, Size, Spacing
from textual.layout import ArrangeResult, Layout, WidgetPlacement
from textual.widget import Widget

Arrangement: TypeAlias = Callable[[int, int, str], dict[str, Region]]
"""(width, height, id of the chosen pane) -> the panes that are shown, and where."""

Axis: TypeAlias = Literal["x", "y"]
LEAST = {"x": 18, "y": 5}  # columns and rows that a pane keeps


def moved(regions: dict[str, Region], borders: Mapping[str, float], size: Size) -> dict[str, Region]:
    """``regions`` of a board after its ``borders`` were moved. A whole line moves, and nothing is torn or covered."""
    for border, share in borders.items():
        axis, _, name = border.partition(" ")
        if axis not in LEAST or name not in regions:
            continue
        start, length, total = (0, 2, size.width) if axis == "x" else (1, 3, size.height)
        edge = regions[name][start] + regions[name][length]
        before = [pane for pane, region in regions.items() if region[start] + region[length] == edge]
        after = [pane for pane, region in regions.items() if region[start] == edge]
        if not after:
            continue
        room = [min(regions[pane][length] for pane in side) - LEAST[axis] for side in (before, after)]
        by = max(min(0, -room[0]), min(max(0, room[1]), round(share * total)))
        for pane in (*before, *after):
            values = list(regions[pane])
            values[start] += by if pane in after else 0
            values[length] += -by if pane in after else by
            regions = {**regions, pane: Region(*values)}
    return regions


def border_at(regions: Mapping[str, Region], axis: Axis, edge: int) -> str | None:
    """The name of the border at a column or row; None where there is none inside the board."""
    ends = {name: region.right if axis == "x" else region.bottom for name, region in regions.items()}
    starts = {region.x if axis == "x" else region.y for region in regions.values()}
    return next((f"{axis} {name}" for name, end in ends.items() if end == edge and end in starts), None)


class _TilesLayout(Layout):
    """Puts children where the arrangement says."""

    name = "tiles"

    def arrange(self, parent: Widget, children: list[Widget], size: Size, greedy: bool = True) -> ArrangeResult:  # noqa: ARG002
        assert isinstance(parent, Tiles)  # noqa: S101  # it is its layout
        regions = parent.regions(size)
        return [
            WidgetPlacement(regions[child.id or ""], NULL_OFFSET, Spacing(), child)
            for child in children
            if child.id in regions
        ]


class Tiles(Widget):
    """Holds panes; ``chosen`` has the focus, ``full`` shows it alone."""

    DEFAULT_CSS = "Tiles { height: 1fr; }"

    def __init__(self, *children: Widget, arrangement: Arrangement) -> None:
        super().__init__(*children, id="tiles")
        self.chosen = children[0].id or ""
        self.full = False
        self.borders: dict[str, float] = {}
        self._dragged: tuple[str, int] | None = None  # a border, and where the mouse is that has it
        self._arrangement = arrangement
        self._tiles_layout = _TilesLayout()
        self._shown: dict[str, Region] = {}

    @property
    def layout(self) -> Layout:
        return self._tiles_layout

    def regions(self, size: Size | None = None) -> dict[str, Region]:
        """The panes that are shown, and where."""
        size = self.size if size is None else size
        if self.full:
            return {self.chosen: Region(0, 0, size.width, size.height)}
        return moved(self._arrangement(size.width, size.height, self.chosen), self.borders, size)

    def beside(self, chosen: str) -> bool:
        """Whether other panes stand beside ``chosen`` at this size."""
        return len(self._arrangement(self.size.width, self.size.height, chosen)) > 1

    def relayout(self) -> None:
        """Show those that have a place, hide the others."""
        regions = self.regions()
        if regions != self._shown:  # a layout sends the whole screen again
            self._shown = regions
            for child in self.children:
                child.display = child.id in regions
                child.refresh(layout=True)  # Textual forgets how it arranged the parent of who asks, not who asks

    def on_resize(self) -> None:
        self.relayout()

    # --- borders -------------------------------------------------------------------------------

    def move(self, axis: Axis, by: int) -> bool:
        """Move the border after the chosen pane, or that before it where it is the last; False where there is none."""
        regions = self.regions()
        region = regions[self.chosen]
        first, last = (region.x, region.right) if axis == "x" else (region.y, region.bottom)
        border = border_at(regions, axis, last) or border_at(regions, axis, first)
        return border is not None and self._move(border, by)

    def _move(self, border: str, by: int) -> bool:
        before, total = self.regions(), self.size.width if border[0] == "x" else self.size.height
        share = self.borders.get(border, 0.0)
        self.borders[border] = share + by / total
        if self.regions() == before:  # it can go no further
            self.borders[border] = share
            return False
        self.relayout()
        return True

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """A frame between two panes is taken hold of."""
        x, y = event.screen_x - self.region.x, event.screen_y - self.region.y
        regions = self.regions()
        places: tuple[tuple[Axis, int], ...] = (("x", x), ("y", y))
        here = {name: region for name, region in regions.items() if region.grow((1, 1, 1, 1)).contains(x, y)}
        found = (border_at(here, axis, at + beside) for axis, at in places for beside in (0, 1))
        border = next(filter(None, found), None)
        if border is not None and self.app.mouse_captured is None:
            self._dragged = border, x if border[0] == "x" else y
            self.capture_mouse()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        if self._dragged is None:
            return
        border, at = self._dragged
        now = event.screen_x - self.region.x if border[0] == "x" else event.screen_y - self.region.y
        if now != at and self._move(border, now - at):
            self._dragged = border, now

    def on_mouse_up(self) -> None:
        if self._dragged is not None:
            self._dragged = None
            self.release_mouse()
