"""``medtui evaluate``: metrics of a checkpoint on any split or folder."""

import argparse

from engine.errors import absent_dataset
from engine.requests import Evaluate
from tui.arguments import Commands
from tui.engine_process import request_of


def register(commands: Commands) -> None:
    commands.add_request(
        "evaluate",
        "Measure a checkpoint of a run on any split, or on a folder. The result stands in metrics.json "
        "under a name of its own.",
        Evaluate,
        ["medtui evaluate seg_dice --split validation", "medtui evaluate seg_dice --data ~/other --name other"],
        ask=_ask,
    )


def _ask(arguments: argparse.Namespace) -> Evaluate:
    """The request, once its data are there: PyTorch takes long to load."""
    request = request_of(Evaluate, arguments)
    if request.data and not request.data.is_dir():
        raise absent_dataset(request.data)
    return request
