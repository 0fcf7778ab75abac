"""Segmentation: the metrics of a case for every class, and the summary of a split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.measures import in_tables, ordered
from engine.metrics.intervals import bootstrap_means
from engine.metrics.masks import Spacing, bounding_box, spacing_of
from engine.metrics.pair import WITH_SURFACES, MaskPair, MetricOptions, measure_pair

ClassMetrics = dict[str, float | bool | None]
"""Of one class in one case: its metrics, ``missed`` (bool) and ``absent`` (bool). None: cannot be measured."""


@dataclass(frozen=True, slots=True)
class SegmentationRow:
    """What was measured on one case.

    Attributes:
        id: the case.
        group: patient the case belongs to, None if not known.
        per_class: class -> metrics, ``missed``, ``absent``, as :func:`case_metrics` gives them.
    """

    id: str
    group: str | None = None
    per_class: Mapping[str, Mapping[str, float | bool | None]] = field(default_factory=dict)

    def value(self, metric: str) -> float | None:
        """The case's value of a metric: the mean over its foreground classes; None if no class was measured."""
        values = [v for v in (metrics.get(metric) for metrics in self.per_class.values()) if v is not None]
        return float(np.mean(values)) if values else None

    @property
    def missed(self) -> int:
        """Number of classes that are in the truth and nowhere in the prediction."""
        return sum(bool(metrics.get("missed")) for metrics in self.per_class.values())


def case_metrics(
    prediction: npt.NDArray[Any],
    truth: npt.NDArray[Any],
    classes: Sequence[str],
    spacing: Spacing = None,
    options: MetricOptions = WITH_SURFACES,
) -> dict[str, ClassMetrics]:
    """Metrics of one case for every foreground class.

    Empty masks: both empty is Dice and Jaccard 1 and distances 0; one empty is Dice and Jaccard 0 and distances of
    the image's diagonal, so that a missed class costs the most.

    Args:
        prediction: class of each voxel ``(*S)``, integers (or bool): 0 background, i + 1 for ``classes[i]``.
        truth: the same for the truth ``(*S)``.
        classes: names of the foreground classes.
        spacing: distance of neighbouring voxels along each axis; None: in voxels.
        options: what is measured besides the overlap.

    Returns:
        Class -> the metrics of :mod:`engine.metrics.pair` that the options ask for, ``missed`` (in the truth,
        nowhere in the prediction) and ``absent`` (not in the truth).

    Raises:
        ValueError: the shapes differ, a value is no class, or the spacing does not fit.
    """
    prediction, truth = np.asarray(prediction), np.asarray(truth)
    if prediction.shape != truth.shape or truth.ndim == 0:
        raise ValueError(f"the prediction has shape {prediction.shape}, the truth {truth.shape}; they must be equal")
    for name, labels in (("prediction", prediction), ("truth", truth)):
        _check_labels(labels, name, len(classes))
    steps = spacing_of(spacing, truth.ndim)
    tolerance = options.tolerance("voxel" if spacing is None else "mm")
    found = np.logical_or(prediction, truth, order="C")
    if found.any():
        box = bounding_box(found)
        prediction, truth = prediction[box], truth[box]
    return {
        name: _class_metrics(MaskPair(prediction == i, truth == i, steps, found.shape, tolerance), options)
        for i, name in enumerate(classes, start=1)
    }


def _check_labels(labels: npt.NDArray[Any], name: str, classes: int) -> None:
    if labels.dtype.kind not in "bui":
        raise ValueError(f"the {name} is of type {labels.dtype}; it must hold the index of a class for every voxel")
    if labels.size and (labels.max() > classes or labels.min() < 0):
        wrong = labels.max() if labels.max() > classes else labels.min()
        raise ValueError(f"the {name} holds the value {wrong}; with {classes} foreground classes 0 to {classes} exist")


def _class_metrics(pair: MaskPair, options: MetricOptions) -> ClassMetrics:
    predicted, true = pair.volumes
    return {**measure_pair(pair, options.asked), "missed": true > 0 and predicted == 0, "absent": true == 0}


