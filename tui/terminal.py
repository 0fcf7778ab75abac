"""What is said to the terminal itself: its title, its bell, a notification; and its end."""

from __future__ import annotations

import contextlib
import os
import select
import threading
from collections.abc import Callable, Mapping

from tui.text import one_line

KEEP_TITLE, GIVE_TITLE_BACK = "\x1b[22;2t", "\x1b[23;2t"
"""Sequences that put the window's title on the terminal's stack and take it off again."""
_LEAVE_S = 5.0
"""What the dashboard may take to end after its terminal was closed."""
_NOTIFIES_BY_777 = ("rxvt", "foot", "ghostty", "urxvt")


def title(text: str) -> str:
    """The sequence that names the terminal's window (OSC 2)."""
    return f"\x1b]2;{one_line(text)[:120]}\x07"


def notification(text: str, environ: Mapping[str, str] = os.environ) -> str:
    """The sequence of a desktop notification: OSC 777 where the terminal takes it, else OSC 9.

    tmux and screen keep such a sequence to themselves unless it is wrapped; a bell reaches the user
    through both.
    """
    said = one_line(text).replace(";", ",")[:200]
    term = environ.get("TERM", "")
    by_777 = term.startswith(_NOTIFIES_BY_777) or "VTE_VERSION" in environ
    sequence = f"\x1b]777;notify;medtui;{said}\x07" if by_777 else f"\x1b]9;{said}\x07"
    if environ.get("TMUX"):
        return "\x1bPtmux;" + sequence.replace("\x1b", "\x1b\x1b") + "\x1b\\"
    return sequence


def watch(descriptor: int, leave: Callable[[], object]) -> None:
    """Call ``leave``, in a thread, when the terminal behind an open file is closed; SIGHUP does not always tell of it.

    What is still written and read goes nowhere from then on: Textual would read without end, and wait for
    ever for what it wrote. A process that has not ended some seconds later is ended.
    """

    def wait() -> None:
        look = select.poll()
        look.register(descriptor, 0)  # nothing but its end
        if not any(event & select.POLLHUP for _, event in look.poll()):
            return
        limit = threading.Timer(_LEAVE_S, os._exit, (0,))
        limit.daemon = True
        limit.start()
        nowhere, terminal = os.open(os.devnull, os.O_RDWR), os.fstat(descriptor).st_rdev
        for stream in {descriptor, 0, 1, 2}:
            with contextlib.suppress(OSError):
                if os.fstat(stream).st_rdev == terminal:
                    os.dup2(nowhere, stream)
        leave()

    threading.Thread(target=wait, name="terminal", daemon=True).start()
