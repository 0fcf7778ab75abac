"""What all screens share: tiles of panes, the same keys to move among and inside them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.screen import Screen
from textual.widget import Widget

from tui.state.feed import RunSnapshot
from tui.widgets.bars import Keys, Tabs
from tui.widgets.pane import Canvas, Pane
from tui.widgets.rows import RowsPane
from tui.widgets.tiles import Tiles

Key = tuple[str, str, str]
"""(key as shown, what it does, action)"""


class TiledScreen(Screen[None]):
    """Base class: a line or two on top, panes, a bar of keys."""

    PANES: ClassVar[tuple[tuple[str, str], ...]] = ()
    """Id and short name of each pane, in the order of Tab and of the number keys."""
    BAR: ClassVar[tuple[Key, ...]] = ()
    """What the key bar says whatever pane has the focus, after the keys of the pane."""
    LEAD: ClassVar[tuple[Key, ...]] = ()
    """The same, before the keys of the pane."""
    SECTIONS: ClassVar[tuple[tuple[str, tuple[tuple[str, str], ...]], ...]] = ()
    """Sections for the help screen."""
    AUTO_FOCUS = ""  # the chosen pane takes the focus, which need not be the first
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "pane(1)", "next pane", show=False),
        Binding("shift+tab", "pane(-1)", "previous pane", show=False),
        *(Binding(str(n), f"number({n})", "pane alone", show=False) for n in range(1, 9)),
        Binding("escape", "back", "back", show=False),
        Binding("enter", "open", "open", show=False),
        Binding("up,k", "scroll(-1)", "up", show=False),
        Binding("down,j", "scroll(1)", "down", show=False),
        Binding("left,h", "side(-1)", "left", show=False),
        Binding("right,l", "side(1)", "right", show=False),
        Binding("left_square_bracket,pageup", "page(-1)", "previous page", show=False),
        Binding("right_square_bracket,pagedown", "page(1)", "next page", show=False),
        Binding("home", "end(0)", "first", show=False),
        Binding("end,G", "end(1)", "last", show=False),
        Binding("v", "copy", "copy", show=False),
    ]

    def top(self) -> Iterable[Widget]:
        """What stands above the panes."""
        return ()

    def panes(self) -> Iterable[Pane]:
        """The panes, with the ids of `PANES`."""
        raise NotImplementedError

    def below(self) -> Iterable[Widget]:
        """What stands between the panes and the keys."""
        return ()

    def placed(self, width: int, height: int, chosen: str) -> dict[str, Region]:
        """Where the panes stand."""
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        yield from self.top()
        yield Tabs(self.PANES, id="tabs")
        yield Tiles(*self.panes(), arrangement=self.placed, id="tiles")
        yield from self.below()
        yield Keys(id="keys")

    @property
    def tiles(self) -> Tiles:
        return self.query_one("#tiles", Tiles)

    @property
    def chosen(self) -> Pane:
        """The pane that has the focus."""
        return self.query_one(f"#{self.tiles.chosen}", Pane)

    # --- drawing -------------------------------------------------------------------------------

    def on_mount(self) -> None:
        self.relayout()

    def on_resize(self) -> None:
        self.call_after_refresh(self.relayout)

    def on_screen_resume(self) -> None:
        self.repaint()

    def repaint(self) -> None:
        """Draw all again: in other colours, or after the screen was covered."""
        for canvas in self.query(Canvas):
            canvas.redraw()

    def show(self, snapshot: RunSnapshot | None) -> None:
        """Give all panes a new snapshot."""
        for canvas in self.query(Canvas):
            canvas.show(snapshot)

    def relayout(self) -> None:
        """After a change of size or pane: who is shown, and what the bars say."""
        tiles = self.tiles
        tiles.relayout()
        tabs = self.query_one("#tabs", Tabs)
        tabs.display = len(self.PANES) > 1 and len(tiles.regions()) < min(2, len(self.PANES))
        tabs.choose(tiles.chosen)
        pane = self.chosen
        pane.focus(scroll_visible=False)
        self.tell_keys()

    def tell_keys(self) -> None:
        """Say what can be pressed now."""
        self.say_keys(self.chosen.KEYS, self.BAR)

    def say_keys(self, own: tuple[Key, ...], always: tuple[Key, ...]) -> None:
        """Say the keys of the pane, and those of the screen."""
        said = {key for key, _, _ in (*self.LEAD, *own, *always)}
        more = [key for key in (("v", "copy", "copy"), ("Tab", "pane", "pane(1)")) if key[0] not in said]
        keys = [key for key in (*self.LEAD, *own, *always, ("?", "help", "app.help")) if self._can(key)]
        further = (key for key in (*self.chosen.MORE, *more) if self._can(key))
        self.query_one("#keys", Keys).tell(tuple(keys), tuple(further))

    def _can(self, key: Key) -> bool:
        """Whether this screen does what a pane offers: panes are used by several."""
        name = key[2].partition("(")[0]
        return name.startswith("app.") or hasattr(self, f"action_{name}")

    def choose(self, name: str, *, full: bool | None = None) -> None:
        """Give a pane the focus."""
        self.tiles.chosen = name
        if full is not None:
            self.tiles.full = full
        self.relayout()

    def on_descendant_focus(self) -> None:
        name = self.focused.id if self.focused is not None else None
        if name is not None and name in dict(self.PANES) and name != self.tiles.chosen:
            self.choose(name)

    def on_tabs_chosen(self, message: Tabs.Chosen) -> None:
        self.choose(message.pane)

    async def on_keys_pressed(self, message: Keys.Pressed) -> None:
        await self.run_action(message.action)

    # --- keys ----------------------------------------------------------------------------------

    def action_pane(self, by: int) -> None:
        """The next or the previous pane."""
        names = [name for name, _ in self.PANES]
        self.choose(names[(names.index(self.tiles.chosen) + by) % len(names)])

    def action_number(self, number: int) -> None:
        """One pane alone, or all again where there is room for more than one."""
        if number <= len(self.PANES):
            name, first = self.PANES[number - 1][0], self.PANES[0][0]
            alone = self.tiles.chosen == name and len(self.tiles.regions()) == 1
            self.choose(name, full=not alone)
            if alone and len(self.tiles.regions()) == 1 and self.tiles.beside(first):
                self.choose(first)  # the pane has no place beside the others

    def action_back(self) -> None:
        """One step back: the pane alone, then the screen."""
        if self.tiles.full:
            self.choose(self.tiles.chosen, full=False)
        else:
            self.dismiss()

    def action_open(self) -> None:
        """What Enter does in the pane that has the focus."""
        pane = self.chosen
        if isinstance(pane, RowsPane):
            pane.open()
        elif len(self.PANES) > 1:
            self.choose(self.tiles.chosen, full=not self.tiles.full)

    def action_scroll(self, by: int) -> None:
        """Up or down."""
        self.chosen.scroll_lines(by)

    def action_side(self, by: int) -> None:
        """Left or right."""
        self.chosen.side(by)

    def action_page(self, by: int) -> None:
        """The next or the previous page."""
        self.chosen.page(by)

    def action_end(self, last: int) -> None:
        """The first or the last line."""
        pane, far = self.chosen, 1 << 30
        if isinstance(pane, RowsPane):
            pane.go(far if last else 0)
        else:
            pane.scroll_lines(far if last else -far)

    def action_copy(self) -> None:
        """Copy what the pane says (OSC 52)."""
        self.copy(self.copied())

    def copied(self) -> str:
        """What `v` copies: by default the text of the pane."""
        return "\n".join(strip.text.strip("│ ").rstrip() for strip in self.chosen._strips[1:-1])

    def copy(self, text: str) -> None:
        """Put ``text`` on the clipboard and say so."""
        if text:
            self.app.copy_to_clipboard(text)
            self.notify(f"copied: {text.splitlines()[0][:60]}", markup=False, timeout=2)

    def commands(self) -> list[tuple[str, str, Callable[[], None]]]:
        """What the command palette offers here: (title, help, call)."""
        return [("Copy pane", "What the pane says", self.action_copy), ("Back", "One step back", self.action_back)]
