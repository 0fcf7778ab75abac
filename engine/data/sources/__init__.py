"""Sources of cases: one file a layout on disk. No source reads an image; `engine.data.checks` does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from engine.data.sources.csv_table import csv_table
from engine.data.sources.decathlon import decathlon
from engine.data.sources.image_folder import image_folder
from engine.data.sources.index import DatasetIndex
from engine.data.sources.isic2018 import isic2018
from engine.data.sources.left_atrium import left_atrium
from engine.data.sources.nifti_pairs import nifti_pairs
from engine.data.sources.nnunet import nnunet
from engine.recipe.tables import DataTable

SOURCES: dict[str, Callable[[Path, DataTable, str], DatasetIndex]] = {
    "csv": csv_table,
    "decathlon": decathlon,
    "image_folder": image_folder,
    "isic2018": isic2018,
    "left_atrium": left_atrium,
    "nifti_pairs": nifti_pairs,
    "nnunet": nnunet,
}
"""DataTable.source -> the function that reads a folder of that layout for a task."""

__all__ = ["SOURCES", "DatasetIndex"]
