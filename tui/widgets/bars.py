"""One-line bars: the head, the names of the panes, and the keys."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from textual import events
from textual.message import Message

from tui.plotting.cells import Line, cut, length
from tui.settings import keyed
from tui.state.feed import RunSnapshot
from tui.widgets.canvas import Canvas
from tui.widgets.keys import Key

LAST_NUMBER = 9  # panes beyond it share its key, which walks through them


def number_of(place: int) -> int:
    """The number key of a pane by its place, 0 for the first."""
    return min(place + 1, LAST_NUMBER)


def number_key(place: int) -> str:
    """The key in force for a pane by its place."""
    return keyed(f"<number({number_of(place)}):{number_of(place)}>")


class HeadLine(Canvas):
    """The line on top of a screen, which the screen words."""

    ID = "head"
    DEFAULT_CSS = "HeadLine { height: 1; }"

    def __init__(self, worded: Callable[[int], Line]) -> None:
        super().__init__()
        self._worded = worded

    def draw(self, width: int, height: int) -> list[Line]:  # noqa: ARG002
        return [cut(self._worded(width), width)]


class Bar(Canvas):
    """Words side by side; a click on one sends its message."""

    _ends: Sequence[tuple[int, Callable[[], Message]]] = ()

    def parts(self, width: int) -> Iterator[tuple[Line, Callable[[], Message]]]:
        """What stands in ``width`` cells, and what a click on it sends."""
        raise NotImplementedError

    def depends_on(self, snapshot: RunSnapshot) -> tuple[object, ...]:  # noqa: ARG002
        return ()

    def draw(self, width: int, height: int) -> list[Line]:  # noqa: ARG002
        line: Line = []
        ends = []
        for part, message in self.parts(width):
            line += part
            ends.append((length(line), message))
        self._ends = ends
        return [line]

    def on_click(self, event: events.Click) -> None:
        if message := next((message for end, message in self._ends if event.x < end), None):
            self.post_message(message())


class Tabs(Bar):
    """The panes by name and number; a click chooses one."""

    ID = "tabs"

    @dataclass
    class Chosen(Message):
        """A pane was clicked."""

        pane: str

    def __init__(self, names: Sequence[tuple[str, str]]) -> None:
        """``names``: (id, name) of each pane in the order of their numbers."""
        super().__init__()
        self.names = tuple(names)
        self.chosen = self.names[0][0]

    def choose(self, pane: str) -> None:
        """Mark a pane as the one that is shown."""
        self.chosen = pane
        self.redraw()

    def parts(self, width: int) -> Iterator[tuple[Line, Callable[[], Message]]]:
        spare = width - sum(len(title) + 4 for _, title in self.names)
        for place, (pane, title) in enumerate(self.names):
            marked = pane == self.chosen
            text = f" {number_key(place)} {title if spare >= 0 or marked else title[:5]} "
            yield [(text, "ink bold on raised" if marked else "muted")], partial(self.Chosen, pane)


class Keys(Bar):
    """What can be pressed now; a click does the same."""

    ID = "keys"
    keys: tuple[Key, ...] = ()

    @dataclass
    class Pressed(Message):
        """A key of the bar was clicked."""

        key: Key

    def set_keys(self, keys: Iterable[Key]) -> None:
        """Name other keys: those that are always shown, then from left to right as many as there is room for."""
        self.keys = tuple(keys)
        self.redraw()

    def parts(self, width: int) -> Iterator[tuple[Line, Callable[[], Message]]]:
        for at, key in enumerate(self._fitting(width - 1)):
            name: Line = [("" if at else " ", "ink"), (key.name, "accent bold")]
            yield [*name, (f" {key.words}  ", "muted")], partial(self.Pressed, key)

    def _fitting(self, room: int) -> list[Key]:
        """The last key (help) always, then those that are always shown, then the others; in their order."""
        chosen: set[int] = set()
        always = [at for at, key in enumerate(self.keys) if key.binding.show]
        for at in [*always[-1:], *always, *range(len(self.keys))]:
            key = self.keys[at]
            size = len(key.name) + len(key.words) + (3 if chosen else 1)  # nothing need follow the last one
            if at not in chosen and size <= room:
                chosen.add(at)
                room -= size
        return [self.keys[at] for at in sorted(chosen)]
