"""The run that a command names, here or on another machine."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import UsageError, printable
from engine.runfolder import RunFolder, find_run, list_runs
from engine.runfolder.mirror import is_mirror, place_of, refuse_mirror

if TYPE_CHECKING:
    from tui.remote.hosts import Host
    from tui.remote.near import Link


def found_here(runs: Path, run: str | None, command: str, *, studies: bool = False) -> RunFolder:
    """The run that ``medtui COMMAND`` is to work on, which it does where the run is.

    Raises:
        UsageError: there is no such run, or it is on another machine.
    """
    if address := _elsewhere(run):
        words = address[0].by_hand(command, address[1] or "RUN")
        raise UsageError(f"{printable(run or '', keep='')} is on another machine", f"do this over there: {words}")
    folder = find_run(runs, run, studies=studies)
    refuse_mirror(folder, command)
    return folder


def found_copied(runs: Path, run: str) -> RunFolder:
    """The run of which all files are needed here. Raises: UsageError: there is no such run, or it is elsewhere."""
    folder = None if _elsewhere(run) else find_run(runs, run)
    if folder is None or is_mirror(folder):
        words = f"{printable(run, keep='')} is on another machine"
        raise UsageError(words, "copy its folder here, such as by scp -r, and name the copy")
    return folder


@contextlib.contextmanager
def reached(
    runs: Path, run: str | None, *, studies: bool = False, wait_s: float = 30.0
) -> Iterator[tuple[RunFolder, Link | None]]:
    """The folder of ``run``; of one on another machine, ``[user@]host:RUN``, a mirror and what keeps it up.

    ``wait_s``: how long all of its stream may be waited for; 0: that is not wanted.

    Raises:
        UsageError: there is no such run, or the machine cannot be reached.
    """
    if not (address := _elsewhere(run)):
        yield find_run(runs, run, studies=studies), None
        return
    from tui.remote.near import linked

    host, name = address
    with linked(host, runs) as link:
        there = place_of(link.runs)
        if not list_runs(link.runs):
            words = f"{host.name} has no runs in {there.partition(':')[2]}"
            raise UsageError(words, "name the folder there with --runs DIR")
        try:
            folder = find_run(link.runs, name, studies=studies)
        except UsageError as error:
            listed = f"medtui runs --host {host.name}"
            listed += f" --runs {shlex.quote(str(runs))}" if runs != Path("runs") else ""
            hint = error.hint.partition("; on another machine")[0].replace("medtui runs", listed)
            raise UsageError(error.message.replace(str(link.runs), there), hint) from None
        if wait_s:
            link.hold(folder, wait_s)
        yield folder, link


def _elsewhere(run: str | None) -> tuple[Host, str | None] | None:
    """Host and run of an address on another machine; ssh's rooms are loaded for what looks like one only."""
    if not run or not {"@", ":"} & set(run):
        return None
    from tui.remote.hosts import split_address

    return split_address(run)
