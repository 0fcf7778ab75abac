"""Questions of a command on its terminal."""

import sys

from engine.errors import printable


def can_ask() -> bool:
    """Whether there is somebody to be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def is_confirmed(known: str, question: str) -> bool:
    """Say what is ``known`` and ask the ``question``; no by default, and where there is nobody to ask."""
    if not can_ask():
        return False
    print(printable(known), file=sys.stderr)
    return input(f"{question} [y/N] ").strip().lower() in {"y", "yes"}
