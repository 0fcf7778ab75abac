"""What is said to the terminal itself, and what it is asked: title, bell, notification; pictures; its end."""

import contextlib
import fcntl
import os
import re
import select
import struct
import sys
import termios
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from tui.text import one_line

KEEP_TITLE, GIVE_TITLE_BACK = "\x1b[22;2t", "\x1b[23;2t"
"""Sequences that put the window's title on the terminal's stack and take it off again."""
IMAGES = ("auto", "blocks", "kitty", "iterm", "sixel")
"""What MEDTUI_IMAGES may be: pictures in half blocks, in the pixels of the terminal, or as it seems best."""
ASK = "\x1b[16t\x1b[>q\x1b[c"  # asks for the size of a cell, the name and version, and what the terminal can do
ANSWERS = re.compile(r"\x1b\[(?:6;(\d{1,5});(\d{1,5})t|\?([\d;]{1,80})c)|\x1bP>\|([^\x1b]{1,80})\x1b\\")
_SIXEL, _KITTY = "4", re.compile(r"kitty\((\d+)\.(\d+)")
_PLACEHOLDERS = 0, 28  # the first kitty that shows pictures in placeholders; an older one shows boxes
_USUAL = 10, 20
_LEAVE_S = 5.0  # what the dashboard may take to end after its terminal was closed
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


@dataclass(frozen=True, slots=True)
class Pictures:
    """How the terminal takes pictures."""

    protocol: Literal["", "kitty", "iterm", "sixel"] = ""  # "": none, half blocks
    cell: tuple[int, int] = (0, 0)  # (width, height) of a cell in pixels
    ask: bool = False  # it is not known yet, and the terminal is to be asked with `ASK`

    def answered(self, text: str) -> "Pictures":
        """What is known after an answer (`ANSWERS`) of the terminal."""
        found = ANSWERS.fullmatch(text)
        if found is None:
            return self
        if found[1]:
            return Pictures(
                self.protocol, (int(found[2]), int(found[1])) if min(self.cell) < 1 else self.cell, self.ask
            )
        if found[4]:
            kitty = _KITTY.match(found[4])
            if self.ask and kitty and (int(kitty[1]), int(kitty[2])) >= _PLACEHOLDERS:
                return Pictures("kitty", self.cell if min(self.cell) > 0 else _USUAL)
            return self
        if self.ask and _SIXEL in found[3].split(";") and min(self.cell) > 0:
            return Pictures("sixel", self.cell)
        return Pictures(self.protocol, self.cell)


def is_here(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether a terminal is written to, and not a browser (`medtui serve`) or a test."""
    return "TEXTUAL_DRIVER" not in environ and sys.__stdout__ is not None and sys.__stdout__.isatty()


def pictures(environ: Mapping[str, str] = os.environ, descriptor: int = 1) -> Pictures:
    """How the terminal takes pictures, as far as is known without asking it.

    Only ghostty, and kitty from 0.28 on, show kitty's placeholders. tmux and screen pass pictures on to nobody.
    """
    wanted = environ.get("MEDTUI_IMAGES", "").lower()
    term, program = environ.get("TERM", ""), environ.get("TERM_PROGRAM", "")
    cell = cell_size(descriptor)
    usual = cell if min(cell) > 0 else _USUAL
    if wanted in {"kitty", "iterm", "sixel"}:
        return Pictures(wanted, usual)  # type: ignore[arg-type]  # it is one of them
    inside = environ.get("TMUX") or environ.get("STY") or term.startswith(("tmux", "screen"))
    if wanted == "blocks" or inside or term in {"dumb", "linux", ""} or program == "Apple_Terminal":
        return Pictures()
    if term == "xterm-ghostty" or program == "ghostty":
        return Pictures("kitty", usual)
    if program in {"iTerm.app", "WezTerm"} or environ.get("LC_TERMINAL") == "iTerm2":
        return Pictures("iterm", usual)
    return Pictures("", cell, ask=True)


def cell_size(descriptor: int) -> tuple[int, int]:
    """(width, height) of a cell in pixels; zeros where the terminal does not tell."""
    try:
        rows, columns, width, height = struct.unpack("HHHH", fcntl.ioctl(descriptor, termios.TIOCGWINSZ, bytes(8)))
    except OSError:
        return 0, 0
    return (width // columns, height // rows) if rows and columns else (0, 0)


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
