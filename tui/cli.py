"""``medtui``: the commands. It starts the engine and opens the screen, and does no work of its own.

Only what a command needs is imported, and only when it is needed: ``medtui --help`` answers at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from engine.errors import MedtuiError, printable

if TYPE_CHECKING:
    import argparse

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; every error becomes a message on stderr."""
    _forgiving_output()
    try:
        code = _main(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
        return code
    except MedtuiError as error:
        if error.message:
            print(printable(str(error)), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe has seen enough (head, less): that is no error. What Python would still
        # flush at exit has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except SystemExit as end:  # argparse: --help, --version
        return end.code if isinstance(end.code, int) else 0


def _forgiving_output() -> None:
    """Let a terminal without Unicode show "?" in place of failing."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def _main(argv: Sequence[str]) -> int:
    from tui.commands.arguments import parser

    arguments = parser(_version).parse_args(argv)
    return _COMMANDS[arguments.command](arguments)


def _version() -> str:
    import engine

    return engine.__version__


def _run(arguments: argparse.Namespace) -> int:
    from tui.commands.launch import run

    return run(arguments)


def _resume(arguments: argparse.Namespace) -> int:
    from tui.commands.launch import resume

    return resume(arguments)


def _attach(arguments: argparse.Namespace) -> int:
    from tui.commands.launch import attach

    return attach(arguments)


def _runs(arguments: argparse.Namespace) -> int:
    from tui.commands.runs_table import print_runs

    return print_runs(arguments.runs, as_json=arguments.json)


def _control(arguments: argparse.Namespace) -> int:
    from tui.commands.control import ask

    return ask(arguments)


def _engine(arguments: argparse.Namespace) -> int:
    from tui.engine_process import work

    return work(arguments)


def _schema(_: argparse.Namespace) -> int:
    import json

    from engine.recipe import json_schema

    print(json.dumps(json_schema(), indent=2, ensure_ascii=False))
    return 0


def _serve(arguments: argparse.Namespace) -> int:
    from tui.commands.serve import serve

    return serve(arguments)


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "run": _run,
    "resume": _resume,
    "attach": _attach,
    "runs": _runs,
    "pause": _control,
    "stop": _control,
    "checkpoint": _control,
    "note": _control,
    "evaluate": _engine,
    "predict": _engine,
    "figures": _engine,
    "report": _engine,
    "check": _engine,
    "data": _engine,
    "schema": _schema,
    "serve": _serve,
}


if __name__ == "__main__":
    sys.exit(main())
