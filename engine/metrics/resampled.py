"""Classification metrics of many resamples at once, from counts of how often each case was drawn.

A resample is not built: its confusion matrix is a weighted count, and its precision along the scores a weighted
count along one ordering that all resamples share. Each value equals scikit-learn's on the cases repeated.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from engine.metrics.intervals import Groups, resamples_of, unit_index
from engine.metrics.registry import Registry

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]

ECE_BINS = 15

OF_SCORES = Registry[Callable[[Ints, Floats], npt.ArrayLike]]()
"""Metrics with a function of their own: of the classes ``(n,)`` and probabilities ``(n, K)`` of cases, a number or
one a class ``(K,)``; NaN: not measured."""


def resampled_metrics(
    targets: Ints,
    probabilities: Floats,
    groups: Groups = None,
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
        Metric -> ``(R,)``, and precision, recall, f1, average_precision and ece of a class under
        ``<metric>:<index of the class>``; NaN where a resample leaves it undefined. Empty if there are fewer than
        two cases or groups.
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
    precision = average_precisions(counts, targets, probabilities)
    gaps = calibration_gaps(counts, targets, probabilities)
    metrics = confusion_metrics(confusion) | {
        "average_precision": precision[:, 1] if classes == 2 else _mean_defined(precision, np.isfinite(precision)),
        "ece": gaps[:, -1],
        "ece_classwise": gaps[:, :-1].mean(axis=1),
    }
    metrics |= {f"average_precision:{k}": precision[:, k] for k in range(classes)}
    metrics |= {f"ece:{k}": gaps[:, k] for k in range(classes)}
    if OF_SCORES.loaded():
        draws = [np.repeat(np.arange(len(targets)), row.astype(np.intp)) for row in counts]
        added = [added_metrics(targets[draw], probabilities[draw]) for draw in draws]
        metrics |= {name: np.array([one[name] for one in added]) for name in added[0]}
    return metrics


def added_metrics(targets: Ints, probabilities: Floats) -> dict[str, float]:
    """Those of `OF_SCORES`; what each class has is under ``<metric>:<index>``, and its mean over the classes in the
    truth under ``<metric>``."""
    found: dict[str, float] = {}
    for name, function in OF_SCORES.loaded().items():
        value = np.asarray(function(targets, probabilities), np.float64)
        if value.ndim:
            found |= {f"{name}:{k}": float(one) for k, one in enumerate(value)}
            present = np.isfinite(value) & np.isin(np.arange(value.size), targets)
            value = _mean_defined(value[None], present[None])[0]
        found[name] = float(value)
    return found


def confusions(counts: Floats, targets: Ints, predicted: Ints, classes: int) -> Floats:
    """Confusion matrices ``(R, K, K)`` (rows true) of resamples given as counts ``(R, n)``."""
    cells = np.zeros((len(targets), classes * classes))
    cells[np.arange(len(targets)), targets * classes + predicted] = 1.0
    return (counts @ cells).reshape(-1, classes, classes)


def resampled_confusions(
    targets: Ints, guesses: Sequence[Ints], classes: int, groups: Groups = None, *, resamples: int, seed: int
) -> list[Floats]:
    """Confusion matrices ``(R, K, K)`` of several models on the same resamples, one array a model.

    Args:
        targets: class of each case ``(n,)``.
        guesses: predicted class of each case ``(n,)``, of each model.
        classes: number of classes K.
        groups: group of each case; whole groups are drawn.
        resamples: number of resamples R; none if there are fewer than two cases or groups.
        seed: seed of the draws.
    """
    blocks: list[list[Floats]] = [[np.empty((0, classes, classes))] for _ in guesses]
    for counts in resamples_of(len(targets), groups, resamples=resamples, seed=seed):
        for block, guess in zip(blocks, guesses, strict=True):
            block.append(confusions(counts, targets, guess, classes))
    return [np.concatenate(block) for block in blocks]


def swapped_confusions(
    targets: Ints, guesses: tuple[Ints, Ints], classes: int, groups: Groups = None, *, swaps: int, seed: int
) -> tuple[Floats, Floats]:
    """Confusion matrices ``(swaps, K, K)`` of two models that change names for random groups."""
    of_case, units = unit_index(len(targets), groups)
    cells = np.zeros((2, units, classes * classes))
    for part, guess in zip(cells, guesses, strict=True):
        np.add.at(part, (of_case, targets * classes + guess), 1.0)
    swapped = np.random.default_rng(seed).integers(2, size=(swaps, units), dtype=np.int8).astype(np.float64)
    moved = (swapped @ (cells[1] - cells[0])).reshape(swaps, classes, classes)
    first, second = cells.sum(axis=1).reshape(2, classes, classes)
    return first + moved, second - moved


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
    balanced = _mean_defined(per_class["recall"], support > 0)
    metrics = {"accuracy": _ratio(right.sum(axis=1), n), "balanced_accuracy": balanced}
    for name, values in per_class.items():
        filled = np.nan_to_num(values, nan=0.0)
        metrics[name] = _mean_defined(filled, support + guessed > 0)
        metrics[f"{name}_weighted"] = _ratio((filled * support).sum(axis=1), n)
        metrics |= {f"{name}:{k}": values[:, k] for k in range(values.shape[1])}
    return metrics


def average_precisions(counts: Floats, targets: Ints, probabilities: Floats) -> Floats:
    """Average precision ``(R, K)`` of resamples given as counts ``(R, n)``; NaN without a case of the class.

    The sum over thresholds of precision times the recall gained there, cases of equal score at one threshold.
    """
    by_case = np.ascontiguousarray(counts.T)
    columns = [_average_precision(by_case, targets == k, scores) for k, scores in enumerate(probabilities.T)]
    return np.stack(columns, axis=1)


def _average_precision(by_case: Floats, positive: npt.NDArray[np.bool_], scores: Floats) -> Floats:
    order = np.argsort(-scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=np.inf))  # of runs of tied scores
    weights = by_case[order]
    gained = np.add.reduceat(np.where(positive[order, None], weights, 0.0), starts, axis=0)
    hits = np.cumsum(gained, axis=0)
    drawn = np.cumsum(np.add.reduceat(weights, starts, axis=0), axis=0)
    precision = np.divide(hits, drawn, out=np.zeros_like(hits), where=drawn > 0)
    return _ratio(np.einsum("tr,tr->r", gained, precision), hits[-1])


def calibration_gaps(counts: Floats, targets: Ints, probabilities: Floats, bins: int = ECE_BINS) -> Floats:
    """Expected calibration errors ``(R, K + 1)`` of resamples: of each class, and last of the predicted class.

    Of a class: its probability against how often it is true (Kull et al., NeurIPS 2019); of the predicted class:
    confidence against accuracy (Guo et al., ICML 2017). Bins are of equal width and hold their upper bound; the
    gap of a bin is weighted by its cases.
    """
    n, classes = probabilities.shape
    columns = np.column_stack([probabilities, probabilities.max(axis=1)])
    right = np.column_stack([targets[:, None] == np.arange(classes), probabilities.argmax(axis=1) == targets])
    which = np.clip(np.ceil(columns * bins).astype(np.intp) - 1, 0, bins - 1)
    cells = np.zeros((n, classes + 1, bins))
    np.put_along_axis(cells, which[..., None], (columns - right)[..., None], axis=2)
    used = cells.reshape(n, -1)
    sums = np.abs(counts @ used).reshape(len(counts), classes + 1, bins).sum(axis=2)
    gaps: Floats = sums / counts.sum(axis=1, keepdims=True)
    return gaps


def _ratio(above: Floats, below: Floats) -> Floats:
    quotient: Floats = np.divide(above, below, out=np.full(np.shape(above), np.nan), where=below > 0)
    return quotient


def _mean_defined(values: Floats, chosen: npt.NDArray[np.bool_]) -> Floats:
    """Mean ``(R,)`` over the chosen entries of each row of ``(R, K)``; NaN for a row with none."""
    return _ratio(np.where(chosen, values, 0.0).sum(axis=1), chosen.sum(axis=1).astype(np.float64))
