"""``medtui figures``: the figures of a run once more."""

from engine.requests import Figures
from tui.arguments import Commands


def register(commands: Commands) -> None:
    commands.add_request(
        "figures", "Draw the figures of a run again, from its folder alone.", Figures, ["medtui figures --only roc"]
    )
