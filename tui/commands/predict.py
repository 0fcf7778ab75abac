"""``medtui predict``: masks or class tables for new files."""

import argparse

from engine.errors import absent_input
from engine.requests import Predict
from tui.arguments import Commands
from tui.engine_process import request_of


def register(commands: Commands) -> None:
    commands.add_request(
        "predict",
        "Apply a run to new files. Masks have the geometry of their input; classes come as a table.",
        Predict,
        ["medtui predict seg_dice scans/*.nii.gz -o masks", "medtui predict cls_ce images -o classes"],
        ask=_ask,
    )


def _ask(arguments: argparse.Namespace) -> Predict:
    """The request, once its inputs are there: PyTorch takes long to load."""
    request = request_of(Predict, arguments)
    if missing := [path for path in request.inputs if not path.exists()]:
        raise absent_input(missing[0])
    return request
