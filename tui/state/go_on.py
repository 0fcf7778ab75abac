"""Goes on with a run that is over, from the dashboard: by the command that a person would type."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

from engine.errors import RunError
from engine.hardware import python_path
from engine.runfolder import RunFolder, find_run
from engine.runfolder.mirror import fetch, refuse_mirror

_START_S = 120.0  # a trainer that has not begun by then has libraries on a very slow disk: it may still begin


def go_on(folder: RunFolder, *words: str) -> RunFolder:
    """``medtui resume RUN --detach`` with further words; waits for its answer.

    Returns:
        The run that goes on: the same one, or the new one of ``--fork``.

    Raises:
        RunError: it was refused; what the command said.
    """
    said = _medtui(["resume", str(folder.root), "--runs", str(folder.root.parent), "--detach", *words])
    path = next((Path(line) for line in reversed(said.splitlines()) if Path(line).is_dir()), folder.root)
    return find_run(path.parent, path.name, studies=True)


def write_report(folder: RunFolder) -> Path:
    """``medtui report RUN``; the path of the report.

    Raises:
        RunError: it could not be written.
    """
    report = folder.root / "report.html"
    fetch(folder, report.name)
    if not report.is_file():
        refuse_mirror(folder, "report")
        _medtui(["report", str(folder.root)])
    return report


def set_options(text: str) -> list[str]:
    """``train.epochs=20 optimizer.lr=1e-4`` as options of the command line."""
    return [word for pair in shlex.split(text) for word in ("--set", pair)]


def _medtui(words: list[str]) -> str:
    # -P: folders engine/ and tui/ in the current folder are not ours
    command = [sys.executable, "-P", "-m", "tui.cli", *words]
    environment = {**os.environ, "PYTHONPATH": python_path()}
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_START_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RunError(
            f"{words[0]} gave no answer: {error}", f"try it in a shell: medtui {shlex.join(words)}"
        ) from error
    if done.returncode:
        raise RunError(" ".join(done.stderr.split()) or f"{words[0]} ended with exit code {done.returncode}")
    return done.stdout
