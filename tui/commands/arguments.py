"""The command line: every command, its options and its help. Nothing heavy is imported here."""

from __future__ import annotations

import argparse
import difflib
import textwrap
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from engine.errors import UsageError, printable

_WIDTH = 79

EXIT_CODES = """\
exit codes:
  0    done
  1    the run failed
  2    the recipe, the data or the command line is wrong
  3    stopped on request
  130  interrupted"""

RUN_HELP = "A RUN is a folder, an id, or a unique part of an id; where it may be left out, the newest."

EXAMPLES = """\
examples:
  medtui data phantom left_atrium                write a small artificial data set
  medtui run recipes/quickstart.toml             train it and watch
  medtui run recipes/seg_dice.toml --data ~/data --set train.epochs=10
  medtui run recipes/seg_dice.toml --plain > log one line an epoch, for Slurm and nohup
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
            what = "command" if action.dest in {"command", "data_command"} else "value of " + _name(action)
            meant = near(str(value), choices)
            raise UsageError(
                f'"{printable(str(value), keep="")}" is no {what}{meant}',
                f"one of: {', '.join(choices)}",
            )

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse's, but an unknown option is told by the command that does not know it."""
        found, rest = super().parse_known_args(args, namespace)
        if rest:
            known = [option for action in self._actions for option in action.option_strings]
            first = str(rest[0]).partition("=")[0]
            what = "option" if first.startswith("-") else "argument"
            raise UsageError(
                f'{self.prog} has no {what} "{printable(first, keep="")}"{near(first, known)}',
                f"see: {self.prog} --help",
            )
        return found, rest


def near(name: str, names: Iterable[str]) -> str:
    """``; did you mean "run"?`` for the nearest of ``names``, or nothing."""
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.6)
    return f'; did you mean "{close[0]}"?' if close else ""


def _name(action: argparse.Action) -> str:
    return action.option_strings[-1] if action.option_strings else str(action.metavar or action.dest).upper()


def parser(version: Callable[[], str]) -> Parser:
    """The parser of ``medtui``; ``version`` is asked only when it is to be printed."""

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
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=Parser)
    for add in (_run, _watching, _control, _results, _checking, _data, _serving):
        add(commands)
    return top


def _command(commands: Any, name: str, text: str, *, examples: Sequence[str] = ()) -> Parser:
    """A command with ``text`` as its help; the first sentence is its line in the list of commands."""
    epilog = "examples:\n" + "\n".join(f"  {line}" for line in examples) + "\n\n" if examples else ""
    line = text.partition(". ")[0].rstrip(".")
    made: Parser = commands.add_parser(
        name, help=line, description=textwrap.fill(text, _WIDTH), epilog=epilog + EXIT_CODES
    )
    return made


def _runs_option(command: Parser) -> None:
    command.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="folder of the runs (runs)")


def _run_argument(command: Parser, *, nargs: str | None = "?", text: str = "") -> None:
    words = text or "a folder, an id, or a unique part of an id; without it, the newest run"
    command.add_argument("run", nargs=nargs, metavar="RUN", help=words)
    _runs_option(command)


def _recipe_options(command: Parser) -> None:
    command.add_argument("recipe", type=Path, metavar="RECIPE", help="a .toml file")
    _set_option(command, "override a key of the recipe; may be given often")
    _data_option(command)
    command.add_argument(
        "--allow-outside", action="store_true", help="let paths in the recipe be absolute or climb up with .."
    )


def _set_option(command: Parser, words: str) -> None:
    command.add_argument("--set", action="append", default=[], metavar="TABLE.KEY=VALUE", dest="overrides", help=words)


def _data_option(command: Parser, words: str = "root of the data sets ($MEDTUI_DATA, else ./data)") -> None:
    command.add_argument("--data", type=Path, metavar="DIR", help=words)


