"""``medtui sweep``: many runs of one recipe as one study."""

from __future__ import annotations

import argparse

from engine.requests import Sweep, make
from tui.arguments import Commands, recipe_arguments, runs_option, slurm_options, whole_number
from tui.commands.run import check_name
from tui.engine_process import request_of


def register(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_request(
        "sweep",
        "Run a recipe in every fold, with several seeds, over a grid of settings, or in a search, as one study with "
        "one result. Each member is a run of its own. Ctrl-C stops them with a checkpoint; medtui resume goes on.",
        _request,
        [
            "medtui sweep recipes/seg_best.toml --folds 5 --seeds 2 --jobs 2",
            "medtui sweep recipes/cls_best.toml --grid optimizer.lr=1e-3,3e-4 --grid loss.name=cross_entropy,focal",
            "medtui sweep recipes/seg_best.toml --folds 3 --trials 20 --search optimizer.lr=1e-4:1e-2:log",
            "medtui sweep --resume seg_best",
        ],
    )
    recipe_arguments(command)
    runs_option(command)
    command.add_argument("--name", metavar="NAME", help="name of the study (the recipe's)")
    folds, many = whole_number(2, 100), whole_number(1, 1000)
    command.add_argument("--folds", type=folds, default=0, metavar="N", help="folds of a cross-validation (none)")
    command.add_argument("--seeds", type=many, default=1, metavar="N", help="seeds, from the recipe's own on (1)")
    command.add_argument(
        "--grid",
        action="append",
        default=[],
        metavar="KEY=A,B",
        help="values of a key; several keys: every combination",
    )
    command.add_argument("--trials", type=many, default=0, metavar="N", help="trials of a search by Optuna")
    command.add_argument(
        "--search",
        action="append",
        default=[],
        metavar="KEY=LOW:HIGH",
        help="what trials vary; also LOW:HIGH:log and A,B",
    )
    command.add_argument("--jobs", type=many, metavar="N", help="runs at a time, dividing the cores (1; on SLURM all)")
    slurm_options(command)
    command.add_argument("--resume", action="store_true", help="go on with a study, named in place of the recipe")


def _request(arguments: argparse.Namespace) -> Sweep:
    check_name(arguments.name)
    if arguments.resume:
        fields = {field: getattr(arguments, field) for field in Sweep.__struct_fields__}
        return make(Sweep, fields)
    return request_of(Sweep, arguments)
