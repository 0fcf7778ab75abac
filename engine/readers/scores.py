"""The true classes and the probabilities of a classification, from ``cases.csv``."""

from dataclasses import dataclass

import numpy as np

from engine.errors import counted
from engine.readers.run import CaseTable, FigureError, RunData


@dataclass(frozen=True)
class Scores:
    """What was predicted for the cases of one split."""

    classes: list[str]  # names of the K classes
    targets: np.ndarray  # true class of each case, int (n,)
    probabilities: np.ndarray  # float64 (n, K)
    predicted: np.ndarray  # class of each case as it was predicted, int (n,)
    groups: list[str | None] | None  # group of each case, see `_groups`, or None
    ids: list[str]  # the cases; one that a study measured with several seeds as often

    @property
    def present(self) -> list[int]:
        """The classes of which there is a case, and a case of another class."""
        counts = np.bincount(self.targets, minlength=len(self.classes))
        return [index for index, count in enumerate(counts) if 0 < count < len(self.targets)]

    @property
    def asked(self) -> list[int]:
        """Those of `present` whose curves say something of their own: of two classes the second, as in metrics.json."""
        return self.present[-1:] if len(self.classes) == 2 else self.present

    @property
    def absent(self) -> list[str]:
        counts = np.bincount(self.targets, minlength=len(self.classes))
        return [name for name, count in zip(self.classes, counts, strict=True) if count == 0]

    @property
    def one_hot(self) -> np.ndarray:
        """bool (n, K)."""
        return np.asarray(self.targets[:, None] == np.arange(len(self.classes)))

    def of(self, cases: list[str]) -> "Scores":
        place = {case: index for index, case in enumerate(self.ids)}
        rows = np.array([place[case] for case in cases], dtype=np.intp)
        groups = None if self.groups is None else [self.groups[index] for index in rows]
        return Scores(self.classes, self.targets[rows], self.probabilities[rows], self.predicted[rows], groups, cases)


def read_scores(run: RunData, split: str | None = None) -> Scores:
    """The scores of ``split`` (default: the reported one).

    Raises:
        FigureError: there are none, or a row does not fit the classes.
    """
    split = split or run.split
    table = run.cases(split)
    if not len(table):
        raise FigureError(f"cases.csv has no case of the {split} split yet")
    classes = list(table.rows[0].probabilities)
    if not classes:
        raise FigureError("cases.csv has no probabilities")
    places = {name: index for index, name in enumerate(classes)}
    true, predicted = [row.true for row in table.rows], [row.predicted for row in table.rows]
    unknown = sorted({name for name in (*true, *predicted) if name not in places})
    if unknown:
        raise FigureError(f"cases.csv names classes without a probability: {', '.join(unknown)}")
    probabilities = np.stack([table.numbers(f"prob:{name}") for name in classes], axis=1)
    if lost := int((~np.isfinite(probabilities)).any(axis=1).sum()):
        raise FigureError(f"{counted(lost, 'case')} without probabilities (NaN)")
    return Scores(
        classes,
        np.array([places[name] for name in true], dtype=np.intp),
        probabilities,
        np.array([places[name] for name in predicted], dtype=np.intp),
        _groups(table),
        table.ids,
    )


def _groups(table: CaseTable) -> list[str | None] | None:
    """Those that are known; a case that was measured several times is a group of its own where it is in none."""
    if len({*table.ids}) == len(table):
        return table.groups
    return [row.group or f"case {row.id}" for row in table.rows]


def remark(scores: Scores, split: str) -> str:
    """What a figure says of classes that are absent."""
    if not scores.absent:
        return ""
    one = len(scores.absent) == 1
    return f"{', '.join(scores.absent)} {'has' if one else 'have'} no case in the {split} split"
