"""Progress of a command, on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable


def show_progress(what: str) -> Callable[[int, int], None]:
    r"""A counter for long loops: ``what done/total``, ten times a second at most.

    A line ends with ``\r``: a terminal writes the next over it, and the launcher leaves it out of files.
    """
    shown = time.monotonic()

    def show(done: int, total: int) -> None:
        nonlocal shown
        now = time.monotonic()
        if now - shown < 0.1 and done != total:
            return
        shown = now
        print(f"{what} {done}/{total}", end="\r", file=sys.stderr, flush=True)

    return show
