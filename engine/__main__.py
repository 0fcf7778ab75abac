"""``python -m engine COMMAND REQUEST``: the commands that do work. Each imports what it needs, and no more.

REQUEST is the command's request as JSON (`engine.requests`), or ``-`` for one that comes through stdin.
``medtui`` starts commands in this way; so do launchers of several processes, and so can a person.
"""

import importlib
import os
import sys
from collections.abc import Callable, Sequence

from engine.console import guarded
from engine.hardware import keep_niceness, unwatched
from engine.requests import REQUESTS, Request, decode, options_of
from engine.training.pages import keep_memory, large_pages

_USAGE = """\
usage: python -m engine COMMAND REQUEST

REQUEST is a JSON object, or - to read it from stdin:
    python -m engine train '{"recipe": "recipes/quickstart.toml"}'
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; errors are one message on stderr, and their exit code is returned."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    return guarded(lambda: _main(words))


def _main(words: list[str]) -> int:
    if not words or {"-h", "--help"} & set(words):
        print(_help(words[0] if words else ""))
        return 0 if words else 2
    command, text = words[0], "{}" if len(words) == 1 else " ".join(words[1:])
    request = decode(command, _read_request() if text == "-" else text)
    keep_niceness()
    large_pages()
    if command in {"train", "resume", "check"}:
        keep_memory()
    return function_of(type(request))(request)


def function_of(request: type[Request]) -> Callable[[Request], int]:
    """The function that answers a request: found by its name, and imported only now."""
    with unwatched():
        module = importlib.import_module(f"engine.commands.{request.command.partition('-')[0]}")
    function: Callable[[Request], int] = getattr(module, request.command.replace("-", "_"))
    return function


def _read_request() -> str:
    text = sys.stdin.read()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    return text


def _help(command: str) -> str:
    if command in REQUESTS:
        fields = [f"    {name}: {option.words}" for name, _, _, option in options_of(REQUESTS[command])]
        return "\n".join([f"usage: python -m engine {command} REQUEST\n\n{REQUESTS[command].__doc__}", *fields])
    lines = [f"    {name:14}{(request.__doc__ or '').splitlines()[0]}" for name, request in REQUESTS.items()]
    return "\n".join([_USAGE, "commands; each has --help with its fields:", *lines])


if __name__ == "__main__":
    sys.exit(main())
