"""``medtui check``: everything but training."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from engine.data import data_root
from engine.data.cases import Cohort
from engine.recipe import Recipe, load_recipe
from engine.run import open_checked


def check(path: Path, overrides: Sequence[str], data: Path | None, *, outside: bool) -> int:
    """Check recipe and data, then train on one batch that is thrown away; print what was found.

    Raises:
        RecipeError, DataError: as ``run`` would.
        RunError: the step fails (memory, a loss that is not finite).
    """
    recipe = load_recipe(path, overrides, outside=outside)
    print(f"recipe   ok   {recipe.name}: {recipe.task}, {recipe.model.name}, {recipe.loss.name}", flush=True)
    root = data_root(data)
    cohort = open_checked(recipe, root)
    counts = {split: sum(classes.values()) for split, classes in cohort.counts().items()}
    words = ", ".join(f"{n} {split}" for split, n in counts.items() if n)
    print(f"data     ok   {cohort.name}: {words}; classes {', '.join(cohort.classes)}", flush=True)
    for note in cohort.notes:
        print(f"         note {note}")
    _step(recipe, root, cohort)
    return 0


def _step(recipe: Recipe, root: Path, cohort: Cohort) -> None:
    import torch

    from engine.build import build_network, build_step, memory_advice
    from engine.data.loaders import build_train_loader
    from engine.device import memory_errors
    from engine.engines import EpochStream, make_trainer

    with memory_errors(memory_advice(recipe)):
        network = build_network(recipe, cohort, root)
        few = recipe.data.model_copy(update={"cache": "none"})
        runtime = recipe.runtime.model_copy(update={"workers": 0})
        loader = build_train_loader(
            cohort, few, recipe.augment, runtime, batch_size=recipe.train.batch_size, seed=recipe.seed
        )
        stream = EpochStream(loader, recipe.train.accumulate)
        labels = len(cohort.classes) + (recipe.task == "segmentation")
        step = build_step(recipe, network, labels, len(stream))
        trainer = make_trainer(step, stream)
        batches = next(iter(stream))
        start = time.perf_counter()
        output = step(trainer, batches)
    seconds = time.perf_counter() - start
    device = network.device
    print(f"model    ok   {recipe.model.name}, {network.parameters / 1e6:.2f} M weights, on {device.name}")
    print(
        f"batch    ok   {output.cases} cases in {seconds:.2f} s, loss {output.loss:.4g}; {len(stream)} steps an epoch"
    )
    if device.device.type == "cuda":
        peak = torch.cuda.max_memory_allocated(device.device) / 2**30
        total = torch.cuda.get_device_properties(device.device).total_memory / 2**30
        print(f"memory   ok   {peak:.2f} of {total:.1f} GiB on the GPU")
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"memory   ok   {peak:.2f} GiB at the peak")
    loader.close()
    sys.stdout.flush()
