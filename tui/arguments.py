"""The command line: its parser, and the options that several commands share. Nothing heavy is imported here.

A request of the engine (`engine.requests`) is a command by itself: its docstring is the help, its fields are the
options. What takes more than that, or no engine, has a file in `tui.commands` with a function ``register(commands)``
that adds its command. Both are found where they stand; nothing else lists the commands.
"""

import argparse
import difflib
import importlib
import pkgutil
import textwrap
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from pathlib import Path
from types import UnionType
from typing import Any, Literal, NoReturn, Union, get_args, get_origin

import msgspec

import tui.commands
from engine.errors import UsageError, printable
from engine.requests import A_RUN, REQUESTS, Request, options_of
from tui.engine_process import request_of, run_engine

Perform = Callable[[argparse.Namespace], int]
Ask = Callable[[argparse.Namespace], Request]

_WIDTH = 79
_ORDER = (
    *("new", "run", "attach", "runs", "findings", "control", "resume", "label"),
    *("evaluate", "predict", "figures", "report", "sweep", "check"),
)
"""The commands and the files of several as the help lists them; others follow."""

EXIT_CODES = """\
exit codes:
  0    done
  1    the run failed
  2    the recipe, the data or the command line is wrong
  3    stopped on request
  130  interrupted
  143  terminated by SIGTERM"""

RUN_HELP = f"A RUN is {A_RUN}; where it may be left out, the newest."

EXAMPLES = """\
examples:
  medtui run recipes/quickstart.toml             train on a small artificial data set and watch
  medtui run recipes/seg_dice.toml --data ~/data --set train.epochs=10
  medtui run recipes/seg_dice.toml --plain > log one line an epoch, for SLURM and nohup
  medtui attach                                  look at the newest run again
  medtui stop --now                              checkpoint and end the newest run
  medtui report RUN RUN                          compare two runs"""


class Parser(argparse.ArgumentParser):
    """argparse that raises `UsageError` and knows the nearest legal name."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        raise UsageError(printable(message), f"see: {self.prog} --help")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            choices = [str(choice) for choice in action.choices]
            what = "command" if isinstance(action, argparse._SubParsersAction) else "value of " + _name(action)
            meant = near(str(value), choices)
            raise UsageError(f'"{printable(str(value), keep="")}" is no {what}{meant}', f"one of: {', '.join(choices)}")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse's, but an unknown option is named by the command that does not know it."""
        found, rest = super().parse_known_args(args, namespace)
        if rest:
            known = [option for action in self._actions for option in action.option_strings]
            first = str(rest[0]).partition("=")[0]
            what = "option" if first.startswith("-") else "argument"
            raise UsageError(
                f'{self.prog} has no {what} "{printable(first, keep="")}"{_set(first, known) or near(first, known)}',
                f"see: {self.prog} --help",
            )
        return found, rest


def _set(option: str, known: Collection[str]) -> str:
    """``; a key of the recipe: --set train.epochs=...`` for ``--epochs``, where ``--set`` is known; else nothing."""
    if "--set" not in known or not option.startswith("--"):
        return ""
    from engine.recipe.explain import full_name

    key = full_name(option[2:].replace("-", "_"))
    return f"; it is a key of the recipe: --set {key}=..." if key else ""


def near(name: str, names: Iterable[str]) -> str:
    """``; did you mean "run"?`` for the nearest of ``names``, or nothing."""
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.6)
    return f'; did you mean "{close[0]}"?' if close else ""


def _name(action: argparse.Action) -> str:
    return action.option_strings[-1] if action.option_strings else str(action.metavar or action.dest).upper()


class Commands:
    """Where commands register themselves."""

    def __init__(self, parser: Parser, metavar: str = "COMMAND") -> None:
        self._parsers = parser.add_subparsers(dest=metavar.lower(), metavar=metavar, required=True, parser_class=Parser)

    def add(self, name: str, text: str, perform: Perform | None = None, examples: Sequence[str] = ()) -> Parser:
        """A command that this process does itself; the first sentence of ``text`` is its line in the list of all.

        ``perform`` does it, and returns the exit code; None where it has commands of its own.
        """
        epilog = "examples:\n" + "\n".join(f"  {line}" for line in examples) + "\n\n" if examples else ""
        text = " ".join(text.split())
        line = text.partition(". ")[0].rstrip(".")
        made: Parser = self._parsers.add_parser(
            name, help=line, description=textwrap.fill(text, _WIDTH), epilog=epilog + EXIT_CODES
        )
        if perform is not None:
            made.set_defaults(perform=perform, ask=None)
        return made

    def add_request(self, kind: type[Request], *, ask: Ask | None = None, perform: Perform | None = None) -> Parser:
        """A command that the engine does; the fields of the ``kind`` of its request are the options.

        ``ask`` makes the request of them, where that takes more than their values; ``perform`` sends it in another way
        than to wait for the engine's end.
        """
        asked: Ask = ask or partial(request_of, kind)
        sends = perform or (lambda arguments: run_engine(asked(arguments)))
        made = self.add(kind.typed.split()[-1], kind.__doc__ or "", sends, kind.examples)
        made.set_defaults(ask=asked)
        _add_options(made, kind)
        return made


