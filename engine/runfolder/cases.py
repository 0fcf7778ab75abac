"""``cases.csv``: what was measured of each case."""

import csv
import io
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from engine.events import number
from engine.runfolder.atomic import write_text
from engine.runfolder.lock import updating
from engine.runfolder.paths import RunFolder
from engine.runfolder.regular import open_regular

LARGEST_CSV = 64 << 20
MOST_CELLS, MOST_COLUMNS = 3_000_000, 20_000
_TEXTS = ("id", "group", "split", "true", "predicted")


_FORMULA = re.compile(r"'*[=+\-@\t\r]")


def escaped(cell: str) -> str:
    """A name for a cell of a CSV file, with ' before what a spreadsheet would take for a formula."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def unescaped(cell: str) -> str:
    """The name that `escaped` made a cell of."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


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


def put_rows(
    folder: RunFolder, path: Path, header: Sequence[str], splits: Collection[str], rows: Iterable[Mapping[str, str]]
) -> None:
    """Put ``rows`` into a table of a run, in place of those that the ``splits`` had."""
    with updating(folder):
        kept = [cells for cells in read_cells(path) if cells.get("split") not in splits]
        columns = list(dict.fromkeys([*header, *(name for cells in kept for name in cells)]))
        write_csv(path, columns, ([row.get(name, "") for name in columns] for row in (*kept, *rows)))


def write_csv(path: Path, header: list[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table whole; names in it that a spreadsheet would take for formulas are escaped."""
    text = io.StringIO()
    for row in (header, *rows):
        bare_return = any("\r" in cell for cell in row)  # csv quotes none where lines end in \n
        writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL if bare_return else csv.QUOTE_MINIMAL)
        writer.writerow([cell if _is_number(cell) else escaped(cell) for cell in row])
    write_text(path, text.getvalue())


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def read_cells(path: Path) -> list[dict[str, str]]:
    """The rows of a table as they stand, column -> cell; none where there is no table that can be read."""
    rows: list[dict[str, str]] = []
    try:
        with open_regular(path, LARGEST_CSV) as stream:
            lines = csv.reader(io.TextIOWrapper(stream, encoding="utf-8", errors="replace", newline=""))
            header = [unescaped(name) for name in next(lines, [])]
            if len(header) > MOST_COLUMNS:
                return []
            for number, line in enumerate(lines):
                if number * max(10, len(header)) > MOST_CELLS:
                    return []
                cells = {name: cell for name, cell in zip(header, line, strict=False) if name}
                if line:
                    rows.append(cells | {name: unescaped(cells[name]) for name in _TEXTS if name in cells})
    except (OSError, csv.Error):
        return []
    return rows


def read_cases(folder: RunFolder) -> tuple[CaseRow, ...]:
    """The rows that name a case; none where there is no table that can be read."""
    return tuple(case_row(cells) for cells in read_cells(folder.cases) if cells.get("id"))


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
