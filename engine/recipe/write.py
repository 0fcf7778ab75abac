"""A resolved recipe as TOML that runs again as it is."""

import json
import re
from collections.abc import Mapping
from typing import Any

from engine.recipe.dead import applies
from engine.recipe.model import Recipe

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def recipe_toml(recipe: Recipe, facts: Mapping[str, Any] | None = None, *, sure: bool = False) -> str:
    """Every key that does something with its value, defaults too; keys that are unset are left out.

    So is ``runtime.webhook``, which is a secret: recipes are printed and handed on.

    Args:
        facts: what the data decided, see `engine.recipe.dead.applies`.
        sure: leave defaults out of which only the data can tell whether they do something.
    """
    values = recipe.model_dump(exclude_none=True, exclude={"runtime": {"webhook"}})
    lines = [f"{key} = {toml_value(value)}" for key, value in values.items() if not isinstance(value, dict)]
    for name, table in values.items():
        if isinstance(table, dict):
            unsure = set(table) - getattr(recipe, name).model_fields_set if sure else set()
            judged = {key: applies(recipe, name, key, facts) for key in table}
            kept = {key: table[key] for key in table if judged[key] or (judged[key] is None and key not in unsure)}
            lines += ["", f"[{name}]", *(f"{key} = {toml_value(value)}" for key, value in kept.items())]
    return "\n".join(lines) + "\n"


def toml_value(value: Any) -> str:
    """A plain value as TOML writes it on one line; a key is written as it is, or in quotes where it has to be."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # JSON's escapes are TOML's, but for DEL, which TOML wants escaped and JSON does not.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    if isinstance(value, dict):
        pairs = [f"{key if _BARE.fullmatch(key) else toml_value(key)} = {toml_value(value[key])}" for key in value]
        return "{" + ", ".join(pairs) + "}"
    return repr(value)
