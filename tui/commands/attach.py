"""``medtui attach``: the dashboard on a run, or on the list of all."""

from __future__ import annotations

import argparse
import gc
import importlib
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import MedtuiError, UsageError, printable
from engine.runfolder import RunFolder
from tui.arguments import Commands, run_argument
from tui.remote.reach import reached

if TYPE_CHECKING:
    from tui.remote.near import Link


def register(commands: Commands) -> None:
    command = commands.add(
        "attach",
        "Open the dashboard on a live or a finished run. q leaves it; the training goes on.",
        attach,
        [
            "medtui attach",
            "medtui attach seg_dice --once",
            "medtui attach --plain >> log",
            "medtui attach anna@gpu1:seg_dice",
        ],
    )
    run_argument(command, anywhere=True)
    group = command.add_mutually_exclusive_group()
    group.add_argument("--once", action="store_true", help="print one text view and end")
    command.add_argument("--json", action="store_true", help="with --once: one JSON object, for scripts")
    group.add_argument("--plain", action="store_true", help="follow the run in plain lines until it ends")


def attach(arguments: argparse.Namespace) -> int:
    """The dashboard, or one text view, or plain lines, of a run; without one, of the newest."""
    if arguments.json and not arguments.once:
        raise UsageError("--json prints one view: it belongs to --once", "medtui attach --once --json")
    screen = has_screen() and not (arguments.plain or arguments.once)
    if {"@", ":"} & set(arguments.run or "") and screen:  # loaded while another machine answers
        threading.Thread(target=importlib.import_module, args=("tui.app",), daemon=True).start()
    with reached(arguments.runs, arguments.run, wait_s=3.0 if screen else 30.0) as (folder, link):
        if arguments.plain:
            from tui.printed.plain import watch

            if link:
                link.say = lambda text: print(printable(text), file=sys.stderr, flush=True)
            return watch(folder)
        if not screen:
            from tui.printed.once import print_once

            return print_once(folder, as_json=arguments.json)
        open_dashboard(runs_of(folder, link.runs if link else arguments.runs), folder, link)
    return 0


def open_dashboard(runs: Path, folder: RunFolder | None, link: Link | None = None) -> None:
    """Open the dashboard on a run, or on the list of all; ``link`` keeps those of another machine up."""
    gc.disable()  # the imports make much that stays; the app collects again once it is drawn
    from tui.app import MedtuiApp

    if os.environ.get("TERM") in {"xterm-kitty", "xterm-ghostty"}:  # TERM alone crosses ssh
        os.environ.setdefault("COLORTERM", "truecolor")
    app = MedtuiApp(runs, folder)
    if link:
        link.say = lambda text: app.call_from_thread(app.notify, text, markup=False)
    app.run()
    if app.return_code:
        raise MedtuiError("the dashboard failed; the training is not touched", "see it in lines: medtui attach --plain")


def runs_of(folder: RunFolder, runs: Path) -> Path:
    """The folder that the home screen lists: of ``--runs``, or where a run named by its path lies."""
    parent = folder.root.parent
    return runs if os.path.realpath(parent) == os.path.realpath(runs) else parent


def has_screen() -> bool:
    """Whether a dashboard can be shown here."""
    if os.environ.get("TEXTUAL_DRIVER"):  # served in a browser
        return True
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
