"""Paired tests between runs on the same cases, corrected for several comparisons."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from engine.measures import better_up, find, in_tables
from engine.metrics.compare import PairedTest, holm, mcnemar, wilcoxon
from engine.metrics.compare_classes import classification_differences, delong
from engine.readers.scores import Scores, read_scores
from engine.readers.together import Runs

TESTS = {"wilcoxon": "Wilcoxon", "mcnemar": "McNemar", "delong": "DeLong", "permutation": "permutation"}


@dataclass(frozen=True)
class Comparison:
    """One metric of one pair of runs: the first minus the second.

    Attributes:
        first: index of the first run.
        second: index of the second run.
        metric: name of the metric.
        label: the class, or empty for all of them.
        test: what the test says.
        corrected: p after Holm, over the pairs of runs and the classes, for this metric.
    """

    first: int
    second: int
    metric: str
    label: str
    test: PairedTest
    corrected: float | None = None

    @property
    def significant(self) -> bool:
        """Whether the corrected p is below 0.05 and the interval of the difference excludes 0 on the same side."""
        p, bounds, difference = self.corrected, self.test.ci95, self.test.difference
        if p is None or p >= 0.05 or bounds is None or not difference:
            return False
        return bounds[0] > 0 if difference > 0 else bounds[1] < 0

    @property
    def first_is_better(self) -> bool:
        return ((self.test.difference or 0.0) > 0) == better_up(self.metric)


def compare(together: Runs) -> list[Comparison]:
    """Every pair of runs and metric; classification also each class's AUC."""
    if not together.common:
        return []
    found = _segmentation(together) if together.task == "segmentation" else _classification(together)
    return corrected(found)


def corrected(found: list[Comparison]) -> list[Comparison]:
    """The same with p corrected by Holm for each metric by itself: over the pairs of runs, and over classes."""
    result = list(found)
    for key in dict.fromkeys((one.metric, bool(one.label)) for one in found):
        places = [index for index, one in enumerate(found) if (one.metric, bool(one.label)) == key]
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
            if all(np.isfinite(part).any() for part in values):
                found.append(Comparison(first, second, metric, "", wilcoxon(values[0], values[1], groups)))
    return found


def _classification(together: Runs) -> list[Comparison]:
    groups = together.table(0).groups
    scores = [_common(read_scores(run, together.split), together.common) for run in together.runs]
    found = []
    for first, second in together.pairs:
        a, b = scores[first], scores[second]
        if a.classes != b.classes or (a.targets != b.targets).any():
            continue
        right = a.predicted == a.targets, b.predicted == b.targets
        found.append(Comparison(first, second, "accuracy", "", mcnemar(*right, groups)))
        tests = classification_differences(
            a.targets, a.probabilities, b.probabilities, groups, resamples=_resamples(together)
        )
        leading = [name for name in in_tables("classification") if find(name).rank and name != "accuracy"]
        found += [Comparison(first, second, metric, "", tests[metric]) for metric in leading if metric in tests]
        for index in a.present:
            test = delong(a.one_hot[:, index], a.probabilities[:, index], b.probabilities[:, index], groups)
            found.append(Comparison(first, second, "auc", a.classes[index], test))
    return found


def _common(scores: Scores, common: list[str]) -> Scores:
    """``scores`` of the cases ``common``, in their order."""
    place = {case: index for index, case in enumerate(scores.ids)}
    rows = np.array([place[case] for case in common], dtype=np.intp)
    groups = None if scores.groups is None else [scores.groups[index] for index in rows]
    return Scores(
        scores.classes, scores.targets[rows], scores.probabilities[rows], scores.predicted[rows], groups, common
    )


def _resamples(together: Runs) -> int:
    """As many as the recipe wants for its intervals, but never fewer than 1000: a p-value needs them."""
    recipe = together.runs[0].recipe
    return max(1000, recipe.evaluate.bootstrap if recipe else 0)
