"""Two models on the same cases: paired tests, differences with intervals, correction for several comparisons.

A difference is always the first model minus the second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from engine.metrics.intervals import (
    Floats,
    Interval,
    bootstrap_mean,
    percentile_interval,
    resamples_of,
    unit_index,
)
from engine.metrics.resampled import metrics_of, resampled_metrics

Values = Sequence[float | None] | Floats


@dataclass(frozen=True, slots=True)
class PairedTest:
    """The outcome of a paired comparison. None: the data do not allow it.

    Attributes:
        test: name of the test.
        n: cases that were compared (both models measured).
        difference: first minus second.
        ci95: 95 % confidence interval of the difference.
        statistic: the test's statistic (a bootstrap has none).
        p: two-sided p-value, not corrected.
    """

    test: str
    n: int
    difference: float | None = None
    ci95: Interval | None = None
    statistic: float | None = None
    p: float | None = None


def wilcoxon(
    first: Values,
    second: Values,
    groups: Sequence[str | None] | None = None,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> PairedTest:
    """Wilcoxon signed-rank test of a metric measured case by case, as ``scipy.stats.wilcoxon`` does it.

    Pairs without a difference are dropped by the test (Wilcoxon's rule); ties and few pairs are SciPy's choice of
    an exact, a permutation or a normal distribution. Where nothing differs p is 1. With groups the pairs of a group
    are averaged first, since cases of one patient are not independent; the difference stays the mean over cases.

    Args:
        first: values of one model ``(n,)``; None or NaN: not measured, and the pair is left out.
        second: values of the other model on the same cases ``(n,)``.
        groups: group of each case.
        resamples: bootstrap resamples of the interval of the mean difference.
        seed: seed of the bootstrap.

    Raises:
        ValueError: the lengths differ.
    """
    differences, kept = _differences(first, second, groups)
    if not differences.size:
        return PairedTest("wilcoxon", 0)
    of_case, units = unit_index(differences.size, kept)
    averaged = np.bincount(of_case, weights=differences, minlength=units) / np.bincount(of_case, minlength=units)
    statistic, p = 0.0, 1.0
    if averaged.any():
        result = stats.wilcoxon(averaged)
        statistic, p = float(result.statistic), float(result.pvalue)
    interval = bootstrap_mean(differences, kept, resamples, seed)
    return PairedTest("wilcoxon", differences.size, float(differences.mean()), interval, statistic, p)


def bootstrap_difference(
    first: Values,
    second: Values,
    groups: Sequence[str | None] | None = None,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> PairedTest:
    """Mean difference of a metric measured case by case, with interval and p-value from a paired bootstrap.

    Args:
        first: values of one model ``(n,)``; None or NaN: not measured, and the pair is left out.
        second: values of the other model on the same cases ``(n,)``.
        groups: group of each case; whole groups are drawn.
        resamples: number of resamples.
        seed: seed of the draws.

    Raises:
        ValueError: the lengths differ.
    """
    differences, kept = _differences(first, second, groups)
    if not differences.size:
        return PairedTest("bootstrap", 0)
    blocks = resamples_of(differences.size, kept, resamples=resamples, seed=seed)
    means = [counts @ differences / counts.sum(axis=1) for counts in blocks]
    return _bootstrap_test(float(differences.mean()), np.concatenate([np.empty(0), *means]), differences.size)


def _differences(
    first: Values, second: Values, groups: Sequence[str | None] | None
) -> tuple[Floats, list[str | None] | None]:
    if len(first) != len(second) or (groups is not None and len(groups) != len(first)):
        raise ValueError(f"{len(first)} and {len(second)} values do not pair; both models need the same cases")
    pair = [np.array([np.nan if v is None else v for v in values], dtype=np.float64) for values in (first, second)]
    differences = pair[0] - pair[1]
    known = np.isfinite(differences)
    return differences[known], None if groups is None else [
        group for group, is_known in zip(groups, known, strict=True) if is_known
    ]


def _bootstrap_test(difference: float | None, resampled: Floats, n: int) -> PairedTest:
    """p: twice the smaller share of resamples on either side of 0, counting the data itself (never 0)."""
    defined = resampled[np.isfinite(resampled)]
    interval = percentile_interval(defined)
    if difference is None or interval is None:
        return PairedTest("bootstrap", n, difference)
    tail = min(np.count_nonzero(defined <= 0), np.count_nonzero(defined >= 0))
    return PairedTest("bootstrap", n, difference, interval, p=min(1.0, 2 * (tail + 1) / (defined.size + 1)))


def classification_differences(
    targets: npt.ArrayLike,
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    groups: Sequence[str | None] | None = None,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, PairedTest]:
    """Differences of every classification metric between two models, both on the same bootstrap resamples.

    Args:
        targets: true class of each case ``(n,)``.
        first: class probabilities of one model ``(n, K)``.
        second: class probabilities of the other model ``(n, K)``.
        groups: group of each case; whole groups are drawn.
        resamples: number of resamples.
        seed: seed of the draws.

    Returns:
        Metric (accuracy, balanced_accuracy, precision, recall, f1, their weighted twins, auc, and
        ``<metric>:<index of the class>``) -> difference, interval, p.

    Raises:
        ValueError: the shapes differ.
    """
    true = np.asarray(targets, dtype=np.intp)
    pair = [np.asarray(p, dtype=np.float64) for p in (first, second)]
    if pair[0].shape != pair[1].shape or pair[0].ndim != 2 or true.shape != pair[0].shape[:1]:
        raise ValueError(
            f"targets {true.shape} and probabilities {pair[0].shape} and {pair[1].shape} do not pair; "
            "(n,) and twice (n, classes) are needed"
        )
    if not true.size:
        return {}
    points = [metrics_of(np.ones((1, true.size)), true, p) for p in pair]
    drawn = [resampled_metrics(true, p, groups, resamples=resamples, seed=seed) for p in pair]
    tests = {}
    for name in points[0]:
        difference = float(points[0][name][0] - points[1][name][0])
        resampled = drawn[0][name] - drawn[1][name] if drawn[0] else np.empty(0)
        tests[name] = _bootstrap_test(difference if np.isfinite(difference) else None, resampled, true.size)
    return tests


def mcnemar(
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    groups: Sequence[str | None] | None = None,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> PairedTest:
    """Exact McNemar test of two classifiers: do the cases that only one of them gets right fall evenly?

    The statistic is the smaller of the two counts of such cases. p treats cases as independent; the interval of the
    difference in accuracy is a paired bootstrap, over whole groups where they are given.

    Args:
        first: whether one model is right on each case ``(n,)``, bool.
        second: whether the other model is right on it ``(n,)``.
        groups: group of each case, for the interval.
        resamples: bootstrap resamples of the interval.
        seed: seed of the bootstrap.

    Raises:
        ValueError: the shapes differ.
    """
    pair = [np.asarray(right, dtype=np.bool_) for right in (first, second)]
    if pair[0].shape != pair[1].shape or pair[0].ndim != 1:
        raise ValueError(f"outcomes of shapes {pair[0].shape} and {pair[1].shape} do not pair; twice (n,) is needed")
    n = pair[0].size
    if not n:
        return PairedTest("mcnemar", 0)
    only = np.count_nonzero(pair[0] & ~pair[1]), np.count_nonzero(pair[1] & ~pair[0])
    p = float(stats.binomtest(min(only), sum(only)).pvalue) if sum(only) else 1.0
    interval = bootstrap_mean(pair[0].astype(np.float64) - pair[1], groups, resamples, seed)
    return PairedTest("mcnemar", n, (only[0] - only[1]) / n, interval, float(min(only)), p)


def delong(targets: npt.ArrayLike, first: npt.ArrayLike, second: npt.ArrayLike) -> PairedTest:
    """DeLong test of two correlated AUCs, in the fast form of Sun & Xu (IEEE Signal Processing Letters 21, 2014).

    The statistic is z, the interval normal. Cases are taken as independent: where they come in groups, use
    :func:`classification_differences`.

    Args:
        targets: whether each case is positive ``(n,)``.
        first: scores of one model ``(n,)``, higher for positive.
        second: scores of the other model on the same cases ``(n,)``.

    Returns:
        The test; without two positive and two negative cases it has no difference, and without any variation to
        judge a difference by (one model separates perfectly, the other scores all cases alike) no p.

    Raises:
        ValueError: the shapes differ, or a score is not finite.
    """
    positive = np.asarray(targets, dtype=np.bool_)
    pair = [np.asarray(s, dtype=np.float64) for s in (first, second)]
    shapes = [positive.shape, pair[0].shape, pair[1].shape]
    if positive.ndim != 1 or len(set(shapes)) > 1:
        raise ValueError("targets {} and scores {} and {} do not pair; (n,) each is needed".format(*shapes))
    scores = np.stack(pair)
    if not np.isfinite(scores).all():
        raise ValueError("scores are NaN or infinite")
    if min(np.count_nonzero(positive), np.count_nonzero(~positive)) < 2:
        return PairedTest("delong", positive.size)
    of_positive, of_negative = placements(positive, scores)
    difference = float(of_positive[0].mean() - of_positive[1].mean())
    error = np.sqrt(sum(np.var(part[0] - part[1], ddof=1) / part.shape[1] for part in (of_positive, of_negative)))
    if error == 0:
        same = (0.0, 1.0) if difference == 0 else (None, None)
        return PairedTest("delong", positive.size, difference, None, *same)
    z = float(difference / error)
    half = float(stats.norm.ppf(0.975) * error)
    p = float(2 * stats.norm.sf(abs(z)))
    return PairedTest("delong", positive.size, difference, (difference - half, difference + half), z, p)


def placements(positive: npt.NDArray[np.bool_], scores: Floats) -> tuple[Floats, Floats]:
    """DeLong's structural components: for every case the share of the opposite cases that it is ranked right of.

    Args:
        positive: whether each case is positive ``(n,)``, with both kinds present.
        scores: scores of each model ``(models, n)``.

    Returns:
        Of the positive cases ``(models, positives)`` and of the negative ones ``(models, negatives)``; a tie counts
        half, and the mean of either row is the model's AUC.
    """
    over_all = stats.rankdata(scores, axis=1)
    above, below = scores[:, positive], scores[:, ~positive]
    of_positive = (over_all[:, positive] - stats.rankdata(above, axis=1)) / below.shape[1]
    of_negative = 1 - (over_all[:, ~positive] - stats.rankdata(below, axis=1)) / above.shape[1]
    return of_positive, of_negative


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """p-values corrected for several comparisons (Holm, Scand. J. Statistics 6, 1979), in the order given.

    None, a test that was not possible, stays None and does not count as a comparison.
    """
    known = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, i) in enumerate(known):
        highest = max(highest, min(1.0, p * (len(known) - rank)))
        corrected[i] = highest
    return corrected
