"""Classification: the summary of a split, from classes and probabilities. Point values are scikit-learn's."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.metrics.intervals import percentile_interval
from engine.metrics.resampled import CLASS_METRICS, resampled_metrics

METRICS = ("accuracy", "balanced_accuracy", "precision", "recall", "f1", "auc")
"""The metrics of a split that tables show, in their order."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]


def summarise(
    targets: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    classes: Sequence[str],
    *,
    groups: Sequence[str | None] | None = None,
    protocol: str,
    bootstrap: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """A split's part of metrics.json.

    Classes that are absent are treated as scikit-learn does with ``zero_division=0``: macro means are over the
    classes that are in the truth or among the predictions, so one that is in neither does not count, and one that
    is predicted but never true counts with 0. ``balanced_accuracy`` is the mean recall over the classes in the
    truth. ``auc`` is the mean of one against the rest over the classes in the truth (that are not all of it);
    ``auc_micro`` pools every pair of case and class, absent classes included.

    Args:
        targets: true class of each case ``(n,)``, 0 to K - 1.
        probabilities: probability of each class ``(n, K)``; the largest (the first of equals) is the prediction.
        classes: names of the K classes.
        groups: group (patient, lesion) of each case; the bootstrap then draws whole groups.
        protocol: how the predictions were made, in words.
        bootstrap: resamples of the intervals; 0: no intervals.
        seed: seed of the intervals.

    Returns:
        ``n``, ``protocol``, ``accuracy``, ``balanced_accuracy``, macro ``precision``, ``recall``, ``f1``, ``auc``
        and their ``_weighted`` twins (weighted by support), ``auc_micro``, ``ece`` (see
        :func:`calibration_error`), ``confusion`` (rows true, columns predicted); ``ci95``: metric -> [low, high],
        percentile bootstrap, and precision, recall, f1 and auc of a class under ``<metric>:<class>``; what has no
        interval has no key; ``per_class``: class -> precision, recall, f1, auc, specificity, support. None: not
        measured (AUC of a class that no case, or every case, has).

    Raises:
        ValueError: shapes, classes or probabilities (not finite, outside 0 to 1) do not fit.
    """
    true, scores = _checked(targets, probabilities, len(classes))
    predicted = scores.argmax(axis=1)
    resampled = resampled_metrics(true, scores, groups, resamples=bootstrap, seed=seed)
    auc = [class_auc(true, scores, k) for k in range(len(classes))]
    support = np.bincount(true, minlength=len(classes))
    known = [k for k, value in enumerate(auc) if value is not None]
    return {
        "n": len(true),
        "protocol": protocol,
        **_point_values(true, predicted),
        "auc": float(np.mean([auc[k] for k in known])) if known else None,
        "auc_weighted": float(np.average([auc[k] for k in known], weights=support[known])) if known else None,
        "auc_micro": _binary_auc(true[:, None] == np.arange(len(classes)), scores),
        "ece": calibration_error(true, scores),
        "confusion": confusion(true, predicted, len(classes)).tolist(),
        "ci95": _named_intervals(resampled, classes),
        "per_class": _per_class(true, predicted, auc, classes),
    }


def _checked(targets: npt.ArrayLike, probabilities: npt.ArrayLike, classes: int) -> tuple[Ints, Floats]:
    true, scores = np.asarray(targets), np.asarray(probabilities, dtype=np.float64)
    if true.size == 0:
        true, scores = np.zeros(0, dtype=np.intp), np.zeros((0, classes))
    if true.ndim != 1 or scores.shape != (len(true), classes):
        raise ValueError(
            f"targets of shape {true.shape} and probabilities of shape {scores.shape} do not fit {classes} classes; "
            "(n,) and (n, classes) are needed"
        )
    if true.dtype.kind not in "bui":
        raise ValueError(f"the targets are of type {true.dtype}; they must be the index of a class")
    if true.size and not 0 <= true.min() <= true.max() < classes:
        raise ValueError(f"the targets go from {true.min()} to {true.max()}; with {classes} classes 0 to {classes - 1}")
    if not np.isfinite(scores).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(scores))} probabilities are NaN or infinite")
    if scores.size and not (scores.min() >= -1e-6 and scores.max() <= 1 + 1e-6):
        raise ValueError(f"the probabilities go from {scores.min():g} to {scores.max():g}; they must be within 0 and 1")
    return true.astype(np.intp), scores


