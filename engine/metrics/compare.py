"""Two models on the same cases: paired tests, differences with intervals, correction for several comparisons.

A difference is always the first model minus the second. Wherever groups of cases (patients, lesions) are known, the
tests change signs or swap models for whole groups, since cases of one patient are not independent.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import special

from engine.metrics.intervals import Estimate, Floats, Groups, Interval, Values, mean_interval, unit_index

NORMAL_97_5 = float(special.ndtri(0.975))
_POWER_80 = float(special.ndtri(0.8))
_MOST_CASES = 100_000


@dataclass(frozen=True, slots=True)
class PairedTest:
    """The outcome of a paired comparison. None: the data do not allow it."""

    test: str  # name of the test
    n: int  # cases that were compared (both models measured)
    difference: float | None = None  # first minus second
    ci95: Interval | None = None  # 95 % confidence interval of the difference
    statistic: float | None = None  # the test's statistic (a permutation has none)
    p: float | None = None  # two-sided p-value, not corrected
    error: float | None = None  # standard error of the difference, over groups where they are known
    reason: str = ""  # why there is no interval

    def cases_needed(self) -> int | None:
        """Cases with which a true difference of this size would be found in 80 of 100 studies (5 %, two-sided).

        n ((z0.975 + z0.8) error / difference)^2, the sample size of a paired comparison (Lachin, Controlled
        Clinical Trials 2, 1981) with the error as measured, and so with its groups. None: no difference or no
        error is known, or more than 100,000 cases.
        """
        if not self.difference or not self.error:
            return None
        needed = self.n * ((NORMAL_97_5 + _POWER_80) * self.error / self.difference) ** 2
        return math.ceil(needed) if needed <= _MOST_CASES else None


def wilcoxon(first: Values, second: Values, groups: Groups = None) -> PairedTest:
    """Wilcoxon signed-rank test of a metric measured case by case, as ``scipy.stats.wilcoxon`` does it.

    Pairs without a difference are dropped by the test (Wilcoxon's rule); ties and few pairs are SciPy's choice of
    an exact, a permutation or a normal distribution. Where nothing differs p is 1. With groups the pairs of a group
    are averaged first; the difference stays the mean over cases.

    Args:
        first: values of one model ``(n,)``; None or NaN: not measured, and the pair is left out.
        second: values of the other model on the same cases ``(n,)``.
        groups: group of each case.

    Raises:
        ValueError: the lengths differ.
    """
    from scipy import stats

    differences, kept = _differences(first, second, groups)
    if not differences.size:
        return PairedTest("wilcoxon", 0)
    of_case, units = unit_index(differences.size, kept)
    averaged = np.bincount(of_case, weights=differences, minlength=units) / np.bincount(of_case, minlength=units)
    statistic, p = 0.0, 1.0
    if averaged.any():
        result = stats.wilcoxon(averaged)
        statistic, p = float(result.statistic), float(result.pvalue)
    test = PairedTest("wilcoxon", differences.size, float(differences.mean()), None, statistic, p)
    return with_interval(test, mean_interval(differences, kept))


def with_interval(test: PairedTest, estimate: Estimate) -> PairedTest:
    """The test with the interval and the error of its difference."""
    return replace(test, ci95=estimate.interval, error=estimate.error, reason=estimate.reason)


def _differences(first: Values, second: Values, groups: Groups) -> tuple[Floats, Groups]:
    if len(first) != len(second) or (groups is not None and len(groups) != len(first)):
        raise ValueError(f"{len(first)} and {len(second)} values do not pair; both models need the same cases")
    pair = [np.array([np.nan if v is None else v for v in values], dtype=np.float64) for values in (first, second)]
    differences = pair[0] - pair[1]
    known = np.flatnonzero(np.isfinite(differences))
    rounding = 1e-9 * np.maximum(1.0, np.abs(pair[0]))  # the same numbers, summed in another order on another machine
    differences[np.abs(differences) <= rounding] = 0.0
    return differences[known], None if groups is None else [groups[at] for at in known.tolist()]


def mcnemar(first: npt.ArrayLike, second: npt.ArrayLike, groups: Groups = None) -> PairedTest:
    """Exact McNemar test of two classifiers: do the cases that only one of them gets right fall evenly?

    p is the exact distribution of the difference when the sign of each group's difference is a coin's: of cases
    alone the binomial of McNemar's test (Psychometrika 12, 1947), with groups its exact form for clustered pairs
    (the sign test behind Durkalski et al., Stat. Med. 22, 2003). The statistic is the smaller count of cases that
    only one model gets right.

    Args:
        first: whether one model is right on each case ``(n,)``, bool.
        second: whether the other model is right on it ``(n,)``.
        groups: group of each case.

    Raises:
        ValueError: the shapes differ.
    """
    pair = [np.asarray(right, dtype=np.bool_) for right in (first, second)]
    if pair[0].shape != pair[1].shape or pair[0].ndim != 1:
        raise ValueError(f"outcomes of shapes {pair[0].shape} and {pair[1].shape} do not pair; twice (n,) is needed")
    n = pair[0].size
    if not n:
        return PairedTest("mcnemar", 0)
    differences = pair[0].astype(np.intp) - pair[1]
    of_case, units = unit_index(n, groups)
    sums = np.bincount(of_case, weights=differences, minlength=units).astype(np.intp)
    only = np.count_nonzero(differences > 0), np.count_nonzero(differences < 0)
    test = PairedTest("mcnemar", n, float(differences.mean()), None, float(min(only)), sign_flip_p(sums))
    return with_interval(test, mean_interval(differences.astype(np.float64), groups, (-1.0, 1.0)))


def sign_flip_p(sums: npt.NDArray[np.intp]) -> float:
    """Exact two-sided p of a sum of whole numbers whose signs are as likely + as -.

    Args:
        sums: differences of the groups ``(G,)``.
    """
    sizes = np.abs(sums[sums != 0])
    if not sizes.size:
        return 1.0
    observed, total = abs(int(sums.sum())), int(sizes.sum())
    chances = np.ones(1)  # of the sum of those numbers that are counted positive
    for size in sizes:
        grown = np.zeros(chances.size + size)
        grown[: chances.size] += chances / 2
        grown[size:] += chances / 2
        chances = grown
    reached = np.abs(2 * np.arange(total + 1) - total)
    return min(1.0, float(chances[reached >= observed].sum()))


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
