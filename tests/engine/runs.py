"""Tiny runs over phantoms, for the tests of everything that needs a run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from engine.commands.resume import resume
from engine.commands.train import train
from engine.events import AnyEvent
from engine.requests import Resume, Train
from engine.runfolder import EventReader, RunFolder, list_runs
from tests.phantoms import phantom_root

SEGMENTATION = """
name = "tiny"
task = "segmentation"
seed = 3
[data]
source = "left_atrium"
root = "left_atrium"
size = [16, 16, 16]
crop = "random"
validation_fraction = 0.34
[model]
name = "resunet"
channels = [4, 8]
residual_units = 1
[loss]
name = "dice_bce"
[optimizer]
name = "adamw"
lr = 1e-3
[schedule]
name = "cosine"
warmup_epochs = 1.0
[train]
epochs = 3
batch_size = 2
ema = 0.9
[augment]
rotate_degrees = 10.0
flip = [0, 1]
noise = 0.1
[evaluate]
overlap = 0.0
bootstrap = 20
batch_size = 16
[figures]
enabled = false
[runtime]
device = "cpu"
workers = 0
threads = 1
"""

PICTURES = """
name = "tiny-pictures"
task = "segmentation"
[data]
source = "image_pairs"
root = "lesions"
classes = ["lesion"]
size = [48, 64]
crop = "foreground"
intensity = "imagenet"
[model]
name = "resunet"
channels = [4, 8]
residual_units = 1
[loss]
name = "dice_bce"
[optimizer]
lr = 3e-3
[train]
epochs = 2
batch_size = 2
[augment]
rotate_degrees = 10.0
flip = [0, 1]
saturation = 0.2
[evaluate]
overlap = 0.25
[runtime]
device = "cpu"
workers = 0
threads = 1
"""

CLASSIFICATION = """
name = "tiny-classes"
task = "classification"
[data]
source = "isic2018"
root = "isic2018"
size = [32, 32]
intensity = "imagenet"
[model]
name = "resnet18"
[loss]
name = "cross_entropy_focal"
[optimizer]
lr = 1e-3
[train]
epochs = 1
batch_size = 16
[evaluate]
bootstrap = 20
[figures]
enabled = false
[runtime]
device = "cpu"
workers = 0
threads = 1
"""

NAMES = {"left_atrium": SEGMENTATION, "isic2018": CLASSIFICATION, "lesions": PICTURES}


def write_recipe(folder: Path, text: str) -> Path:
    """A recipe file in ``folder``."""
    path = folder / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return path


def request(folder: Path, text: str = SEGMENTATION, *overrides: str, cases: int = 8) -> Train:
    """What to run: the recipe ``text`` on its phantom, everything below ``folder``."""
    data = folder / "data"
    name = next(name for name in NAMES if f'root = "{name}"' in text)
    phantom_root(data, name, cases=cases, every=2)
    return Train(recipe=write_recipe(folder, text), overrides=tuple(overrides), data=data, runs=folder / "runs")


def run(
    folder: Path,
    text: str = SEGMENTATION,
    *overrides: str,
    cases: int = 8,
    then: Callable[[RunFolder], None] | None = None,
) -> tuple[int, RunFolder]:
    """Train in this process; ``then`` is called when the run folder is there. Exit code and folder."""
    asked = request(folder, text, *overrides, cases=cases)
    code = train(asked, then or (lambda _: None))
    return code, list_runs(asked.runs)[-1]


def go_on(folder: RunFolder, data: Path, *overrides: str) -> int:
    """Resume a run in this process."""
    return resume(Resume(run=folder.root, data=data, overrides=tuple(overrides)), lambda _: None)


def events(folder: RunFolder) -> list[AnyEvent]:
    """The whole stream."""
    return EventReader(folder.events).read(1 << 30)


_TIMES = {"seq", "time_s", "seconds", "cases_per_s", "data_s", "step_s"}


def learned(folder: RunFolder) -> list[dict[str, Any]]:
    """The part of the stream that says what was learned, without the times."""
    kept = []
    for line in folder.events.read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        if event["kind"] in {"iteration", "epoch", "validation", "result"}:
            kept.append({k: v for k, v in event.items() if k not in _TIMES})
    return kept


def weights(path: Path) -> dict[str, torch.Tensor]:
    """The state dict in a checkpoint."""
    state = torch.load(path, weights_only=True)["model"]
    assert isinstance(state, dict)
    return state


def same_weights(first: Path, second: Path) -> bool:
    """Whether two checkpoints hold the same weights, bit for bit."""
    one, two = weights(first), weights(second)
    return one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)
