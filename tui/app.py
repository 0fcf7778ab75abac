"""The dashboard as a Textual app: screens, theme, what is remembered."""

import gc
import os
import sys
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import msgspec
from rich.segment import Segment
from rich.text import Text
from textual._compositor import CompositorUpdate  # Textual has no public name for it
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.color import Color
from textual.filter import LineFilter
from textual.screen import Screen

from engine.runfolder import RunFolder
from tui import terminal
from tui.ascii import to_ascii, wants_ascii
from tui.plotting.shown import Shown
from tui.screens.answers import listen, outlive_the_terminal
from tui.screens.help import Help
from tui.screens.home import HomeScreen
from tui.screens.run import RunScreen
from tui.screens.tiled import TiledScreen
from tui.settings import Kept, keyed, load_settings, save_settings
from tui.state.faults import in_short, write_fault
from tui.terminal import Pictures, pictures
from tui.text import one_line
from tui.theme import DARK, LIGHT, PALETTES, textual_theme
from tui.widgets.keymap import load_keys
from tui.widgets.sharp_pane import SharpPane

MOST_PLACES = 50  # runs of which the dashboard remembers where it was left

_DRAWN_S = 1.5  # by then the first screen stands


def _collect_again() -> None:
    """What the start has made stays to the end, and need not be looked through again."""
    gc.freeze()
    gc.enable()


class _Ascii(LineFilter):
    """All that is drawn, in ASCII: panes, questions, messages, the palette."""

    def apply(self, segments: list[Segment], _background: Color) -> list[Segment]:
        return [Segment(to_ascii(text), style, control) for text, style, control in segments]


