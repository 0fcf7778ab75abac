"""95 % intervals of every classification metric; docs/statistics.md says which method and why."""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy import special

from engine.metrics.auc import auc_intervals
from engine.metrics.calibration import brier_scores, chance_gaps, log_losses, with_mean
from engine.metrics.intervals import (
    MIN_UNITS,
    Estimate,
    Floats,
    Groups,
    Share,
    mean_interval,
    mean_of_shares,
    percentile_interval,
    score_interval,
    share_interval,
    t_quantile,
    too_few,
    unit_index,
)
from engine.metrics.resampled import average_precisions, calibration_gaps, resampled_metrics

Ints = npt.NDArray[np.intp]
Bools = npt.NDArray[np.bool_]
_MEANS = ("balanced_accuracy", "recall", "precision", "precision_weighted", "f1")
_OF_RESAMPLES = ("f1_weighted", "average_precision", "ece", "ece_classwise")
_SHARES = {"accuracy", "recall_weighted", *_MEANS} - {"f1"}
Intervals = dict[str, Estimate]  # metric, or ``<metric>:<index of the class>``, -> its interval


def intervals(
    targets: Ints, probabilities: Floats, groups: Groups = None, *, resamples: int, seed: int, threshold: float
) -> Intervals:
    """Intervals of all metrics of a split; empty where no resamples are wanted.

    Args:
        targets: true class of each case ``(n,)``.
        probabilities: probability of each class ``(n, K)``.
        groups: group of each case.
        resamples: resamples of the metrics that need a bootstrap.
        seed: seed of the resamples.
        threshold: of two classes, the probability of the second from which a case counts as positive.
    """
    if not resamples:
        return {}
    found = _shares(targets, probabilities, groups, threshold) | auc_intervals(targets, probabilities, groups)
    found |= _means_of_shares(targets, probabilities.argmax(axis=1), groups) | _scores(targets, probabilities, groups)
    drawn = _resampled(targets, probabilities, groups, resamples, seed)
    return found | drawn | {"f1": _wider(found["f1"], drawn.get("f1", found["f1"]))}


def calibrated_intervals(
    targets: Ints, probabilities: Floats, groups: Groups = None, *, resamples: int, seed: int
) -> Intervals:
    """Those of :func:`intervals` that judge the probabilities alone: Brier score, log loss and calibration errors."""
    if not resamples:
        return {}
    drawn = _resampled(targets, probabilities, groups, resamples, seed)
    errors = {name: drawn[name] for name in ("ece", "ece_classwise") if name in drawn}
    return _scores(targets, probabilities, groups) | errors


def _wider(first: Estimate, second: Estimate) -> Estimate:
    if first.interval is None or second.interval is None:
        return first
    low, high = zip(first.interval, second.interval, strict=True)
    return Estimate((min(low), max(high)), error=second.error)


def _shares(targets: Ints, probabilities: Floats, groups: Groups, threshold: float) -> Intervals:
    """Wilson's interval of what is a share of cases, and of what follows from one."""
    predicted = probabilities.argmax(axis=1)
    right, every = predicted == targets, np.ones(len(targets), dtype=np.bool_)

    def share(hits: Bools, among: Bools) -> Estimate:
        return share_interval(hits[among], _some(groups, among))

    found = dict.fromkeys(("accuracy", "recall_weighted"), share(right, every))
    for k in range(probabilities.shape[1]):
        true, guessed = targets == k, predicted == k
        found |= {f"recall:{k}": share(right, true), f"specificity:{k}": share(~guessed, ~true)}
        found[f"precision:{k}"] = share(right, guessed & true.any())
        found[f"f1:{k}"] = _f1_of_jaccard(share(right, (true | guessed) & true.any()))
    if probabilities.shape[1] == 2:
        positive = probabilities[:, 1] >= threshold
        found |= {"sensitivity": share(positive, targets == 1), "specificity": share(~positive, targets == 0)}
    return found


def _some(groups: Groups, among: Bools) -> Groups:
    return None if groups is None else [groups[i] for i in np.flatnonzero(among).tolist()]


def _f1_of_jaccard(jaccard: Estimate) -> Estimate:
    """F1 = 2J / (1 + J), with J the share of right cases among those that are, or are called, of the class.

    The indirect Wilson interval of Lam et al. (arXiv 2309.14621, 2023).
    """
    if jaccard.interval is None:
        return jaccard
    low, high = (2 * bound / (1 + bound) for bound in jaccard.interval)
    return Estimate((low, high))


