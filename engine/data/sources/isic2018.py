"""ISIC 2018 Task 3: the folder and file names of the release, one-hot tables, lesion groupings.

The published grouping table covers the training images. Images without an entry count as
lesions of their own.
"""

import itertools
from pathlib import Path

from engine.data.cases import Case, DatasetIndex
from engine.data.sources.index import MOST_PROBLEMS, inside, outside, read_index, refuse
from engine.data.sources.rows import table_rows
from engine.errors import DataError, Problem
from engine.recipe.sources import Isic2018Table

CLASSES = ("MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC")
PARTS = {"train": "Training", "validation": "Validation", "test": "Test"}
PUBLISHED = {"train": 10015, "validation": 193, "test": 1512}  # images of the published split
GROUPS = "ISIC2018_Task3_Training_LesionGroupings.csv"


@read_index.register
def isic2018(table: Isic2018Table, folder: Path, task: str) -> DatasetIndex:  # noqa: ARG001  (one signature for all sources)
    """Read the tables below ``folder``; Validation and Test may be missing, Training may not.

    Raises:
        DataError: no training table, another header, rows that are not one-hot.
    """
    if table.classes is not None and set(table.classes) != set(CLASSES):
        found, allowed = ", ".join(table.classes), ", ".join(CLASSES)
        raise DataError("data.classes does not fit ISIC 2018:", problems=(Problem("recipe", found, allowed),))
    classes = table.classes or CLASSES
    problems: list[Problem] = []
    groups, notes = _groups(folder, problems)
    cases: list[Case] = []
    for split in PARTS:
        if split == "train" or (folder / _table_name(split)).exists():
            cases += _part(folder, split, classes, groups, problems)
    refuse(folder, problems)
    counts = {split: sum(case.split == split for case in cases) for split in PARTS}
    return DatasetIndex(
        name="ISIC 2018 Task 3",
        cases=tuple(cases),
        classes=classes,
        channels=3,
        spatial_dims=2,
        spacing_unit="pixel",
        published_split=counts == PUBLISHED,
        notes=notes,
    )


def _part(
    folder: Path, split: str, classes: tuple[str, ...], groups: dict[str, str], problems: list[Problem]
) -> list[Case]:
    name = _table_name(split)
    rows = table_rows(folder / name, folder, CLASSES)
    header = next(rows, (1, [""]))[1]
    if header != ["image", *CLASSES]:
        found = ",".join(header)[:200] or "an empty file"
        problems.append(Problem(f"{name}:1", f"header {found}", ",".join(("image", *CLASSES))))
        return []
    images = folder / f"ISIC2018_Task3_{PARTS[split]}_Input"
    cases = []
    for number, row in itertools.takewhile(lambda _: len(problems) < MOST_PROBLEMS, rows):
        where = f"{name}:{number}"
        target = _target(row)
        if target is None:
            problems.append(Problem(where, f"found {','.join(row)[:200]}", "a name, a single 1 and six 0"))
            continue
        identity = row[0]
        path = inside(images, f"{identity}.jpg")
        if path is None or path.parent != images:
            problems.append(outside(where, identity))
            continue
        index = classes.index(CLASSES[target])
        cases.append(Case(identity, (path,), target=index, group=groups.get(identity), split=split))
    return cases


def _table_name(split: str) -> str:
    part = f"ISIC2018_Task3_{PARTS[split]}_GroundTruth"
    return f"{part}/{part}.csv"


def _target(row: list[str]) -> int | None:
    """Index of the single 1 in a one-hot row; None if it is not one-hot."""
    try:
        values = [float(cell.replace(",", ".")) for cell in row[1:]]
    except ValueError:
        return None
    fits = len(values) == len(CLASSES) and sorted(values) == [0.0] * (len(CLASSES) - 1) + [1.0]
    return values.index(1.0) if fits and row[0] else None


def _groups(folder: Path, problems: list[Problem]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Image -> lesion, from the table of groupings; a note where there is none."""
    if not (folder / GROUPS).exists():
        return {}, (f"no {GROUPS}: images of one lesion may lie in several of the splits that are drawn here",)
    rows = table_rows(folder / GROUPS, folder, ["image", "lesion_id"])
    header = next(rows, (1, [""]))[1]
    if header[:2] != ["image", "lesion_id"]:
        problems.append(Problem(f"{GROUPS}:1", f"header {','.join(header)[:200]}", "image,lesion_id,..."))
        return {}, ()
    return {row[0]: row[1] for _, row in rows if len(row) > 1 and row[1]}, ()
