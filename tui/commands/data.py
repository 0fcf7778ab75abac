"""``medtui data``: the data sets that are known."""

from __future__ import annotations

from engine.requests import DataFetch, DataList, DataPhantom
from tui.arguments import Commands, data_option, whole_number


def register(commands: Commands) -> None:
    """Add the command."""
    examples = ["medtui data list", "medtui data fetch hippocampus", "medtui data phantom left_atrium"]
    text = "Data sets: what is known, download with a checksum, make a phantom."
    actions = Commands(commands.add("data", text, examples=examples), "ACTION")
    text = "List the data sets that medtui knows, and which of them are there."
    listing = actions.add_request("list", text, DataList)
    data_option(listing)
    listing.add_argument("--json", action="store_true", help="a JSON array, for scripts")
    fetch = actions.add_request("fetch", "Download a data set and check its sum.", DataFetch)
    fetch.add_argument("name", metavar="NAME", help="see: medtui data list")
    data_option(fetch)
    phantom = actions.add_request("phantom", "Write an artificial data set in the layout of a real one.", DataPhantom)
    phantom.add_argument("name", metavar="NAME", help="see: medtui data list")
    data_option(phantom)
    phantom.add_argument(
        "--cases", type=whole_number(1, 100_000), metavar="N", help="how many cases (a number that suits the recipe)"
    )
    phantom.add_argument("--seed", type=whole_number(0, 2**32 - 1), default=0, metavar="N", help="seed of the draw (0)")
