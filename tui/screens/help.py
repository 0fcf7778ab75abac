"""All keys and what the marks mean, on one screen."""

from __future__ import annotations

from typing import ClassVar, TypeAlias

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from tui.ascii import to_ascii

Section: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]
KEYS: tuple[Section, ...] = (
    (
        "everywhere",
        (
            ("Tab  Shift+Tab", "next, previous pane"),
            ("1 … 8", "one pane alone; the same key or Esc brings the others back"),
            ("↑ ↓  k j", "scroll, choose"),
            ("[ ]  PgUp PgDn", "page"),
            ("v  V", "copy what the pane says, the path of the run"),
            ("d", "dark or light"),
            ("r", "all runs"),
            ("t  f", "replay the run by a time slider, its figures"),
            ("Ctrl+P", "every command by name"),
            ("q", "close the dashboard; the training goes on"),
        ),
    ),
    (
        "curves",
        (
            ("← →  h l", "cursor that reads values"),
            ("- +", "less or more smoothing (the band behind is the raw range)"),
            ("y", "logarithmic axis for the chosen curve"),
            ("x", "by iteration, epoch or time"),
            ("z Z  mouse wheel", "zoom in, out"),
            ("H L  Shift+arrows", "pan; or drag with the mouse"),
            ("0", "whole axis, no cursor"),
            ("/", "filter by name"),
            ("g", "ghost: an earlier run, the best of the same recipe first"),
            ("Enter", "the chosen curve on the whole screen"),
        ),
    ),
    (
        "training",
        (
            ("p", "pause or resume"),
            ("c", "write a checkpoint"),
            ("s", "stop after this epoch"),
            ("S", "stop now (asks twice)"),
            ("n", "note: a line of text into the stream"),
        ),
    ),
    (
        "other panes",
        (
            ("m", "classes: next metric"),
            ("e", "log: only this level and above"),
            ("G", "log, events: the newest line"),
            ("Enter", "worst cases: open the case (all cases, images, numbers)"),
            ("← →  ↑ ↓  [ ]", "slice: epoch, slice, case"),
        ),
    ),
    (
        "marks",
        (
            ("✕ ∞", "a value that is not a number, or infinite"),
            ("▴ ▾", "raw values beyond the axis"),
            ("★", "best value"),
            ("╎", "the run was resumed here"),
            ("◌", "an earlier run; a request that waits for its answer"),
        ),
    ),
)


class Help(ModalScreen[None]):
    """Closes with any of the keys that opened it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,enter", "dismiss", "close"),
        Binding("j,down", "scroll(1)", "down", show=False),
        Binding("k,up", "scroll(-1)", "up", show=False),
        Binding("pagedown,space", "scroll(10)", "page down", show=False),
        Binding("pageup", "scroll(-10)", "page up", show=False),
    ]

    def compose(self) -> ComposeResult:
        sections = self._sections()
        two = self.app.size.width >= 124
        with VerticalScroll(id="help", classes="wide" if two else ""), Horizontal():
            if two:
                yield Static(self._table(sections[:2]))
                yield Static(self._table(sections[2:]))
            else:
                yield Static(self._table(sections))

    def _sections(self) -> tuple[Section, ...]:
        """What the screen beneath says of itself before what holds everywhere; else the keys of a run."""
        beneath = self.app.screen_stack[-2] if len(self.app.screen_stack) > 1 else None
        own: tuple[Section, ...] = getattr(beneath, "SECTIONS", ())
        return (KEYS[0], *own, KEYS[-1]) if own else KEYS

    def action_scroll(self, by: int) -> None:
        """Scroll by lines."""
        self.query_one("#help", VerticalScroll).scroll_relative(y=by, animate=False)

    def _table(self, sections: tuple[Section, ...]) -> Table:
        plain = bool(getattr(self.app, "ascii_only", False))
        table = Table.grid(padding=(0, 2))
        table.add_column(justify="right", no_wrap=True, min_width=18)
        table.add_column()
        for at, (section, keys) in enumerate(sections):
            if at:
                table.add_row("", "")
            table.add_row("", Text(section, style="bold underline"))
            for key, does in keys:
                shown = to_ascii(key) if plain else key
                table.add_row(Text(shown, style="bold"), Text(to_ascii(does) if plain else does))
        return table
