"""TOML of a stranger as nested tables. Needs none of the tables of a recipe: the screen starts without them."""

import re
import tomllib
from collections.abc import Mapping
from typing import Any

from engine.errors import RecipeError

MOST_PARTS, MOST_KEYS = 8, 2000
_OPAQUE = re.compile(
    r'"""(?:\\.|[^\\])*?(?:"""|\Z)'
    r"|'''.*?(?:'''|\Z)"
    r'|"(?:\\.|[^"\\\n])*"?'
    r"|'[^'\n]*'?"
    r"|\#[^\n]*",
    re.DOTALL,
)
"""Strings and comments, also those that do not end: there is always a match, so that time grows with length only."""


def parse(text: str, where: str) -> dict[str, Any]:
    """The values of a TOML text.

    Raises:
        RecipeError: it is none; it names the line.
    """
    bare = _OPAQUE.sub("", text + "\n")
    if bare.count("=") + len(re.findall(r"\n[ \t]*\[", bare)) > MOST_KEYS:
        raise RecipeError(f"{where}: not a recipe: more than {MOST_KEYS} keys")
    if max(part.count(".") for part in re.split(r"[,=\[\]{}\n]", bare)) > MOST_PARTS:
        raise RecipeError(f"{where}: not a recipe: a key of more than {MOST_PARTS} parts", "such as train.epochs = 10")
    try:
        return tomllib.loads(text)
    except (RecursionError, ValueError) as error:  # TOMLDecodeError is a ValueError
        said = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        message, line = _toml_error(said, text)
        raise RecipeError(
            f"{where}:{line}: not valid TOML: {message}",
            "a line reads: key = value, with strings in quotes; tables begin with a line such as [train]",
        ) from None


def _toml_error(said: str, text: str) -> tuple[str, int]:
    """What tomllib said, without the place, and the line that it meant."""
    message, _, place = said.rpartition(" (at ")
    found = re.match(r"line (\d+)", place)
    if found:
        return message, int(found[1])
    return message or said, text.rstrip("\n").count("\n") + 1


def flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested table by dotted keys.

    >>> flat({"seed": 1, "train": {"epochs": 3}})
    {'seed': 1, 'train.epochs': 3}
    """
    found: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = value
    return found
