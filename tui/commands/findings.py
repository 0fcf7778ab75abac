"""``medtui findings`` and ``medtui cases``: what is wrong with a run, and how each case of it fared."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.errors import printable
from engine.runfolder import CaseRow, RunFolder, read_cases, read_status
from tui.arguments import Commands, run_argument
from tui.commands.runs import fitting, table
from tui.remote.reach import reached
from tui.text import figure, finding_lines

if TYPE_CHECKING:
    from engine.readers.run_view import RunView


def register(commands: Commands) -> None:
    command = commands.add(
        "findings", "Say what is wrong with a run: since when, by which numbers, and what to do.", _findings
    )
    run_argument(command, anywhere=True)
    command.add_argument("--json", action="store_true", help="a JSON array, for scripts")
    command = commands.add(
        "cases",
        "List the cases of a run, the worst first. Before a split is tested they are the worst of the last validation.",
        _cases,
    )
    run_argument(command, anywhere=True)
    command.add_argument("--json", action="store_true", help="a JSON array, for scripts")


def _findings(arguments: argparse.Namespace) -> int:
    from engine.readers.health import read_findings
    from tui.printed.once import print_text
    from tui.printed.records import finding_record, print_json

    with reached(arguments.runs, arguments.run) as (folder, _):
        status = read_status(folder)
        found = read_findings(folder, status)
    if arguments.json:
        print_json([finding_record(finding, whole=True) for finding in found])
    else:
        broken = (
            [f"{folder.id} is {status.state}: {status.message}", status.hint]
            if status.state in {"failed", "lost"}
            else []
        )
        print_text([*broken, *finding_lines(found, whole=True)] or [f"nothing is wrong with {folder.id}"])
    return 0


def _cases(arguments: argparse.Namespace) -> int:
    from engine.readers.fold import read_view
    from tui.printed.once import print_text
    from tui.printed.records import case_records, print_json

    with reached(arguments.runs, arguments.run) as (folder, _):
        view = read_view(folder.events)
        if arguments.json:
            print_json(case_records(folder, view))
        else:
            print_text(_lines(folder, view) or [f"no case was measured yet: the run is {read_status(folder).state}"])
    return 0


def _lines(folder: RunFolder, view: RunView) -> list[str]:
    from engine.measures import find, leading, spoken
    from tui.state.case_files import chosen_cases, measured_cases

    rows = chosen_cases(read_cases(folder) or measured_cases(view))
    if not rows:
        return []
    names = leading({name for row in rows for name in row.values})
    heads = [spoken(name, view.unit) for name in names]
    texts = ["id", "split", *(name for name in ("true", "predicted") if rows[0].true)]
    counts = {name for name in names if find(name).kind in {"count", "number"} and _whole(rows, name)}
    cells = [
        (
            *(printable(getattr(row, name), keep="") for name in texts),
            *(_number(row.values.get(name, math.nan), whole=name in counts) for name in names),
        )
        for row in rows
    ]
    return table(fitting([(*texts, *heads), *cells], heads[:0:-1], heads), heads).splitlines()


def _whole(rows: Sequence[CaseRow], name: str) -> bool:
    """Whether a column has whole numbers alone: those of one class are counts, those of several may be means."""
    found = [row.values.get(name, math.nan) for row in rows]
    return all(value.is_integer() for value in found if math.isfinite(value))


def _number(value: float, *, whole: bool) -> str:
    return f"{value:.0f}" if whole and math.isfinite(value) else figure(value)
