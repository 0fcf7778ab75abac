"""``cases.csv``: what was measured of each case."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping

import msgspec

from engine.events import number
from engine.runfolder.careful import open_regular
from engine.runfolder.paths import RunFolder

LARGEST_CSV = 256 << 20
_TEXTS = ("id", "group", "split", "true", "predicted")


class CaseRow(msgspec.Struct, frozen=True):
    """One case as it was measured; nan for what was not."""

    id: str
    split: str = ""
    group: str = ""  # patient or lesion; "" where unknown
    true: str = ""  # name of the class; "" in segmentation
    predicted: str = ""
    values: dict[str, float] = {}
    per_class: dict[str, dict[str, float]] = {}  # class -> metric -> value
    probabilities: dict[str, float] = {}  # by class

    @property
    def columns(self) -> list[str]:
        """The numeric columns of ``cases.csv`` that this row has: ``dice``, ``dice:liver``, ``prob:nevus``."""
        classes = [f"{metric}:{label}" for label, values in self.per_class.items() for metric in values]
        return [*self.values, *classes, *(f"prob:{label}" for label in self.probabilities)]

    def number(self, column: str) -> float:
        """The number in a column; nan where there is none."""
        metric, colon, label = column.partition(":")
        if not colon:
            return self.values.get(metric, math.nan)
        found = self.probabilities.get(label) if metric == "prob" else self.per_class.get(label, {}).get(metric)
        return math.nan if found is None else found


def read_cells(folder: RunFolder) -> list[dict[str, str]]:
    """The rows as they stand, column -> cell; none where there is no table that can be read."""
    try:
        with open_regular(folder.cases, LARGEST_CSV) as stream:
            rows = list(csv.DictReader(io.TextIOWrapper(stream, encoding="utf-8", errors="replace", newline="")))
    except (OSError, csv.Error):
        return []
    return [{name: cell for name, cell in row.items() if name and isinstance(cell, str)} for row in rows]


def read_cases(folder: RunFolder) -> tuple[CaseRow, ...]:
    """The rows that name a case; none where there is no table that can be read."""
    return tuple(case_row(cells) for cells in read_cells(folder) if cells.get("id"))


def case_row(cells: Mapping[str, str]) -> CaseRow:
    """One row: columns without a colon are values, ``prob:<class>`` probabilities, others are of a class."""
    values: dict[str, float] = {}
    per_class: dict[str, dict[str, float]] = {}
    probabilities: dict[str, float] = {}
    for name, cell in cells.items():
        metric, colon, label = name.partition(":")
        if name in _TEXTS:
            continue
        if not colon:
            values[name] = number(cell or None)
        elif metric == "prob":
            probabilities[label] = number(cell or None)
        else:
            per_class.setdefault(label, {})[metric] = number(cell or None)
    texts = {name: cells.get(name, "") for name in _TEXTS}
    return CaseRow(**texts, values=values, per_class=per_class, probabilities=probabilities)
