"""``medtui data``: the data sets that are known."""

from engine.requests import DataFetch, DataList, DataPhantom
from tui.arguments import Commands


def register(commands: Commands) -> None:
    examples = ["medtui data list", "medtui data fetch hippocampus", "medtui data phantom left_atrium"]
    text = "Data sets: what is known, download with a checksum, make a phantom."
    actions = Commands(commands.add("data", text, examples=examples), "ACTION")
    for request in (DataList, DataFetch, DataPhantom):
        actions.add_request(request)
