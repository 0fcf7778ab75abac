"""``medtui run``: start a trainer, learn its run folder, and show it: the dashboard, plain lines, or nothing."""

import argparse
import re

from engine.errors import UsageError, printable
from engine.hardware import launched_place
from engine.requests import Resume, Sweep, Train
from engine.runfolder import ENDED, read_status
from tui.arguments import Commands, screen_options
from tui.commands.attach import has_screen, open_dashboard, runs_of
from tui.engine_process import request_of, run_engine

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def register(commands: Commands) -> None:
    screen_options(commands.add_request(Train, ask=_request, perform=lambda told: launch(_request(told), told)))


def _request(arguments: argparse.Namespace) -> Train:
    check_name(arguments.name)
    if arguments.runs.exists() and not arguments.runs.is_dir():  # said before the data is read
        raise UsageError(f"--runs: {arguments.runs} is not a folder", "name another with --runs DIR")
    return request_of(Train, arguments)


def check_name(name: str | None) -> None:
    """Raises: UsageError: ``name`` is none for a run."""
    if name is not None and not _NAME.fullmatch(name):
        raise UsageError(f'--name: found "{name}"', "allowed are letters, digits, dot, dash and underscore, 64 at most")


def launch(request: Train | Resume | Sweep, arguments: argparse.Namespace, since_s: float = 0.0) -> int:
    """Start a trainer and show it, or a study. ``since_s``: when plain lines begin, as a resumed run has a past."""
    from tui.trainer import Interrupts, start

    says_all = (
        not arguments.detach if isinstance(request, Sweep) else isinstance(request, Train) and request.on == "slurm"
    )
    if says_all or launched_place().rank:  # the first of the processes of torchrun or srun makes the run and shows it
        return run_engine(request)
    with Interrupts() as interrupts:
        trainer = start(request, interrupts)
        if not arguments.detach and (arguments.plain or not has_screen()):
            from tui.printed.plain import follow

            return follow(trainer, interrupts, since_s)
    folder = trainer.folder
    if arguments.detach:
        print(printable(str(folder.root), keep=""))
        return 0
    try:
        open_dashboard(runs_of(folder, arguments.runs), folder)
    finally:
        live = trainer.runs() and read_status(folder).state not in ENDED
        if live:
            print(printable(f"training goes on; attach again with: medtui attach {folder.address}"))
    if live:
        return 0
    from tui.printed.plain import outcome

    return outcome(folder)
