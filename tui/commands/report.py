"""``medtui report``: one run's report, or several compared."""

import argparse

from engine.requests import Report
from tui.arguments import Commands, run_argument
from tui.engine_process import request_of
from tui.remote.reach import found_here


def register(commands: Commands) -> None:
    command = commands.add_request(Report, ask=_request)
    run_argument(command, nargs="*", text="folders, ids, names, or unique parts of ids; without one, the newest run")


def _request(arguments: argparse.Namespace) -> Report:
    folders = [found_here(arguments.runs, run, "report", studies=True).root for run in arguments.run or [None]]
    return request_of(Report, arguments, runs=folders)
