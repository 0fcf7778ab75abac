"""Two classifiers on the same cases: differences of the metrics of a split, with tests that know groups."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import special

from engine.metrics.auc import freedom_of, influence, placements, standard_error
from engine.metrics.compare import PairedTest, with_interval
from engine.metrics.intervals import Floats, Groups, percentile_interval, too_few, unit_index
from engine.metrics.resampled import Ints, confusion_metrics, confusions, resampled_confusions, swapped_confusions


def classification_differences(
    targets: npt.ArrayLike,
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    groups: Groups = None,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, PairedTest]:
    """Differences of the metrics of a confusion matrix, and of the macro AUC, between two models.

    p of the metrics of a confusion matrix: the models change names at random for whole groups, which under the
    null hypothesis changes nothing (Yeh, COLING 2000; Phipson & Smyth, SAGMB 9, 2010: never 0); their interval: a
    bootstrap over groups, both models on the same resamples. AUC: see :func:`delong`, over all classes at once.

    Args:
        targets: true class of each case ``(n,)``.
        first: class probabilities of one model ``(n, K)``.
        second: class probabilities of the other model ``(n, K)``.
        groups: group of each case.
        resamples: number of resamples, and of random exchanges.
        seed: seed of both.

    Returns:
        Metric (accuracy, balanced_accuracy, precision, recall, f1, their weighted twins, auc, and
        ``<metric>:<index of the class>``) -> the test.

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
    tests = _permutation_tests(true, pair, groups, resamples, seed)
    return tests | {"auc": _macro_auc(true, pair, groups)}


def _permutation_tests(
    true: Ints, pair: Sequence[Floats], groups: Groups, resamples: int, seed: int
) -> dict[str, PairedTest]:
    classes = pair[0].shape[1]
    guesses = pair[0].argmax(axis=1), pair[1].argmax(axis=1)
    every = np.ones((1, true.size))
    observed = _metric_differences(*(confusions(every, true, guess, classes) for guess in guesses))
    drawn = _metric_differences(*resampled_confusions(true, guesses, classes, groups, resamples=resamples, seed=seed))
    null = _metric_differences(*swapped_confusions(true, guesses, classes, groups, swaps=resamples, seed=seed))
    _, units = unit_index(true.size, groups)
    tests = {}
    for name, value in observed.items():
        difference = float(value[0]) if np.isfinite(value[0]) else None
        test = PairedTest("permutation", true.size, difference, p=_permutation_p(difference, null[name]))
        tests[name] = test if difference is None else with_interval(test, percentile_interval(drawn[name], units))
    return tests


def _metric_differences(first: Floats, second: Floats) -> dict[str, Floats]:
    """Each metric of the first confusion matrices ``(R, K, K)`` minus that of the second, ``(R,)``."""
    pair = confusion_metrics(first), confusion_metrics(second)
    return {name: pair[0][name] - pair[1][name] for name in pair[0]}


def _permutation_p(difference: float | None, null: Floats) -> float | None:
    """Share of exchanges with a difference as large, the data themselves counted."""
    if difference is None:
        return None
    defined = null[np.isfinite(null)]
    return float((np.count_nonzero(np.abs(defined) >= abs(difference) - 1e-12) + 1) / (defined.size + 1))


def _macro_auc(true: Ints, pair: Sequence[Floats], groups: Groups) -> PairedTest:
    of_case, _ = unit_index(true.size, groups)
    shares, differences = np.zeros(true.size), []
    for k in range(pair[0].shape[1]):
        positive = true == k
        if not positive.any() or positive.all():
            continue
        scores = np.stack([p[:, k] for p in pair])
        areas = placements(positive, scores)[0].mean(axis=1)
        differences.append(float(areas[0] - areas[1]))
        both = influence(positive, scores, of_case)
        shares += both[0] - both[1]
    if not differences:
        return PairedTest("delong", true.size)
    return _judged(float(np.mean(differences)), shares / len(differences), true, of_case)


def _judged(
    difference: float, shares: Floats, kinds: npt.NDArray[np.intp], of_case: npt.NDArray[np.intp]
) -> PairedTest:
    """The test of a difference from what each case adds to its error ``(n,)``; ``kinds``: the class of each case.

    None where a class has fewer groups than an interval needs: how its patients differ is hardly known, and one of two
    equal models would be called better up to ten times too often. The statistic is normal, with groups Student's.
    """
    n, error = kinds.size, standard_error(shares, of_case)
    few = min((np.unique(of_case[kinds == k]).size, int(np.count_nonzero(kinds == k))) for k in np.unique(kinds))
    if reason := too_few(few[1], few[0]):
        return PairedTest("delong", n, difference, reason=reason)
    if error < 1e-15:
        statistic, p = (0.0, 1.0) if abs(difference) < 1e-15 else (None, None)
        return PairedTest("delong", n, difference, None, statistic, p, 0.0, "the difference has no variation")
    freedom = math.inf if np.unique(of_case).size == n else freedom_of(shares, kinds, of_case)
    z, half = difference / error, float(special.stdtrit(freedom, 0.975)) * error
    bounds = max(-1.0, difference - half), min(1.0, difference + half)
    return PairedTest("delong", n, difference, bounds, z, float(2 * special.stdtr(freedom, -abs(z))), error)


def delong(targets: npt.ArrayLike, first: npt.ArrayLike, second: npt.ArrayLike, groups: Groups = None) -> PairedTest:
    """DeLong test of two correlated AUCs, with groups in the form of Obuchowski; see :func:`.auc.influence`.

    The statistic is z; the interval is normal, with groups Student's, see :func:`_judged`.

    Args:
        targets: whether each case is positive ``(n,)``.
        first: scores of one model ``(n,)``, higher for positive.
        second: scores of the other model on the same cases ``(n,)``.
        groups: group of each case.

    Returns:
        The test; without two positive and two negative cases (or groups) it has no difference, with fewer than five
        of either no p, and none without any variation to judge a difference by (one model separates perfectly, the
        other scores all cases alike).

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
    of_case, _ = unit_index(positive.size, groups)
    if min(np.unique(of_case[positive]).size, np.unique(of_case[~positive]).size) < 2:
        return PairedTest("delong", positive.size)
    areas = placements(positive, scores)[0].mean(axis=1)
    both = influence(positive, scores, of_case)
    return _judged(float(areas[0] - areas[1]), both[0] - both[1], positive.astype(np.intp), of_case)