def parser(version: Callable[[], str]) -> Parser:
    """The parser of ``medtui``; ``version`` is called only when it is to be printed."""

    class Version(argparse.Action):
        def __call__(self, *_: Any) -> NoReturn:
            print(f"medtui {version()}")
            raise SystemExit(0)

    top = Parser(
        prog="medtui",
        description="Train medical-imaging models: a recipe in, a live dashboard, metrics, figures and a report out.",
        epilog=f"{EXAMPLES}\n\n{RUN_HELP}\n\n{EXIT_CODES}",
    )
    top.add_argument("--version", action=Version, nargs=0, help="print the version and end")
    commands = Commands(top)
    files = {module.name for module in pkgutil.iter_modules(tui.commands.__path__) if module.name[0] != "_"}
    alone = {kind.typed: kind for kind in REQUESTS.values() if kind.typed.split()[0] not in files}
    names = sorted({*files, *alone})
    for name in [*_ORDER, *(name for name in names if name not in _ORDER)]:
        if name in alone:
            commands.add_request(alone[name])
        else:
            importlib.import_module(f"tui.commands.{name}").register(commands)
    return top


def runs_option(command: Parser) -> None:
    """``--runs DIR``, which every command that knows runs has."""
    command.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="folder of the runs (runs)")


def run_argument(command: Parser, *, nargs: str | None = "?", text: str = "", anywhere: bool = False) -> None:
    """``[RUN]`` and ``--runs DIR``; ``anywhere``: on other machines too."""
    words = text or A_RUN + ("; without it, the newest run" if nargs else "")
    words += ". [user@]host:RUN or user@host: on another machine, over ssh" if anywhere else ""
    command.add_argument("run", nargs=nargs, metavar="RUN", help=words)
    runs_option(command)


def screen_options(command: Parser, plain: str = "no dashboard: one line an epoch", what: str = "run") -> None:
    """``--plain`` and ``--detach``: what a trainer that was started, or a study, is shown as."""
    group = command.add_mutually_exclusive_group()
    group.add_argument("--plain", action="store_true", help=plain)
    group.add_argument("--detach", action="store_true", help=f"print the {what} folder and return; training goes on")


def _add_options(command: Parser, kind: type[Request]) -> None:
    """The options of a request, by its fields; with ``RUN`` also ``--runs DIR``."""
    for name, hint, default, option in sorted(options_of(kind), key=lambda field: field[3].place == ""):
        optional = get_origin(hint) in {Union, UnionType}
        types = [part for part in get_args(hint) if part is not type(None)] if optional else [hint]
        given: dict[str, Any] = {"help": option.words, "metavar": option.metavar, "default": default}
        if required := default is msgspec.NODEFAULT:
            del given["default"]
        flags = option.flag or ("--" + name.replace("_", "-"),)
        if types == [bool]:
            given |= {"action": "store_true"}
            del given["metavar"]
        elif get_origin(types[0]) is Literal:
            given |= {"choices": get_args(types[0])}
        elif types == [int]:
            given |= {"type": whole_number(option.low, option.high)}
        elif get_origin(types[0]) is tuple and not option.place:
            given |= {"action": "append", "default": []}
        elif name != "run" and (types == [Path] or option.place == "+"):
            given |= {"type": Path}
        if option.place != "":
            command.add_argument(name, nargs=option.place, **given)
        else:
            command.add_argument(*flags, dest=name, required=required, **given)
        if name == "run":
            runs_option(command)


def whole_number(low: int, high: int) -> Callable[[str], int]:
    """An argument's type: whole numbers in a range."""

    def number(text: str) -> int:
        if not (text.isascii() and text.isdigit() and low <= int(text[:12]) <= high):
            raise argparse.ArgumentTypeError(f'found "{text}", allowed is a whole number from {low} to {high}')
        return int(text)

    return number


def seconds(text: str) -> float:
    """An argument's type: seconds, up to a day."""
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0.0 <= found <= 86400.0:
        raise argparse.ArgumentTypeError(f'found "{text}", allowed is a number of seconds from 0 to 86400')
    return found
