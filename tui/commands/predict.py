"""``medtui predict``: masks or class tables for new files."""

from __future__ import annotations

from engine.requests import Predict
from tui.arguments import Commands


def register(commands: Commands) -> None:
    """Add the command."""
    commands.add_request(
        "predict",
        "Apply a run to new files. Masks have the geometry of their input; classes come as a table.",
        Predict,
        ["medtui predict seg_dice scans/*.nii.gz -o masks", "medtui predict cls_ce images -o classes"],
    )
