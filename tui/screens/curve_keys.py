"""Keys of the curves, for all screens of tiles that have a pane of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.binding import Binding, BindingType

from tui.screens.confirm import Prompt
from tui.screens.tiled import TiledScreen
from tui.widgets.curves import Curves

CURVE_KEYS = (
    ("x  y  - +", "curves: axis, logarithm, smoothing"),
    ("z Z  H L  0", "curves: zoom, pan, whole axis"),
    ("/", "curves: filter by name"),
    ("[ ]", "next page"),
)


class CurveScreen(TiledScreen):
    """Base class of screens with a pane called ``curves``."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("minus", "smooth(-1)", "less smoothing", show=False),
        Binding("plus,equals_sign", "smooth(1)", "more smoothing", show=False),
        Binding("y", "log", "log axis", show=False),
        Binding("x", "axis", "x axis", show=False),
        Binding("z", "zoom(1)", "zoom in", show=False),
        Binding("Z", "zoom(-1)", "zoom out", show=False),
        Binding("0", "reset", "whole axis", show=False),
        Binding("H,shift+left", "pan(-1)", "pan left", show=False),
        Binding("L,shift+right", "pan(1)", "pan right", show=False),
        Binding("slash", "filter", "filter", show=False),
    ]

    @property
    def curves(self) -> Curves:
        """The pane of curves."""
        return self.query_one("#curves", Curves)

    def action_back(self) -> None:
        """Cursor, zoom, full chart; then the pane alone; then the screen."""
        if self.tiles.chosen == "curves" and self.curves.leave():
            if not self.curves.full and self.tiles.full:
                self.choose("curves", full=False)
            return
        super().action_back()

    def action_open(self) -> None:
        """The chosen chart alone, or the pane."""
        if self.tiles.chosen == "curves":
            self.curves.action_full()
            self.choose("curves", full=self.curves.full)
        else:
            super().action_open()

    def action_smooth(self, by: int) -> None:
        """More or less smoothing."""
        self.curves.action_smooth(by)

    def action_log(self) -> None:
        """Logarithmic axis of the chosen curve."""
        self.curves.action_log()

    def action_axis(self) -> None:
        """The next horizontal axis."""
        self.curves.action_axis()

    def action_zoom(self, by: int) -> None:
        """Zoom in or out."""
        self.curves.action_zoom(by)

    def action_pan(self, by: int) -> None:
        """Move the zoomed part."""
        self.curves.action_pan(by)

    def action_reset(self) -> None:
        """The whole axis."""
        self.curves.action_reset()

    def action_filter(self) -> None:
        """Ask which curves to show."""

        def on_submit(text: str | None) -> None:
            if text is not None:
                self.curves.filter = text.strip()
                self.curves.redraw()

        self.app.push_screen(Prompt("curves whose name contains", self.curves.filter, hint="dice"), on_submit)

    def copied(self) -> str:
        return self.curves.values() if self.tiles.chosen == "curves" else super().copied()

    def commands(self) -> list[tuple[str, str, Callable[[], None]]]:
        return [
            ("Filter curves", "Show curves by name", self.action_filter),
            ("X axis", "By iteration, epoch or time", self.action_axis),
            ("Log axis", "Logarithmic values of the chosen curve", self.action_log),
            *super().commands(),
        ]
