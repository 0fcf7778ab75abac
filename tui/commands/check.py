"""``medtui check``: everything but training."""

from __future__ import annotations

from engine.requests import Check
from tui.arguments import Commands, nproc_option, recipe_arguments


def register(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_request(
        "check",
        "Do everything but training: recipe, data, one batch through the model, memory.",
        Check,
        [
            "medtui check recipes/seg_dice.toml --data ~/data",
            "medtui check recipes/cls_ce.toml --json",
            "medtui check recipes/seg_best.toml --profile",
        ],
    )
    recipe_arguments(command)
    nproc_option(command, "1")
    command.add_argument("--json", action="store_true", help="what is known of the data as JSON, without the batch")
    command.add_argument(
        "--profile", action="store_true", help="where the time of a step goes, and what in the recipe would change it"
    )
