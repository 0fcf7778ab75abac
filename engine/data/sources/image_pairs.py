"""Folders of pictures and of their masks, both PNG, JPEG, TIFF, BMP or WebP; see `engine.data.sources.pairs`."""

from __future__ import annotations

from pathlib import Path

from engine.data.pictures import PICTURES
from engine.data.sources.index import DatasetIndex, read_index
from engine.data.sources.pairs import left_over_pairs, named_classes, paired_cases
from engine.recipe.sources import ImagePairsTable


@read_index.register
def image_pairs(table: ImagePairsTable, folder: Path, task: str) -> DatasetIndex:  # noqa: ARG001  (one signature for all sources)
    """Pair the files below ``folder / table.images`` and ``folder / table.labels`` by their names.

    Raises:
        DataError: a folder is not there, no names fit together, or nothing names the classes.
    """
    classes, values = named_classes(folder, table)
    cases = tuple(paired_cases(folder, table.images, table.labels, PICTURES))
    return DatasetIndex(
        name=folder.name,
        cases=cases,
        classes=classes,
        label_values=values,
        channels=0,
        spatial_dims=2,
        spacing_unit="pixel",
        notes=left_over_pairs(folder, table.images, table.labels, cases),
    )
