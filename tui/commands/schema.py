"""``medtui schema``: the JSON Schema of recipes."""

import argparse
import json

from tui.arguments import Commands


def register(commands: Commands) -> None:
    text = "Print the JSON Schema of recipes, for editors."
    commands.add("schema", text, _print, ["medtui schema > recipe.schema.json"])


def _print(_: argparse.Namespace) -> int:
    from engine.recipe import json_schema

    print(json.dumps(json_schema(), indent=2, ensure_ascii=False))
    return 0
