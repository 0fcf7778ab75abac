"""``medtui evaluate``: metrics of a checkpoint on any split or folder."""

from __future__ import annotations

from engine.requests import Evaluate
from tui.arguments import Commands


def register(commands: Commands) -> None:
    """Add the command."""
    commands.add_request(
        "evaluate",
        "Measure a checkpoint of a run on any split, or on a folder. The result stands in metrics.json "
        "under a name of its own.",
        Evaluate,
        ["medtui evaluate seg_dice --split validation", "medtui evaluate seg_dice --data ~/other --name other"],
    )
