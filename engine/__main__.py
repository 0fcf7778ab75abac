"""``python -m engine``: the commands that do work. Each imports what it needs, and no more."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from engine.errors import MedtuiError, printable, well_formed


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; errors are told on stderr, and their exit code is returned."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except MedtuiError as error:
        _tell(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except OSError as error:  # a file, a disk or a name, and no fault of the program
        if os.environ.get("MEDTUI_TRACEBACK"):
            raise
        place = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
        _tell(f"{place}{error.strerror or error}")
        return 2 if error.errno == errno.ENAMETOOLONG else 1
    except Exception as error:
        if os.environ.get("MEDTUI_TRACEBACK"):
            raise
        _tell(f"unexpected {type(error).__name__}: {error}\nMEDTUI_TRACEBACK=1 shows where; please report it")
        return 1


def _tell(text: str) -> None:
    """A message on stderr, over the progress that may stand on the line."""
    clear = "\r\x1b[K" if sys.stderr.isatty() else ""
    print(clear + printable(well_formed(text)), file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m engine", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, function, recipe in (("train", _train, True), ("resume", _resume, False), ("check", _check, True)):
        command = commands.add_parser(name)
        command.set_defaults(command=function)
        command.add_argument("recipe" if recipe else "run", type=Path)
        command.add_argument("--set", dest="overrides", action="append", default=[])
        command.add_argument("--data", type=Path)
        command.add_argument("--allow-outside", action="store_true")
        if name != "check":
            command.add_argument("--handshake", type=int)
    resume = commands.choices["resume"]
    resume.add_argument("--fork", action="store_true")
    resume.add_argument("--name")
    train = commands.choices["train"]
    train.add_argument("--runs", type=Path, default=Path("runs"))
    train.add_argument("--name")
    evaluate = commands.add_parser("evaluate")
    evaluate.set_defaults(command=_evaluate)
    evaluate.add_argument("run", type=Path)
    evaluate.add_argument("--split")
    evaluate.add_argument("--data", type=Path)
    evaluate.add_argument("--name")
    evaluate.add_argument("--checkpoint", choices=("best", "last"))
    evaluate.add_argument("--device")
    predict = commands.add_parser("predict")
    predict.set_defaults(command=_predict)
    predict.add_argument("run", type=Path)
    predict.add_argument("inputs", type=Path, nargs="+")
    predict.add_argument("-o", "--output", type=Path, required=True)
    predict.add_argument("--checkpoint", choices=("best", "last"))
    predict.add_argument("--device")
    figures = commands.add_parser("figures")
    figures.set_defaults(command=_figures)
    figures.add_argument("run", type=Path)
    figures.add_argument("--only", action="append")
    report = commands.add_parser("report")
    report.set_defaults(command=_report)
    report.add_argument("runs", type=Path, nargs="+")
    report.add_argument("-o", "--output", type=Path)
    _add_data(commands.add_parser("data").add_subparsers(required=True, metavar="COMMAND"))
    return parser


def _add_data(data: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    listing = data.add_parser("list")
    listing.set_defaults(command=_data_list)
    listing.add_argument("--data", type=Path)
    listing.add_argument("--json", action="store_true")
    phantom = data.add_parser("phantom")
    phantom.set_defaults(command=_data_phantom)
    phantom.add_argument("name")
    phantom.add_argument("--data", type=Path)
    phantom.add_argument("--cases", type=int)
    phantom.add_argument("--seed", type=int, default=0)
    fetch = data.add_parser("fetch")
    fetch.set_defaults(command=_data_fetch)
    fetch.add_argument("name")
    fetch.add_argument("--data", type=Path)


def _train(options: argparse.Namespace) -> int:
    from engine.commands.train import Request, train, write_handshake

    request = Request(
        recipe=options.recipe,
        overrides=tuple(options.overrides),
        data=options.data,
        runs=options.runs,
        name=options.name,
        outside=options.allow_outside,
    )
    return train(request, write_handshake(options.handshake))


def _resume(options: argparse.Namespace) -> int:
    from engine.commands.resume import fork, resume
    from engine.commands.train import write_handshake
    from engine.runfolder import RunFolder

    handshake = write_handshake(options.handshake)
    if options.fork:
        return fork(RunFolder(options.run), options.data, options.overrides, options.name, handshake)
    return resume(RunFolder(options.run), options.data, options.overrides, handshake)


def _check(options: argparse.Namespace) -> int:
    from engine.commands.check import check

    return check(options.recipe, options.overrides, options.data, outside=options.allow_outside)


def _evaluate(options: argparse.Namespace) -> int:
    from engine.commands.evaluate import evaluate
    from engine.runfolder import RunFolder

    return evaluate(
        RunFolder(options.run),
        split=options.split,
        data=options.data,
        name=options.name,
        checkpoint=options.checkpoint,
        device=options.device,
    )


def _predict(options: argparse.Namespace) -> int:
    from engine.commands.predict import predict
    from engine.runfolder import RunFolder

    return predict(
        RunFolder(options.run), options.inputs, options.output, checkpoint=options.checkpoint, device=options.device
    )


def _figures(options: argparse.Namespace) -> int:
    from engine.commands.figures import draw_again
    from engine.runfolder import RunFolder

    return draw_again(RunFolder(options.run), options.only)


def _report(options: argparse.Namespace) -> int:
    from engine.commands.figures import report_again
    from engine.runfolder import RunFolder

    return report_again([RunFolder(run) for run in options.runs], options.output)


def _data_list(options: argparse.Namespace) -> int:
    from engine.commands.data import print_list

    return print_list(options.data, as_json=options.json)


def _data_phantom(options: argparse.Namespace) -> int:
    from engine.commands.data import write_phantom

    return write_phantom(options.name, options.data, cases=options.cases, seed=options.seed)


def _data_fetch(options: argparse.Namespace) -> int:
    from engine.commands.data import fetch

    return fetch(options.name, options.data)


if __name__ == "__main__":
    sys.exit(main())
