"""A screen's panes, put where a function of the size says: one alone on a small terminal, more on a big one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from textual.geometry import NULL_OFFSET, Region, Size, Spacing
from textual.layout import ArrangeResult, Layout, WidgetPlacement
from textual.widget import Widget

Arrangement: TypeAlias = Callable[[int, int, str], dict[str, Region]]
"""(width, height, id of the chosen pane) -> the panes that are shown, and where."""


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
        return self._arrangement(size.width, size.height, self.chosen)

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
