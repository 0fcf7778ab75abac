"""Classification: the summary of a split, from classes and probabilities. Point values are scikit-learn's.

A metric has an entry in :mod:`engine.measures` (or registers one). What is not computed with the others here has
a function, which gives a number, or one a class where the table says ``per_class``; NaN: not measured::

    @computes("kappa")
    def kappa(targets: Ints, probabilities: Floats) -> float: ...

Classes that are absent are treated as scikit-learn does with ``zero_division=0``: macro means are over the
``macro_over`` classes that are in the truth or among the predictions, so one that is in neither does not count,
and one that is predicted but never true counts with 0. Of one class, what nothing was measured of is None:
precision of a class that is never predicted, and precision, recall and F1 of one without a case.
``balanced_accuracy`` is the mean recall over the classes in the truth. ``auc`` is the mean of one against the
rest over the classes in the truth (that are not all of it); ``auc_micro`` pools every pair of case and class,
absent classes included; ``average_precision`` is the mean over the same classes as ``auc`` (among cases of one
class it is 1, whatever is predicted), of two classes that of the second.
"""

import math
import warnings
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from engine.metrics.calibration import brier_scores, log_losses, with_temperature
from engine.metrics.class_intervals import Intervals, calibrated_intervals, intervals
from engine.metrics.intervals import Groups, parted
from engine.metrics.resampled import OF_SCORES, added_metrics, average_precisions, calibration_gaps
from engine.runfolder import SplitSummary

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]
T = TypeVar("T")
Row = dict[str, float | int | None]
computes = OF_SCORES.computes


def summarise(
    targets: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    classes: Sequence[str],
    *,
    groups: Groups = None,
    protocol: str,
    bootstrap: int = 1000,
    seed: int = 0,
    threshold: float = 0.5,
    temperature: float | None = None,
) -> SplitSummary:
    """A split's part of metrics.json.

    Args:
        targets: true class of each case ``(n,)``, 0 to K - 1.
        probabilities: probability of each class ``(n, K)``; the largest (the first of equals) is the prediction.
        classes: names of the K classes.
        groups: group (patient, lesion) of each case; intervals are then over groups.
        protocol: how the predictions were made, in words.
        bootstrap: resamples of the intervals that need them; 0: no intervals at all.
        seed: seed of the resamples.
        threshold: of two classes, the probability of the second from which a case counts as positive.
        temperature: from another split, see :func:`.calibration.fit_temperature`; None: it is not known.

    Raises:
        ValueError: shapes, classes, probabilities (not finite, outside 0 to 1) or the threshold do not fit.
    """
    true, scores = _checked(targets, probabilities, len(classes))
    if not 0 <= threshold <= 1:
        raise ValueError(f"the threshold is {threshold}; it must be within 0 and 1")
    predicted = scores.argmax(axis=1)
    cells = confusion(true, predicted, len(classes))
    rows = _per_class(true, predicted, scores, cells)
    values = _point_values(true, predicted) | _over_classes(true, scores, rows) | _of_two(true, scores, threshold)
    values |= {"macro_over": int(np.union1d(true, predicted).size), **_of_probabilities(true, scores)}
    for name, value in added_metrics(true, scores).items():
        metric, _, index = name.partition(":")
        (rows[int(index)] if index else values)[metric] = value if math.isfinite(value) else None
    found = intervals(true, scores, groups, resamples=bootstrap, seed=seed, threshold=threshold)
    if temperature is not None:
        scaled = with_temperature(scores, temperature)
        again = calibrated_intervals(true, scaled, groups, resamples=bootstrap, seed=seed)
        found |= _calibrated(again)
        values |= {**_calibrated(_of_probabilities(true, scaled)), "temperature": temperature}
    ci95, reasons = parted(_named(found, classes))
    return SplitSummary(
        n=len(true),
        protocol=protocol,
        values=values,
        ci95=ci95,
        ci95_reason=reasons,
        per_class=dict(zip(classes, rows, strict=True)),
        confusion=cells.tolist(),
    )


def _calibrated(found: dict[str, T]) -> dict[str, T]:
    return {f"{name}_calibrated": value for name, value in found.items()}


