"""``medtui sweep``: many runs of one recipe as one study."""

import argparse

from engine.requests import Sweep, make
from tui.arguments import Commands
from tui.commands.run import check_name
from tui.engine_process import request_of


def register(commands: Commands) -> None:
    commands.add_request(Sweep, ask=_request)


def _request(arguments: argparse.Namespace) -> Sweep:
    check_name(arguments.name)
    if arguments.resume:
        fields = {field: getattr(arguments, field) for field in Sweep.__struct_fields__}
        return make(Sweep, fields)
    return request_of(Sweep, arguments)
