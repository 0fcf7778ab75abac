"""Small phantoms and data tables, for the tests of every room."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import Any

import h5py

from engine.data.dataset import MARKER
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


def phantom_root(root: Path, name: str, *, cases: int = 6, seed: int = 0, every: int = 1) -> Path:
    """Make the phantom ``name`` in ``root / name`` and return ``root``, which is then a data root.

    Args:
        every: keep each n-th voxel along the axes of a left atrium: trainings over it take half of the time.
    """
    if not (root / name / MARKER).exists():
        for path, content in _files(name, cases, seed, every).items():
            (root / name / path).parent.mkdir(parents=True, exist_ok=True)
            (root / name / path).write_bytes(content)
    return root


@functools.cache
def _files(name: str, cases: int, seed: int, every: int) -> dict[str, bytes]:
    """What a phantom consists of; drawing it takes a fifth of the time of a small training."""
    with tempfile.TemporaryDirectory() as place:
        folder = make_phantom(name, Path(place) / name, seed=seed, cases=cases)
        for volume in folder.glob("*/mri_norm2.h5") if every > 1 else ():
            with h5py.File(volume) as file:
                arrays = {key: file[key][::every, ::every, ::every] for key in file}
            with h5py.File(volume, "w") as file:
                for key, array in arrays.items():
                    file.create_dataset(key, data=array, compression="gzip")
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def data_table(name: str, **changes: Any) -> DataTable:
    """A small [data] table that fits the phantom ``name``; ``changes`` win."""
    return DataTable(**{**TABLES[name], **changes})
