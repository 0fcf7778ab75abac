"""``medtui rename`` and ``delete``: what people call a run, and whether it stays. A note is in `control`."""

import argparse

from engine.errors import UsageError, printable
from engine.runfolder import RunFolder, write_label
from engine.runfolder.mirror import command_for
from tui.arguments import Commands, run_argument
from tui.commands._ask import can_ask, is_confirmed
from tui.remote.reach import reached


def register(commands: Commands) -> None:
    text = "Give a run or a study another name in lists, on the screen and in its report. Its id stays."
    command = commands.add("rename", text, _rename, ['medtui rename seg_dice "dice, warm restart"'])
    run_argument(command, nargs=None, anywhere=True)
    command.add_argument("title", metavar="NAME", help='the name; "": that of the recipe again')
    text = "Delete a run for good, or a study, whose members stay. Asks first; a live run is refused."
    command = commands.add("delete", text, _delete)
    run_argument(command, nargs=None, anywhere=True)
    command.add_argument("--yes", action="store_true", help="do not ask")


def _rename(arguments: argparse.Namespace) -> int:
    with reached(arguments.runs, arguments.run, studies=True, wait_s=0) as (folder, _):
        title = write_label(folder, title=arguments.title).title
        return say(folder, f"is called {title}" if title else "is called as its recipe again")


def say(folder: RunFolder, what: str) -> int:
    """Say what was changed, and what has to be done so that the report has it too."""
    print(printable(f"{folder.id} {what}"))
    if folder.report_html.exists():
        print(printable(f"its report has it once it is written again: {command_for(folder, 'report')}"))
    return 0


def _delete(arguments: argparse.Namespace) -> int:
    from engine.runfolder.remove import refuse_removal, remove, what_goes

    with reached(arguments.runs, arguments.run, studies=True, wait_s=0) as (folder, link):
        runs = link.runs if link else arguments.runs
        refuse_removal(runs, folder)
        if not arguments.yes and not can_ask():
            raise UsageError("delete asks first, and there is nobody to ask", "without a question: --yes")
        if not arguments.yes and not is_confirmed(what_goes(folder), "Nothing brings it back. Delete it?"):
            return 1
        remove(runs, folder)
        print(printable(f"{folder.id} is deleted"))
    return 0
