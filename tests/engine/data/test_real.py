"""The real data sets, where $MEDTUI_DATA names a folder that holds them."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.data import check_dataset, open_dataset
from engine.recipe import DataTable

SETS = {
    "left_atrium": ("segmentation", {"size": (112, 112, 80)}),
    "Task04_Hippocampus": ("segmentation", {"source": "decathlon", "size": (48, 64, 48), "split": "fraction"}),
    "isic2018": ("classification", {"size": (224, 224), "limit_train": 300}),
}


@pytest.mark.parametrize("name", SETS)
def test_a_real_data_set_opens_and_has_no_faults(name: str, real_data: Path) -> None:
    if not (real_data / name).is_dir():
        pytest.skip(f"no {name} in $MEDTUI_DATA")
    task, keys = SETS[name]
    table = DataTable(**{"source": name, "root": name, "validation_fraction": 0.1, **keys})
    dataset = open_dataset(table, task, real_data)
    assert check_dataset(dataset, table) == dataset
    assert all(dataset.split(split) for split in ("train", "validation", "test"))
    assert not dataset.phantom
