"""Several runs on the same cases: their names, and what pairs of them share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from engine.errors import UsageError
from engine.readers.run import CaseTable, FigureError, RunData
from engine.readers.scores import read_scores
from engine.runfolder import RunFolder


@dataclass(frozen=True)
class Runs:
    """Runs of one task, side by side.

    Attributes:
        runs: in the order given.
        labels: a short name of each, no two alike.
        split: the split that all of them measured.
    """

    runs: list[RunData]
    labels: list[str]
    split: str

    @property
    def task(self) -> str:
        return self.runs[0].task

    @property
    def common(self) -> list[str]:
        """Ids of the cases that every run measured, sorted."""
        # The one place that decides which cases of different runs are the same case: those of one id.
        tables = [set(run.cases(self.split).ids) for run in self.runs]
        return sorted(set.intersection(*tables))

    def table(self, index: int) -> CaseTable:
        """The common cases of run ``index``, all runs in one order."""
        rows = {row.id: row for row in self.runs[index].cases(self.split).rows}
        return CaseTable([rows[case] for case in self.common])

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Every pair of up to four runs; of more, the best-known first run with each other."""
        count = len(self.runs)
        if count <= 4:
            return [(first, second) for first in range(count) for second in range(first + 1, count)]
        return [(0, second) for second in range(1, count)]


def open_runs(folders: Sequence[RunFolder]) -> Runs:
    """Read ``folders`` for a comparison.

    Raises:
        UsageError: fewer than two runs, one twice, different tasks, no split that all measured, or a damaged cases.csv.
    """
    if len({folder.root.resolve() for folder in folders}) < 2:
        raise UsageError("a comparison needs two runs or more", "medtui report RUN RUN ...")
    runs = [RunData(folder) for folder in folders]
    tasks = {run.task for run in runs}
    if len(tasks) > 1:
        raise UsageError(f"runs of {' and '.join(sorted(tasks))} cannot be compared", "name runs of one task")
    measured = [set(run.metrics) for run in runs]
    shared = set.intersection(*measured)
    if not shared:
        without = [run.folder.id for run, splits in zip(runs, measured, strict=True) if not splits]
        named = f": {', '.join(without)} {'has' if len(without) == 1 else 'have'} no metrics yet" if without else ""
        raise UsageError(f"these runs share no measured split{named}", "measure one with: medtui evaluate RUN")
    split = next((name for name in ("test", "validation") if name in shared), min(shared))
    if tasks == {"classification"}:
        _refuse_damaged(runs, split)
    return Runs(runs, labels(runs), split)


def _refuse_damaged(runs: Sequence[RunData], split: str) -> None:
    for run in runs:
        try:
            read_scores(run, split)
        except FigureError as error:
            raise UsageError(
                f"{run.folder.id} cannot be compared: {error}", "measure it again with: medtui evaluate RUN"
            ) from error


def labels(runs: Sequence[RunData]) -> list[str]:
    """The recipe's name; with the seed, or the run's id, where that is needed to tell runs apart."""
    names = [run.name for run in runs]
    if len(set(names)) == len(names):
        return names
    seeded = [f"{run.name} seed {run.seed if run.seed is not None else '?'}" for run in runs]
    once = Counter(seeded)
    return [text if once[text] == 1 else run.folder.id for text, run in zip(seeded, runs, strict=True)]
