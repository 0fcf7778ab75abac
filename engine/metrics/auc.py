"""Areas under ROC curves with their variance, for cases alone or in groups: DeLong's method."""

import math

import numpy as np
import numpy.typing as npt

from engine.metrics.intervals import Estimate, Floats, Groups, mean_of_shares, t_quantile, too_few, unit_index

Bools = npt.NDArray[np.bool_]


def placements(positive: Bools, scores: Floats) -> tuple[Floats, Floats]:
    """DeLong's structural components: for every case the share of the opposite cases that it is ranked right of.

    Args:
        positive: whether each case is positive ``(n,)``, with both kinds present.
        scores: scores of each model ``(models, n)``.

    Returns:
        Of the positive cases ``(models, positives)`` and of the negative ones ``(models, negatives)``; a tie counts
        half, and the mean of either row is the model's AUC (Sun & Xu, IEEE Signal Processing Letters 21, 2014).
    """
    from scipy import stats

    over_all = stats.rankdata(scores, axis=1)
    above, below = scores[:, positive], scores[:, ~positive]
    of_positive = (over_all[:, positive] - stats.rankdata(above, axis=1)) / below.shape[1]
    of_negative = 1 - (over_all[:, ~positive] - stats.rankdata(below, axis=1)) / above.shape[1]
    return of_positive, of_negative


def influence(positive: Bools, scores: Floats, of_case: npt.NDArray[np.intp]) -> Floats:
    """What each case adds to the error of each model's AUC ``(models, n)``.

    The sum of squares over units (cases, or sums of groups) is the variance of the AUC: DeLong's for cases
    (Biometrics 44, 1988), and for groups that of Obuchowski (Biometrics 53, 1997) but for its factor of the
    covariance between positive and negative cases of one group.

    Args:
        positive: whether each case is positive ``(n,)``, with both kinds present.
        scores: scores of each model ``(models, n)``.
        of_case: unit of each case ``(n,)``.
    """
    shares = np.empty_like(scores)
    for kind, values in zip((positive, ~positive), placements(positive, scores), strict=True):
        units = np.unique(of_case[kind]).size
        factor = math.sqrt(units / (units - 1)) if units > 1 else 1.0
        shares[:, kind] = factor * (values - values.mean(axis=1, keepdims=True)) / np.count_nonzero(kind)
    return shares


def standard_error(shares: Floats, of_case: npt.NDArray[np.intp]) -> float:
    """Standard error of a value from what each case adds to its error ``(n,)``."""
    return math.sqrt(float(np.sum(np.bincount(of_case, weights=shares) ** 2)))


def auc_intervals(targets: npt.NDArray[np.intp], probabilities: Floats, groups: Groups = None) -> dict[str, Estimate]:
    """Intervals of the AUC of each class against the rest (``auc:<index>``) and of their mean (``auc``).

    On the logit scale (Qin & Hotilovac, Stat. Methods Med. Res. 17, 2008), so that they stay within 0 and 1, with
    Student's quantile of the rarer kind of unit; the mean over several classes from these, by `mean_of_shares` with
    the correlation of their errors. A class that no case, or every case, has is left out of the mean.

    Args:
        targets: class of each case ``(n,)``.
        probabilities: probability of each class ``(n, K)``.
        groups: group of each case.
    """
    of_case, units = unit_index(len(targets), groups)
    intervals: dict[str, Estimate] = {}
    known: list[Floats] = []
    areas: list[float] = []
    rarest: list[tuple[int, int]] = []
    for k, scores in enumerate(probabilities.T):
        positive = targets == k
        if not positive.any() or positive.all():
            continue
        known.append(influence(positive, scores[None], of_case)[0])
        areas.append(float(placements(positive, scores[None])[0].mean()))
        rarer = min(np.unique(of_case[kind]).size for kind in (positive, ~positive))
        rarest.append((rarer, min(int(positive.sum()), int((~positive).sum()))))
        intervals[f"auc:{k}"] = _logit_interval(areas[-1], standard_error(known[-1], of_case), *rarest[-1])
    if known and probabilities.shape[1] == 2:
        intervals["auc"] = _logit_interval(areas[-1], standard_error(known[-1], of_case), *rarest[-1], units - 1.0)
    elif known:
        found = list(intervals.values())
        intervals["auc"] = _mean_over_classes(areas, found, rarest, np.stack([np.bincount(of_case, i) for i in known]))
    return intervals


def _mean_over_classes(
    areas: list[float], found: list[Estimate], rarest: list[tuple[int, int]], errors: Floats
) -> Estimate:
    """``errors``: what each unit adds to the error of each class ``(K, units)``."""
    units, cases = min(rarest)  # a class of few groups adds too little variance: the mean would look too certain
    if too_few(cases, units) or all(one.interval is None for one in found):
        return _logit_interval(float(np.mean(areas)), 0.0, units, cases)
    parts = []
    for area, one, (rarer, _) in zip(areas, found, rarest, strict=True):
        # A class that is separated without an error has no variance: Wilson's bound of so many right ones in its place.
        low, high = one.interval or (rarer / (rarer + t_quantile(rarer) ** 2), 1.0)
        parts.append((area, min(low, area), max(high, area), one.error or 0.0))
    lengths = np.maximum(np.linalg.norm(errors, axis=1), 1e-12)[:, None]
    alike = (errors / lengths) @ (errors / lengths).T
    return mean_of_shares(parts, np.full(len(areas), 1 / len(areas)), alike + np.diag(1 - np.diag(alike)))


def freedom_of(shares: Floats, targets: npt.NDArray[np.intp], of_case: npt.NDArray[np.intp]) -> float:
    """Degrees of freedom of the variance of a mean, the sum of one variance a class (Welch, Biometrika 34, 1947)."""
    parts: list[tuple[float, int]] = []
    for k in np.unique(targets):
        _, own = np.unique(of_case[targets == k], return_inverse=True)
        sums = np.bincount(own, weights=shares[targets == k])
        parts.append((float(np.sum(sums**2)), max(sums.size - 1, 1)))
    below = sum(variance**2 / freedom for variance, freedom in parts)
    return max(1.0, sum(variance for variance, _ in parts) ** 2 / below) if below else 1.0


def _logit_interval(area: float, error: float, units: int, cases: int, freedom: float = 0.0) -> Estimate:
    if reason := too_few(cases, units):
        return Estimate(reason=reason, error=error)
    if error < 1e-12 or not 0 < area < 1:
        return Estimate(reason="the classes are separated without an error", error=error)
    logit = math.log(area / (1 - area))
    half = t_quantile((freedom or units - 1) + 1) * error / (area * (1 - area))
    low, high = (1 / (1 + math.exp(min(-(logit + side), 700.0))) for side in (-half, half))
    return Estimate((low, high), error=error)
