"""``metrics.json``: what was measured of each split. Typed, and read whatever its state."""

import json
import math
from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from engine.measures import ordered
from engine.runfolder.atomic import write_text
from engine.runfolder.careful import Count, lenient, read_object
from engine.runfolder.lock import updating
from engine.runfolder.paths import RunFolder
from engine.runfolder.status import ENDED, Status

Value: TypeAlias = Count | float | None  # a metric or a count; None: not measured
Bounds: TypeAlias = tuple[Value, Value]


DEFINITIONS = 2
"""What the numbers of `metrics.json` mean, raised where one of them gets another meaning. 1: before 26 November 2026,
when a case's Dice counted classes too that it does not have, and intervals were percentiles of a bootstrap."""


class SplitSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured of one split."""

    definitions: Count = DEFINITIONS
    n: Count | None = None  # number of cases
    # pairs of case and class that are in the truth and nowhere in the prediction; None in classification
    missed: Count | None = None
    protocol: str = ""  # how the predictions were made, in words
    unit: str = ""  # of the distances, ``mm`` or ``voxel``
    # metric -> mean over the split. In ``metrics.json`` they stand beside the other fields
    values: dict[str, Value] = {}
    ci95: dict[str, Bounds] = {}  # metric, or ``<metric>:<class or region>`` -> ends of its interval
    ci95_reason: dict[str, str] = {}  # the same -> why there is none; ``metrics.json`` has null in ``ci95`` there
    per_class: dict[str, dict[str, Value]] = {}  # class -> metric or count -> value
    # the same of each region, which is a union of classes; empty where the recipe names none
    per_region: dict[str, dict[str, Value]] = {}
    confusion: list[list[Count]] | None = None  # rows true, columns predicted; None in segmentation
    spread: dict[str, float] = {}  # of a study: metric -> standard deviation over its seeds

    @classmethod
    def of(cls, part: Mapping[str, Any]) -> "SplitSummary":
        """A split as ``metrics.json`` has it; entries of another type are left out."""
        own = {"definitions": _first(part), **{name: part[name] for name in _OWN if name in part}}
        values = {name: value for name, value in part.items() if name not in _OWN}
        return lenient(own | {"values": values}, cls)

    def to_json(self) -> dict[str, Any]:
        """As it stands in ``metrics.json``: values beside the other fields, None for what is not finite."""
        content: dict[str, Any] = {
            "definitions": self.definitions,
            **self.counts,
            "protocol": self.protocol,
            "unit": self.unit,
        }
        content = {name: value for name, value in content.items() if value not in {None, ""}}
        content |= {name: _plain(self.values[name]) for name in ordered(self.values)}
        if self.confusion is not None:
            content["confusion"] = self.confusion
        content |= {"spread": self.spread} if self.spread else {}
        bounds = {name: [_plain(low), _plain(high)] for name, (low, high) in self.ci95.items()}
        content["ci95"] = dict.fromkeys(self.ci95_reason) | bounds
        if self.ci95_reason:
            content["ci95_reason"] = self.ci95_reason
        for key, rows in (("per_class", self.per_class), ("per_region", self.per_region)):
            if rows or key == "per_class":
                content[key] = {label: {name: _plain(row[name]) for name in row} for label, row in rows.items()}
        return content

    @property
    def counts(self) -> dict[str, int | None]:
        """The counts of cases by their names in ``metrics.json``."""
        return {"n": self.n, "missed": self.missed}

    @property
    def empty(self) -> bool:
        return self.n is None and not self.values

    def value(self, metric: str, label: str | None = None) -> float | None:
        """A metric of the split, or of one class or region; None where it was not measured."""
        of_label = self.per_class.get(label) or self.per_region.get(label, {}) if label is not None else self.values
        found = of_label.get(metric)
        return None if found is None else float(found)

    def interval(self, metric: str, label: str | None = None) -> Bounds | None:
        """The interval of a metric of the split, or of one class or region; None where there is none."""
        return self.ci95.get(metric if label is None else f"{metric}:{label}")


def _first(part: Mapping[str, Any]) -> int:
    """The definitions of a split that does not name them: the first ones counted less of a class."""
    rows = part.get("per_class")
    named = [row.keys() for row in rows.values() if isinstance(row, dict)] if isinstance(rows, dict) else []
    first = any(old in row and new not in row for row in named for old, new in _COUNTED)
    return 1 if first else DEFINITIONS


_COUNTED = (("absent", "present"), ("support", "predicted"))  # of a class: at first, and since 2
_OWN = frozenset(SplitSummary.__struct_fields__) - {"values"}


def read_metrics(folder: RunFolder) -> dict[str, SplitSummary]:
    """The summary of each split; nothing where there is none yet, or none that can be read."""
    content = read_object(folder.metrics)
    return {split: SplitSummary.of(part) for split, part in content.items() if isinstance(part, dict)}


def write_metrics(folder: RunFolder, split: str, summary: SplitSummary) -> None:
    """Put a split's summary into ``metrics.json``; what else stands there stays as it is."""
    with updating(folder):
        content = read_object(folder.metrics) | {split: summary.to_json()}
        write_text(folder.metrics, json.dumps(content, indent=1) + "\n")


def with_test(folder: RunFolder, status: Status) -> Status:
    """``status`` with the value of the test, which runs of earlier versions have in ``metrics.json`` alone."""
    if status.test is not None or status.state not in ENDED or folder.is_study:
        return status
    return msgspec.structs.replace(status, test=read_metrics(folder).get("test", SplitSummary()).value(status.metric))


def _plain(value: Value) -> Value:
    return value if value is None or math.isfinite(value) else None
