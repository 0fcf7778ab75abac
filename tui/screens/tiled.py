"""What all screens share: tiles of panes, keys to move among them, and a bar that names the keys of each."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, TypeVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.message import Message
from textual.screen import Screen
from textual.widget import Widget

from engine.runfolder import RunFolder
from tui.plotting.cells import Line
from tui.screens.confirm import Confirm, Prompt
from tui.screens.key_desk import KeyDesk
from tui.state.feed import Feed, RunSnapshot
from tui.widgets.bars import LAST_NUMBER, HeadLine, Keys, Tabs, number_of
from tui.widgets.canvas import Canvas
from tui.widgets.keys import Section, section
from tui.widgets.pane import Pane
from tui.widgets.sharp_pane import SharpPane
from tui.widgets.tiles import Axis, Tiles

P = TypeVar("P", bound=Pane)


class TiledScreen(Screen[None]):
    """Base class: a line or two on top, panes, a bar of keys.

    A key is looked for in the pane that has the focus, in the screen and the app, in the bars of the screen, and in
    the other panes that are shown. One that only a hidden pane has is answered with where that pane is.
    """

    NAME: ClassVar[str] = ""  # what people call it: the heading of its keys
    PANES: ClassVar[tuple[type[Pane], ...]] = ()  # in the order of Tab and of the number keys
    BARS: ClassVar[tuple[type[Canvas], ...]] = ()  # further parts that have keys
    AUTO_FOCUS = ""  # the chosen pane takes the focus, which need not be the first
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "pane(1)", "pane", key_display="Tab", tooltip="next pane; Shift+Tab: previous pane"),
        Binding("shift+tab", "pane(-1)"),
        Binding(
            "1",
            "number(1)",
            "pane alone",
            key_display=f"1 … {LAST_NUMBER}",
            show=False,
            tooltip="one pane alone; the same key brings the others back",
        ),
        *(Binding(str(number), f"number({number})") for number in range(2, LAST_NUMBER + 1)),
        Binding("escape", "back", "back", key_display="Esc", tooltip="one step back"),
        Binding("ctrl+left", "border('x',-2)"),
        Binding(
            "ctrl+right",
            "border('x',2)",
            "border",
            key_display="Ctrl+← ↑ ↓ →",
            show=False,
            tooltip="move the border of the pane; or drag it",
        ),
        Binding("ctrl+up", "border('y',-1)"),
        Binding("ctrl+down", "border('y',1)"),
    ]

    @dataclass
    class Updated(Message):
        """A new snapshot of one of the runs that are followed; an older one that still waits is not worth drawing."""

        at: int
        snapshot: RunSnapshot

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, TiledScreen.Updated) and message.at == self.at

    def __init__(self, *follow: RunFolder, panes: Sequence[type[Pane]] | None = None) -> None:
        """``follow``: runs of which `Updated` brings snapshots; ``panes``: kinds, by default those of the class."""
        super().__init__()
        self.head: Canvas = HeadLine(self.head_line)
        self.feeds = [Feed(folder, partial(self._followed, at)) for at, folder in enumerate(follow)]
        self.panes = {kind.ID: kind() for kind in panes or self.PANES}
        self.tiles = Tiles(*self.panes.values(), arrangement=self.placed)
        self._tabs = Tabs([(name, pane.NAME) for name, pane in self.panes.items()])
        self._keys = Keys()
        self._desk = KeyDesk(self, TiledScreen)

    def head_line(self, width: int) -> Line:
        """What stands above the panes."""
        return [(" medtui   " if width >= 100 else " ", "accent bold"), (f"{self.NAME} ", "muted")]

    def above(self) -> Iterable[Widget]:
        """What stands between the head and the panes."""
        return ()

    def below(self) -> Iterable[Widget]:
        """What stands between the panes and the keys."""
        return ()

    def placed(self, width: int, height: int, chosen: str) -> dict[str, Region]:
        """Where the panes stand."""
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        yield self.head
        yield from self.above()
        yield self._tabs
        yield self.tiles
        yield from self.below()
        yield self._keys

    @property
    def chosen(self) -> Pane:
        """The pane that has the focus."""
        return self.panes[self.tiles.chosen]

    def pane(self, kind: type[P]) -> P:
        """The pane of a kind."""
        return next(pane for pane in self.panes.values() if isinstance(pane, kind))

    # --- drawing -------------------------------------------------------------------------------

    def on_mount(self) -> None:
        self.relayout()
        for feed in self.feeds:
            feed.start()

    def on_unmount(self) -> None:
        for feed in self.feeds:
            feed.stop()

    def _followed(self, at: int, snapshot: RunSnapshot) -> None:
        if self.is_running:
            self.post_message(self.Updated(at, snapshot))

    def on_resize(self) -> None:
        self.call_after_refresh(self.relayout)

    def on_screen_resume(self) -> None:
        self.repaint()
        self.name_keys()

    def on_screen_suspend(self) -> None:
        for pane in self.query(SharpPane):  # a picture would show through what lies over it
            pane.redraw()

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
        if not self.is_attached:
            return  # a resize that came while the screen was left
        tiles = self.tiles
        tiles.relayout()
        self._tabs.display = len(self.panes) > 1 and len(tiles.regions()) < min(2, len(self.panes))
        self._tabs.choose(tiles.chosen)
        self.chosen.focus(scroll_visible=False)
        self.name_keys()

    def choose(self, name: str, *, full: bool | None = None) -> None:
        """Give a pane the focus."""
        self.tiles.chosen = name
        if full is not None:
            self.tiles.full = full
        self.relayout()

    def on_descendant_focus(self) -> None:
        name = self.focused.id if self.focused is not None else None
        if name is not None and name in self.panes and name != self.tiles.chosen:
            self.choose(name)

    def on_tabs_chosen(self, message: Tabs.Chosen) -> None:
        self.choose(message.pane)

    def on_pane_alone(self, message: Pane.Alone) -> None:
        if len(self.panes) > 1 and message.pane.id:
            alone = not self.tiles.full if message.alone is None else message.alone
            self.choose(message.pane.id, full=alone)

    def on_canvas_asked(self, message: Canvas.Asked) -> None:
        def on_submit(text: str | None) -> None:
            if text is not None:
                message.on_submit(text.strip())

        self.app.push_screen(Prompt(message.question, message.value, hint=message.hint), on_submit)

    def on_canvas_doubted(self, message: Canvas.Doubted) -> None:
        self.app.push_screen(Confirm(*message.questions), lambda yes: message.on_yes() if yes else None)

    # --- keys ----------------------------------------------------------------------------------

    @classmethod
    def help(cls, panes: Iterable[type[Pane]] | None = None) -> tuple[Section, ...]:
        """The keys by who has them: the screen and its bars first, then each pane, by default those of the class."""
        parts = [section(cls.NAME, cls, TiledScreen), *(section(bar.NAME, bar) for bar in cls.BARS)]
        parts += [section(pane.NAME, pane, Pane) for pane in panes or cls.PANES]
        return tuple(part for part in parts if part[1])

    def name_keys(self) -> None:
        """Say what can be pressed now; what lies over the screen would be asked in its place."""
        if self.is_active:
            self._keys.set_keys(self._desk.named())

    def commands(self) -> list[tuple[str, str, Callable[[], object]]]:
        """What the command palette offers here: (title, help, call)."""
        return self._desk.commands()

    async def on_keys_pressed(self, message: Keys.Pressed) -> None:
        await self._desk.press(message.key.owner, message.key.binding)

    async def on_key(self, event: events.Key) -> None:
        await self._desk.pressed(event)

    def action_pane(self, by: int) -> None:
        names = list(self.panes)
        self.choose(names[(names.index(self.tiles.chosen) + by) % len(names)])

    def action_border(self, axis: Axis, by: int) -> None:
        if not self.tiles.move(axis, by):
            self.notify("no border of this pane moves that way", timeout=2)

    def action_number(self, number: int) -> None:
        """One pane alone, or all again where there is room for more than one; the last number has several panes."""
        names = [name for place, name in enumerate(self.panes) if number_of(place) == number]
        if not names:
            return
        alone = len(self.tiles.regions()) == 1
        at = names.index(self.tiles.chosen) + 1 if alone and self.tiles.chosen in names else 0
        if at < len(names):
            self.choose(names[at], full=True)
            return
        self.choose(names[-1], full=False)
        first = next(iter(self.panes))
        if len(self.tiles.regions()) == 1 and self.tiles.beside(first):
            self.choose(first)  # the pane has no place beside the others
        elif len(self.tiles.regions()) == 1 and len(names) > 1:
            self.choose(names[0])  # one pane at a time: round again

    def action_back(self) -> None:
        """One step back: a choice in the pane, the pane alone, then the screen."""
        if self.chosen.leave():
            return
        if self.tiles.full:
            self.choose(self.tiles.chosen, full=False)
        elif len(self.app.screen_stack) > 2:  # Textual's own, and the first of ours
            self.dismiss()
