"""Segmentation: the metrics of a case for every class, and the summary of a split."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.measures import find, in_tables, ordered
from engine.metrics.intervals import mean_interval, parted
from engine.metrics.masks import Mask, Spacing, bounding_box, spacing_of
from engine.metrics.pair import WITH_SURFACES, MaskPair, MetricOptions, measure_pair
from engine.runfolder import SplitSummary

ClassMetrics = dict[str, float | bool | None]
"""Of one class in one case: its metrics, and whether it is ``missed``, ``absent``, ``false_positive`` (bool)."""

COUNTS = ("missed", "false_positive")  # what is counted of a case, after the metrics in tables


@dataclass(frozen=True, slots=True)
class SegmentationRow:
    """What was measured on one case."""

    id: str  # the case
    group: str | None = None  # patient the case belongs to, None if not known
    # class -> metrics, ``missed``, ``absent``, ``false_positive``, as :func:`case_metrics` gives them
    per_class: Mapping[str, Mapping[str, float | bool | None]] = field(default_factory=dict)
    per_region: Mapping[str, Mapping[str, float | bool | None]] = field(default_factory=dict)  # the same of unions

    def of_class(self, metric: str, name: str) -> float | None:
        """A class's or region's value of a metric; None if it was not measured.

        Of several classes, one that is absent from the truth is not measured: two empty masks agree whatever the
        network can do, and 18 of them would hide the two organs that it misses. What is made up there has
        :attr:`engine.measures.Measure.if_absent`. So of a region, which is of several classes always.
        """
        metrics = self.of(name)
        unmeasured = metrics.get("absent") and len(self.per_class) > 1 and not find(metric).if_absent
        return None if unmeasured else metrics.get(metric)

    def of(self, name: str) -> Mapping[str, float | bool | None]:
        """All that was measured of a class or a region."""
        return self.per_class.get(name) or self.per_region.get(name, {})

    def value(self, metric: str, *, regions: bool = False) -> float | None:
        """The case's value of a metric: the mean over its classes (or regions), see :meth:`of_class`; None if it has
        none."""
        names = self.per_region if regions else self.per_class
        values = [v for v in (self.of_class(metric, name) for name in names) if v is not None]
        return float(np.mean(values)) if values else None

    @property
    def missed(self) -> int:
        """Number of classes that are in the truth and nowhere in the prediction."""
        return sum(bool(metrics.get("missed")) for metrics in self.per_class.values())

    @property
    def false_positives(self) -> int:
        """Number of classes that are predicted and nowhere in the truth."""
        return sum(bool(metrics.get("false_positive")) for metrics in self.per_class.values())


def case_metrics(
    prediction: npt.NDArray[Any],
    truth: npt.NDArray[Any],
    classes: Sequence[str],
    spacing: Spacing = None,
    options: MetricOptions = WITH_SURFACES,
    *,
    unknown: Mask | None = None,
    regions: Mapping[str, Sequence[int]] | None = None,
) -> dict[str, ClassMetrics]:
    """Metrics of one case for every foreground class, and for every region.

    Empty masks: both empty is Dice and Jaccard 1 and distances 0; one empty is Dice and Jaccard 0 and distances of
    the image's diagonal, so that a missed class costs the most.

    Args:
        prediction: class of each voxel ``(*S)``, integers (or bool): 0 background, i + 1 for ``classes[i]``.
        truth: the same for the truth ``(*S)``.
        classes: names of the foreground classes.
        spacing: distance of neighbouring voxels along each axis; None: in voxels.
        options: what is measured besides the overlap.
        unknown: where the truth is not known (*S): both masks hold 0 there; None: it is everywhere.
        regions: name -> the indices of its classes, 1 or more. One mask is made of them before anything is
            measured: surfaces between its classes are none of its own.

    Returns:
        Class or region -> the metrics of :mod:`engine.metrics.pair` that the options ask for, ``missed`` (in the truth,
        nowhere in the prediction), ``absent`` (not in the truth) and ``false_positive`` (predicted, not in the truth).

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
        if unknown is not None:  # what is beside the masks decides where their surfaces are
            box = tuple(slice(max(side.start - 1, 0), side.stop + 1) for side in box)
            unknown = unknown[box]
        prediction, truth = prediction[box], truth[box]
    members = {name: (i,) for i, name in enumerate(classes, start=1)} | dict(regions or {})
    measured = {}
    for name, indices in members.items():
        pair = MaskPair(_union(prediction, indices), _union(truth, indices), steps, found.shape, tolerance, unknown)
        measured[name] = _class_metrics(pair, options)
    return measured


def _union(labels: npt.NDArray[Any], indices: Sequence[int]) -> npt.NDArray[np.bool_]:
    """Where ``labels`` has one of ``indices``."""
    mask: npt.NDArray[np.bool_] = labels == indices[0]
    for index in indices[1:]:
        mask |= labels == index
    return mask


def _check_labels(labels: npt.NDArray[Any], name: str, classes: int) -> None:
    if labels.dtype.kind not in "bui":
        raise ValueError(f"the {name} is of type {labels.dtype}; it must hold the index of a class for every voxel")
    if labels.size and (labels.max() > classes or labels.min() < 0):
        wrong = labels.max() if labels.max() > classes else labels.min()
        raise ValueError(f"the {name} holds the value {wrong}; with {classes} foreground classes 0 to {classes} exist")


