"""``medtui serve``: the dashboard in a browser, to read only. Each visitor has an app of their own."""

import argparse
import contextlib
import ctypes
import os
import shlex
import signal
import socket
import sys
from pathlib import Path

from engine.errors import UsageError, printable, raised_as
from engine.runfolder import list_runs
from tui.arguments import Commands, runs_option, whole_number
from tui.engine_process import engine_environment

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def register(commands: Commands) -> None:
    command = commands.add("serve", "Show the dashboard in a browser, to read only.", serve)
    runs_option(command)
    command.add_argument("--host", default="localhost", metavar="HOST", help="address to listen on (localhost)")
    command.add_argument(
        "--port", type=whole_number(1, 65535), default=8000, metavar="N", help="port to listen on (8000)"
    )


def serve(arguments: argparse.Namespace) -> int:
    """Serve the runs of ``--runs`` until Ctrl-C.

    Raises:
        UsageError: the folder cannot be read, or the port is taken.
    """
    from tui.commands._server import LOCAL, PrivateServer

    list_runs(arguments.runs)
    _free(arguments.host, arguments.port)
    os.environ.update(engine_environment())
    command = shlex.join([sys.executable, "-P", "-m", "tui.commands.serve", str(arguments.runs.resolve())])
    server = PrivateServer(f"exec {command}", arguments.host, arguments.port)
    print(printable(f"{server.address} shows {arguments.runs}; Ctrl-C ends it"), flush=True)
    if arguments.host not in LOCAL:
        print("the address is a password, and goes unencrypted: better a tunnel, ssh -L", file=sys.stderr)
    server.serve()
    return 0


def _free(host: str, port: int) -> None:
    """Say early, and in our words, that an address cannot be had."""
    with raised_as(UsageError, f"cannot listen on {host}, port {port}", "choose others with --host and --port"):
        for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)


def _visit(runs: Path) -> None:
    """The app of one visitor; the kernel ends it with the server, whatever ends that."""
    from tui.app import MedtuiApp

    with contextlib.suppress(OSError, AttributeError):  # Linux only
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    MedtuiApp(runs, None, read_only=True).run()


if __name__ == "__main__":
    _visit(Path(sys.argv[1]))
