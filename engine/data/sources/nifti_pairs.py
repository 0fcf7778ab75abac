"""Two folders of NIfTI files with the same names: images and masks.

Subfolders ``train``, ``validation`` and ``test`` in both are the given split. The classes are named
by the recipe, or by a ``dataset.json`` with ``labels`` beside the folders.
"""

from __future__ import annotations

from pathlib import Path

from engine.data.cases import Case
from engine.data.sources.dataset_json import FILE, labels_of, read_json
from engine.data.sources.index import (
    NIFTI,
    DatasetIndex,
    foreground,
    identities,
    listed,
    read_index,
    refuse,
    split_named,
    stem,
)
from engine.errors import DataError, Problem
from engine.recipe.sources import NiftiPairsTable


@read_index.register
def nifti_pairs(table: NiftiPairsTable, folder: Path, task: str) -> DatasetIndex:  # noqa: ARG001  (one signature for all sources)
    """Pair the files below ``folder / table.images`` and ``folder / table.labels`` by their names.

    Raises:
        DataError: a folder is not there, holds no NIfTI files, or nothing names the classes.
    """
    problems: list[Problem] = []
    said: dict[int, str] = {}
    if table.classes is None:
        if not (folder / FILE).exists():
            raise DataError(
                f"nothing names the classes of {folder}",
                f'name them in the recipe: data.classes = ["liver"] for the mask value 1; or add {FILE} with "labels"',
            )
        said = labels_of(read_json(folder).get("labels"), problems)
    refuse(folder, problems)
    classes, values = foreground(table, said)
    cases: list[Case] = []
    parts = _parts(folder, table)
    for part, split in parts:
        cases += _pairs(folder, table, part, split)
    names = identities([case.images[0] for case in cases], folder / table.images, NIFTI)
    named = [Case(name, case.images, case.label, split=case.split) for name, case in zip(names, cases, strict=True)]
    return DatasetIndex(name=folder.name, cases=tuple(named), classes=classes, label_values=values, channels=0)


def _parts(folder: Path, table: NiftiPairsTable) -> list[tuple[str, str]]:
    """(subfolder, split) of each part; one part without a split where there are no such subfolders."""
    images = folder / table.images
    if not images.is_dir():
        raise DataError(f"{folder} has no folder {table.images}", "name the folder of the images in data.images")
    if not (folder / table.labels).is_dir():
        raise DataError(f"{folder} has no folder {table.labels}", "name the folder of the masks in data.labels")
    parts = [
        (path.name, split) for path in sorted(images.iterdir()) if path.is_dir() and (split := split_named(path.name))
    ]
    return parts or [("", "")]


def _pairs(folder: Path, table: NiftiPairsTable, part: str, split: str) -> list[Case]:
    """A case for every image and every mask of a part; files that lack are found when the cases are read."""
    images = {stem(path, NIFTI): path for path in listed(folder, f"{table.images}/{part}".rstrip("/"), NIFTI)}
    labels: dict[str, Path] = {}
    if (folder / table.labels / part).is_dir():
        labels = {stem(path, NIFTI): path for path in listed(folder, f"{table.labels}/{part}".rstrip("/"), NIFTI)}
    cases = []
    for name in sorted({*images, *labels}):
        image = images.get(name, folder / table.images / part / f"{name}{NIFTI[0]}")
        label = labels.get(name, folder / table.labels / part / f"{name}{NIFTI[0]}")
        cases.append(Case(name, (image,), label, split=split))
    return cases
