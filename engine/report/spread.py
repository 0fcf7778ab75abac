"""What a mean hides: how the cases spread, and how parts of the patients fare."""

import math
from collections.abc import Sequence

import numpy as np

from engine.measures import beside, better_up, find, headline, in_tables, title
from engine.metrics import classification
from engine.readers.numbers import digits, interval
from engine.readers.run import CaseTable, RunData
from engine.readers.scores import read_scores
from engine.report.blocks import Block, Cell, Section, Table, Text
from engine.report.shared import means_of
from engine.runfolder import SplitSummary

_MOST_VALUES = 12
_AGES = (18, 40, 65)
_UNKNOWN = "not known"


def spread_table(run: RunData, split: str) -> list[Table]:
    """Median, quartiles and the worst case of each metric of a segmentation; nothing for fewer than two cases.

    A case that a study measured with several seeds counts with its mean.
    """
    cases = run.cases(split)
    ids = cases.cases
    names = [name for name in (*in_tables("segmentation"), *beside("volume")) if name in cases.columns]
    rows: list[list[str | Cell]] = []
    for name in names:
        values = cases.means(name)
        known = values[np.isfinite(values)]
        if not known.size:
            continue
        low, median, high = np.percentile(known, (25, 50, 75))
        bad = np.abs(values) if find(name).up is None else -values if better_up(name) else values
        worst = int(np.nanargmax(bad))
        shown = [digits(float(value)) for value in (median, low, high)]
        rows.append([title(name, run.unit), *shown, digits(values[worst]), run.case_name(ids[worst])])
    if len(ids) < 2 or not rows:
        return []
    heads = ["Spread over cases", "median", "lower quartile", "upper quartile", "worst", "its case"]
    return [Table(heads, rows, left=frozenset({5}))]


def subgroups(run: RunData) -> Section | None:
    """Results of the reported split by site, sex, age, ..., where a table says them; None where none does."""
    known = {row.id: row.traits for row in run.splits if row.split == run.split}
    names = sorted({name for traits in known.values() for name in traits})
    tables: list[Block] = []
    for name in names:
        values = [_binned(name, known.get(case, {}).get(name, "")) for case in run.cases().ids]
        if 1 < (count := len({*values})) <= _MOST_VALUES:
            tables.append(_table(run, name, values))
        elif count > 1:
            tables.append(Text(f"{name.capitalize()}: {count} values, too many to measure each by itself."))
    if not tables:
        return None
    text = Text(
        "Small print: 95 % interval. Parts were not compared by tests: intervals that overlap tell no difference, and "
        "among many parts one may stand out by chance."
    )
    return Section("Subgroups", [text, *tables])


def _binned(name: str, value: str) -> str:
    """``value``, an age as one of four ranges; of a patient of whom it is not known that."""
    if name != "age" or not value:
        return value or _UNKNOWN
    try:
        age = float(value)
    except ValueError:
        return value
    edges = (0, *_AGES)
    at = sum(age >= edge for edge in _AGES)
    return f"{edges[at]} to {_AGES[at] - 1}" if at < len(_AGES) else f"{_AGES[-1]} or more"


def _table(run: RunData, name: str, values: Sequence[str]) -> Table:
    order = sorted({*values}, key=lambda value: (value == _UNKNOWN, _leading_number(value), value))
    parts = {value: [at for at, other in enumerate(values) if other == value] for value in order}
    found = {value: _measured(run, members) for value, members in parts.items()}
    metrics = headline(metric for part in found.values() for metric in part.values)
    rows: list[list[str | Cell]] = [
        [value, str(len(parts[value])), *(Cell(digits(part.value(m)), interval(part.interval(m))) for m in metrics)]
        for value, part in found.items()
    ]
    return Table([name.capitalize(), "Cases", *(title(metric, run.unit) for metric in metrics)], rows)


def _leading_number(value: str) -> float:
    head = value.split(" ", 1)[0]
    return float(head) if head.isdecimal() else math.inf


def _measured(run: RunData, members: Sequence[int]) -> SplitSummary:
    """What the cases at these places of the reported split give by themselves."""
    cases = CaseTable([run.cases().rows[at] for at in members])
    if run.task == "segmentation":
        return means_of(cases)
    scores = read_scores(run).of(cases.ids)
    whole, recipe = run.result, run.recipe
    return classification.summarise(
        scores.targets,
        scores.probabilities,
        scores.classes,
        groups=scores.groups,
        protocol=whole.protocol,
        bootstrap=min(recipe.evaluate.bootstrap, 400) if recipe else 400,
        threshold=whole.value("threshold") or 0.5,
    )
