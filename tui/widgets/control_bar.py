"""Asks the trainer for things, and says what happened last: the newest events, and requests without an answer yet."""

import asyncio
import time
from typing import ClassVar

from textual import work
from textual.binding import Binding, BindingType
from textual.message import Message

from engine.errors import MedtuiError
from engine.readers.run_view import RunView
from engine.runfolder import RunFolder, send, write_label
from engine.runfolder.control import Command
from tui.plotting.cells import Line, length
from tui.state.feed import RunSnapshot
from tui.text import one_line
from tui.widgets.canvas import Canvas
from tui.widgets.lines import describe, notable


class ControlBar(Canvas):
    """One line. A request is a file in the run folder; the trainer answers in the stream."""

    ID, NAME = "ticker", "training"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "pause", "pause", tooltip="pause, or go on"),
        Binding("s", "stop", "stop", tooltip="stop after this epoch; then test, figures and report"),
        Binding("S", "stop_now", "stop now", show=False, tooltip="stop after this iteration (asks twice)"),
        Binding("c", "checkpoint", "checkpoint", tooltip="write a checkpoint now"),
        Binding("n", "note", "note", tooltip="a line of text about the run; of a live one into its stream"),
    ]

    class Sent(Message):
        """A request was sent: its answer is awaited."""

    def __init__(self, folder: RunFolder, *, read_only: bool) -> None:
        super().__init__()
        self.folder, self.read_only = folder, read_only
        self._waiting: dict[str, str] = {}  # request id -> command

    @property
    def over(self) -> bool:
        """Whether nobody is there to answer."""
        return self.snapshot is not None and self.snapshot.over

    def offers(self, action: str) -> bool:
        return not self.read_only and (action == "note" or not self.over)

    def called(self, binding: Binding) -> str:
        return "go on" if binding.action == "pause" and self._paused else super().called(binding)

    @property
    def _paused(self) -> bool:
        return self.snapshot is not None and self.snapshot.state == "paused"

    def depends_on(self, snapshot: RunSnapshot) -> tuple[object, ...]:
        return (snapshot.view.journal,)

    def draw(self, width: int, height: int) -> list[Line]:  # noqa: ARG002
        line: Line = [(" ", "ink")]
        for command in self._waiting.values():
            words = f"◌ {command.replace('_', ' ')} asked, waiting for the trainer   "
            line.append((words, "warning"))
        parts: list[Line] = []
        for event in reversed([e for e in self.snapshot.view.journal if notable(e)] if self.snapshot else []):
            kind, text, color = describe(event)
            when = time.strftime("%H:%M:%S", time.localtime(event.time_s))
            part: Line = [(f"{when} ", "muted"), (f"{kind} ", color), (one_line(text), "ink"), ("   ", "ink")]
            if parts and length(line) + sum(map(length, parts)) + length(part) > width:
                break
            parts.insert(0, part)
        return [[*line, *(span for part in parts for span in part)]]

    def take_answers(self, view: RunView) -> None:
        """Take what the trainer has answered off the list of what is waited for."""
        before = len(self._waiting)
        for answer in view.controls:
            command = self._waiting.pop(answer.request, None)
            if command is not None and answer.state != "done":
                self._say(f"{command.replace('_', ' ')}: {answer.state} {answer.message}")
        if len(self._waiting) != before:
            self.redraw()

    # --- keys ----------------------------------------------------------------------------------

    def action_pause(self) -> None:
        self._request("resume" if self._paused else "pause")

    def action_checkpoint(self) -> None:
        self._request("checkpoint")

    def action_stop(self) -> None:
        self._doubt("stop", "Stop after this epoch?")

    def action_stop_now(self) -> None:
        self._doubt("stop_now", "Stop now, in the middle of the epoch?", "Really stop now?")

    def action_note(self) -> None:
        """Into the stream by the trainer; of a run that is over, beside it."""

        def on_submit(text: str) -> None:
            if self.over:
                self._label(text)
            else:
                self._request("note", text)

        if (self.over and not self.read_only) or self._possible():
            value = self.snapshot.label.note if self.snapshot and self.over else ""
            self.post_message(self.Asked("note", on_submit, value, hint="a line of text about this run"))

    @work
    async def _label(self, text: str) -> None:
        try:
            await asyncio.to_thread(write_label, self.folder, note=text)  # another machine has to answer
        except MedtuiError as error:
            self._say(str(error))
        else:
            self.post_message(self.Sent())

    def _doubt(self, command: Command, *questions: str) -> None:
        if self._possible():
            self.post_message(self.Doubted(questions, lambda: self._request(command)))

    def _possible(self) -> bool:
        if self.read_only:
            self._say("this dashboard only looks: it was opened read-only")
        elif self.snapshot is not None and self.snapshot.over:
            self._say(f"the run is {self.snapshot.state}: nobody would answer")
        else:
            return True
        return False

    def _request(self, command: Command, text: str = "") -> None:
        if not self._possible() or (command == "note" and not text):
            return
        try:
            request = send(self.folder, command, text)
        except MedtuiError as error:
            self._say(str(error))
            return
        self._waiting[request.id] = command
        self.post_message(self.Sent())
        self.redraw()

    def _say(self, text: str) -> None:
        self.notify(one_line(text), severity="warning", markup=False, timeout=3)
