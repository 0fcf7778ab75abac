"""``medtui sweep``: many runs of one recipe as one study."""

import argparse

from engine.requests import Sweep, make
from tui.arguments import Commands
from tui.commands.run import check_name
from tui.engine_process import request_of


def register(commands: Commands) -> None:
    commands.add_request(
        "sweep",
        "Run a recipe in every fold, with several seeds, over a grid of settings, or in a search, as one study with "
        "one result. Each member is a run of its own. Ctrl-C stops them with a checkpoint; medtui resume goes on.",
        Sweep,
        [
            "medtui sweep recipes/seg_best.toml --folds 5 --seeds 2 --jobs 2",
            "medtui sweep recipes/cls_best.toml --grid optimizer.lr=1e-3,3e-4 --grid loss.name=cross_entropy,focal",
            "medtui sweep recipes/seg_best.toml --folds 3 --trials 20 --search optimizer.lr=1e-4:1e-2:log",
            "medtui sweep --resume seg_best",
        ],
        ask=_request,
    )


def _request(arguments: argparse.Namespace) -> Sweep:
    check_name(arguments.name)
    if arguments.resume:
        fields = {field: getattr(arguments, field) for field in Sweep.__struct_fields__}
        return make(Sweep, fields)
    return request_of(Sweep, arguments)
