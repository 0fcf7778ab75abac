"""``medtui sweep``: many runs of one recipe as one study."""

import argparse

from engine.requests import Sweep, make
from tui.arguments import Commands, screen_options
from tui.commands.run import check_name, launch
from tui.engine_process import request_of
from tui.remote.hosts import split_address
from tui.remote.reach import found_here


def register(commands: Commands) -> None:
    command = commands.add_request(Sweep, ask=_request, perform=lambda told: launch(_request(told), told))
    screen_options(command, plain="its lines, which it always prints", what="study")


def _request(arguments: argparse.Namespace) -> Sweep:
    check_name(arguments.name)
    if arguments.resume:
        if split_address(str(arguments.recipe)):
            found_here(arguments.runs, str(arguments.recipe), "resume", studies=True)  # says where to type it
        fields = {field: getattr(arguments, field) for field in Sweep.__struct_fields__ if hasattr(arguments, field)}
        return make(Sweep, fields)
    return request_of(Sweep, arguments)
