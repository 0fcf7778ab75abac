"""Where each key of a TOML text stands. ``tomllib`` knows, and does not tell."""

from __future__ import annotations

import re

_HEADER = re.compile(r"^\s*\[\[?\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""^\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=""")
_FENCE = re.compile(r'"""|\'\'\'')


def key_lines(text: str) -> dict[str, int]:
    """Dotted key -> line, counted from 1, for tables and the keys in them.

    For recipes as people write them: a header or a key a line; keys inside an inline table get no
    line of their own, so a message names the line of the table.
    """
    lines: dict[str, int] = {}
    table = ""
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        fences = len(_FENCE.findall(line))
        if fenced:
            fenced = fences % 2 == 0
            continue
        header = _HEADER.match(line)
        if header and "=" not in line.split("#")[0]:
            table = _plain(header.group(1))
            lines.setdefault(table, number)
            continue
        key = _KEY.match(line)
        if key:
            name = _plain(key.group(1))
            lines.setdefault(f"{table}.{name}" if table else name, number)
        fenced = fences % 2 == 1
    return lines


def _plain(dotted: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in dotted.split("."))
