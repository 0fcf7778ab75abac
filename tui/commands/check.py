"""``medtui check``: everything but training."""

from engine.requests import Check
from tui.arguments import Commands


def register(commands: Commands) -> None:
    commands.add_request(
        "check",
        "Do everything but training: recipe, data, one batch through the model, memory.",
        Check,
        [
            "medtui check recipes/seg_dice.toml --data ~/data",
            "medtui check recipes/cls_ce.toml --json",
            "medtui check recipes/seg_best.toml --profile",
        ],
    )