def _point_values(true: Ints, predicted: Ints) -> dict[str, float | None]:
    from sklearn.metrics import accuracy_score, balanced_accuracy_score, precision_recall_fscore_support

    names = ("precision", "recall", "f1")
    if not len(true):
        return dict.fromkeys(["accuracy", "balanced_accuracy", *names, *(f"{name}_weighted" for name in names)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # classes that are predicted but never true: as documented
        balanced = balanced_accuracy_score(true, predicted)
    values: dict[str, float | None] = {
        "accuracy": float(accuracy_score(true, predicted)),
        "balanced_accuracy": float(balanced),
    }
    for average, ending in (("macro", ""), ("weighted", "_weighted")):
        means = precision_recall_fscore_support(true, predicted, average=average, zero_division=0)[:3]
        values |= {f"{name}{ending}": float(mean) for name, mean in zip(names, means, strict=True)}
    return values


def class_auc(targets: Ints, probabilities: Floats, index: int) -> float | None:
    """AUC of one class against the rest; None if no case, or every case, has the class.

    Args:
        targets: true class of each case ``(n,)``.
        probabilities: probability of each class ``(n, K)``.
        index: the class.
    """
    return _binary_auc(targets == index, probabilities[:, index])


def _binary_auc(positive: npt.NDArray[np.bool_], scores: Floats) -> float | None:
    from sklearn.metrics import roc_auc_score

    if positive.all() or not positive.any():
        return None
    return float(roc_auc_score(positive.ravel(), scores.ravel()))


def confusion(targets: Ints, predicted: Ints, classes: int) -> npt.NDArray[np.int64]:
    """Confusion matrix ``(K, K)``: rows true, columns predicted, counts of cases."""
    cells = np.bincount(targets * classes + predicted, minlength=classes * classes)
    return cells.reshape(classes, classes).astype(np.int64)


def calibration_error(targets: Ints, probabilities: Floats, bins: int = 15) -> float | None:
    """Expected calibration error: mean gap between confidence and accuracy (Guo et al., ICML 2017).

    Cases are sorted into bins of equal width by the probability of the predicted class; the gap of a bin, between
    its mean confidence and its share of right predictions, is weighted by its cases. None without a case.

    Args:
        targets: true class of each case ``(n,)``.
        probabilities: probability of each class ``(n, K)``.
        bins: number of bins over 0 to 1; a bin holds its upper bound.
    """
    if not len(targets):
        return None
    confidence = probabilities.max(axis=1)
    gap = confidence - (probabilities.argmax(axis=1) == targets)
    which = np.clip(np.ceil(confidence * bins).astype(np.intp) - 1, 0, bins - 1)
    return float(np.abs(np.bincount(which, weights=gap, minlength=bins)).sum() / len(targets))


def _per_class(
    true: Ints, predicted: Ints, auc: Sequence[float | None], classes: Sequence[str]
) -> dict[str, dict[str, float | int | None]]:
    from sklearn.metrics import precision_recall_fscore_support

    labels = list(range(len(classes)))
    if not len(true):
        empty = dict.fromkeys([*CLASS_METRICS, "specificity"])
        return {name: {**empty, "support": 0} for name in classes}
    columns = precision_recall_fscore_support(true, predicted, labels=labels, average=None, zero_division=0)
    return {
        classes[k]: {
            "precision": float(columns[0][k]),
            "recall": float(columns[1][k]),
            "f1": float(columns[2][k]),
            "auc": auc[k],
            "specificity": _share(predicted[true != k] != k),
            "support": int(columns[3][k]),
        }
        for k in labels
    }


def _share(right: npt.NDArray[np.bool_]) -> float | None:
    return float(right.mean()) if right.size else None


def _named_intervals(resampled: dict[str, Floats], classes: Sequence[str]) -> dict[str, list[float]]:
    intervals = {}
    for key, values in resampled.items():
        metric, _, index = key.partition(":")
        interval = percentile_interval(values)
        if interval is not None:
            intervals[f"{metric}:{classes[int(index)]}" if index else metric] = list(interval)
    return intervals


def case_table(
    ids: Sequence[str],
    targets: Sequence[int],
    probabilities: Floats,
    classes: Sequence[str],
    split: str,
    *,
    groups: Sequence[str | None] | None = None,
    losses: Sequence[float] | None = None,
) -> tuple[list[str], list[list[str]]]:
    """Header and cells of cases.csv: a row a case, with the names of its true and its predicted class.

    An empty cell was not measured. Numbers are written so that they read back exactly.
    """
    header = ["id", "group", "split", "true", "predicted", "loss", *(f"prob:{name}" for name in classes)]
    body = []
    for i, row in enumerate(np.asarray(probabilities)):
        group = (groups[i] if groups else None) or ""
        loss = "" if losses is None else repr(float(losses[i]))
        named = [classes[int(targets[i])], classes[int(row.argmax())]]
        body.append([ids[i], group, split, *named, loss, *(repr(float(p)) for p in row)])
    return header, body
