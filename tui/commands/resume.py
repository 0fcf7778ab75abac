"""``medtui resume``: wake a paused run, or go on with one that ended from its last checkpoint."""

import argparse
import contextlib
import time
from pathlib import Path

from engine.errors import RunError, UsageError, printable
from engine.requests import Resume, Sweep
from engine.runfolder import ENDED, RunFolder, find_run, list_runs, read_status
from engine.runfolder.mirror import command_for
from engine.runfolder.paths import began_s
from engine.runfolder.study import read_study, study_of
from tui.arguments import Commands, screen_options
from tui.commands._ask import is_confirmed
from tui.commands.control import send_request, wait_option
from tui.commands.run import check_name, launch
from tui.engine_process import request_of
from tui.remote.reach import found_here, reached


def register(commands: Commands) -> None:
    command = commands.add_request(Resume, ask=_request, perform=_resume)
    wait_option(command)
    screen_options(command)


def _request(arguments: argparse.Namespace) -> Resume:
    check_name(arguments.name)
    return request_of(Resume, arguments)


def _resume(arguments: argparse.Namespace) -> int:
    if arguments.run and {"@", ":"} & set(arguments.run) and not arguments.fork:
        with reached(arguments.runs, arguments.run) as (far, link):
            if link:
                return _wake(arguments, far)
    if arguments.run is None and not arguments.fork:
        arguments.run = str(_unfinished(arguments.runs).root)
    folder = found_here(arguments.runs, arguments.run, "resume", studies=True)
    if folder.is_study:
        if arguments.fork or arguments.nproc or arguments.name:
            raise UsageError(
                f"{folder.id} is a study: only a run is forked or shared out",
                "name the run of a member, or a new sweep",
            )
        overrides = tuple(arguments.overrides)
        request = Sweep(recipe=folder.root, resume=True, data=arguments.data, overrides=overrides)
        return launch(request, arguments)
    status = read_status(folder)
    if status.state == "silent" and not arguments.fork:
        arguments.take = arguments.take or is_confirmed(
            f"{folder.id}: {status.message}. Two trainers in one folder spoil it.", "Is that trainer gone? Go on here?"
        )
    elif status.state not in ENDED and not arguments.fork:
        return _wake(arguments, folder)
    since_s = time.time()
    return launch(_request(arguments), arguments, since_s)


def _unfinished(runs: Path) -> RunFolder:
    """The newest run or study that there is something left to do for; members are their study's own.

    A study whose members are over but for some that failed stands behind all others: they may fail each time.

    Raises:
        UsageError: there is none.
    """
    known = sorted(list_runs(runs, studies=True), key=began_s, reverse=True)
    if not known:
        find_run(runs, None)  # says so
    found, passed = None, ""
    for folder in known:
        state = read_status(folder).state
        if state == "paused" or (state in {*ENDED, "silent"} - {"finished"} and not study_of(folder)):
            fails = folder.is_study and _only_fails(folder)
            found = found if found and fails else folder
            if not fails:
                break
        passed = passed or f"{folder.id} is {state}" + (", in a study" if study_of(folder) else "")
    if found and found != known[0]:
        state = read_status(found).state
        print(f"{printable(found.id)} is {state}, the newest that can go on: {printable(passed)}", flush=True)
    if found:
        return found
    newest = known[0]
    if read_status(newest).state not in ENDED:
        raise UsageError(f"{passed}, and nothing else in {runs} is left to go on with", _instead(newest))
    raise UsageError(
        f"nothing in {runs} is left to go on with: {passed}",
        "train a finished one longer in a run of its own: medtui resume RUN --fork --set train.epochs=...",
    )


def _only_fails(study: RunFolder) -> bool:
    """Whether all members are over, and those that are not finished failed."""
    with contextlib.suppress(RunError):
        table = read_study(study)
        states = {member.state for member in table.member}
        return "failed" in states and len(table.member) == table.size and states <= {"finished", "pruned", "failed"}
    return False


def _instead(folder: RunFolder) -> str:
    """What to do with a run that is at work in place of resuming it."""
    if folder.is_study:
        return "how far its members are: medtui runs"
    watch, fork = command_for(folder, "attach"), command_for(folder, "resume")
    return f"watch it with: {watch}\nor begin another run at its last checkpoint: {fork} --fork"


def _wake(arguments: argparse.Namespace, folder: RunFolder) -> int:
    """Ask a trainer that is at work to go on; one that was not paused refuses."""
    _refuse_changes(arguments, folder)
    code = send_request(folder, "resume", wait_s=arguments.wait)
    if code and (state := read_status(folder).state) not in {*ENDED, "paused"}:
        print(printable(f"it is {state}: {_instead(folder)}"))
    return code


def _refuse_changes(arguments: argparse.Namespace, folder: RunFolder) -> None:
    """Raises: UsageError: a trainer that is at work is asked to go on in another way."""
    if any(getattr(arguments, name) for name in ("overrides", "data", "name", "nproc")):
        words = f"{folder.id} has its trainer, which goes on as it is: --set, --data, --name and --nproc do nothing"
        raise UsageError(words, f"leave them out; or stop it first: {command_for(folder, 'stop')}")
