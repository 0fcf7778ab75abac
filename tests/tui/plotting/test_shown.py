"""What is sent of an update leaves a terminal as the whole update would, and is only what differs."""

import random
import re
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.segment import ControlType, Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.app import App, ComposeResult
from textual.geometry import Region
from textual.screen import ModalScreen, Screen
from textual.strip import Strip
from textual.widgets import Label

from tui.plotting.cells import Line, cells, differing
from tui.plotting.shown import Shown
from tui.widgets.canvas import Canvas

WORDS = ("Dice 0.81", "──────", "日本語", "e", "\u00e9", "⣀⣤⣶", "   ", "loss")
LOOKS = ("ink", "faint", "accent bold", "error")
CONSOLE = Console(color_system="truecolor", force_terminal=True, width=60)


class Terminal:
    """The little of a terminal that updates use: places, colours, letters of one and two cells."""

    def __init__(self, width: int, height: int) -> None:
        self.cells = [[(" ", "")] * width for _ in range(height)]
        self.bytes = 0

    def write(self, update: CompositorUpdate) -> None:
        sequence = update.render_segments(CONSOLE)
        self.bytes += len(sequence.encode())
        row = column = 0
        look = ""
        for move, style, letter in re.findall(r"\x1b\[(\d+;\d+)H|\x1b\[([\d;]*)m|(.)", sequence):
            if move:
                row, column = (int(part) - 1 for part in move.split(";"))
            elif letter and not cell_len(letter):
                before = column - 1 if self.cells[row][column - 1][0] else column - 2
                self.cells[row][before] = self.cells[row][before][0] + letter, look
            elif letter:
                self.cells[row][column] = letter, look
                for half in range(1, cell_len(letter)):
                    self.cells[row][column + half] = "", look
                column += cell_len(letter)
            else:
                look = "" if style in {"", "0"} else style


class Words(Canvas):
    """Lines of any words, some of which change."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.rng = random.Random(seed)
        self.lines = [self._line() for _ in range(30)]

    def _line(self) -> Line:
        return [(self.rng.choice(WORDS), self.rng.choice(LOOKS)) for _ in range(12)]

    def draw(self, width: int, height: int) -> list[Line]:
        for line in self.lines:
            if self.rng.random() < 0.2:
                line[self.rng.randrange(len(line))] = self.rng.choice(WORDS), self.rng.choice(LOOKS)
        return [list(line) for line in self.lines]


class Over(ModalScreen[None]):
    CSS = "Over { align: center middle; background: $background 60%; } Label { width: 20; height: 3; }"

    def compose(self) -> ComposeResult:
        yield Label("a question")


class Twice(App[None]):
    """Sends each update to one terminal as it is, and to another as `Shown` leaves it."""

    CSS = "Words { height: 1fr; } .high { height: 3fr; }"

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed, self.shown = seed, Shown()
        self.whole, self.less = Terminal(60, 20), Terminal(60, 20)
        self.partial = self.full = 0

    def compose(self) -> ComposeResult:
        yield from (Words(3 * self.seed + 1 + part) for part in range(3))

    def _display(self, screen: Screen[Any], renderable: Any) -> None:
        if isinstance(renderable, CompositorUpdate):
            self.partial += isinstance(renderable, ChopsUpdate)
            self.full += isinstance(renderable, LayoutUpdate)
            self.whole.write(renderable)
            self.less.write(self.shown.lessened(renderable))
            assert self.whole.cells == self.less.cells


@pytest.mark.parametrize("seed", [0, 1, 2])
async def test_both_terminals_show_the_same_after_any_changes(seed: int) -> None:
    rng, app = random.Random(seed), Twice(seed)
    async with app.run_test(size=(60, 20)) as pilot:
        for _ in range(60):
            part = rng.choice(list(app.screen_stack[0].query(Words)))
            match rng.randrange(6):
                case 0:
                    part.toggle_class("high")
                case 1:
                    part.display = not part.display
                case 2:
                    app.pop_screen() if len(app.screen_stack) > 1 else app.push_screen(Over())
                case _:
                    part.redraw()
            await pilot.pause()
    assert app.partial > 5
    assert app.full > 5
    assert app.less.bytes < 0.5 * app.whole.bytes


def test_what_is_shown_already_is_not_sent() -> None:
    shown, row = Shown(), [Strip([Segment("accuracy 0.81")])]
    first = LayoutUpdate([row], Region(0, 0, 13, 1))
    assert shown.lessened(first) is first
    assert shown.lessened(LayoutUpdate([row], Region(0, 0, 13, 1))).render_segments(CONSOLE) == ""
    again = LayoutUpdate([[Strip([Segment("accuracy 0.91")])]], Region(0, 0, 13, 1))
    assert shown.lessened(again).render_segments(CONSOLE) == "\x1b[1;12H9"
    shown.forget()
    assert shown.lessened(again) is again


def test_a_sharp_picture_is_sent_as_it_is_and_all_after_it() -> None:
    shown, row = Shown(), [Strip([Segment("accuracy 0.81")])]
    shown.lessened(LayoutUpdate([row], Region(0, 0, 13, 1)))
    drawn = Segment("\x1bPq\x1b\\", Style.null(), [(ControlType.CURSOR_FORWARD, 0)])
    picture = LayoutUpdate([[Strip([*row[0], drawn], 13)]], Region(0, 0, 13, 1))
    assert shown.lessened(picture) is picture
    after = LayoutUpdate([row], Region(0, 0, 13, 1))
    assert shown.lessened(after) is after


@pytest.mark.parametrize(
    ("old", "new", "spans"),
    [
        ("loss 0.50", "loss 0.50", []),
        ("loss 0.50", "loss 0.47", [(7, 9)]),
        ("0.50 " + "-" * 30 + " 12", "0.51 " + "-" * 30 + " 13", [(3, 4), (37, 38)]),
        ("0.50 -- 12", "0.51 -- 13", [(3, 10)]),  # near ones are cheaper as one
        ("日本 a", "月本 a", [(0, 2)]),  # never half a letter
        ("short", "longer", [(0, 6)]),
        ("e\u0301x", "e\u0301y", [(1, 2)]),  # a mark is part of its letter
        ("ex", "e\u0301x", [(0, 1)]),
    ],
)
def test_spans_that_differ(old: str, new: str, spans: list[tuple[int, int]]) -> None:
    assert differing(cells(Strip([Segment(old)])), cells(Strip([Segment(new)]))) == spans
