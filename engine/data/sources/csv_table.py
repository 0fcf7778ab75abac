"""A CSV table of paths: an image and its class or mask a row, with its group and split where known."""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.data.cases import MOST_LABELS, Case, DatasetIndex
from engine.data.dicom_folders import is_placed, is_slice, series_name, series_of
from engine.data.endings import PLACED
from engine.data.pictures import PICTURES, is_picture
from engine.data.sources import index, walk
from engine.data.sources.pairs import named_classes
from engine.data.sources.rows import plain, table_rows
from engine.errors import Problem, counted
from engine.recipe.sources import CsvTable

ENDINGS = (*PLACED, *PICTURES)
_COLUMNS = ("path_column", "label_column", "group_column", "split_column")
_WITHOUT = "a path with its ending, as .png, or a folder that holds a DICOM series"
_SAID = {"true": 1.0, "false": 0.0, "": 0.0}
_Truths = tuple[tuple[str, ...], tuple[int, ...], list[tuple[Path | None, int | None]]]
"""Classes, their mask values, and mask or class of each row."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: its number, and its cells."""

    where: str
    image: Path
    label: str
    group: str | None
    split: str


@index.read_index.register
def csv_table(table: CsvTable, folder: Path, task: str) -> DatasetIndex:
    """Read the table below ``folder``; its paths are relative to ``folder``.

    Raises:
        DataError: no table, a column that is not there, or rows that cannot be used.
    """
    problems: list[Problem] = []
    truths_of = _masks if task == "segmentation" else _targets
    rows = list(_rows(folder, table, problems, named=truths_of is _targets))
    first: dict[Path, Row] = {}
    problems += [
        Problem(row.where, f"the image of {first[row.image].where} again", "a row an image")
        for row in rows
        if first.setdefault(row.image, row) is not row
    ]
    index.refuse(folder, problems)
    classes, values, truths = truths_of(folder, table, rows, problems)
    dims, unit = _geometry(rows, problems, wanted=len(table.size) == 3)
    index.refuse(folder, problems)
    series = {row.image: series_name(row.image) for row in rows if dims == 3 and is_slice(row.image)}
    names = index.identities([row.image for row in rows], folder, ENDINGS, series)
    return DatasetIndex(
        name=folder.name,
        cases=tuple(
            Case(name, (row.image,), *truth, group=row.group, split=row.split)
            for name, row, truth in zip(names, rows, truths, strict=True)
        ),
        classes=classes,
        label_values=values,
        # a classifier of pictures sees colours, also where these are grey
        channels=3 if dims == 2 and not values else 0,
        spatial_dims=dims,
        spacing_unit=unit,
    )


def _masks(folder: Path, table: CsvTable, rows: list[Row], problems: list[Problem]) -> _Truths:
    classes, values = named_classes(folder, table)
    problems += [index.outside(row.where, row.label) for row in rows if index.inside(folder, row.label) is None]
    return classes, values, [(index.inside(folder, row.label), None) for row in rows]


def _targets(folder: Path, table: CsvTable, rows: list[Row], problems: list[Problem]) -> _Truths:
    found = {row.label for row in rows}
    classes = table.classes or tuple(sorted({_one_form(label) for label in found}))
    long = [name for name in classes if len(name) > index.LONGEST_NAME]
    if long or len(classes) > MOST_LABELS:
        allowed = f"at most {MOST_LABELS:,} classes; is that the column of the class?"
        what = f'found "{long[0][:50]}..."' if long else f"{len(classes):,} classes"
        index.refuse(folder, [Problem(table.table, what, allowed, table.label_column)])
    places = {name: place for place, name in enumerate(classes)}
    targets = {label: places[label] if label in places else index.class_of(label, classes) for label in found}
    allowed = f"{', '.join(classes)}, as data.classes says"
    wrong = [row for row in rows if targets[row.label] is None]
    problems += [Problem(row.where, f'class "{row.label}"', allowed, table.label_column) for row in wrong]
    return classes, (), [(None, targets[row.label]) for row in rows]


def _geometry(rows: list[Row], problems: list[Problem], *, wanted: bool) -> tuple[int, str]:
    """Axes of the images and the unit of distances, from the endings of their files.

    Files of DICOM are pictures; beside volumes, or where these are ``wanted``, each may stand for its series.
    """
    bare = [row for row in rows if not row.image.suffix and not row.image.exists()]
    problems += [Problem(row.where, f'found "{row.image.name}"', _WITHOUT) for row in bare]
    if bare:
        return 2, "pixel"
    pictures = [row for row in rows if is_picture(row.image)]
    if len(pictures) == len(rows) and not (wanted and _are_series(rows)):
        return 2, "pixel"
    if others := [row for row in pictures if not is_slice(row.image)]:
        found = f'found "{others[0].image.name}" beside volumes'
        problems.append(Problem(others[0].where, found, "all volumes, or all pictures"))
    return 3, "mm" if all(map(_placed, (row.image for row in rows))) else "voxel"


def _placed(path: Path) -> bool:
    """Whether the volume ``path`` says where it lies."""
    return path.name.lower().endswith(PLACED) or path.is_dir() or is_slice(path)


