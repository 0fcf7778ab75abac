"""Sources of cases: one file a layout on disk. No source reads an image; `engine.data.checks` does."""

from pathlib import Path

from engine.data.cases import DatasetIndex
from engine.data.sources.index import read_index
from engine.plugins import load_modules, load_plugins
from engine.recipe.sources import DataTable

load_modules(__name__, __path__)


def open_source(table: DataTable, folder: Path, task: str) -> DatasetIndex:
    """The index of a data set, by the source that ``table`` is of; see `read_index`."""
    load_plugins("medtui.code")
    return read_index(table, folder, task)
