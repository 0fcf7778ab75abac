"""All keys and what the marks mean, on one screen."""

from collections.abc import Sequence
from typing import ClassVar

from rich.table import Table
from rich.text import Text
from textual import events
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from tui.screens.tiled import TiledScreen
from tui.settings import keyed
from tui.widgets.keys import Section, binding_for, section
from tui.widgets.pane import Pane


def marks() -> Section:
    """What the marks of all screens mean."""
    worst = keyed("what is wrong with a run: an error, a warning, a note (on its screen <findings:d> shows all)")
    return "marks", (
        ("✕ ∞", "a value that is not a number, or infinite"),
        ("▴ ▾", "raw values beyond the axis"),
        ("★", "best value"),
        ("╎", "the run was resumed here"),
        ("↑ ×", "a run that is pinned, that is hidden"),
        ("✕ ▲ ·", worst),
        ("◌", "an earlier run; a request that waits for its answer"),
    )


def everywhere(app: type[App[None]]) -> Section:
    """The keys that all screens have."""
    parts = (section("", TiledScreen), section("", Pane), section("", app))
    return "everywhere", tuple(row for _, rows in parts for row in rows)


class Reading(ModalScreen[None]):
    """Something to read over the screen. Closes with Esc, q, Enter, and the key that opened it."""

    OPENED = ""  # the action
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter", "dismiss", "close"),
        Binding("j,down", "scroll(1)", "down", show=False),
        Binding("k,up", "scroll(-1)", "up", show=False),
        Binding("pagedown,space", "scroll(10)", "page down", show=False),
        Binding("pageup", "scroll(-10)", "page up", show=False),
    ]

    def on_mount(self) -> None:
        self.query_one("#help").border_subtitle = "↑ ↓ scroll   Esc closes"

    def on_key(self, event: events.Key) -> None:
        beneath = self.app.screen_stack[-2]
        opened = binding_for(beneath, event.key) or binding_for(self.app, event.key)
        if opened is not None and opened.action == self.OPENED:
            event.stop()
            self.dismiss()

    def action_scroll(self, by: int) -> None:
        self.query_one("#help", VerticalScroll).scroll_relative(y=by, animate=False)


class Help(Reading):
    """Every key of the screen beneath."""

    OPENED = "help"

    def compose(self) -> ComposeResult:
        sections = self._sections()
        two = self.app.size.width >= 124
        with VerticalScroll(id="help", classes="wide" if two else ""), Horizontal():
            for part in _halves(sections) if two else [sections]:
                yield Static(self._table(part))

    def _sections(self) -> list[Section]:
        """What the screen beneath has, between what all have and what the marks mean."""
        beneath = self.app.screen_stack[-2] if len(self.app.screen_stack) > 1 else None
        own = beneath.help(map(type, beneath.panes.values())) if isinstance(beneath, TiledScreen) else ()
        return [everywhere(type(self.app)), *own, marks()]

    def _table(self, sections: Sequence[Section]) -> Table:
        table = Table.grid(padding=(0, 2))
        table.add_column(justify="right", no_wrap=True, min_width=18)
        table.add_column()
        for at, (title, keys) in enumerate(sections):
            if at:
                table.add_row("", "")
            table.add_row("", Text(title, style="bold underline"))
            for key, does in keys:
                table.add_row(Text(key, style="bold"), Text(does))
        return table


def _halves(sections: Sequence[Section]) -> tuple[Sequence[Section], Sequence[Section]]:
    """The sections in two columns of about the same height."""
    sizes = [len(rows) + 2 for _, rows in sections]
    at = min(range(len(sections) + 1), key=lambda cut: abs(sum(sizes[:cut]) - sum(sizes[cut:])))
    return sections[:at], sections[at:]