def _over_classes(true: Ints, scores: Floats, rows: Sequence[Row]) -> Row:
    areas = [(row["auc"], row["support"]) for row in rows if row["auc"] is not None]
    auc, support = np.array(areas, dtype=np.float64).reshape(-1, 2).T
    wanted = rows[1:] if len(rows) == 2 else rows
    precisions = [row["average_precision"] for row in wanted if row["average_precision"] is not None]
    return {
        "auc": float(auc.mean()) if areas else None,
        "auc_weighted": float(np.average(auc, weights=support)) if areas else None,
        "auc_micro": _binary_auc(true[:, None] == np.arange(len(rows)), scores),
        "average_precision": float(np.mean(precisions)) if precisions else None,
    }


def _of_probabilities(true: Ints, scores: Floats) -> Row:
    """What judges the probabilities alone, whatever class is the largest."""
    if not len(true):
        return dict.fromkeys(("brier", "log_loss", "ece", "ece_classwise"))
    gaps = calibration_gaps(np.ones((1, len(true))), true, scores)[0]
    return {
        "brier": float(brier_scores(true, scores).mean()),
        "log_loss": float(log_losses(true, scores).mean()),
        "ece": float(gaps[-1]),
        "ece_classwise": float(gaps[:-1].mean()),
    }


def _of_two(true: Ints, scores: Floats, threshold: float) -> Row:
    """Sensitivity and specificity of the second of two classes; nothing for more classes."""
    if scores.shape[1] != 2:
        return {}
    positive = scores[:, 1] >= threshold
    return {
        "sensitivity": _share(positive[true == 1]),
        "specificity": _share(~positive[true == 0]),
        "threshold": threshold,
    }


def _named(found: Intervals, classes: Sequence[str]) -> Intervals:
    parts = {key: key.partition(":") for key in found}
    return {
        f"{metric}:{classes[int(index)]}" if index else metric: found[key] for key, (metric, _, index) in parts.items()
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


def _point_values(true: Ints, predicted: Ints) -> Row:
    from sklearn.metrics import accuracy_score, balanced_accuracy_score, precision_recall_fscore_support

    names = ("precision", "recall", "f1")
    if not len(true):
        return dict.fromkeys(["accuracy", "balanced_accuracy", *names, *(f"{name}_weighted" for name in names)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # classes that are predicted but never true: as documented
        balanced = balanced_accuracy_score(true, predicted)
    values: Row = {"accuracy": float(accuracy_score(true, predicted)), "balanced_accuracy": float(balanced)}
    for average, ending in (("macro", ""), ("weighted", "_weighted")):
        means = precision_recall_fscore_support(true, predicted, average=average, zero_division=0)[:3]
        values |= {f"{name}{ending}": float(mean) for name, mean in zip(names, means, strict=True)}
    return values


def _binary_auc(positive: npt.NDArray[np.bool_], scores: Floats) -> float | None:
    from sklearn.metrics import roc_auc_score

    if positive.all() or not positive.any():
        return None
    return float(roc_auc_score(positive.ravel(), scores.ravel()))


def confusion(targets: Ints, predicted: Ints, classes: int) -> npt.NDArray[np.int64]:
    """Confusion matrix ``(K, K)``: rows true, columns predicted, counts of cases."""
    cells = np.bincount(targets * classes + predicted, minlength=classes * classes)
    return cells.reshape(classes, classes).astype(np.int64)


def _per_class(true: Ints, predicted: Ints, scores: Floats, cells: npt.NDArray[np.int64]) -> list[Row]:
    every, nothing = np.ones((1, len(true))), np.full(len(cells), np.nan)
    precisions = average_precisions(every, true, scores)[0] if len(true) else nothing
    gaps = calibration_gaps(every, true, scores)[0] if len(true) else nothing
    rows: list[Row] = []
    for k in range(len(cells)):
        right, support, guessed = int(cells[k, k]), int(cells[k].sum()), int(cells[:, k].sum())
        row: Row = {
            "precision": right / guessed if guessed and support else None,
            "recall": right / support if support else None,
            "f1": 2 * right / (support + guessed) if support else None,
            "auc": _binary_auc(true == k, scores[:, k]),
            "average_precision": float(precisions[k]) if 0 < support < len(true) else None,
            "specificity": _share(predicted[true != k] != k),
            "ece": float(gaps[k]) if len(true) else None,
            "support": support,
            "predicted": guessed,
        }
        rows.append(row)
    return rows


def _share(right: npt.NDArray[np.bool_]) -> float | None:
    return float(right.mean()) if right.size else None


def case_table(
    ids: Sequence[str],
    targets: Sequence[int],
    probabilities: Floats,
    classes: Sequence[str],
    split: str,
    *,
    groups: Groups = None,
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
