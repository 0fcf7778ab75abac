"""``medtui evaluate``: metrics of a checkpoint on any split or folder."""

from __future__ import annotations

from engine.requests import Evaluate
from tui.arguments import Commands, data_option, run_argument, weights_options


def register(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_request(
        "evaluate",
        "Measure a checkpoint of a run on any split, or on a folder. The result stands in metrics.json "
        "under a name of its own.",
        Evaluate,
        ["medtui evaluate seg_dice --split validation", "medtui evaluate seg_dice --data ~/other --name other"],
    )
    run_argument(command)
    command.add_argument("--split", metavar="S", help="train, validation, test or all (test; with --data: all)")
    data_option(command, "another folder with the same kind of data (the run's own)")
    command.add_argument("--name", metavar="NAME", help="name of the result in metrics.json")
    weights_options(command)