def _means_of_shares(targets: Ints, predicted: Ints, groups: Groups) -> Intervals:
    """Balanced accuracy and macro precision, recall and F1, from the shares of the classes."""
    right, present, counted = predicted == targets, np.unique(targets), np.union1d(targets, predicted)
    of_case, units = unit_index(len(targets), groups)
    if reason := too_few(len(targets), units):
        return dict.fromkeys(_MEANS, Estimate(reason=reason))

    def shares(kinds: Iterable[Bools]) -> list[Share]:
        return [score_interval(right[among], _some(groups, among)) for among in kinds]

    of_class, called = [targets == k for k in present], [predicted == k for k in counted]
    either = [(targets == k) | (predicted == k) for k in counted]
    recalls, precisions, jaccards = shares(of_class), shares(called), shares(either)
    together = [
        _correlations(right, kinds, of_case) if units < len(targets) else np.eye(len(kinds))
        for kinds in (of_class, called, either)
    ]
    equal = np.full(counted.size, 1 / counted.size)
    support = np.array([np.count_nonzero(targets == k) for k in counted]) / len(targets)
    return {
        "balanced_accuracy": mean_of_shares(recalls, np.full(present.size, 1 / present.size), together[0]),
        "recall": mean_of_shares(recalls, np.full(present.size, 1 / counted.size), together[0]),
        "precision": mean_of_shares(precisions, equal, together[1]),
        "precision_weighted": mean_of_shares(precisions, support, together[1]),
        "f1": mean_of_shares([_f1_share(one) for one in jaccards], equal, together[2]),
    }


def _correlations(right: Bools, kinds: Sequence[Bools], of_case: Ints) -> Floats:
    """Between the shares of right cases of several kinds ``(K, K)``, which groups with cases of both make alike.

    Where all or none of a kind are right nothing is known of it: as if groups agreed within.
    """
    units = int(of_case.max()) + 1
    sizes = np.array([np.bincount(of_case[kind], minlength=units) for kind in kinds], dtype=np.float64)
    sums = np.array([np.bincount(of_case[kind], weights=right[kind], minlength=units) for kind in kinds])
    apart = sums - sizes * (sums.sum(axis=1) / np.maximum(sizes.sum(axis=1), 1))[:, None]
    known = np.abs(apart).max(axis=1) > 1e-9
    found = [rows / np.maximum(np.linalg.norm(rows, axis=1), 1e-12)[:, None] for rows in (apart, sizes)]
    both = np.where(known[:, None] & known, *(rows @ rows.T for rows in found))
    np.fill_diagonal(both, 1.0)
    clipped: Floats = np.clip(both, 0.0, 1.0)
    return clipped


def _f1_share(jaccard: Share) -> Share:
    share, low, high, error = jaccard
    f1, bottom, top = (2 * value / (1 + value) for value in (share, low, high))
    return f1, bottom, top, 2 * error / (1 + share) ** 2


def _scores(targets: Ints, probabilities: Floats, groups: Groups) -> Intervals:
    limits = (0.0, 1.0 if probabilities.shape[1] == 2 else 2.0), (0.0, math.inf)
    values = brier_scores(targets, probabilities), log_losses(targets, probabilities)
    return {
        name: mean_interval(value, groups, limit)
        for name, value, limit in zip(("brier", "log_loss"), values, limits, strict=True)
    }


def _resampled(targets: Ints, probabilities: Floats, groups: Groups, resamples: int, seed: int) -> Intervals:
    """Bootstrap over units; of one class expanded by the units of that class, of which there are fewer."""
    n, found = len(targets), Intervals()
    of_case, units = unit_index(n, groups)
    drawn = resampled_metrics(targets, probabilities, groups, resamples=resamples, seed=seed)
    if not drawn:
        names = (*_OF_RESAMPLES, *(f"ece:{k}" for k in range(probabilities.shape[1])))
        return dict.fromkeys(names, Estimate(reason=too_few(n, units)))
    precisions = average_precisions(np.ones((1, n)), targets, probabilities)[0]
    for name, values in drawn.items():
        metric, _, index = name.partition(":")
        if name in _SHARES or (index and metric in {"precision", "recall", "f1"}):
            continue
        among = targets == int(index) if index and metric != "ece" else np.ones(n, dtype=np.bool_)
        few = np.unique(of_case[among]).size
        if reason := too_few(int(among.sum()), few):
            found[name] = Estimate(reason=reason)
        elif index and metric == "average_precision":
            found[name] = precision_interval(float(precisions[int(index)]), values, few)
        else:
            found[name] = percentile_interval(values, few)
    if probabilities.shape[1] == 2:
        found["average_precision"] = found["average_precision:1"]
    else:
        found["average_precision"] = _mean_precision(precisions, found)
    if units >= MIN_UNITS:
        found |= _calibration(targets, probabilities, of_case, drawn, found)
    return found


