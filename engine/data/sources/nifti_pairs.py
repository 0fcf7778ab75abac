"""Two folders of NIfTI files with the same names: images and masks; see `engine.data.sources.pairs`."""

from __future__ import annotations

from pathlib import Path

from engine.data.sources.index import NIFTI, DatasetIndex, read_index
from engine.data.sources.pairs import left_over_pairs, named_classes, paired_cases
from engine.recipe.sources import NiftiPairsTable


@read_index.register
def nifti_pairs(table: NiftiPairsTable, folder: Path, task: str) -> DatasetIndex:  # noqa: ARG001  (one signature for all sources)
    """Pair the files below ``folder / table.images`` and ``folder / table.labels`` by their names.

    Raises:
        DataError: a folder is not there, no names fit together, or nothing names the classes.
    """
    classes, values = named_classes(folder, table)
    cases = tuple(paired_cases(folder, table.images, table.labels, NIFTI))
    channels = max((len(case.images) for case in cases), default=0)
    return DatasetIndex(
        name=folder.name,
        cases=cases,
        classes=classes,
        label_values=values,
        channels=channels if channels > 1 else 0,
        notes=left_over_pairs(folder, table.images, table.labels, cases),
    )
