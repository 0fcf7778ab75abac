"""The loop of a recipe against its bare step: ``python -m benchmarks.loop RECIPE [KEY=VALUE]...``.

In turns: steps on one batch that lies ready, and steps with the run's own loader, crops and augmentation included.
The ratio is the median of the ratios of neighbours; 1 is a loader that costs nothing.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from itertools import islice
from pathlib import Path

from engine.commands.train import build, open_checked
from engine.data import data_root
from engine.data.loaders import build_train_loader
from engine.recipe import load_recipe
from engine.training.engines import build_step, make_trainer
from engine.training.stream import EpochStream

ROUNDS, STEPS = 5, 8


def main(path: str, *overrides: str) -> None:
    """Measure and print."""
    root = data_root(None)
    recipe = load_recipe(Path(path), overrides)
    dataset = open_checked(recipe, root)
    network = build(recipe, dataset, root)
    loader = build_train_loader(
        dataset, recipe.data, recipe.augment, recipe.runtime, batch_size=recipe.train.batch_size, seed=recipe.seed
    )
    stream = EpochStream(loader, recipe.train.accumulate)
    step = build_step(recipe, network, len(dataset.classes) + dataset.dense, len(stream))
    trainer, groups = make_trainer(step, stream), iter(stream)
    ready = next(groups)
    step(trainer, ready)
    rows = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(STEPS):
            step(trainer, ready)
        middle = time.perf_counter()
        for group in islice(groups, STEPS):
            step(trainer, group)
        rows.append(((middle - start) / STEPS, (time.perf_counter() - middle) / STEPS))
    loader.close()
    bare, loop = (statistics.median(column) for column in zip(*rows, strict=True))
    share = statistics.median(own / whole for own, whole in rows)
    print(
        f"{network.device.name} {network.device.precision}, {os.cpu_count()} cores, {loader.workers} loader processes"
    )
    print(f"{recipe.name}: {bare:.3f} s a bare step, {loop:.3f} s in the loop: {share:.2f} of its speed")


if __name__ == "__main__":
    main(*sys.argv[1:])