def _screen_options(command: Parser) -> None:
    group = command.add_mutually_exclusive_group()
    group.add_argument("--plain", action="store_true", help="no dashboard: one line an epoch")
    group.add_argument("--detach", action="store_true", help="print the run folder and return; training goes on")


def _run(commands: Any) -> None:
    command = _command(
        commands,
        "run",
        "Train, evaluate, draw and report a recipe. The dashboard opens when the output is a terminal; closing it "
        "does not touch the training. With --plain, Ctrl-C checkpoints and stops the run, a second one kills it.",
        examples=[
            "medtui run recipes/quickstart.toml",
            "medtui run recipes/seg_dice.toml --data ~/data --set train.epochs=10 --set optimizer.lr=1e-4",
            "medtui run recipes/cls_ce.toml --detach --name night",
        ],
    )
    _recipe_options(command)
    _runs_option(command)
    command.add_argument("--name", metavar="NAME", help="name of the run (the recipe's)")
    _screen_options(command)


def _watching(commands: Any) -> None:
    attach = _command(
        commands,
        "attach",
        "Open the dashboard on a live or a finished run. q leaves it; the training goes on.",
        examples=["medtui attach", "medtui attach seg_dice --once", "medtui attach --plain >> log"],
    )
    _run_argument(attach)
    group = attach.add_mutually_exclusive_group()
    group.add_argument("--once", action="store_true", help="print one text view and end")
    group.add_argument("--plain", action="store_true", help="follow the run in plain lines until it ends")
    runs = _command(commands, "runs", "List the runs: state, recipe, epoch, best metric, age.")
    _runs_option(runs)
    runs.add_argument("--json", action="store_true", help="a JSON array, for scripts")


def _control(commands: Any) -> None:
    texts = {
        "pause": "Pause a live run after its iteration. It keeps its memory; go on with: medtui resume.",
        "resume": "Go on with a paused run, or with a stopped, failed or lost one from its last checkpoint.",
        "stop": "End a live run after the epoch that it is in. It is tested and reported as far as it came.",
        "checkpoint": "Write last.pt of a live run now.",
        "note": "Write a line of text into the stream of a live run.",
    }
    for name, text in texts.items():
        command = _command(commands, name, text)
        _run_argument(command, nargs=None if name == "note" else "?")
        command.add_argument(
            "--wait", type=_seconds, default=30.0, metavar="S", help="seconds to wait for the trainer's answer (30)"
        )
        if name == "stop":
            command.add_argument("--now", action="store_true", help="after the iteration, with a checkpoint")
        if name == "note":
            command.add_argument("text", metavar="TEXT", help="the line, in quotes")
        if name == "resume":
            _set_option(command, "a key that does not change what is learned (runtime.*, figures.*); with --fork any")
            command.add_argument("--fork", action="store_true", help="begin a new run at this one's last checkpoint")
            command.add_argument("--name", metavar="NAME", help="--fork: name of the new run (the old one's)")
            _data_option(command, "root of the data sets (where it was)")
            _screen_options(command)


