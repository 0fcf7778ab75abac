"""Text for terminals that write nothing but ASCII. Pure."""

from __future__ import annotations

from rich.cells import cell_len

_ASCII = str.maketrans(
    {
        **dict.fromkeys("╭╮╰╯┌┐└┘├┤┬┴┼", "+"),
        **dict.fromkeys("─╌╺", "-"),
        "━": "=",
        "╸": ">",
        **dict.fromkeys("│┃╎", "|"),
        **dict(zip("▁▂▃▄▅▆▇█", "_.-:=+*#", strict=True)),
        **dict(zip("●▲■◆▼★○△", "o^#xv*@A", strict=True)),
        "▀": "^",
        "▴": "^",
        "▾": "v",
        "∞": "8",
        "░": ".",
        "▒": ":",
        "▓": "%",
        "−": "-",
        "–": "-",
        "…": "~",
        "·": ".",
        "×": "x",
        "✕": "x",
        "▸": ">",
        "←": "<",
        "→": ">",
        "↑": "^",
        "↓": "v",
        "Δ": "d",
        "±": "~",
        "‖": "|",
        "◌": "o",
        "≤": "<",
        "⏎": "<",
    }
)


def to_ascii(text: str) -> str:
    """``text`` in ASCII: frames, bars, marks and braille as their likes, other letters as ``?``."""
    text = text.translate(_ASCII)
    return text if text.isascii() else "".join(c if c.isascii() else _braille(c) for c in text)


def _braille(char: str) -> str:
    bits = ord(char) - 0x2800
    if not 0 <= bits < 256:
        return "?" * max(1, cell_len(char))
    upper, lower = bits & 0b00011011, bits & 0b11100100
    if not bits:
        return " "
    return ":" if upper and lower else "'" if upper else "."
