"""The engine as a process of its own: what it is asked for, how it is started, how it ends."""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
from typing import Any

from engine import hardware
from engine.console import INTERRUPTED
from engine.requests import R, Request, encode, make
from tui.remote.reach import found_copied, found_here

_LONGEST = 100_000
"""Bytes of a request that go as an argument; the kernel takes 128 KiB, and thousands of inputs are longer."""


def engine_command(*arguments: str) -> list[str]:
    """The command line that starts this installation's engine.

    ``-P`` keeps the current folder off the path: a user's own folder ``engine/`` is not ours.
    """
    return [sys.executable, "-P", "-m", "engine", *arguments]


def engine_environment() -> dict[str, str]:
    """The environment of the engine: a copy that runs uninstalled, from its checkout, finds itself."""
    environment = {**os.environ, **hardware.engine_environment()}
    # The manifest names the command that a person typed, not the one that we make of it.
    command = json.dumps(["medtui", *sys.argv[1:]])
    if len(command) < _LONGEST:
        environment["MEDTUI_COMMAND"] = command
    return environment


def request_of(kind: type[R], arguments: argparse.Namespace, **found: Any) -> R:
    """The request that a command line asks for: its options by their names, and what was ``found`` of them.

    A run is looked up, and a recipe is read here first: what is wrong with it is said before anything heavy starts.
    """
    if "run" in kind.__struct_fields__:
        found["run"] = found_here(arguments.runs, arguments.run, arguments.command, studies=kind.studies).root
    if "recipe" in kind.__struct_fields__:
        from engine.recipe import load_recipe

        load_recipe(arguments.recipe, arguments.overrides, outside=arguments.allow_outside)
        if arguments.start is not None:
            found["start"] = found_copied(arguments.runs, str(arguments.start)).root
    fields = (field for field in kind.__struct_fields__ if field not in found and hasattr(arguments, field))
    request = make(kind, {**{field: getattr(arguments, field) for field in fields}, **found})
    request.refuse_absent()
    return request


def run_engine(request: Request) -> int:
    """Let the engine do what is asked for, with our terminal, and pass on its exit code."""
    text = encode(request)
    name, patience = f"medtui {request.command}", 2 if request.command == "sweep" else 1
    if len(text) < _LONGEST:
        return _run(engine_command(request.command, text), name=name, patience=patience)
    return _run(engine_command(request.command, "-"), text.encode(), name=name, patience=patience)


def _run(command: list[str], sent: bytes | None = None, *, name: str = "the engine", patience: int = 1) -> int:
    """Run ``command`` to its end. Ctrl-C reaches it through the terminal ``patience`` times; one more ends it.

    A study has something to do at the second: it kills its members.
    """
    kills = hardware.out_of_memory_kills()
    process = subprocess.Popen(command, env=engine_environment(), stdin=None if sent is None else subprocess.PIPE)
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    if process.stdin is not None and sent is not None:
        with contextlib.suppress(BrokenPipeError), process.stdin:  # one that died says why itself
            process.stdin.write(sent)
    interrupts = 0
    while True:
        try:
            code = process.wait()
            break
        except KeyboardInterrupt:
            interrupts += 1
            if interrupts > patience:
                process.kill()
    if code < 0 and -code not in {signal.SIGINT, signal.SIGTERM} and not interrupts:
        print(f"{name} was {hardware.killed_words(-code, kills)}", file=sys.stderr)
    return INTERRUPTED if interrupts or code == -signal.SIGINT else code if code >= 0 else 128 - code
