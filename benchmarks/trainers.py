"""Whole training loops on Task04_Hippocampus: ``python -m benchmarks.trainers [PYTHON_WITH_NNUNET]``.

The same network (nnU-Net's own for this task, 32 to 256 features on 40x56x40), loss and data; each loop loads, crops
and augments as its own users have it, in its own precision. In turns, some steps each; what stands in a row are crops a
second, and the median of the ratios of neighbours. The loops: medtui's, by `recipes/hippocampus_hour.toml`; MONAI's
SupervisedTrainer and a plain loop, both with the data of MONAI's tutorials (cached, random crops, quarter turns).

nnU-Net trains in an environment of its own, since it pins other packages: ``pip install nnunetv2==2.8.1`` there, and
give its interpreter. Its trainer's own step, loader and batch, deep supervision on both sides.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from monai.engines import SupervisedTrainer

from benchmarks.peers import BATCH, NNUNETS_NETWORK, RECIPE, Loop, NnUNet, medtui, tutorial
from engine.commands.train import open_checked
from engine.data import Dataset, data_root
from engine.recipe import load_recipe

ROUNDS, STEPS = 3, 4


def ours(dataset: Dataset, root: Path, batch: int, *, deep: bool) -> Loop:
    sets = [*NNUNETS_NETWORK, f"model.deep_supervision={str(deep).lower()}", f"train.batch_size={batch}"]
    loop = medtui(load_recipe(RECIPE, [*sets, "train.epochs=1"]), dataset, root)
    print(f"medtui: {loop.device.name} {loop.device.precision}, {os.cpu_count()} cores", flush=True)
    return loop


def compare(name: str, mine: Loop, other: Loop) -> None:
    def seconds(loop: Loop) -> float:
        start = time.perf_counter()
        loop.steps(STEPS)
        return (time.perf_counter() - start) / STEPS

    mine.steps(1), other.steps(1)
    pairs = [(seconds(mine), seconds(other)) for _ in range(ROUNDS)]
    ratios = sorted(b / a for a, b in pairs)
    a, b = (other.batch / statistics.median(times) for times in zip(*pairs, strict=True))
    row = f"{name:45}{a:7.2f} {b:7.2f} crops/s   {statistics.median(ratios):5.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
    print(row, flush=True)


def main(nnunet: str | None = None) -> None:
    """Measure and print."""
    root, recipe = data_root(None), load_recipe(RECIPE)
    dataset = open_checked(recipe, root)
    print(f"{'':45}{'medtui':>7} {'peer':>7}           medtui / peer, median (range) of {ROUNDS}")
    mine = ours(dataset, root, BATCH, deep=False)
    compare("MONAI SupervisedTrainer", mine, tutorial(dataset.cases, SupervisedTrainer, crops=BATCH))
    compare("a plain PyTorch loop", mine, tutorial(dataset.cases, None, crops=BATCH))
    if nnunet:
        with tempfile.TemporaryDirectory() as place:
            other = NnUNet(nnunet, dataset.cases, root, Path(place))
            compare("nnU-Net's trainer", ours(dataset, root, other.loop.batch, deep=True), other.loop)
            other.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
