"""Small phantoms and data tables, for the tests of every room."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.data.phantom import make_phantom
from engine.recipe import DataTable

TABLES: dict[str, dict[str, Any]] = {
    "left_atrium": {"source": "left_atrium", "root": "left_atrium", "size": (32, 32, 32), "intensity": "none"},
    "hippocampus": {"source": "decathlon", "root": "hippocampus", "size": (32, 48, 32), "split": "fraction"},
    "isic2018": {"source": "isic2018", "root": "isic2018", "size": (48, 64), "intensity": "imagenet"},
    "lesions": {
        "source": "image_pairs",
        "root": "lesions",
        "size": (64, 64),
        "intensity": "imagenet",
        "classes": ("lesion",),
        "crop": "random",
    },
}
TASKS = {
    "left_atrium": "segmentation",
    "hippocampus": "segmentation",
    "isic2018": "classification",
    "lesions": "segmentation",
}


def phantom_root(root: Path, name: str, *, cases: int = 6, seed: int = 0) -> Path:
    """Make the phantom ``name`` in ``root / name`` and return ``root``, which is then a data root."""
    make_phantom(name, root / name, seed=seed, cases=cases)
    return root


def data_table(name: str, **changes: Any) -> DataTable:
    """A small [data] table that fits the phantom ``name``; ``changes`` win."""
    return DataTable(**{**TABLES[name], **changes})
