"""A resolved recipe as TOML that runs again as it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from engine.recipe.dead import applies
from engine.recipe.model import Recipe


def recipe_toml(recipe: Recipe, facts: Mapping[str, Any] | None = None) -> str:
    """Every key that does something with its value, defaults too; keys that are unset are left out.

    Args:
        recipe: a checked recipe.
        facts: what the data decided, see `engine.recipe.dead.applies`.
    """
    values = recipe.model_dump(exclude_none=True)
    lines = [f"{key} = {_toml(value)}" for key, value in values.items() if not isinstance(value, dict)]
    for name, table in values.items():
        if isinstance(table, dict):
            kept = {key: value for key, value in table.items() if applies(recipe, name, key, facts) is not False}
            lines += ["", f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in kept.items())]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # JSON's escapes are TOML's, but for DEL, which TOML wants escaped and JSON does not.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + "}"
    return repr(value)
