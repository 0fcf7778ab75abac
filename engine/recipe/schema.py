"""The JSON Schema of recipes, for editors."""

from __future__ import annotations

from typing import Any

from engine.recipe.model import Recipe


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a recipe file; unlike a resolved recipe, a file may extend another."""
    schema = Recipe.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "medtui recipe"
    extends = {"type": "string", "description": "Another recipe, in the same folder, whose keys this one inherits."}
    schema["properties"] = {"extends": extends, **schema["properties"]}
    # What a recipe inherits it need not say, so a file on its own has to have nothing.
    schema["anyOf"] = [{"required": ["extends"]}, {"required": schema.pop("required")}]
    for name in ("DataTable", "ModelTable", "LossTable", "TrainTable"):
        schema["$defs"][name].pop("required", None)
    return schema
