"""``medtui pause``, ``stop``, ``checkpoint``, ``note``: a request, and the trainer's own answer to it."""

import argparse
import time

from engine.errors import UsageError, printable
from engine.events import Control
from engine.runfolder import ENDED, EventReader, RunFolder, read_status, send, size_of, write_label
from engine.runfolder.control import Command
from engine.runfolder.mirror import host_of, is_mirror, refuse_mirror
from tui.arguments import Commands, Parser, run_argument, seconds
from tui.commands.label import say
from tui.remote.reach import reached

_POLL_S = 0.1
_TEXTS = {
    "pause": "Pause a live run after its iteration. It keeps its memory; go on with: medtui resume.",
    "stop": "End a live run after the epoch that it is in. It is tested and reported as far as it came. Of a study all "
    "members write a checkpoint and end; medtui resume goes on.",
    "checkpoint": "Write last.pt of a live run now.",
    "note": "Write a line of text about a run. It stands in lists and in the report; of a live run in its stream too.",
}


def register(commands: Commands) -> None:
    for name, text in _TEXTS.items():
        command = commands.add(name, text, _send)
        run_argument(command, nargs=None if name == "note" else "?", anywhere=True)
        wait_option(command)
        if name == "stop":
            command.add_argument("--now", action="store_true", help="after the iteration, with a checkpoint")
        if name == "note":
            command.add_argument("text", metavar="TEXT", help='the line, in quotes; "": no note')


def wait_option(command: Parser) -> None:
    """``--wait S``."""
    command.add_argument(
        "--wait", type=seconds, default=30.0, metavar="S", help="seconds to wait for the trainer's answer (30)"
    )


def _send(arguments: argparse.Namespace) -> int:
    command: Command = "stop_now" if arguments.command == "stop" and arguments.now else arguments.command
    with reached(arguments.runs, arguments.run, studies=arguments.command in {"note", "stop"}) as (folder, _):
        if command == "note" and (not arguments.text or folder.is_study or read_status(folder).state in ENDED):
            return say(folder, f"has the note: {write_label(folder, note=arguments.text).note or 'none'}")
        if folder.is_study:
            return _stop_study(folder)
        return send_request(folder, command, getattr(arguments, "text", ""), arguments.wait)


def send_request(folder: RunFolder, command: Command, text: str = "", wait_s: float = 30.0) -> int:
    """Ask the live trainer of ``folder`` for ``command`` and print its answer. 0 when it was done.

    Raises:
        UsageError: the run is not live, or its folder cannot be written.
    """
    _refuse_ended(folder)
    reader = EventReader(folder.events, position=size_of(folder.events))
    sent = send(folder, command, text)
    answer = _answer(folder, reader, sent.id, wait_s)
    if answer is None:
        state = read_status(folder).state
        if state in ENDED:
            print(printable(f"{folder.id} is {state}; it ended without an answer"))
        else:
            print(printable(f"pending: the trainer of {folder.id} has not answered yet"))
        return 1
    print(printable(f"{folder.id}: {answer.message or f'{command}: {answer.state}'}"))
    return 0 if answer.state == "done" else 1


def _refuse_ended(folder: RunFolder) -> None:
    if (state := read_status(folder).state) in ENDED:
        listed = f"medtui runs --host {host_of(folder)}" if is_mirror(folder) else "medtui runs"
        raise UsageError(f"{folder.id} is {state}: there is no trainer to ask", f"live runs are shown by: {listed}")


def _stop_study(folder: RunFolder) -> int:
    """Ask the sweep that is at work on a study; it has no stream to answer in."""
    refuse_mirror(folder, "stop")
    _refuse_ended(folder)
    send(folder, "stop")
    print(printable(f"{folder.id}: asked; its members write a checkpoint and end: medtui runs"))
    return 0


def _answer(folder: RunFolder, reader: EventReader, request_id: str, wait_s: float) -> Control | None:
    """The trainer's answer; None when there is none in time, or when the trainer is gone."""
    end = time.monotonic() + wait_s
    while True:
        over = time.monotonic() >= end or read_status(folder).state in ENDED  # asked before the last look
        while events := reader.read():
            for event in events:
                if isinstance(event, Control) and event.request == request_id:
                    return event
        if over:
            return None
        time.sleep(_POLL_S)
