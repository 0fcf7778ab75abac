"""Finds, names and does the keys of one screen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from textual import events
from textual.binding import Binding
from textual.dom import DOMNode

from tui.settings import keyed
from tui.text import one_line
from tui.widgets.bars import number_key
from tui.widgets.canvas import Canvas
from tui.widgets.keys import Key, binding_for, bindings_of
from tui.widgets.pane import Pane

if TYPE_CHECKING:
    from tui.screens.tiled import TiledScreen


class KeyDesk:
    """Finds and names the keys of one screen, whichever part of it has them."""

    def __init__(self, screen: TiledScreen, above: type[TiledScreen]) -> None:
        """``above``: the class whose keys all screens have."""
        self._screen, self._above = screen, above

    def _bars(self) -> Iterator[Canvas]:
        """The parts with keys that are no panes."""
        return (bar for bar in self._screen.query(Canvas) if isinstance(bar, self._screen.BARS))

    def _offered(self, owner: DOMNode, binding: Binding) -> bool:
        action = binding.action.partition("(")[0]
        if owner is self._screen and action == "back":  # named where it leads somewhere
            return self._screen.tiles.full or len(self._screen.app.screen_stack) > 2
        return owner.offers(action) if isinstance(owner, Canvas) else owner.check_action(action, ()) is True

    def named(self) -> list[Key]:
        """What can be pressed now: the keys that go before all others first, help last."""
        screen = self._screen
        owners: list[DOMNode] = [screen.chosen, *self._bars(), screen, screen.app]
        keys = [
            Key(owner, binding)
            for owner in owners
            for binding in bindings_of(type(owner))
            if binding.description and self._offered(owner, binding)
        ]
        return sorted(keys, key=lambda key: (not key.binding.priority, key.binding.action == "help"))

    def commands(self) -> list[tuple[str, str, Callable[[], object]]]:
        """What the command palette offers: (title, help, call), of all panes, also of those that are hidden."""
        screen = self._screen
        owners: list[tuple[DOMNode, type[DOMNode]]] = [(pane, Pane) for pane in screen.panes.values()]
        owners += [*((bar, Canvas) for bar in self._bars()), (screen, self._above)]
        found: list[tuple[str, str, Callable[[], object]]] = []
        for owner, above in owners:
            for binding in bindings_of(type(owner), above):
                if binding.description and self._offered(owner, binding):
                    key = Key(owner, binding)
                    call = partial(screen.call_later, self.press, owner, binding)
                    found.append((f"{key.words.capitalize()}  {key.name}", key.help, call))
        found.append((keyed("Copy  <copy:v>"), "what the pane says", screen.chosen.action_copy))
        for place, (name, pane) in enumerate(screen.panes.items()):
            show = partial(screen.choose, name, full=True)
            found.append((f"Pane: {pane.NAME}  {number_key(place)}", "show it alone", show))
        return [*found, (keyed("Back  <back:Esc>"), "one step back", screen.action_back)]

    async def press(self, owner: DOMNode, binding: Binding) -> None:
        """Do what a key does, in a hidden pane after it is shown; a fault of a pane stays its own."""
        screen = self._screen
        if isinstance(owner, Pane) and not owner.display and owner.id:
            screen.choose(owner.id)
        try:
            await screen.app.run_action(binding.action, owner)
        except Exception as error:
            if not isinstance(owner, Canvas):
                raise
            owner.failed(error)
            screen.notify(one_line(owner.fault), severity="error", markup=False)

    async def pressed(self, event: events.Key) -> None:
        """Find who has the key; the keys of the screen and of the app are left to Textual."""
        screen, chosen = self._screen, self._screen.chosen
        panes = list(screen.panes.values())
        owner: Canvas | None = chosen if binding_for(chosen, event.key) else None
        if owner is None and event.key in screen.active_bindings:
            return
        if owner is None:
            shown = [*self._bars(), *(pane for pane in panes if pane.display)]
            owner = next((part for part in shown if binding_for(part, event.key)), None)
        if owner is not None and (binding := binding_for(owner, event.key)):
            event.stop()
            await self.press(owner, binding)
        elif hidden := next((pane for pane in panes if binding_for(pane, event.key)), None):
            event.stop()
            words = f"{hidden.NAME} has this key: {number_key(panes.index(hidden))} shows it"
            screen.notify(words, markup=False, timeout=3)
