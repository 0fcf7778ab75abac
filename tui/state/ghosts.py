"""Earlier runs to compare with: which there are, and their views."""

from dataclasses import dataclass
from pathlib import Path

from engine.readers.run_view import RunView
from engine.runfolder import RunFolder, list_runs, read_status
from engine.runfolder.mirror import STREAM, fetch
from tui.state.feed import BIG_BYTES, view_of

MOST = 8


@dataclass(frozen=True, slots=True)
class Ghost:
    """An earlier run behind the curves of this one."""

    name: str
    view: RunView


def candidates(runs: Path, folder: RunFolder, name: str, *, task: str, up: bool) -> list[tuple[str, RunFolder]]:
    """Finished runs with the names of their recipes, at most `MOST`; never ``folder`` itself.

    First those of the recipe called ``name``, then those of other recipes with the same task; the best first, which
    ``up`` says of the monitored metric.
    """
    found: list[tuple[bool, float, str, RunFolder]] = []
    for other in list_runs(runs):
        if other.root.resolve() == folder.root.resolve():
            continue
        status = read_status(other)
        if status.state == "finished" and status.task == task:
            best = status.best if status.best is not None else float("-inf" if up else "inf")
            found.append((status.name != name, -best if up else best, status.name, other))
    return [(label, other) for *_, label, other in sorted(found, key=lambda item: item[:2])[:MOST]]


class GhostChooser:
    """Walks through the candidates: the best, the next, ..., none, and again."""

    def __init__(self, runs: Path, folder: RunFolder) -> None:
        self._runs, self._folder = runs, folder
        self.found: list[tuple[str, RunFolder]] = []  # all candidates
        self._at = -1

    def next(self, name: str, *, task: str, up: bool) -> Ghost | None:
        """The next earlier run, see `candidates`; ``None`` after the last one. Reads files, so: in a thread."""
        if self._at < 0:
            self.found = candidates(self._runs, self._folder, name, task=task, up=up)
        self._at += 1
        if self._at >= len(self.found):
            self._at = -1
            return None
        label, chosen = self.found[self._at]
        fetch(chosen, STREAM)
        day, time = chosen.id[:8], chosen.id[9:13]
        return Ghost(f"{label} {day[4:6]}-{day[6:]} {time[:2]}:{time[2:]}", view_of(chosen, 4 * BIG_BYTES))
