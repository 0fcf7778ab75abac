"""Earlier runs to compare with: which there are, and their views."""

from __future__ import annotations

from pathlib import Path

from engine.runfolder import EventReader, RunFolder, list_runs, read_status
from tui.feed import BIG_BYTES, sample
from tui.run_view import EMPTY, RunView, fold
from tui.widgets.curves import Ghost

MOST = 8


def candidates(runs: Path, folder: RunFolder, name: str, *, up: bool) -> list[RunFolder]:
    """Finished runs of the recipe called ``name``, the best first, at most `MOST`; never ``folder`` itself.

    Args:
        runs: the folder of all runs.
        folder: the run that is looked at.
        name: of the recipe.
        up: whether more of the monitored metric is better.
    """
    found: list[tuple[float, RunFolder]] = []
    for other in list_runs(runs):
        if other.root.resolve() == folder.root.resolve() or not other.id.split("-", 2)[-1].startswith(name):
            continue
        status = read_status(other)
        if status.state == "finished" and status.name == name:
            best = status.best if status.best is not None else float("-inf" if up else "inf")
            found.append((-best if up else best, other))
    return [other for _, other in sorted(found, key=lambda item: item[0])[:MOST]]


def load_view(folder: RunFolder) -> RunView:
    """The view of a whole run; of a very long one, what evenly spread samples show."""
    size = folder.events.stat().st_size if folder.events.exists() else 0
    if size > 4 * BIG_BYTES:
        return fold(EMPTY, sample(folder, size))
    return fold(EMPTY, EventReader(folder.events).read(size + 1))


class GhostChooser:
    """Walks through the candidates: the best, the next, ..., none, and again."""

    def __init__(self, runs: Path, folder: RunFolder) -> None:
        self._runs, self._folder = runs, folder
        self._found: list[RunFolder] = []
        self._at = -1

    def next(self, name: str, *, up: bool) -> Ghost | None:
        """The next earlier run of the recipe ``name``; ``None`` after the last one. Reads files, so: in a thread."""
        if self._at < 0:
            self._found = candidates(self._runs, self._folder, name, up=up)
        self._at += 1
        if self._at >= len(self._found):
            self._at = -1
            return None
        chosen = self._found[self._at]
        day, time = chosen.id[:8], chosen.id[9:13]
        return Ghost(f"{name} {day[4:6]}-{day[6:]} {time[:2]}:{time[2:]}", load_view(chosen))

    @property
    def none(self) -> bool:
        """Whether there is no candidate at all."""
        return not self._found
