"""Rows of CSV tables, with the separators and encodings that spreadsheet programs write."""

import csv
import io
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from engine.data.sources.index import read_text
from engine.errors import DataError
from engine.recipe.names import folded

_SEPARATORS = (",", ";", "\t", "|")
_ANSI = "cp1252"  # what Excel calls "CSV" in Western Europe; Latin-1 but for signs that Latin-1 lacks
_UNSEEN = "\u200b\u200e\u200f\u2060\ufeff"
"""Signs without a width, which copying from web pages and PDF leaves at the ends of cells."""


def plain(column: str) -> str:
    """The name of a column by its letters and digits: ``Patient_ID``, ``patient id`` and ``PatientID`` are one."""
    return re.sub(r"[\W_]+", "", folded(column))


def table_rows(path: Path, folder: Path, wanted: Collection[str]) -> Iterator[tuple[int, list[str]]]:
    """(number of the line, cells without spaces around them) of each row that is not blank, the header first.

    Args:
        path: the table: UTF-8, UTF-16 or Windows-1252, separated by commas, semicolons, tabs or bars.
        wanted: names of columns: the separator is the one that finds most of them in the header, or else most cells.

    Raises:
        DataError: it is not there, or no table.
    """
    text = read_text(path, folder, ansi=_ANSI)
    head, _, rest = text.partition("\n")
    named = head.strip().strip('"').lower()
    skipped = named.startswith("sep=") and len(named) <= 5  # Excel's own line on its separator
    text = (rest if skipped else text).replace("\r\n", "\n").replace("\r", "\n")  # a lone one: an old Mac's

    names = {*map(plain, wanted)}

    def found(separator: str) -> tuple[int, int]:
        cells = next(csv.reader(io.StringIO(text), delimiter=separator), [])
        return len({*map(plain, cells)} & names), len(cells)

    try:
        rows = csv.reader(io.StringIO(text), delimiter=max(_SEPARATORS, key=found))
        for row in rows:
            cells = [cell.strip().strip(_UNSEEN).strip() for cell in row]
            if any(cells):
                yield rows.line_num + skipped, cells
    except csv.Error as error:
        raise DataError(f"{path} is not a CSV table: {error}") from None
