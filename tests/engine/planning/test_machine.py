"""The machine by looking: what it has, and how long a step of a training takes on it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from engine.data import open_dataset
from engine.errors import DataError
from engine.hardware import cores
from engine.models import efficientnet
from engine.planning.machine import Machine, measure, ready_weights, this_machine
from engine.recipe import parse_recipe
from tests.engine.data import builders

RECIPE = """
name = "r"
task = "segmentation"
[data]
source = "nifti_pairs"
root = "d"
classes = ["a"]
split = "fraction"
test_fraction = 0.0
size = [16, 16, 16]
[model]
name = "resunet"
channels = [4, 8]
[loss]
name = "dice_bce"
[train]
epochs = 1
batch_size = 2
"""


def test_a_step_is_timed_with_the_cases_that_it_is_made_of(tmp_path):
    folder = builders.pairs(tmp_path / "d", cases=2)
    recipe = parse_recipe(RECIPE, "r.toml")
    dataset = open_dataset(recipe.data, "segmentation", tmp_path)
    pace = measure(recipe, dataset, tmp_path)
    assert pace is not None
    assert pace.step_s > 0
    assert pace.validation_s == 0
    watched = replace(dataset, cases=(dataset.cases[0], replace(dataset.cases[1], split="validation")))
    found = measure(recipe, watched, tmp_path, pace.precision, watched=True)
    assert found is not None
    assert found.validation_s > 0
    assert pace.precision.startswith("cuda" if torch.cuda.is_available() else "cpu")
    (folder / "images" / "0.nii.gz").unlink()
    with pytest.raises(DataError, match=r"0\.nii\.gz"):
        measure(recipe, dataset, tmp_path, pace.precision)


def test_weights_are_ready_where_they_are_installed_or_lie_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert ready_weights() == {"efficientnet_lite0"}
    monkeypatch.setattr(efficientnet, "_PACKAGE", "no_package_of_this_name")
    assert ready_weights() == frozenset()
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    (tmp_path / "hub" / "checkpoints" / "resnet18-f37072fd.pth").touch()  # the name that torchvision gives it
    assert ready_weights() == {"resnet18"}


def test_a_machine_is_described_in_words():
    assert str(Machine(1, 8 * 2**30)) == "1 core, 8 GB of memory, no GPU"
    card = Machine(16, 128 * 2**30, "A Card", 24 * 2**30)
    assert str(card) == "16 cores, 128 GB of memory, A Card with 24 GB"
    assert this_machine().cores == cores()