class MedtuiApp(App[None]):
    """Opens on ``run``, or on the list of all runs in ``runs``."""

    CSS_PATH = "styles/medtui.tcss"
    TITLE = "medtui"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "runs", "runs", tooltip="all runs"),
        Binding("D", "theme", "theme", show=False, tooltip="dark or light"),
        Binding("ctrl+p", "command_palette", "commands", key_display="Ctrl+P", show=False, tooltip="commands by name"),
        Binding(
            "ctrl+l",
            "redraw",
            "redraw",
            key_display="Ctrl+L",
            show=False,
            tooltip="draw the screen again, whatever wrote over it",
        ),
        Binding("q,ctrl+q", "quit", "close", tooltip="close the dashboard; the training goes on"),
        Binding("question_mark,f1", "help", "help"),
    ]

    def __init__(
        self, runs: Path, run: RunFolder | None, *, read_only: bool = False, ascii_only: bool | None = None
    ) -> None:
        """``run``: the one to open, else all are listed; ``ascii_only``: by default where the terminal needs it."""
        self._wrong_keys = load_keys()  # before the keys of any part are looked at
        super().__init__()
        self.runs, self.run_folder, self.read_only = runs, run, read_only
        self.ascii_only = wants_ascii() if ascii_only is None else ascii_only
        if self.ascii_only:
            self._filters.append(_Ascii())
        self._shown = Shown()
        self.settings = load_settings()
        self.unsaved = ""  # why the settings could not be written
        plain = self.ascii_only or self.no_color or not terminal.is_here()
        self.pictures = Pictures() if plain else pictures()
        outlive_the_terminal()
        if self.pictures.ask:
            listen(partial(self.call_later, self._answered))

    def _display(self, screen: Screen[Any], renderable: Any) -> None:
        """Send an update to the terminal, of it what is not shown already; Textual's own way has no such step."""
        sent = self.is_running and self._driver is not None and not self.is_headless and not self._batch_count
        if sent and isinstance(renderable, CompositorUpdate):
            renderable = self._shown.lessened(renderable)
        super()._display(screen, renderable)

    def on_mount(self) -> None:
        self.app_resume_signal.subscribe(self, lambda _: self._shown.forget(), immediate=True)
        for palette in PALETTES.values():
            self.register_theme(textual_theme(palette))
        self.theme = self.settings.theme if self.settings.theme in PALETTES else DARK.name
        folder = self.run_folder
        if folder is None:
            self.push_screen(HomeScreen(self.runs, read_only=self.read_only))
        else:
            self.push_screen(RunScreen(self.runs, folder, read_only=self.read_only))
        if self._wrong_keys:
            self.notify(self._wrong_keys, severity="error", markup=False, timeout=15)
        if not self.is_headless and sys.__stdin__ is not None:
            if (wanted := os.environ.get("MEDTUI_IMAGES", "auto").lower()) not in terminal.IMAGES:
                words = f'MEDTUI_IMAGES is "{wanted}": it may be {", ".join(terminal.IMAGES)}'
                self.notify(one_line(words), severity="warning", markup=False)
            if self.pictures.ask and self._driver is not None:
                self._driver.write(terminal.ASK)
            terminal.watch(sys.__stdin__.fileno(), partial(self.call_from_thread, self.exit))
        if not gc.isenabled():
            self.set_timer(_DRAWN_S, _collect_again)

    def on_resize(self) -> None:
        """Letters of another size change what a picture has room for; a terminal of another size may show anything."""
        self._shown.forget()
        if self.pictures.protocol and min(cell := terminal.cell_size(1)) > 0:
            self.pictures = replace(self.pictures, cell=cell)

    def _answered(self, text: str) -> None:
        """The terminal said what it can do; pictures are drawn again where that is more than was known."""
        before, self.pictures = self.pictures, self.pictures.answered(text)
        if self.pictures.protocol != before.protocol:
            for pane in self.screen.query(SharpPane):
                pane.redraw()

    def notify(self, message: str, *, timeout: float | None = None, **options: Any) -> None:
        """Show a message over a corner of the screen. What it covers of a picture is drawn again after it."""
        super().notify(message, timeout=timeout, **options)
        if self.pictures.protocol in {"iterm", "sixel"}:
            self.set_timer((timeout or self.NOTIFICATION_TIMEOUT) + 0.5, lambda: self.screen.query(SharpPane).refresh())

    def remember(self, **choices: Any) -> None:
        """Change these, and leave alone what another dashboard has changed meanwhile: its pins, its places."""
        settings = msgspec.structs.replace(self.settings, lists=self._stored() or self.settings.lists)
        settings = msgspec.structs.replace(settings, **choices)
        if settings != self.settings:
            self.settings = settings
            self.unsaved = save_settings(settings)

    def _stored(self) -> dict[str, Kept]:
        """What all dashboards have kept so far; nothing where this one knows more than it could write."""
        return {} if self.unsaved else load_settings().lists

    def kept(self, runs: Path) -> Kept:
        """What of a folder of runs is pinned and hidden; another dashboard may have changed that."""
        place = os.path.realpath(runs)
        return self._stored().get(place) or self.settings.lists.get(place, Kept())

    def keep(self, runs: Path, kept: Kept) -> None:
        """Remember what of a folder of runs is pinned and hidden."""
        lists = {**self.settings.lists, **self._stored(), os.path.realpath(runs): kept}
        self.remember(lists=lists)
        if self.unsaved:
            words = f"kept until the dashboard closes, no longer: {self.unsaved}"
            self.notify(words, severity="warning", markup=False, timeout=15)

    def remember_place(self, run: str, pane: str, alone: bool, borders: dict[str, float]) -> None:
        """Keep which pane of a run had the focus, and where its borders stand; of the last runs only."""

        def kept(of_runs: dict[str, Any], value: Any) -> dict[str, Any]:
            others = [(name, one) for name, one in of_runs.items() if name != run]
            return dict([*others, *([(run, value)] if value else [])][-MOST_PLACES:])

        settings = self.settings
        self.remember(places=kept(settings.places, (pane, alone)), borders=kept(settings.borders, borders))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whether an action makes sense now: the list of runs does not lead to itself."""
        return not (action == "runs" and isinstance(self.screen, HomeScreen)) and super().check_action(
            action, parameters
        )

    def _fatal_error(self) -> None:
        """The last resort: one line and a file in place of a traceback."""
        error = self._exception or RuntimeError("unknown")
        if isinstance(error, BrokenPipeError):  # whoever looked has gone: nobody to tell, and nothing that failed
            self._close_messages_no_wait()
            return
        path = write_fault("dashboard", error)
        self.panic(Text(f"the dashboard failed: {in_short(error)}; the training goes on; details in {path}"))

    async def run_action(self, *arguments: Any, **options: Any) -> bool:
        """Do what a key does; after it other keys may have a meaning."""
        done = await super().run_action(*arguments, **options)
        if isinstance(self.screen, TiledScreen):
            self.screen.name_keys()
        return done

    def action_help_quit(self) -> None:
        """Ctrl+C, which ends other programs: say how to leave this one, and what that leaves alone."""
        words = keyed("<quit:q> closes the dashboard and the training goes on; <stop:s> stops the training")
        self.notify(words, markup=False, timeout=5)

    def action_help(self) -> None:
        if not isinstance(self.screen, Help):
            self.push_screen(Help())

    def action_redraw(self) -> None:
        """Send the whole screen: another program may have written to the terminal."""
        self._shown.forget()
        self.screen.refresh()

    def action_theme(self) -> None:
        self.theme = LIGHT.name if self.theme == DARK.name else DARK.name
        self.remember(theme=self.theme)
        if isinstance(self.screen, TiledScreen):
            self.screen.repaint()

    def action_runs(self) -> None:
        """All runs; a run that was opened from there gives way to it."""
        if any(isinstance(screen, HomeScreen) for screen in self.screen_stack):
            while not isinstance(self.screen, HomeScreen):
                self.pop_screen()
            return
        run = next((screen for screen in reversed(self.screen_stack) if isinstance(screen, RunScreen)), None)
        while len(self.screen_stack) > 1:
            self.pop_screen()
        self.push_screen(HomeScreen(self.runs, at=run.folder if run else None, read_only=self.read_only))

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        yield SystemCommand("Help", "All keys and marks", self.action_help)
        yield SystemCommand("Dark or light", "Change the theme", self.action_theme)
        if isinstance(screen, TiledScreen):
            yield from (SystemCommand(title, help_, call) for title, help_, call in screen.commands())
        yield SystemCommand("Close", "Close the dashboard; the training goes on", self.exit)
