"""``medtui runs``: what there is in a folder of runs, for people and for scripts."""

import argparse
import shutil
import sys
import time
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from engine.errors import MedtuiError, printable
from engine.measures import spoken
from engine.runfolder import ENDED, RunFolder, Status, list_runs, read_label, read_status, shown_name
from engine.runfolder.summary import with_test
from tui.arguments import Commands, runs_option
from tui.ascii import to_ascii, wants_ascii
from tui.text import age, figure, finding_line

_EXAMPLES = (
    "medtui runs --json",
    "medtui runs --filter 'state:finished lr<1e-3 dice>0.8'",
    "medtui runs --host anna@gpu1 --host gpu2",
)
_HEAD = ("state", "recipe", "epoch", "best", "test", "age", "id")
_RIGHT = {"epoch", "best", "test", "age"}


def register(commands: Commands) -> None:
    text = "List the runs: state, recipe, epoch, best metric, age."
    command = commands.add("runs", text, _runs, _EXAMPLES)
    runs_option(command)
    command.add_argument(
        "--host",
        action="append",
        metavar="HOST",
        help="another machine, over ssh; again for more; all: those in hosts.toml",
    )
    words = "only those with these words and values: lr<1e-3 dice>0.8 state:failed health:warning age<2d"
    command.add_argument("--filter", default="", metavar="WORDS", help=words)
    command.add_argument("--json", action="store_true", help="a JSON array, for scripts")
    command.add_argument("--studies", action="store_true", help="--json: studies too; the table has them always")


def _runs(arguments: argparse.Namespace) -> int:
    studies = arguments.studies or not arguments.json
    if arguments.host:
        return _print_remote(arguments.host, arguments.runs, arguments.filter, studies, as_json=arguments.json)
    return print_runs(arguments.runs, arguments.filter, studies, as_json=arguments.json)


def print_runs(runs: Path, words: str = "", studies: bool = True, *, as_json: bool = False) -> int:
    """Print the runs in ``runs`` that a filter lets through, the newest last, as a table or as a JSON array."""
    folders = list_runs(runs, studies=studies)
    if words:
        from tui.state.runs_index import wanted_ids

        wanted = wanted_ids(runs, words)
        folders = [folder for folder in folders if folder.id in wanted]
    rows = [(folder, with_test(folder, read_status(folder))) for folder in folders]
    rows.sort(key=lambda row: row[1].started_s or row[0].stamp_s)
    now_s = time.time()
    if as_json:
        from tui.printed.records import findings_now, print_json, run_record

        print_json([run_record(folder, status, findings_now(folder, status), now_s) for folder, status in rows])
    elif not rows and words:
        print(printable(f"no run in {runs} has {words}"))
    elif not rows:
        print(f"no runs in {printable(str(runs))}; start one with: medtui run recipes/quickstart.toml")
    else:
        lines = [(*_row(folder, status, now_s), printable(read_label(folder).note, keep="")) for folder, status in rows]
        named = all(line[1] in line[-2] for line in lines)  # the id ends with the name
        shown = [(*_HEAD, "note" if any(line[-1] for line in lines) else ""), *lines]
        text = table(fitting(shown, ["recipe"] if named else []))
        said = [f"{folder.id}: {status.message}\n{status.hint}" for folder, status in rows if status.state == "silent"]
        said += [f"{folder.id}: {line}" for folder, status in rows for line in _wrong(folder, status)]
        text = "\n".join([text, *map(printable, said)])
        print(to_ascii(text) if wants_ascii() else text)
    return 0


def _print_remote(names: list[str], runs: Path, words: str, studies: bool, *, as_json: bool) -> int:
    """Print the runs of other machines, each with its host. 1 where one of them says nothing."""
    from tui.remote.listing import chosen_hosts, runs_of

    records: list[dict[str, Any]] = []
    failed = False
    for host, found in runs_of(chosen_hosts(names, runs), words, studies):
        if isinstance(found, MedtuiError):
            failed = True
            print(printable(f"{found.message}\n{found.hint}".strip()), file=sys.stderr)
        else:
            records += [{"host": host.name, **record} for record in found]
            if not found:
                which = f" has {words}" if words else "s"
                print(printable(f"no run{which} in {host.name}:{host.runs}"), file=sys.stderr)
    if as_json:
        from tui.printed.records import print_json

        print_json(records)
    elif records:
        text = table([("host", *_HEAD), *map(_remote_row, records)])
        print(to_ascii(text) if wants_ascii() else text)
    return int(failed)


def _remote_row(record: dict[str, Any]) -> tuple[str, ...]:
    """A line of the table, of what another machine says: any value may have any type."""
    text = {name: value if isinstance(value, str) else "" for name, value in record.items()}
    known = {name: value if isinstance(value, int | float) else None for name, value in record.items()}
    epochs, age_s = known.get("epochs"), known.get("age_s")
    cells = (
        *(text.get("host", ""), text.get("state", ""), text.get("title") or text.get("name", "")),
        f"{known.get('epoch') or 0}/{epochs}" if epochs else "–",
        f"{spoken(text.get('metric', ''))} {figure(known.get('best'))}".strip(),
        figure(known.get("test")),
        "–" if age_s is None else age(age_s),
        text.get("id", ""),
    )
    return tuple(printable(cell, keep="")[:200] for cell in cells)


def _wrong(folder: RunFolder, status: Status) -> list[str]:
    if status.state in ENDED or status.state == "silent":
        return []
    from tui.printed.records import findings_now

    return [finding_line(finding) for finding in findings_now(folder, status)]


def fitting(
    rows: list[tuple[str, ...]], spare: Iterable[str], right: Collection[str] = _RIGHT, width: int | None = None
) -> list[tuple[str, ...]]:
    """``rows`` without as many columns of ``spare``, in that order, as a terminal of ``width`` has no room for.

    A file and a pipe have room for all; None: what stdout is.
    """
    if width is None and not sys.stdout.isatty():
        return rows
    width = width or shutil.get_terminal_size().columns
    for name in spare:
        if max(map(len, table(rows, right).splitlines())) <= width:
            break
        at = rows[0].index(name)
        rows = [(*row[:at], *row[at + 1 :]) for row in rows]
    return rows


def table(rows: list[tuple[str, ...]], right: Collection[str] = _RIGHT) -> str:
    """``rows`` as aligned columns, those named in ``right`` to the right; the first row is the head."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            text.rjust(width) if name in right else text.ljust(width)
            for name, text, width in zip(rows[0], row, widths, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _row(folder: RunFolder, status: Status, now_s: float) -> tuple[str, ...]:
    epochs = f"{status.epoch}/{status.epochs}" if status.epochs else "–"
    started_s = status.started_s or folder.stamp_s
    cells = (
        status.state,
        shown_name(folder, status.name),
        epochs,
        f"{spoken(status.metric)} {figure(status.best)}".strip(),
        figure(status.test),
        age(now_s - started_s) if started_s else "–",
        folder.id,
    )
    return tuple(printable(cell, keep="") for cell in cells)