def _are_series(rows: list[Row]) -> bool:
    """Whether each row names a file of DICOM that says where it lies, and none two files of one series."""
    seen: set[str] = set()
    for row in rows:  # slices in a table of pictures are many of a series: few of them are looked at
        if not is_slice(row.image) or not is_placed(row.image) or (series := series_of(row.image)) in seen:
            return False
        seen.add(series)
    return True


def _rows(folder: Path, table: CsvTable, problems: list[Problem], *, named: bool) -> Iterator[Row]:
    name = table.table
    place = index.inside(folder, name) or folder / "table.csv"
    wanted: list[str | None] = [getattr(table, key) for key in _COLUMNS]
    lines = table_rows(place, folder, [*(column for column in wanted if column), *(table.classes or ())])
    header = next(lines, (1, [""]))[1]
    hot = _one_hot(header, table) if named else {}
    columns = [
        None
        if column is None or (hot and key == "label_column")
        else _column(header, column, name, f"data.{key}", problems)
        for key, column in zip(_COLUMNS, wanted, strict=True)
    ]
    if problems:
        return
    for number, line in lines:
        if len(problems) >= index.MOST_PROBLEMS:
            break
        if any(line[len(header) :]):
            found, allowed = (
                f"{counted(len(line), 'cell')}",
                f"{len(header)}, as in line 1: quote cells that hold commas",
            )
            problems.append(Problem(f"{name}:{number}", found, allowed))
            continue
        cells = [None if at is None else _cell(line[at] if at < len(line) else "", table) for at in columns]
        if hot and not (label := _hot(hot, line)):
            problems.append(Problem(f"{name}:{number}", "not one class", f"1 in one of {', '.join(hot)}; else 0"))
            continue
        cells[1] = label if hot else cells[1]
        row = _row(folder, table, f"{name}:{number}", cells, problems)
        if row is not None:
            yield row


def _places(header: list[str], column: str) -> list[int]:
    """Where ``column`` stands: under its name, or else under one that is the same but for case and separators."""
    same = [at for at, cell in enumerate(header) if cell == column]
    return same or [at for at, cell in enumerate(header) if plain(cell) == plain(column)]


def _column(header: list[str], column: str, name: str, key: str, problems: list[Problem]) -> int:
    places = _places(header, column)
    if len(places) > 1:
        problems.append(Problem(f"{name}:1", f'{len(places)} columns "{column}"', "one column of a name", key))
    if not places:
        allowed = ", ".join(header)[:300] or "a header line"
        if key == "data.label_column":
            allowed += "; or one for each of data.classes, with 0 and 1"
        problems.append(Problem(f"{name}:1", f'no column "{column}"', allowed, key))
    return places[0] if places else 0


def _one_hot(header: list[str], table: CsvTable) -> dict[str, int]:
    """Class -> its column, where the table has no column of labels and one for each of the recipe's classes.

    A column of labels that the recipe names has to be there.
    """
    named = table.label_column != CsvTable.model_fields["label_column"].default
    places = {name: _places(header, name) for name in table.classes or ()}
    if named or _places(header, table.label_column) or any(len(found) != 1 for found in places.values()):
        return {}
    return {name: found[0] for name, found in places.items()}


def _hot(columns: dict[str, int], line: list[str]) -> str:
    """The class of which the column holds 1, while all others hold 0; empty where it is not so."""
    try:
        cells = {name: line[at].casefold() if at < len(line) else "" for name, at in columns.items()}
        found = {name: _SAID[cell] if cell in _SAID else float(cell.replace(",", ".")) for name, cell in cells.items()}
    except ValueError:
        return ""
    one = sorted(found.values()) == [*[0.0] * (len(found) - 1), 1.0]
    return next(name for name in found if found[name]) if one else ""


def _cell(text: str, table: CsvTable) -> str:
    """``text``, or "" for a missing value, unless it is a class of the recipe."""
    return "" if index.missing(text) and text not in (table.classes or ()) else text


def _row(folder: Path, table: CsvTable, where: str, cells: list[str | None], problems: list[Problem]) -> Row | None:
    path, label, group, split = cells
    image = index.inside(folder, path or "")
    count = len(problems)
    if image is None:
        problems.append(index.outside(where, path or ""))
    if not label:
        allowed = (
            "a class, or the path of a mask; take out rows without (data.classes may name one that reads like none)"
        )
        problems.append(Problem(where, "found nothing", allowed, table.label_column))
    named = "" if split is None else walk.split_named(split)
    if named is None:
        allowed = "train, validation or test"
        allowed += '; folds are drawn: data.split = "kfold"' if (split or "").isdigit() else ""
        problems.append(
            Problem(where, f'found "{split}"' if split else "found nothing", allowed, table.split_column or "")
        )
    if len(problems) > count or image is None or not label or named is None:
        return None
    return Row(where, image, label, _one_form(group or "") or None, named)


def _one_form(text: str) -> str:
    """``text`` with accents in one of the two ways that Unicode has, which look the same."""
    return unicodedata.normalize("NFC", text)
