"""Where each key of a TOML text stands. ``tomllib`` knows, and does not tell."""

import re
import tomllib

# Multi-line strings may end with two quotes of their own before the three that close them.
_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})'
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|\#[^\n]*"
    r"|[\[\]{}=\n]"
    r"|[^\"'\#\[\]{}=\n]+"
    r"|.",
    re.DOTALL,
)
_OPENING = frozenset("[{")
_CLOSING = frozenset("]}")


def key_lines(text: str) -> dict[str, int]:
    """Dotted key -> line, counted from 1, of the tables and keys of a valid TOML text.

    A table that is only named by its keys (``train.epochs = 1``) has the line of the first of them;
    keys inside an inline table have no line of their own.
    """
    lines: dict[str, int] = {}
    table: tuple[str, ...] = ()
    for head, line in _heads(text):
        is_table = head.startswith("[")
        names = _names(head.strip("[] \t") if is_table else head)
        if is_table:
            table = names
        path = names if is_table else (*table, *names)
        for depth in range(1, len(path) + 1):
            lines.setdefault(".".join(path[:depth]), line)
    return lines


def _heads(text: str) -> list[tuple[str, int]]:
    """What stands before the ``=`` of each pair, and each ``[header]``, with its line."""
    heads: list[tuple[str, int]] = []
    line, depth, head, in_value = 1, 0, "", False
    for match in _TOKEN.finditer(text):
        piece = match[0]
        if piece == "\n" and (depth == 0 or not in_value):
            if head.startswith("["):
                heads.append((head, line))
            head, in_value, depth = "", False, 0
        elif in_value:
            depth += (piece in _OPENING) - (piece in _CLOSING)
        elif piece == "=":
            heads.append((head.strip(), line))
            head, in_value = "", True
        elif not piece.startswith("#"):
            head = (head + piece).lstrip()
        line += piece.count("\n")
    if head.startswith("["):
        heads.append((head, line))
    return heads


def _names(dotted: str) -> tuple[str, ...]:
    try:
        value = tomllib.loads(f"{dotted} = 0")
    except (tomllib.TOMLDecodeError, RecursionError):
        return (dotted,)
    names: list[str] = []
    inner: object = value
    while isinstance(inner, dict):
        name, inner = next(iter(inner.items()))
        names.append(name)
    return tuple(names)
