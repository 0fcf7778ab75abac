"""Folders of pictures and of their masks, both PNG, JPEG, TIFF, BMP or WebP; see `engine.data.sources.pairs`."""

from pathlib import Path

from engine.data.pictures import PICTURES
from engine.data.sources.index import DatasetIndex, read_index
from engine.data.sources.pairs import paired
from engine.recipe.sources import ImagePairsTable


@read_index.register
def image_pairs(table: ImagePairsTable, folder: Path, task: str) -> DatasetIndex:  # noqa: ARG001  (one signature for all sources)
    """See `paired`."""
    return paired(folder, table, PICTURES, channels=0, spatial_dims=2, spacing_unit="pixel")
