"""The run: its head, its panes, its keys."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.notifications import SeverityLevel
from textual.screen import Screen

from engine.errors import MedtuiError
from engine.runfolder import RunFolder, send
from engine.runfolder.control import Command
from tui import terminal
from tui.estimate import done_share
from tui.feed import Feed, Snapshot
from tui.ghosts import candidates, load_view
from tui.previews import read_preview
from tui.run_view import RunView
from tui.screens.confirm import Confirm, Prompt
from tui.widgets.bars import Keys, Tabs, Ticker
from tui.widgets.board import PANES, Board, arrange
from tui.widgets.cases import Cases
from tui.widgets.cells import one_line
from tui.widgets.classes import Classes
from tui.widgets.curves import Curves, Ghost
from tui.widgets.head import Head
from tui.widgets.lines import Journal, LogPane
from tui.widgets.pane import Canvas, Pane
from tui.widgets.recipe import RecipePane
from tui.widgets.resources import Resources
from tui.widgets.slice_view import SliceView

_ALWAYS = (("Tab", "pane", "pane(1)"), ("r", "runs", "app.runs"), ("q", "close", "app.quit"), ("?", "help", "app.help"))
_CONTROL = (("p", "pause", "pause"), ("s", "stop", "stop"), ("c", "checkpoint", "checkpoint"), ("n", "note", "note"))
_CLOCK_S = 1.0
_SETTLING_S = 0.2
"""Textual lays a new screen out several times, each time sending all of it: it is empty till then."""


class RunScreen(Screen[None]):
    """Follows one run folder while it is open."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "pane(1)", "next pane", show=False),
        Binding("shift+tab", "pane(-1)", "previous pane", show=False),
        *(Binding(str(n), f"alone('{pane}')", name, show=False) for n, (pane, name) in enumerate(PANES, start=1)),
        Binding("escape", "back", "back", show=False),
        Binding("enter", "open", "open", show=False),
        Binding("up,k", "scroll(-1)", "up", show=False),
        Binding("down,j", "scroll(1)", "down", show=False),
        Binding("left,h", "side(-1)", "left", show=False),
        Binding("right,l", "side(1)", "right", show=False),
        Binding("left_square_bracket,pageup", "page(-1)", "previous page", show=False),
        Binding("right_square_bracket,pagedown", "page(1)", "next page", show=False),
        Binding("minus", "smooth(-1)", "less smoothing", show=False),
        Binding("plus,equals_sign", "smooth(1)", "more smoothing", show=False),
        Binding("y", "log", "log axis", show=False),
        Binding("x", "axis", "x axis", show=False),
        Binding("z", "zoom(1)", "zoom in", show=False),
        Binding("Z", "zoom(-1)", "zoom out", show=False),
        Binding("0", "reset", "whole axis", show=False),
        Binding("H,shift+left", "pan(-1)", "pan left", show=False),
        Binding("L,shift+right", "pan(1)", "pan right", show=False),
        Binding("slash", "filter", "filter", show=False),
        Binding("g", "ghost", "ghost", show=False),
        Binding("m", "metric", "metric", show=False),
        Binding("e", "level", "log level", show=False),
        Binding("G", "newest", "newest", show=False),
        Binding("v", "copy", "copy", show=False),
        Binding("V", "copy_path", "copy path", show=False),
        Binding("t", "replay", "replay", show=False),
        Binding("f", "figures", "figures", show=False),
        Binding("p", "pause", "pause", show=False),
        Binding("c", "checkpoint", "checkpoint", show=False),
        Binding("s", "stop", "stop after the epoch", show=False),
        Binding("S", "stop_now", "stop now", show=False),
        Binding("n", "note", "note", show=False),
    ]

    class Updated(Message):
        """A new snapshot of the run; an older one that still waits is not worth drawing."""

        def __init__(self, snapshot: Snapshot) -> None:
            super().__init__()
            self.snapshot = snapshot

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, RunScreen.Updated)

    def __init__(self, runs: Path, folder: RunFolder, *, read_only: bool = False) -> None:
        super().__init__()
        self.runs, self.folder, self.read_only = runs, folder, read_only
        self.snapshot: Snapshot | None = None
        self._feed = Feed(folder, self._post)
        self._waiting: dict[str, str] = {}  # request id -> command
        self._ghosts: list[RunFolder] | None = None
        self._ghost_at = -1
        self._title = ""
        self._drawing = False
        self._left_at = ("curves", False)  # the pane with the focus, and whether it stands alone

    def compose(self) -> ComposeResult:
        yield Head(id="head")
        yield Tabs(PANES, id="tabs")
        yield Board(
            Curves(id="curves"),
            Classes(id="classes"),
            SliceView(id="slice"),
            Cases(id="cases"),
            Resources(id="resources"),
            LogPane(id="log"),
            Journal(id="journal"),
            RecipePane(id="recipe"),
            id="board",
        )
        yield Ticker(id="ticker")
        yield Keys(id="keys")

    # --- the parts -----------------------------------------------------------------------------

    @property
    def board(self) -> Board:
        return self.query_one("#board", Board)

    @property
    def curves(self) -> Curves:
        return self.query_one("#curves", Curves)

    def pane(self, name: str) -> Pane:
        """A pane by its id."""
        return self.query_one(f"#{name}", Pane)

    # --- life ----------------------------------------------------------------------------------

    def on_mount(self) -> None:
        settings = self.app.settings  # type: ignore[attr-defined]
        self.curves.smoothing = settings.smoothing
        self.curves.mode = settings.axis
        self._choose(settings.pane if settings.pane in dict(PANES) else "curves", full=settings.alone)
        self._feed.start()
        self.set_interval(_CLOCK_S, self._tick)
        self.set_timer(_SETTLING_S, self._begin)

    def _begin(self) -> None:
        """The layout is settled: from here on panes are drawn."""
        self._drawing = True
        self._draw_all()

    def on_unmount(self) -> None:
        self.app.remember(pane=self._left_at[0], alone=self._left_at[1])  # type: ignore[attr-defined]
        self._feed.stop()

    def on_resize(self) -> None:
        self._settle()

    def on_screen_resume(self) -> None:
        if self._drawing:
            self._draw_all()

    def on_run_screen_updated(self, message: Updated) -> None:
        before, self.snapshot = self.snapshot, message.snapshot
        if before is None or before.over != message.snapshot.over:
            self._settle()  # the keys of control come or go
        self._answered(message.snapshot.view)
        if self._drawing and self.is_current:
            self._draw_all()
        self._tell_terminal(before, message.snapshot)

    def _post(self, snapshot: Snapshot) -> None:
        if self.is_running:
            self.post_message(self.Updated(snapshot))

    def _tick(self) -> None:
        """The clock in the head goes on while nothing else happens."""
        if self.is_current:
            self.query_one("#head", Head).redraw()

    def _draw_all(self) -> None:
        for canvas in self.query(Canvas):
            canvas.show(self.snapshot)

    def _tell_terminal(self, before: Snapshot | None, now: Snapshot) -> None:
        """Title with the progress; a bell and a notification when the run ends."""
        share = done_share(now.view)
        name = now.view.started.name if now.view.started else self.folder.id
        percent = "" if share is None or now.over else f"{share * 100:.0f} %"
        state = now.state if now.over or now.state == "paused" else ""
        self._say_title(" ".join(word for word in (percent, state, name, "– medtui") if word))
        if before is not None and not before.over and now.over and before.read_share == 1:
            self.app.bell()
            self._say(terminal.notification(f"{name}: {now.state}"))
            self.notify(
                f"the run is {now.state}", severity="information" if now.state == "finished" else "error", markup=False
            )

    def _tell(self, text: str, severity: SeverityLevel = "information") -> None:
        """A short message over the corner of the screen; names in it come from files."""
        self.notify(one_line(text), severity=severity, markup=False, timeout=3)

    def _say_title(self, text: str) -> None:
        if text != self._title:
            self._title = text
            self._say(terminal.title(text))

    def _say(self, sequence: str) -> None:
        driver = self.app._driver  # Textual has no public way to write a sequence of one's own
        if driver is not None and not self.app.is_headless:
            driver.write(sequence)

    def repaint(self) -> None:
        """Draw all again, in other colours."""
        for canvas in self.query(Canvas):
            canvas.redraw()

    def commands(self) -> list[tuple[str, str, Callable[[], None]]]:
        """What the command palette offers here: (title, help, call)."""
        found: list[tuple[str, str, Callable[[], None]]] = [
            ("Filter curves", "Show curves by name", self.action_filter),
            ("Ghost", "An earlier run of the same recipe behind the curves", self.action_ghost),
            ("Log axis", "Logarithmic values of the chosen curve", self.action_log),
            ("X axis", "By iteration, epoch or time", self.action_axis),
            ("Copy path", "The path of the run folder", self.action_copy_path),
            ("Replay", "The run at an earlier moment, by a time slider", self.action_replay),
            ("Figures", "What the run has drawn", self.action_figures),
            ("Copy pane", "What the pane says", self.action_copy),
            *((f"Pane: {name}", "Show it alone", partial(self.action_alone, pane)) for pane, name in PANES),
        ]
        if not self.read_only:
            found += [
                ("Pause or resume", "The trainer waits, or goes on", self.action_pause),
                ("Checkpoint", "Write a checkpoint now", self.action_checkpoint),
                ("Stop after the epoch", "Then test, figures and report", self.action_stop),
                ("Stop now", "After this iteration", self.action_stop_now),
                ("Note", "A line of text into the stream", self.action_note),
            ]
        return found

    # --- panes ---------------------------------------------------------------------------------

    def _settle(self) -> None:
        """After a change of size, pane or fullness: who is shown, and what the bars say."""
        self._choose(self.board.chosen)

    def _choose(self, name: str, *, full: bool | None = None) -> None:
        """Give a pane the focus, alone or among the others."""
        board, size = self.board, self.app.size
        full = board.full if full is None else full
        self._left_at = name, full
        crowded = len(arrange(size.width, size.height - 4, name, full=full)) == 1
        tabs, ticker = self.query_one("#tabs", Tabs), self.query_one("#ticker", Ticker)
        tabs.display, ticker.display = crowded, not crowded or size.height >= 30
        board.place(name, full=full, size=Size(size.width, size.height - 3 - tabs.display - ticker.display))
        tabs.choose(name)
        pane = self.pane(name)
        pane.focus(scroll_visible=False)
        over = self.snapshot is not None and self.snapshot.over
        control = () if self.read_only or over else _CONTROL
        self.query_one("#keys", Keys).tell((*pane.KEYS, *control, *_ALWAYS), pane.MORE)

    def on_descendant_focus(self) -> None:
        focused = self.focused
        if focused is not None and focused.id in dict(PANES) and focused.id != self.board.chosen:
            self._choose(focused.id or "curves")

    def on_tabs_chosen(self, message: Tabs.Chosen) -> None:
        self._choose(message.pane)

    async def on_keys_pressed(self, message: Keys.Pressed) -> None:
        await self.run_action(message.action)

    def action_pane(self, by: int) -> None:
        """The next or the previous pane: of those that are shown, or of all where one is shown."""
        names = [pane for pane, _ in PANES]
        shown = self.board.regions()
        reachable = names if len(shown) == 1 else [name for name in names if name in shown]
        at = reachable.index(self.board.chosen) if self.board.chosen in reachable else 0
        self._choose(reachable[(at + by) % len(reachable)])

    def action_alone(self, name: str) -> None:
        """One pane alone, or all again."""
        again = self.board.full and self.board.chosen == name
        self._choose(name, full=not again)

    def action_back(self) -> None:
        """One step back: cursor, zoom, full curve, pane alone."""
        if self.board.chosen == "curves" and self.curves.leave():
            if not self.curves.full:
                self._choose("curves", full=False)
        elif self.board.full:
            self._choose(self.board.chosen, full=False)

    def action_open(self) -> None:
        """What Enter does in the pane that has the focus."""
        chosen = self.board.chosen
        if chosen == "curves":
            self.curves.action_full()
            self._choose("curves", full=self.curves.full)
        elif chosen == "cases":
            self.query_one("#cases", Cases).action_open()
        else:
            self.action_alone(chosen)

    def on_cases_opened(self, message: Cases.Opened) -> None:
        from tui.screens.case import CaseScreen

        self.app.push_screen(CaseScreen(self.folder, lambda: self.snapshot, case=message.case))

    def action_replay(self) -> None:
        """The run at an earlier moment."""
        from tui.screens.replay import ReplayScreen

        self.app.push_screen(ReplayScreen(self.folder))

    def action_figures(self) -> None:
        """The figures of the run."""
        from tui.screens.gallery import GalleryScreen

        self.app.push_screen(GalleryScreen(self.folder))

    def on_slice_view_wanted(self, message: SliceView.Wanted) -> None:
        if self.snapshot is not None:
            self._read_preview(message, self.snapshot.view)

    @work(thread=True, group="previews")
    def _read_preview(self, message: SliceView.Wanted, view: RunView) -> None:
        found = read_preview(self.folder, message.preview, view)
        self.app.call_from_thread(self.query_one("#slice", SliceView).arrived, message.preview.path, found)

    def action_scroll(self, by: int) -> None:
        """Up or down in the pane that has the focus."""
        self.pane(self.board.chosen).scroll_lines(by)

    def action_side(self, by: int) -> None:
        """Left or right in the pane that has the focus."""
        self.pane(self.board.chosen).side(by)

    def action_page(self, by: int) -> None:
        """The next or the previous page of the pane that has the focus."""
        self.pane(self.board.chosen).page(by)

    def action_metric(self) -> None:
        """The next metric of the table of classes."""
        self.query_one("#classes", Classes).action_metric()

    def action_level(self) -> None:
        """The next level of the log."""
        self.query_one("#log", LogPane).action_level()

    def action_newest(self) -> None:
        """The newest line of the log or of the events."""
        name = self.board.chosen if self.board.chosen in {"log", "journal"} else "log"
        self.query_one(f"#{name}", LogPane if name == "log" else Journal).action_newest()

    # --- curves --------------------------------------------------------------------------------

    def action_smooth(self, by: int) -> None:
        """More or less smoothing."""
        self.curves.action_smooth(by)

    def action_log(self) -> None:
        """Logarithmic axis of the chosen curve."""
        self.curves.action_log()

    def action_axis(self) -> None:
        """The next horizontal axis."""
        self.curves.action_axis()

    def action_zoom(self, by: int) -> None:
        """Zoom in or out."""
        self.curves.action_zoom(by)

    def action_pan(self, by: int) -> None:
        """Move the zoomed part."""
        self.curves.action_pan(by)

    def action_reset(self) -> None:
        """The whole axis."""
        self.curves.action_reset()

    def on_curves_settled(self) -> None:
        self.app.remember(smoothing=self.curves.smoothing, axis=self.curves.mode)  # type: ignore[attr-defined]

    def action_filter(self) -> None:
        """Ask which curves to show."""

        def chosen(text: str | None) -> None:
            if text is not None:
                self.curves.filter = text.strip()
                self.curves.redraw()

        self.app.push_screen(Prompt("curves whose name contains", self.curves.filter, hint="dice"), chosen)

    def action_ghost(self) -> None:
        """The next earlier run behind the curves, or none."""
        view = self.snapshot.view if self.snapshot else None
        if view is not None and view.started is not None:
            self._next_ghost(view.started.name, up=view.monitor_up)

    @work(thread=True, exclusive=True, group="ghost")
    def _next_ghost(self, name: str, *, up: bool) -> None:
        if self._ghosts is None:
            self._ghosts = candidates(self.runs, self.folder, name, up=up)
        self._ghost_at += 1
        ghost: Ghost | None = None
        if self._ghost_at < len(self._ghosts):
            folder = self._ghosts[self._ghost_at]
            ghost = Ghost(
                f"{name} {folder.id[4:6]}-{folder.id[6:8]} {folder.id[9:11]}:{folder.id[11:13]}", load_view(folder)
            )
        else:
            self._ghost_at = -1
        self.app.call_from_thread(self._take_ghost, ghost, none=not self._ghosts, name=name)

    def _take_ghost(self, ghost: Ghost | None, *, none: bool, name: str) -> None:
        self.curves.ghost = ghost
        self.curves.redraw()
        if none:
            self._ghosts = None
            self._tell(f"no other finished run of {name} to compare with")

    # --- copies --------------------------------------------------------------------------------

    def action_copy(self) -> None:
        """Copy what the pane says (OSC 52)."""
        chosen = self.board.chosen
        if chosen == "curves":
            text = self.curves.values()
        elif chosen == "recipe":
            text = str(self.folder.recipe)
        elif chosen == "log" and self.snapshot is not None:
            text = "\n".join(line.message for line in self.snapshot.view.logs)
        else:
            pane = self.pane(chosen)
            text = "\n".join(strip.text.strip("│ ").rstrip() for strip in pane._strips[1:-1])
        self._copy(text)

    def action_copy_path(self) -> None:
        """Copy the path of the run folder."""
        self._copy(str(self.folder.root.resolve()))

    def _copy(self, text: str) -> None:
        self.app.copy_to_clipboard(text)
        first = text.splitlines()[0][:60] if text else ""
        self._tell(f"copied: {first}")

    # --- control -------------------------------------------------------------------------------

    def action_pause(self) -> None:
        """Pause, or go on."""
        state = self.snapshot.state if self.snapshot else ""
        self._ask("resume" if state == "paused" else "pause")

    def action_checkpoint(self) -> None:
        """Ask for a checkpoint."""
        self._ask("checkpoint")

    def action_stop(self) -> None:
        """Stop after the running epoch."""
        if self._may_ask():
            self.app.push_screen(Confirm("Stop after this epoch?"), lambda yes: self._ask("stop") if yes else None)

    def action_stop_now(self) -> None:
        """Stop after the running iteration; asked twice."""
        if self._may_ask():
            questions = ("Stop now, in the middle of the epoch?", "Really stop now?")
            self.app.push_screen(Confirm(*questions), lambda yes: self._ask("stop_now") if yes else None)

    def action_note(self) -> None:
        """Write a line of text into the stream."""
        if self._may_ask():
            done = partial(self._note)
            self.app.push_screen(Prompt("note", hint="a line of text into the stream of this run"), done)

    def _note(self, text: str | None) -> None:
        if text and text.strip():
            self._ask("note", text.strip())

    def _may_ask(self) -> bool:
        if self.read_only:
            self._tell("this dashboard only looks: it was opened read-only", "warning")
        elif self.snapshot is not None and self.snapshot.over:
            self._tell(f"the run is {self.snapshot.state}: nobody would answer", "warning")
        else:
            return True
        return False

    def _ask(self, command: Command, text: str = "") -> None:
        if not self._may_ask():
            return
        try:
            request = send(self.folder, command, text)
        except MedtuiError as error:
            self._tell(str(error), "error")
            return
        self._waiting[request.id] = command
        self._show_waiting()
        self._feed.nudge()

    def _answered(self, view: RunView) -> None:
        """Take answers off the list of what is waited for."""
        for answer in view.controls:
            command = self._waiting.pop(answer.request, None)
            if command is not None and answer.state != "done":
                said = f"{command.replace('_', ' ')}: {answer.state} {answer.message}".strip()
                self._tell(said, "warning")
        self._show_waiting()

    def _show_waiting(self) -> None:
        ticker = self.query_one("#ticker", Ticker)
        pending = tuple(self._waiting.values())
        if pending != ticker.pending:
            ticker.pending = pending
            ticker.redraw()
