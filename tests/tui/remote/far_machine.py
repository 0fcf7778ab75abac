"""A machine to go to: a home folder with runs, and an ``ssh`` that runs there what it is asked to."""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from tests.tui.recorded import Plan, Recorder, finish, record

ROOT = Path(__file__).resolve().parents[3]
SSH = """#!/bin/sh
# The last word is the command, the one before it the host, as ssh has them behind "--".
for word; do host=$command; command=$word; done
printf '%s\\n' "$*" >> "$FAR_LOG"
case $host in
  nowhere) echo "ssh: Could not resolve hostname nowhere" >&2; exit 255;;
  bare) echo "sh: exec: medtui: not found" >&2; exit 127;;
  old) echo 'medtui: "tail" is no command' >&2; exit 2;;
  odd) while :; do echo "Welcome to a machine that never stops talking"; done;;
esac
echo "Last login: yesterday"
cd "$FAR_HOME" && HOME=$FAR_HOME exec sh -c "$command"
"""
T = TypeVar("T")


class FarMachine:
    """Where ``ssh`` leads to.

    Attributes:
        runs: its folder of runs.
    """

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.home, tools = folder / "far home", folder / "tools"
        self.runs, self.log = self.home / "runs", folder / "ssh.log"
        self.cache = folder / "cache"
        for part in (self.runs, tools):
            part.mkdir(parents=True)
        program(tools / "ssh", SSH)
        program(tools / "medtui", f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m tui.cli "$@"\n')
        patch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
        patch.setenv("XDG_CACHE_HOME", str(self.cache))
        patch.setenv("FAR_HOME", str(self.home))
        patch.setenv("FAR_LOG", str(self.log))

    def live(self, name: str = "seg_best", done: int = 6) -> Recorder:
        """A run that trains: its process is this one."""
        return record(self.runs, Plan(name=name, done=done))

    def finished(self, name: str = "cls_ce") -> Recorder:
        """A run that ended well."""
        plan = Plan(name=name, epochs=5, done=5, extra_steps=0)
        recorder = record(self.runs, plan)
        finish(recorder, plan)
        return recorder


def program(path: Path, text: str) -> None:
    """Write an executable file."""
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def wait_for(found: Callable[[], T], seconds: float = 30.0) -> T:
    """What ``found`` gives as soon as it is something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if result := found():
            return result
        time.sleep(0.05)
    raise AssertionError("waited in vain")


def children(words: str) -> list[int]:
    """Processes of these tests with ``words`` in their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            line = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            own = f"FAR_HOME={os.environ['FAR_HOME']}".encode() in (path / "environ").read_bytes()
        except OSError:
            continue
        if own and words in line:
            found.append(int(path.name))
    return found
