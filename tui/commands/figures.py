"""``medtui figures``: the figures of a run once more."""

from __future__ import annotations

import argparse

from engine.requests import Figures
from engine.runfolder import find_run
from tui.arguments import Commands, run_argument
from tui.engine_process import request_of


def register(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_request(
        "figures", "Draw the figures of a run again, from its folder alone.", _request, ["medtui figures --only roc"]
    )
    run_argument(command)
    command.add_argument(
        "--only", action="append", default=[], metavar="KIND", help="draw this kind only; may be given often"
    )


def _request(arguments: argparse.Namespace) -> Figures:
    return request_of(Figures, arguments, run=find_run(arguments.runs, arguments.run).root)
