"""``medtui predict``: masks or class tables for new files."""

from __future__ import annotations

from pathlib import Path

from engine.requests import Predict
from tui.arguments import Commands, run_argument, weights_options


def register(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_request(
        "predict",
        "Apply a run to new files. Masks have the geometry of their input; classes come as a table.",
        Predict,
        ["medtui predict seg_dice scans/*.nii.gz -o masks", "medtui predict cls_ce images -o classes"],
    )
    run_argument(command, nargs=None)
    command.add_argument("inputs", nargs="+", type=Path, metavar="INPUT", help="files or folders")
    command.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="where the results go")
    command.add_argument("--overwrite", action="store_true", help="replace masks that medtui did not write")
    weights_options(command)