def _class_metrics(pair: MaskPair, options: MetricOptions) -> ClassMetrics:
    predicted, true = pair.volumes
    found = {"missed": true > 0 and predicted == 0, "absent": true == 0, "false_positive": true == 0 and predicted > 0}
    return {**measure_pair(pair, options.asked), **found}


def measured(rows: Sequence[SegmentationRow]) -> list[str]:
    """Names of the metrics that the rows hold, in the order of tables."""
    found = {
        name
        for row in rows
        for metrics in row.per_class.values()
        for name, value in metrics.items()
        if not isinstance(value, bool)
    }
    return ordered(found or in_tables("segmentation", per_class=True))


def summarise(
    rows: Sequence[SegmentationRow],
    classes: Sequence[str],
    *,
    unit: str,
    protocol: str,
    bootstrap: int = 1000,
    regions: Sequence[str] = (),
) -> SplitSummary:
    """A split's part of metrics.json.

    Args:
        classes: names of the foreground classes.
        unit: unit of the distances, "mm" or "voxel".
        protocol: how the predictions were made, in words.
        bootstrap: 0: no intervals; they need no resamples.
        regions: names of those that the rows have.

    Returns:
        Each metric as the mean over cases of :meth:`SegmentationRow.value`, with its interval (see
        :func:`.intervals.mean_interval`) over groups where they are known, and ``false_positive_cases`` (cases in
        which a class is predicted that is not in the truth); of each class the mean over the cases that have it,
        ``n``, ``present`` and ``absent`` (cases with and without it in the truth), ``missed``,
        ``false_positive_cases``. Where there is one class, cases without it count too, as :func:`case_metrics` says.
        Of each region what a class has; the mean over them is ``<metric>_regions``.
    """
    names = measured(rows)
    columns: dict[tuple[str, str | None], list[float | None]] = {}
    for metric in names:
        columns[metric, None] = [row.value(metric) for row in rows]
        if regions:
            columns[f"{metric}_regions", None] = [row.value(metric, regions=True) for row in rows]
        for name in (*classes, *regions):
            columns[metric, name] = [row.of_class(metric, name) for row in rows]
    means = {key: _mean(column) for key, column in columns.items()}
    groups = [row.group for row in rows]
    found = {
        metric if name is None else f"{metric}:{name}": mean_interval(column, groups, _bounds(metric))
        for (metric, name), column in (columns if bootstrap else {}).items()
    }
    ci95, reasons = parted(found)

    def each(labels: Sequence[str]) -> dict[str, dict[str, float | int | None]]:
        return {name: {metric: means[metric, name] for metric in names} | _counts(rows, name) for name in labels}

    return SplitSummary(
        n=len(rows),
        missed=sum(row.missed for row in rows),
        protocol=protocol,
        unit=unit,
        values={metric: mean for (metric, name), mean in means.items() if name is None}
        | {"false_positive_cases": sum(row.false_positives > 0 for row in rows)},
        ci95=ci95,
        ci95_reason=reasons,
        per_class=each(classes),
        per_region=each(regions),
    )


def _bounds(metric: str) -> tuple[float, float]:
    """Of the mean over the regions those of the metric itself."""
    return find(metric.removesuffix("_regions")).bounds


def _mean(column: Sequence[float | None]) -> float | None:
    known = [value for value in column if value is not None]
    return float(np.mean(known)) if known else None


def _counts(rows: Sequence[SegmentationRow], name: str) -> dict[str, int]:
    measured = [metrics for row in rows if (metrics := row.of(name))]
    absent = sum(bool(metrics.get("absent")) for metrics in measured)
    return {
        "n": len(measured),
        "present": len(measured) - absent,
        "absent": absent,
        "missed": sum(bool(metrics.get("missed")) for metrics in measured),
        "false_positive_cases": sum(bool(metrics.get("false_positive")) for metrics in measured),
    }


def case_table(
    rows: Sequence[SegmentationRow], classes: Sequence[str], split: str, regions: Sequence[str] = ()
) -> tuple[list[str], list[list[str]]]:
    """Header and cells of cases.csv: a row a case, the means over its classes first, then every class and region.

    ``missed`` and ``false_positive`` count the classes that the case misses and makes up; those of a class are 0
    or 1. An empty cell was not measured. Numbers are written so that they read back exactly. Of the means over
    regions there is that of Dice.
    """
    metrics, labels = measured(rows), (*classes, *regions)
    names, more = (*metrics, *COUNTS), ["dice_regions"] if regions else []
    header = ["id", "group", "split", *names, *more, *(f"{metric}:{name}" for name in labels for metric in names)]
    body = []
    for row in rows:
        of_classes: list[float | None] = []
        for name in labels:
            of_classes += [row.of_class(metric, name) for metric in metrics]
            of_classes += [row.of(name).get(count) for count in COUNTS]
        values = [*(row.value(metric) for metric in metrics), row.missed, row.false_positives]
        values += [*(row.value("dice", regions=True) for _ in more), *of_classes]
        body.append([row.id, row.group or "", split, *(_cell(value) for value in values)])
    return header, body


def _cell(value: float | bool | None) -> str:
    if value is None:
        return ""
    return repr(int(value)) if isinstance(value, bool | int) else repr(float(value))
