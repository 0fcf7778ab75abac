"""A plan as a TOML file with its reasons beside the keys."""

import re
import textwrap
from collections.abc import Iterable, Sequence

from engine.errors import printable
from engine.planning.plan import Line
from engine.recipe import toml_value

_COLUMN, _WIDTH = 33, 120
_PARAGRAPH = _WIDTH - 2


def recipe_text(head: Sequence[str], lines: Iterable[Line]) -> str:
    """``head`` as comments, then the keys by their tables, each with its reason beside it or above."""
    rows = [f"# {row}".rstrip() for text in head for row in (textwrap.wrap(printable(text), _PARAGRAPH) or [""])] + [""]
    tables: dict[str, list[Line]] = {}
    for line in lines:
        tables.setdefault(line.key.rpartition(".")[0], []).append(line)
    for table, own in tables.items():
        rows += ["", f"[{table}]"] if table else []
        for line in own:
            rows += _rows(line)
    return "\n".join(rows) + "\n"


def _rows(line: Line) -> list[str]:
    text = f"{line.key.rpartition('.')[2]} = {toml_value(line.value)}"
    if not line.why:
        return [text]
    why = printable(" ".join(line.why.split()))
    if len(text) < _COLUMN and _COLUMN + 2 + len(why) <= _WIDTH:
        return [f"{text:{_COLUMN}}# {why}"]
    return [*(f"# {row}" for row in textwrap.wrap(why, _PARAGRAPH)), text]


def named(text: str) -> str:
    """``text`` as the name of a recipe: what may not be in one becomes a dash."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:64]
    return name or "recipe"
