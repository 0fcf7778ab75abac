"""Text for terminals that write nothing but ASCII, and which these are. Needs Rich only for wide letters."""

import os
import sys
from collections.abc import Mapping

_ASCII = str.maketrans(
    {
        **dict.fromkeys("╭╮╰╯┌┐└┘├┤┬┴┼", "+"),
        **dict.fromkeys("─╌╺", "-"),
        **dict.fromkeys("│┃╎‖", "|"),
        **dict(zip("▁▂▃▄▅▆▇█", "_.-:=+*#", strict=True)),
        **dict(zip("●▲■◆▼★○△", "o^#xv*@A", strict=True)),
        **dict(zip("━╸▀░▒▓▌▐▔", "=>^.:%||-", strict=True)),
        "🔎": "/ ",
        **dict(zip("▴▾▸←→↑↓≤⏎", "^v><>^v<<", strict=True)),
        **dict(zip("∞−–…·×✕Δ±◌∪", "8--~.xxd~oU", strict=True)),
    }
)


def wants_ascii(environ: Mapping[str, str] = os.environ, encoding: str | None = None) -> bool:
    """Whether to draw with ASCII only: asked for by MEDTUI_ASCII, or the output is not UTF-8."""
    if environ.get("MEDTUI_ASCII", "").lower() not in {"", "0", "no", "false"}:
        return True
    coding = (encoding if encoding is not None else getattr(sys.__stdout__, "encoding", "") or "").lower()
    return coding not in {"", "utf-8", "utf8", "utf_8"}


def to_ascii(text: str) -> str:
    """``text`` in ASCII: frames, bars, marks and braille as their likes, other letters as ``?``."""
    text = text.translate(_ASCII)
    return text if text.isascii() else "".join(c if c.isascii() else _braille(c) for c in text)


def _braille(char: str) -> str:
    bits = ord(char) - 0x2800
    if not 0 <= bits < 256:
        from rich.cells import cell_len  # rare: a letter of another script, as wide as it was

        return "?" * max(1, cell_len(char))
    upper, lower = bits & 0b00011011, bits & 0b11100100
    if not bits:
        return " "
    return ":" if upper and lower else "'" if upper else "."
