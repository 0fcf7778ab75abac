"""Keys that ask the trainer for something, and what is waited for until it answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.binding import Binding, BindingType

from engine.errors import MedtuiError
from engine.runfolder import RunFolder, send
from engine.runfolder.control import Command
from tui.screens.confirm import Confirm, Prompt
from tui.screens.notifier import notify
from tui.screens.preview_reader import PreviewScreen
from tui.state.feed import Feed, RunSnapshot
from tui.state.run_view import RunView
from tui.widgets.bars import Ticker


class ControlScreen(PreviewScreen):
    """Base class of the screen that follows a run."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "pause", "pause", show=False),
        Binding("c", "checkpoint", "checkpoint", show=False),
        Binding("s", "stop", "stop after the epoch", show=False),
        Binding("S", "stop_now", "stop now", show=False),
        Binding("n", "note", "note", show=False),
    ]

    def __init__(self, folder: RunFolder, feed: Feed, *, read_only: bool) -> None:
        super().__init__()
        self.folder, self.feed, self.read_only = folder, feed, read_only
        self.snapshot: RunSnapshot | None = None
        self._waiting: dict[str, str] = {}  # request id -> command

    @property
    def whole_view(self) -> RunView | None:
        return self.snapshot.view if self.snapshot is not None else None

    @property
    def over(self) -> bool:
        return self.snapshot is not None and self.snapshot.over

    def action_pause(self) -> None:
        """Pause, or go on."""
        state = self.snapshot.state if self.snapshot else ""
        self._ask("resume" if state == "paused" else "pause")

    def action_checkpoint(self) -> None:
        """Ask for a checkpoint."""
        self._ask("checkpoint")

    def action_stop(self) -> None:
        """Stop after the running epoch."""
        self._sure("stop", "Stop after this epoch?")

    def action_stop_now(self) -> None:
        """Stop after the running iteration; asked twice."""
        self._sure("stop_now", "Stop now, in the middle of the epoch?", "Really stop now?")

    def action_note(self) -> None:
        """Write a line of text into the stream."""

        def on_submit(text: str | None) -> None:
            if text and text.strip():
                self._ask("note", text.strip())

        if self._may_ask():
            self.app.push_screen(Prompt("note", hint="a line of text into the stream of this run"), on_submit)

    def answered(self, view: RunView) -> None:
        """Take answers off the list of what is waited for."""
        for answer in view.controls:
            command = self._waiting.pop(answer.request, None)
            if command is not None and answer.state != "done":
                notify(self.app, f"{command.replace('_', ' ')}: {answer.state} {answer.message}", "warning")
        self._show_waiting()

    def commands(self) -> list[tuple[str, str, Callable[[], None]]]:
        found = super().commands()
        if not self.read_only:
            found += [
                ("Pause or resume", "The trainer waits, or goes on", self.action_pause),
                ("Checkpoint", "Write a checkpoint now", self.action_checkpoint),
                ("Stop after the epoch", "Then test, figures and report", self.action_stop),
                ("Stop now", "After this iteration", self.action_stop_now),
                ("Note", "A line of text into the stream", self.action_note),
            ]
        return found

    def _sure(self, command: Command, *questions: str) -> None:
        if self._may_ask():
            self.app.push_screen(Confirm(*questions), lambda yes: self._ask(command) if yes else None)

    def _may_ask(self) -> bool:
        if self.read_only:
            notify(self.app, "this dashboard only looks: it was opened read-only", "warning")
        elif self.snapshot is not None and self.snapshot.over:
            notify(self.app, f"the run is {self.snapshot.state}: nobody would answer", "warning")
        else:
            return True
        return False

    def _ask(self, command: Command, text: str = "") -> None:
        if not self._may_ask():
            return
        try:
            request = send(self.folder, command, text)
        except MedtuiError as error:
            notify(self.app, str(error), "error")
            return
        self._waiting[request.id] = command
        self._show_waiting()
        self.feed.nudge()

    def _show_waiting(self) -> None:
        ticker = self.query_one("#ticker", Ticker)
        pending = tuple(self._waiting.values())
        if pending != ticker.pending:
            ticker.pending = pending
            ticker.redraw()
