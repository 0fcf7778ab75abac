"""What is said to the terminal itself: its title, its bell, a notification."""

from __future__ import annotations

import os
from collections.abc import Mapping

from tui.text import one_line

KEEP_TITLE, GIVE_TITLE_BACK = "\x1b[22;2t", "\x1b[23;2t"
"""Sequences that put the window's title on the terminal's stack and take it off again."""
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
