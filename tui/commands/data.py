"""``medtui data``: the data sets that are known."""

from engine.requests import DataFetch, DataList, DataPhantom
from tui.arguments import Commands


def register(commands: Commands) -> None:
    examples = ["medtui data list", "medtui data fetch hippocampus", "medtui data phantom left_atrium"]
    text = "Data sets: what is known, download with a checksum, make a phantom."
    actions = Commands(commands.add("data", text, examples=examples), "ACTION")
    text = "List the data sets that medtui knows, and which of them are there."
    actions.add_request("list", text, DataList)
    actions.add_request("fetch", "Download a data set and check its sum.", DataFetch)
    actions.add_request("phantom", "Write an artificial data set in the layout of a real one.", DataPhantom)
