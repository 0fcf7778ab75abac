"""Commands whose work the engine does, in a process of its own: here they are only started."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from engine.runfolder import find_run

_STRAIGHT = ("split", "checkpoint", "name", "device", "output", "cases", "seed")
"""Options that the engine's command takes under the same name."""


def engine_command(*arguments: str) -> list[str]:
    """The command line that starts this installation's engine.

    ``-P`` keeps the current folder off the path: a user's own folder ``engine/`` is not ours.
    """
    return [sys.executable, "-P", "-m", "engine", *arguments]


def engine_environment() -> dict[str, str]:
    """The environment of the engine: a copy that runs uninstalled, from its checkout, finds itself."""
    environment = dict(os.environ)
    home = Path(__file__).resolve().parent.parent
    if home.name not in {"site-packages", "dist-packages"}:
        known = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = f"{home}{os.pathsep}{known}" if known else str(home)
    # The manifest names the command that a person typed, not the one that we make of it.
    environment["MEDTUI_COMMAND"] = json.dumps(["medtui", *sys.argv[1:]])
    return environment


def work(arguments: argparse.Namespace) -> int:
    """Start the engine's command with our terminal and pass on its exit code."""
    return _run(engine_command(*engine_arguments(arguments)))


def engine_arguments(arguments: argparse.Namespace) -> list[str]:
    """The engine's arguments; runs are found and recipes checked here, before anything heavy starts.

    Raises:
        UsageError: there is no such run.
        RecipeError: the recipe cannot be used.
    """
    match arguments.command:
        case "check":
            return ["check", *recipe_arguments(arguments)]
        case "data":
            name = [arguments.name] if arguments.data_command != "list" else []
            words = ["data", arguments.data_command, *name, *_data(arguments), *_options(arguments, but=("name",))]
            return [*words, "--json"] if getattr(arguments, "json", False) else words
        case "report":
            folders = [str(find_run(arguments.runs, run).root) for run in arguments.run or [None]]
            return ["report", *folders, *_options(arguments)]
    folder = str(find_run(arguments.runs, arguments.run).root)
    inputs = [str(path) for path in getattr(arguments, "inputs", ())]
    only = [f"--only={kind}" for kind in getattr(arguments, "only", None) or ()]
    return [arguments.command, folder, *inputs, *_data(arguments), *_options(arguments), *only]


def recipe_arguments(arguments: argparse.Namespace) -> list[str]:
    """Recipe, ``--set``, ``--data`` and ``--allow-outside``, once the recipe was found good."""
    from engine.recipe import load_recipe

    load_recipe(arguments.recipe, arguments.overrides, outside=arguments.allow_outside)
    passed = [str(arguments.recipe), *(f"--set={text}" for text in arguments.overrides), *_data(arguments)]
    return [*passed, "--allow-outside"] if arguments.allow_outside else passed


def _data(arguments: argparse.Namespace) -> list[str]:
    data = getattr(arguments, "data", None)
    return [f"--data={data}"] if data is not None else []


def _options(arguments: argparse.Namespace, but: tuple[str, ...] = ()) -> list[str]:
    given = {name: getattr(arguments, name, None) for name in _STRAIGHT if name not in but}
    return [f"--{name}={value}" for name, value in given.items() if value is not None]


def _run(command: list[str]) -> int:
    """Run ``command`` to its end. Ctrl-C reaches it through the terminal; a second one ends it."""
    process = subprocess.Popen(command, env=engine_environment())
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    interrupts = 0
    while True:
        try:
            code = process.wait()
            break
        except KeyboardInterrupt:
            interrupts += 1
            if interrupts > 1:
                process.kill()
    return _INTERRUPTED if interrupts or code == -signal.SIGINT else code if code >= 0 else 128 - code


_INTERRUPTED = 130
