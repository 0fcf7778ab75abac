"""Start a trainer, learn its run folder, and show it: the dashboard, plain lines, or nothing."""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from pathlib import Path

from engine.errors import MedtuiError, UsageError, printable
from engine.runfolder import ENDED, RunFolder, find_run, read_status
from tui.engine_process import recipe_arguments
from tui.trainer import Interrupts, start

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def run(arguments: argparse.Namespace) -> int:
    """``medtui run``: check the recipe, start the trainer, show it. The exit code of the run."""
    _check_name(arguments.name)
    command = ["train", *recipe_arguments(arguments), f"--runs={arguments.runs}"]
    if arguments.name is not None:
        command.append(f"--name={arguments.name}")
    return _launch(command, arguments)


def _check_name(name: str | None) -> None:
    if name is not None and not _NAME.fullmatch(name):
        raise UsageError(f'--name: found "{name}"', "allowed are letters, digits, dot, dash and underscore, 64 at most")


def resume(arguments: argparse.Namespace) -> int:
    """``medtui resume``: wake a paused run, or start a trainer that goes on from the last checkpoint."""
    folder = find_run(arguments.runs, arguments.run)
    if read_status(folder).state not in ENDED and not arguments.fork:
        from tui.commands.control import request

        return request(folder, "resume", wait_s=arguments.wait)
    _check_name(arguments.name)
    command = ["resume", str(folder.root), *(f"--set={text}" for text in arguments.overrides)]
    if arguments.data is not None:
        command.append(f"--data={arguments.data}")
    if arguments.fork:
        command.append("--fork")
    if arguments.name is not None:
        command.append(f"--name={arguments.name}")
    since_s = time.time()
    return _launch(command, arguments, since_s)


def attach(arguments: argparse.Namespace) -> int:
    """``medtui attach``: the dashboard, or one text view, or plain lines, of a run; without one, of the newest."""
    folder = find_run(arguments.runs, arguments.run)
    if arguments.plain:
        from tui.printed.plain import watch

        return watch(folder)
    if arguments.once or not _has_screen():
        from tui.printed.once import print_once

        return print_once(folder)
    _dashboard(_runs_of(folder, arguments.runs), folder)
    return 0


def _launch(command: list[str], arguments: argparse.Namespace, since_s: float = 0.0) -> int:
    """Start a trainer and show it. ``since_s``: when plain lines begin, as a resumed run has a past."""
    with Interrupts() as interrupts:
        trainer = start(command, interrupts)
        if not arguments.detach and (arguments.plain or not _has_screen()):
            from tui.printed.plain import follow

            return follow(trainer, interrupts, since_s)
    folder = trainer.folder
    if arguments.detach:
        print(printable(str(folder.root), keep=""))
        return 0
    try:
        _dashboard(_runs_of(folder, arguments.runs), folder)
    finally:
        live = trainer.runs() and read_status(folder).state not in ENDED
        if live:
            print(printable(f"training goes on; attach again with: medtui attach {folder.address}"))
    if live:
        return 0
    from tui.printed.plain import outcome

    return outcome(folder)


def _dashboard(runs: Path, folder: RunFolder | None) -> None:
    """Open the dashboard on a run, or on the list of all."""
    from tui.app import MedtuiApp

    app = MedtuiApp(runs, folder)
    app.run()
    if app.return_code:
        raise MedtuiError("the dashboard failed; the training is not touched", "see it in lines: medtui attach --plain")


def _runs_of(folder: RunFolder, runs: Path) -> Path:
    """The folder that the home screen lists: of ``--runs``, or where a run named by its path lies."""
    parent = folder.root.parent
    return runs if os.path.realpath(parent) == os.path.realpath(runs) else parent


def _has_screen() -> bool:
    if os.environ.get("TEXTUAL_DRIVER"):  # served in a browser
        return True
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
