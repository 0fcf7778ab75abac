"""Paired tests between runs on the same cases, corrected for several comparisons."""

from dataclasses import dataclass, replace

import numpy as np

from engine.measures import better_up, find, in_tables
from engine.metrics.compare import PairedTest, holm, mcnemar, wilcoxon
from engine.metrics.compare_classes import classification_differences, delong
from engine.readers.scores import read_scores
from engine.readers.together import Runs
from engine.report.shared import barrier, comparable

TESTS = {"wilcoxon": "Wilcoxon", "mcnemar": "McNemar", "delong": "DeLong", "permutation": "permutation"}


@dataclass(frozen=True)
class Comparison:
    """One metric of one pair of runs: the first minus the second."""

    first: int  # index of the first run
    second: int  # index of the second run
    metric: str  # name of the metric
    label: str  # the class, or empty for all of them
    test: PairedTest  # what the test says
    corrected: float | None = None  # p after Holm, see :func:`corrected`

    @property
    def significant(self) -> bool:
        """Whether the corrected p is below 0.05 and the interval of the difference excludes 0 on the same side."""
        p, bounds, difference = self.corrected, self.test.ci95, self.test.difference
        if p is None or p >= 0.05 or bounds is None or not difference or find(self.metric).up is None:
            return False
        return bounds[0] > 0 if difference > 0 else bounds[1] < 0

    @property
    def first_is_better(self) -> bool:
        return ((self.test.difference or 0.0) > 0) == better_up(self.metric)


def compare(together: Runs) -> list[Comparison]:
    """Every pair of runs and metric; classification also each class's AUC. None where a barrier is between them."""
    if barrier(together):
        return []
    found = _segmentation(together) if together.task == "segmentation" else _classification(together)
    return corrected(found)


def corrected(found: list[Comparison]) -> list[Comparison]:
    """The same with p corrected by Holm: over the pairs of runs, and over classes, for each metric by itself.

    The metrics that decide are one family: were each alone, two chances to be called better would be taken.
    """

    def family(one: Comparison) -> tuple[str, bool]:
        return ("" if find(one.metric).decides else one.metric), bool(one.label)

    result = list(found)
    for key in dict.fromkeys(map(family, found)):
        places = [index for index, one in enumerate(found) if family(one) == key]
        for place, p in zip(places, holm([found[index].test.p for index in places]), strict=True):
            result[place] = replace(found[place], corrected=p)
    return result


def _segmentation(together: Runs) -> list[Comparison]:
    groups = together.table(0).groups
    found = []
    for first, second in together.pairs:
        tables = together.table(first), together.table(second)
        for metric in in_tables("segmentation"):
            values = [table.numbers(metric) for table in tables]
            if comparable(together, metric) and all(np.isfinite(part).any() for part in values):
                found.append(Comparison(first, second, metric, "", wilcoxon(values[0], values[1], groups)))
    return found


def _classification(together: Runs) -> list[Comparison]:
    groups = together.table(0).groups
    scores = [read_scores(run, together.split).of(together.ids(at)) for at, run in enumerate(together.runs)]
    found = []
    for first, second in together.pairs:
        a, b = scores[first], scores[second]
        right = a.predicted == a.targets, b.predicted == b.targets
        found.append(Comparison(first, second, "accuracy", "", mcnemar(*right, groups)))
        count = _resamples(together)
        tests = classification_differences(a.targets, a.probabilities, b.probabilities, groups, resamples=count)
        leading = [name for name in in_tables("classification") if find(name).rank and name != "accuracy"]
        found += [Comparison(first, second, metric, "", tests[metric]) for metric in leading if metric in tests]
        for index in a.present:
            test = delong(a.one_hot[:, index], a.probabilities[:, index], b.probabilities[:, index], groups)
            found.append(Comparison(first, second, "auc", a.classes[index], test))
    return found


def _resamples(together: Runs) -> int:
    """As many as the recipe wants for its intervals, but never fewer than 1000: a p-value needs them."""
    recipe = together.runs[0].recipe
    return max(1000, recipe.evaluate.bootstrap if recipe else 0)
