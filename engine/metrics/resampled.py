"""Classification metrics of many resamples at once, from counts of how often each case was drawn.

A resample is not built: its confusion matrix is a weighted count, and its AUC a weighted count of pairs along one
ordering of the scores that all resamples share. Each value equals scikit-learn's on the cases repeated.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from engine.metrics.intervals import resamples_of

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]

CLASS_METRICS = ("precision", "recall", "f1", "auc")
"""What is computed for every class."""


def resampled_metrics(
    targets: Ints,
    probabilities: Floats,
    groups: Sequence[str | None] | None = None,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Floats]:
    """Every metric on every bootstrap resample of the cases, or of whole groups of them.

    Args:
        targets: class of each case ``(n,)``.
        probabilities: probability of each class ``(n, K)``; the largest is the prediction.
        groups: group of each case; whole groups are drawn.
        resamples: number of resamples R.
        seed: seed of the draws; the same seed, groups and number of cases give the same resamples.

    Returns:
        Metric -> ``(R,)``, and each of CLASS_METRICS under ``<metric>:<index of the class>``; NaN where a resample
        leaves it undefined. Empty if there are fewer than two cases or groups.
    """
    blocks = [
        metrics_of(counts, targets, probabilities)
        for counts in resamples_of(len(targets), groups, resamples=resamples, seed=seed)
    ]
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]} if blocks else {}


def metrics_of(counts: Floats, targets: Ints, probabilities: Floats) -> dict[str, Floats]:
    """Every metric on resamples given as counts ``(R, n)``; see :func:`resampled_metrics`."""
    classes = probabilities.shape[1]
    confusion = confusions(counts, targets, probabilities.argmax(axis=1), classes)
    auc = aucs(counts, targets, probabilities)
    metrics = confusion_metrics(confusion) | {"auc": _mean_defined(auc, np.isfinite(auc))}
    return metrics | {f"auc:{k}": auc[:, k] for k in range(classes)}


def confusions(counts: Floats, targets: Ints, predicted: Ints, classes: int) -> Floats:
    """Confusion matrices ``(R, K, K)`` (rows true) of resamples given as counts ``(R, n)``."""
    cells = np.zeros((len(targets), classes * classes))
    cells[np.arange(len(targets)), targets * classes + predicted] = 1.0
    return (counts @ cells).reshape(-1, classes, classes)


def confusion_metrics(confusion: Floats) -> dict[str, Floats]:
    """Metrics ``(R,)`` of confusion matrices ``(R, K, K)``, with scikit-learn's rules for classes that are absent.

    Macro means are over the classes that are in the truth or in the prediction, with 0 for what has nothing to be
    divided by (``zero_division=0``); balanced accuracy is the mean recall over the classes in the truth. For one
    class (``<metric>:<index>``) what has nothing to be divided by is NaN.
    """
    right = np.diagonal(confusion, axis1=1, axis2=2)
    support, guessed = confusion.sum(axis=2), confusion.sum(axis=1)
    n = support.sum(axis=1)
    per_class = {
        "precision": _ratio(right, guessed),
        "recall": _ratio(right, support),
        "f1": _ratio(2 * right, support + guessed),
    }
    metrics = {
        "accuracy": _ratio(right.sum(axis=1), n),
        "balanced_accuracy": _mean_defined(per_class["recall"], support > 0),
    }
    for name, values in per_class.items():
        filled = np.nan_to_num(values, nan=0.0)
        metrics[name] = _mean_defined(filled, support + guessed > 0)
        metrics[f"{name}_weighted"] = _ratio((filled * support).sum(axis=1), n)
        metrics |= {f"{name}:{k}": values[:, k] for k in range(values.shape[1])}
    return metrics


def aucs(counts: Floats, targets: Ints, probabilities: Floats) -> Floats:
    """One-against-the-rest AUC ``(R, K)`` of resamples given as counts ``(R, n)``; NaN without both kinds of case.

    The AUC is the share of pairs (a case of the class, another case) in which the first has the higher score, a
    tie counting half (Hanley & McNeil, Radiology 143, 1982).
    """
    by_case = np.ascontiguousarray(counts.T)
    columns = [_auc(by_case, targets == k, scores) for k, scores in enumerate(np.ascontiguousarray(probabilities.T))]
    return np.stack(columns, axis=1)


def _auc(by_case: Floats, positive: npt.NDArray[np.bool_], scores: Floats) -> Floats:
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))  # of runs of tied scores
    weights, is_positive = by_case[order], positive[order, None]
    negatives = np.add.reduceat(np.where(is_positive, 0.0, weights), starts, axis=0)
    positives = np.add.reduceat(np.where(is_positive, weights, 0.0), starts, axis=0)
    below = np.cumsum(negatives, axis=0)
    pairs = np.einsum("gr,gr->r", positives, below - negatives / 2)
    return _ratio(pairs, positives.sum(axis=0) * below[-1])


def _ratio(above: Floats, below: Floats) -> Floats:
    """Quotient of two arrays, NaN where there is nothing to be divided by."""
    quotient: Floats = np.divide(above, below, out=np.full(np.shape(above), np.nan), where=below > 0)
    return quotient


def _mean_defined(values: Floats, chosen: npt.NDArray[np.bool_]) -> Floats:
    """Mean ``(R,)`` over the chosen entries of each row of ``(R, K)``; NaN for a row with none."""
    return _ratio(np.where(chosen, values, 0.0).sum(axis=1), chosen.sum(axis=1).astype(np.float64))
