"""A time slider: one line that says where in the run the screen stands."""

from dataclasses import dataclass

from textual import events
from textual.message import Message

from tui.plotting.cells import Line
from tui.state.replaying import Stop
from tui.widgets.canvas import Canvas


class Slider(Canvas):
    """A bar with a knob; a click moves it. Stars are the checkpoints that were the best so far."""

    ID = "slider"
    DEFAULT_CSS = "Slider { height: 1; }"

    @dataclass
    class Moved(Message):
        """A place on the bar was clicked; ``share`` is 0 to 1."""

        share: float

    stop: Stop | None = None
    total = 0  # iterations of the whole run
    stars: tuple[int, ...] = ()  # iterations
    plays = False

    def draw(self, width: int, height: int) -> list[Line]:  # noqa: ARG002
        stop = self.stop
        if stop is None:
            return [[(" nothing to replay yet", "muted")]]
        left: Line = [(" ▸ " if self.plays else " ‖ ", f"{'warning' if self.plays else 'muted'} bold")]
        room = width - 5
        knob = room - 1 if stop.end else self._column(stop.iteration, room)
        chars = [("━" if at < knob else "─", "accent" if at < knob else "faint") for at in range(room)]
        for star in self.stars:
            at = self._column(star, room)
            chars[at] = ("★", "warning" if at <= knob else "faint")
        chars[knob] = ("●", "accent bold")
        return [[*left, *chars, (" ", "ink")]]

    def _column(self, iteration: int, room: int) -> int:
        return max(0, min(room - 1, round(iteration / max(1, self.total) * (room - 1))))

    def on_click(self, event: events.Click) -> None:
        self.post_message(self.Moved(max(0.0, min(1.0, (event.x - 3) / max(1, self.size.width - 6)))))
