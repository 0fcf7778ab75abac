"""Two folders of NIfTI files with the same names: images and masks; see `engine.data.sources.pairs`."""

from dataclasses import replace
from pathlib import Path

from engine.data.sources.index import NIFTI, DatasetIndex, read_index
from engine.data.sources.pairs import paired
from engine.recipe.sources import NiftiPairsTable


@read_index.register
def nifti_pairs(table: NiftiPairsTable, folder: Path, task: str) -> DatasetIndex:  # noqa: ARG001  (one signature for all sources)
    """See `paired`."""
    index = paired(folder, table, NIFTI, channels=0)
    files = max((len(case.images) for case in index.cases), default=0)
    return replace(index, channels=files if files > 1 else 0)
