"""``medtui keys``: the keys of the dashboard that are in force."""

import argparse
import sys

from tui.arguments import Commands


def register(commands: Commands) -> None:
    text = "Print all actions of the dashboard with their keys, as keys.toml has them, to change them there."
    commands.add("keys", text, _print, ["medtui keys > ~/.config/medtui/keys.toml"])


def _print(_: argparse.Namespace) -> int:
    import tui.app  # noqa: F401  # it has keys too
    from tui.widgets.keymap import in_force, keys_path, load_keys

    if problem := load_keys():
        print(problem, file=sys.stderr)
    print(f"# read from {keys_path()}\n{in_force()}")
    return 2 if problem else 0
