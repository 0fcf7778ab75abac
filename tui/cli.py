"""``medtui``: it starts the engine and opens the screen, and does no work of its own.

Only what a command needs is imported, and only when it is needed: ``medtui --help`` answers at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import engine
from engine.console import guarded

if TYPE_CHECKING:
    from tui.arguments import Parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; every error becomes a message on stderr."""
    words = sys.argv[1:] if argv is None else list(argv)
    return guarded(lambda: _main(words))


def _main(argv: list[str]) -> int:
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without Unicode shows "?"
    if len(argv) == 3 and argv[:2] == ["tail", "--runs"]:  # somebody waits at the other end: no parser is loaded
        from tui.remote.far import tail

        return tail(Path(argv[2]))
    from tui.arguments import parser

    made = parser(lambda: engine.__version__)
    before = argv[:2] if argv[:1] == ["--runs"] else []
    if len(argv) == len(before) != 1:
        return _without_command(made, Path(*before[1:] or ["runs"]))
    argv = [*argv[2:3], *before, *argv[3:]] if len(before) == 2 else argv
    try:
        arguments = made.parse_args(argv)
    except SystemExit as end:  # --help, --version
        return end.code if isinstance(end.code, int) else 0
    code: int = arguments.perform(arguments)
    return code


def _without_command(made: Parser, runs: Path) -> int:
    """The list of ``runs`` where there is a screen for it, else the help."""
    from tui.commands.attach import has_screen, open_dashboard

    if has_screen():
        open_dashboard(runs, None)
        return 0
    made.print_help(sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