def _mean_precision(precisions: Floats, found: Intervals) -> Estimate:
    """Of the mean over the classes: from their intervals, or the bootstrap's where that lies further out.

    Alone, the bootstrap's is too narrow, and too high: a case drawn twice is ranked beside itself.
    """
    drawn, classes = found["average_precision"], np.flatnonzero(np.isfinite(precisions))
    if drawn.interval is None:
        return drawn
    shares: list[Share] = []
    for k in classes.tolist():
        part, value = found[f"average_precision:{k}"], float(precisions[k])
        low, high = part.interval or (value, value)  # too few cases of it: the bootstrap's knows more
        shares.append((value, low, high, part.error or 0.0))
    return _wider(mean_of_shares(shares, np.full(classes.size, 1 / classes.size)), drawn)


def precision_interval(value: float, resampled: Floats, positives: int) -> Estimate:
    """Interval of an average precision on the logit scale.

    The bootstrap's error there is far too small where few positive cases are ranked well; that of a binomial share
    of as many cases (Boyd et al., ECML 2013) is too large where many are. Their variances are mixed, the binomial
    one with weight 10 / (10 + positives), a constant set by simulation.

    Args:
        value: average precision of the cases.
        resampled: of each resample ``(R,)``; NaN where it was undefined.
        positives: units (cases or groups) of the class, 5 or more.
    """
    plain = percentile_interval(resampled, positives)
    if plain.interval is None:
        return plain
    inside = 0.25 / positives  # logits of 0 and 1 are infinite
    drawn = special.logit(np.clip(resampled[np.isfinite(resampled)], inside, 1 - inside))
    share = min(max(value, 2 * inside), 1 - 2 * inside)
    weight = 10 / (10 + positives)
    variance = (1 - weight) * float(drawn.var(ddof=1)) * positives / (positives - 1)
    variance += weight / (positives * share * (1 - share))
    half = float(special.ndtri(0.975)) * math.sqrt(variance)
    centre = special.logit(min(max(value, inside), 1 - inside))
    low, high = (float(special.expit(centre + sign * half)) for sign in (-1, 1))
    return Estimate((min(low, value), max(high, value)), error=plain.error)


def _calibration(
    targets: Ints, probabilities: Floats, of_case: Ints, drawn: Mapping[str, Floats], found: Intervals
) -> Intervals:
    """Student's intervals with the bootstrap's errors, their low bounds corrected for the bias of bins.

    A calibration error in bins is never 0 in few cases, and that of a resample larger still, by about as much: the
    low bound goes down by that bias, and to 0 where probabilities that mean what they say would give errors as
    large in 2.5 of 100 draws (consistency resampling, Broecker & Smith, Weather and Forecasting 22, 2007).
    """
    names = [*(f"ece:{k}" for k in range(probabilities.shape[1])), "ece", "ece_classwise"]
    every = np.ones((1, len(targets)))
    gaps, chance = calibration_gaps(every, targets, probabilities), chance_gaps(probabilities, of_case)
    values, highest = with_mean(gaps)[0], np.percentile(with_mean(chance), 97.5, axis=0)
    half = t_quantile(int(of_case.max()) + 1)
    fixed: Intervals = {}
    for name, value, limit in zip(names, values.tolist(), highest.tolist(), strict=True):
        fixed[name] = found[name]
        if (error := found[name].error) is not None and found[name].interval is not None:
            bias = max(0.0, float(np.nanmean(drawn[name])) - value)
            low = 0.0 if value <= limit else max(0.0, value - bias - half * error)
            fixed[name] = Estimate((low, min(1.0, value + half * error)), error=error)
    return fixed
