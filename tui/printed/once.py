"""``medtui attach --once``: one view of a run as plain text, for scripts and for a quick look."""

import shutil
import textwrap
import time
from collections.abc import Iterator

from engine.errors import printable
from engine.measures import better_up, spoken
from engine.readers import run_view
from engine.readers.fold import read_view
from engine.readers.health import findings_of, time_words
from engine.readers.run_view import RunView
from engine.runfolder import ENDED, RunFolder, Status, read_label, read_status
from engine.runfolder.mirror import shown_path
from tui.ascii import to_ascii, wants_ascii
from tui.printed.curves import curve_lines
from tui.printed.records import print_json, view_record
from tui.printed.result_table import metric_table, of_labels
from tui.state.estimate import done_share, elapsed_s, left_s
from tui.text import clock, figure, finding_lines, rate, shorten, sparkline

_LOG_LINES = 6
_BAR_SHARE = 0.35
_NAME_WIDTH = 22


def print_once(folder: RunFolder, *, as_json: bool = False) -> int:
    """Print the view of ``folder`` at the width of the terminal, or as a JSON object."""
    status, view, now_s = read_status(folder), read_view(folder.events), time.time()
    if as_json:
        print_json(view_record(folder, status, view, now_s))
    else:
        print_text(lines(folder, status, view, shutil.get_terminal_size((100, 24)).columns, now_s))
    return 0


def print_curves(folder: RunFolder) -> None:
    """Print the curves of a run that has ended."""
    width = shutil.get_terminal_size((100, 24)).columns
    if text := curve_lines(read_view(folder.events), width, ascii_only=wants_ascii()):
        print_text(["", *text, ""])


def print_text(text: list[str]) -> None:
    """Print lines, in ASCII where the output takes nothing else."""
    print("\n".join(map(to_ascii, text) if wants_ascii() else text), flush=True)


def lines(folder: RunFolder, status: Status, view: RunView, width: int, now_s: float) -> list[str]:
    """The view as lines of at most ``width`` characters."""
    found = findings_of(view, status, now_s)
    if status.state in ENDED:
        now_s = view.time_s
    parts = [
        _head(folder, status, view, width, now_s),
        [row for line in finding_lines(found) for row in textwrap.wrap(line, width, subsequent_indent="  ")],
        _metrics(view, width),
        curve_lines(view, width, ascii_only=wants_ascii()),
        _classes(view, width),
        _results(view, width),
        _log(view),
    ]
    blocks = [[printable(line, keep="")[:width].rstrip() for line in part] for part in parts]
    text: list[str] = []
    for block in blocks:
        if block:
            text += ["", *block] if text else block
    return text


def _head(folder: RunFolder, status: Status, view: RunView, width: int, now_s: float) -> Iterator[str]:
    label = read_label(folder)
    yield f"{label.title or status.name or folder.name}  {status.state}  {shown_path(folder)}"
    if label.note:
        yield f"note: {label.note}"
    if status.message:
        yield status.message
    if status.hint:
        yield status.hint
    if view.started is None:
        yield "nothing has happened yet"
        return
    if spent := time_words(view):
        yield f"time  {spent}"
    words = []
    phase = view.phase.phase if view.phase is not None else ""
    if phase and status.state not in ENDED:
        words.append(phase)
    words.append(f"{clock(elapsed_s(view, now_s))} elapsed")
    left = left_s(view, now_s) if status.state not in ENDED else None
    if left is not None:
        words.append(f"{clock(left)} left")
    words.append(view.started.device)
    if len(view.steps):
        words.append(f"lr {rate(float(view.steps['lr'][-1]))}")
    epoch, rest, share = f"epoch {view.epoch}/{view.epochs}", "  ".join(words), done_share(view)
    room = width - len(epoch) - len(rest) - len("    100%  ")
    progress = "" if share is None else f"  {_bar(share, min(24, room))} {share:4.0%}" if room > 5 else f"  {share:.0%}"
    yield f"{epoch}{progress}  {rest}"


def _bar(share: float, width: int) -> str:
    full = round(share * width)
    return "━" * full + "─" * (width - full)


def _metrics(view: RunView, width: int) -> Iterator[str]:
    spark = max(8, int(width * _BAR_SHARE))
    if len(view.steps):
        losses = view.steps["loss"]
        yield f"{'loss':{_NAME_WIDTH}}{figure(float(losses[-1])):>9}{'':19}{sparkline(losses.tolist(), spark)}"
    for metric, track in view.validation.items():
        found = run_view.best(track, up=better_up(metric))
        words = f"best {figure(found[0])} @ {found[1]}" if found else ""
        name = shorten(f"val {spoken(metric)}", _NAME_WIDTH - 1)
        bars = sparkline(track["value"].tolist(), spark, metric)
        yield (f"{name:{_NAME_WIDTH}}{figure(run_view.last(track)):>9}  {words:17}{bars}")


def _classes(view: RunView, width: int) -> list[str]:
    if not view.validations or not view.validations[-1].per_class:
        return []
    newest = view.validations[-1]
    return metric_table(f"validation @ {newest.epoch}", newest.metrics, of_labels(newest), view.unit, width)


def _results(view: RunView, width: int) -> list[str]:
    text: list[str] = []
    for split, result in view.results.items():
        text += metric_table(split, result.metrics, of_labels(result), view.unit, width)
    return text


def _log(view: RunView) -> Iterator[str]:
    for entry in view.logs[-_LOG_LINES:]:
        stamp = time.strftime("%H:%M:%S", time.localtime(entry.time_s))
        yield f"{stamp}  {entry.level:7}  {entry.message}"
