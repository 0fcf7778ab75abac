"""``medtui check``: everything but training."""

from __future__ import annotations

import argparse

from engine.requests import Check
from tui.arguments import Commands, recipe_arguments
from tui.engine_process import checked_recipe, request_of


def register(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_request(
        "check",
        "Do everything but training: recipe, data, one batch through the model, memory.",
        _request,
        ["medtui check recipes/seg_dice.toml --data ~/data"],
    )
    recipe_arguments(command)


def _request(arguments: argparse.Namespace) -> Check:
    checked_recipe(arguments)
    return request_of(Check, arguments)