def _results(commands: Any) -> None:
    evaluate = _command(
        commands,
        "evaluate",
        "Measure a checkpoint of a run on any split, or on a folder. The result stands in metrics.json "
        "under a name of its own.",
        examples=[
            "medtui evaluate seg_dice --split validation",
            "medtui evaluate seg_dice --data ~/other --name other",
        ],
    )
    _run_argument(evaluate)
    evaluate.add_argument("--split", metavar="S", help="train, validation, test or all (test; with --data: all)")
    _data_option(evaluate, "another folder with the same kind of data (the run's own)")
    evaluate.add_argument("--checkpoint", choices=("best", "last"), help="which weights (as the recipe says)")
    evaluate.add_argument("--name", metavar="NAME", help="name of the result in metrics.json")
    evaluate.add_argument("--device", metavar="D", help="auto, cpu, cuda, cuda:1 (as the recipe says)")
    predict = _command(
        commands,
        "predict",
        "Apply a run to new files. Masks have the geometry of their input; classes come as a table.",
        examples=["medtui predict seg_dice scans/*.nii.gz -o masks", "medtui predict cls_ce photos -o classes"],
    )
    _run_argument(predict, nargs=None, text="a folder, an id, or a unique part of an id")
    predict.add_argument("inputs", nargs="+", type=Path, metavar="INPUT", help="files or folders")
    predict.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="where the results go")
    predict.add_argument("--checkpoint", choices=("best", "last"), help="which weights (as the recipe says)")
    predict.add_argument("--device", metavar="D", help="auto, cpu, cuda, cuda:1 (as the recipe says)")
    figures = _command(commands, "figures", "Draw the figures of a run again, from its folder alone.")
    _run_argument(figures)
    figures.add_argument("--only", action="append", metavar="KIND", help="draw this kind only; may be given often")
    report = _command(
        commands,
        "report",
        "Write the report of a run, or compare several runs.",
        examples=["medtui report", "medtui report seg_bce seg_dice -o comparison"],
    )
    _run_argument(report, nargs="*", text="folders, ids, or unique parts of ids; without one, the newest run")
    report.add_argument("-o", "--output", type=Path, metavar="DIR", help="where the report goes (the run folder)")


def _checking(commands: Any) -> None:
    check = _command(
        commands,
        "check",
        "Do everything but training: recipe, data, one batch through the model, memory.",
        examples=["medtui check recipes/seg_dice.toml --data ~/data"],
    )
    _recipe_options(check)
    _command(
        commands,
        "schema",
        "Print the JSON Schema of recipes, for editors.",
        examples=["medtui schema > recipe.schema.json"],
    )


def _data(commands: Any) -> None:
    data = _command(
        commands,
        "data",
        "Data sets: what is known, download with a checksum, make a phantom.",
        examples=["medtui data list", "medtui data fetch hippocampus", "medtui data phantom left_atrium"],
    )
    actions = data.add_subparsers(dest="data_command", metavar="ACTION", required=True, parser_class=Parser)
    listing = _command(actions, "list", "List the data sets that medtui knows, and which of them are there.")
    _data_option(listing)
    listing.add_argument("--json", action="store_true", help="a JSON array, for scripts")
    fetch = _command(actions, "fetch", "Download a data set and check its sum.")
    fetch.add_argument("name", metavar="NAME", help="see: medtui data list")
    _data_option(fetch)
    phantom = _command(actions, "phantom", "Write an artificial data set in the layout of a real one.")
    phantom.add_argument("name", metavar="NAME", help="see: medtui data list")
    _data_option(phantom)
    phantom.add_argument("--cases", type=_count, metavar="N", help="how many cases (a number that suits the recipe)")
    phantom.add_argument("--seed", type=_seed, default=0, metavar="N", help="seed of the draw (0)")


def _serving(commands: Any) -> None:
    serve = _command(
        commands,
        "serve",
        "Show the dashboard in a browser, to read only.",
    )
    _runs_option(serve)
    serve.add_argument("--host", default="localhost", metavar="HOST", help="address to listen on (localhost)")
    serve.add_argument("--port", type=_port, default=8000, metavar="N", help="port to listen on (8000)")


def _number(text: str, low: int, high: int) -> int:
    if not (text.isascii() and text.isdigit() and low <= int(text[:12]) <= high):
        raise argparse.ArgumentTypeError(f'found "{text}", allowed is a whole number from {low} to {high}')
    return int(text)


def _count(text: str) -> int:
    return _number(text, 1, 100_000)


def _seed(text: str) -> int:
    return _number(text, 0, 2**32 - 1)


def _port(text: str) -> int:
    return _number(text, 1, 65535)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0.0 <= seconds <= 86400.0:
        raise argparse.ArgumentTypeError(f'found "{text}", allowed is a number of seconds from 0 to 86400')
    return seconds
