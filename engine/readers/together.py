"""Several runs on the same cases: their names, and what pairs of them share."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from engine.errors import UsageError
from engine.readers.run import CaseTable, FigureError, RunData
from engine.readers.scores import read_scores
from engine.runfolder import RunFolder

Key = tuple[str, ...]


@dataclass(frozen=True)
class Runs:
    """Runs of one task, side by side."""

    runs: list[RunData]  # in the order given
    labels: list[str]  # a short name of each, no two alike
    split: str  # the split that all of them measured

    @property
    def task(self) -> str:
        return self.runs[0].task

    @property
    def unit(self) -> str:
        """Of distances; empty where the runs have different ones."""
        units = {run.unit for run in self.runs}
        return units.pop() if len(units) == 1 else ""

    @cached_property
    def _keys(self) -> list[dict[Key, str]]:
        """For each run what its cases hold -> their ids; by id alone where some run has no table of contents."""
        # The one place that decides which cases of different runs are the same case: those of equal image and truth.
        ids = [sorted(run.cases(self.split).ids) for run in self.runs]
        known = [run.contents(self.split) for run in self.runs]
        if not self.by_content:
            return [{(case,): case for case in cases} for cases in ids]
        found: list[dict[Key, str]] = []
        for cases, contents in zip(ids, known, strict=True):
            seen: Counter[Key] = Counter()
            keys: dict[Key, str] = {}
            for case in cases:
                content = contents[case]
                keys[(*content, str(seen[content]))] = case  # copies within a split are told apart by their order
                seen[content] += 1
            found.append(keys)
        return found

    @cached_property
    def by_content(self) -> bool:
        """Whether every run knows what each of its cases holds; runs of earlier versions do not."""
        return all(set(run.cases(self.split).ids) <= set(run.contents(self.split)) for run in self.runs)

    @property
    def unlike(self) -> list[str]:
        """Ids that every run has, but of other images or other truths, sorted."""
        if not self.by_content:
            return []
        contents = [run.contents(self.split) for run in self.runs]
        shared = set.intersection(*(set(run.cases(self.split).ids) for run in self.runs))
        return sorted(case for case in shared if len({known[case] for known in contents}) > 1)

    def ids(self, index: int) -> list[str]:
        """Ids in run ``index`` of the cases that every run measured, all runs in one order: by the first one's ids."""
        keys = set.intersection(*(set(keys) for keys in self._keys))
        return [self._keys[index][key] for key in sorted(keys, key=lambda key: self._keys[0][key])]

    @cached_property
    def common(self) -> list[str]:
        """The cases that every run measured, by their ids in the first."""
        return self.ids(0)

    def table(self, index: int) -> CaseTable:
        """The common cases of run ``index``, all runs in one order."""
        rows = {row.id: row for row in self.runs[index].cases(self.split).rows}
        return CaseTable([rows[case] for case in self.ids(index)])

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
            hint = "measure it again with: medtui evaluate RUN"
            raise UsageError(f"{run.folder.id} cannot be compared: {error}", hint) from error


def labels(runs: Sequence[RunData]) -> list[str]:
    """The recipe's name; with the seed, or the run's id, where that is needed to tell runs apart."""
    names = [run.name for run in runs]
    if len(set(names)) == len(names):
        return names
    seeded = [f"{run.name} seed {run.seed if run.seed is not None else '?'}" for run in runs]
    once = Counter(seeded)
    return [text if once[text] == 1 else run.folder.id for text, run in zip(seeded, runs, strict=True)]