def measured(rows: Sequence[SegmentationRow]) -> list[str]:
    """Names of the metrics that the rows hold, in the order of tables."""
    found = {
        name
        for row in rows
        for metrics in row.per_class.values()
        for name, value in metrics.items()
        if not isinstance(value, bool)
    }
    return ordered(found or in_tables("segmentation"))


def summarise(
    rows: Sequence[SegmentationRow],
    classes: Sequence[str],
    *,
    unit: str,
    protocol: str,
    bootstrap: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """A split's part of metrics.json.

    Args:
        rows: the cases.
        classes: names of the foreground classes.
        unit: unit of the distances, "mm" or "voxel".
        protocol: how the predictions were made, in words.
        bootstrap: resamples of the intervals; 0: no intervals.
        seed: seed of the intervals.

    Returns:
        ``n`` (cases), ``missed`` (pairs of case and class that are in the truth and nowhere in the prediction),
        ``protocol``, ``unit``, each metric as the mean over cases, where a case's value is the mean over its
        classes; ``ci95``: metric -> [low, high], percentile bootstrap over the cases, or over whole groups where
        they are known, and the same for every class under ``<metric>:<class>``; what has no interval (fewer than
        two cases or groups) has no key; ``per_class``: class -> each metric as the mean over cases, ``n``,
        ``missed``, ``absent`` (cases without the class in the truth). None: nothing was measured.
    """
    names = measured(rows)
    columns: dict[tuple[str, str | None], list[float | None]] = {}
    for metric in names:
        columns[metric, None] = [row.value(metric) for row in rows]
        for name in classes:
            columns[metric, name] = [row.per_class.get(name, {}).get(metric) for row in rows]
    table = np.array([[np.nan if v is None else v for v in column] for column in columns.values()], dtype=float).T
    means = dict(zip(columns, (_mean(column) for column in table.T), strict=True))
    intervals = bootstrap_means(table, [row.group for row in rows], bootstrap, seed)
    return {
        "n": len(rows),
        "missed": sum(row.missed for row in rows),
        "protocol": protocol,
        "unit": unit,
        **{metric: means[metric, None] for metric in names},
        "ci95": {
            metric if name is None else f"{metric}:{name}": list(interval)
            for (metric, name), interval in zip(columns, intervals, strict=True)
            if interval
        },
        "per_class": {
            name: {**{metric: means[metric, name] for metric in names}, **_counts(rows, name)} for name in classes
        },
    }


def _mean(column: npt.NDArray[np.float64]) -> float | None:
    known = column[np.isfinite(column)]
    return float(known.mean()) if known.size else None


def _counts(rows: Sequence[SegmentationRow], name: str) -> dict[str, int]:
    measured = [row.per_class[name] for row in rows if name in row.per_class]
    return {
        "n": len(measured),
        "missed": sum(bool(metrics.get("missed")) for metrics in measured),
        "absent": sum(bool(metrics.get("absent")) for metrics in measured),
    }


def case_table(
    rows: Sequence[SegmentationRow], classes: Sequence[str], split: str
) -> tuple[list[str], list[list[str]]]:
    """Header and cells of cases.csv: a row a case, the means over its classes first, then every class.

    ``missed`` counts the classes that the case misses; ``missed:<class>`` is 0 or 1. An empty cell was not
    measured. Numbers are written so that they read back exactly.
    """
    metrics = measured(rows)
    names = (*metrics, "missed")
    header = ["id", "group", "split", *names, *(f"{metric}:{name}" for name in classes for metric in names)]
    body = []
    for row in rows:
        of_classes = [row.per_class.get(name, {}).get(metric) for name in classes for metric in names]
        values = [*(row.value(metric) for metric in metrics), row.missed, *of_classes]
        body.append([row.id, row.group or "", split, *(_cell(value) for value in values)])
    return header, body


def _cell(value: float | bool | None) -> str:
    if value is None:
        return ""
    return repr(int(value)) if isinstance(value, bool | int) else repr(float(value))
