"""What a recipe may say, and hardly means: noted by the check and in the log of a run, never refused."""

import math
from collections.abc import Iterator

from engine.data.order import batch_count
from engine.errors import counted
from engine.recipe import EvaluateTable, Recipe


def doubts(recipe: Recipe, cases: int) -> Iterator[str]:
    """A sentence for each, of a training on so many ``cases``; where minutes are counted, none that hangs on epochs."""
    train = recipe.train
    samples = cases * recipe.data.samples_per_case
    batches = batch_count(samples, train.batch_size)
    if train.batch_size > samples:
        yield f"train.batch_size = {train.batch_size} is more than an epoch has: it is one step of {samples}"
    elif train.accumulate > batches:
        found = counted(batches, "batch")
        yield f"train.accumulate = {train.accumulate} is more than an epoch has: it is one step of {found}"
    if train.accumulate > 1 and getattr(recipe.loss, "batch_dice", False):
        yield (
            f"loss.batch_dice takes each batch as one volume, not the {train.accumulate} batches of a step "
            "(train.accumulate) together: the step is not that of one big batch"
        )
    steps = -(-batches // train.accumulate)
    yield from _warmup(recipe, steps)
    yield from _average(recipe, (train.epochs or 0) * steps)
    validations = -(-(train.epochs or 0) // train.validate_every)
    if train.epochs and train.early_stop and train.early_stop >= validations - 1:
        yield (
            f"train.early_stop = {train.early_stop} can end nothing early: the run has "
            f"{counted(validations, 'validation')}, of which the first is the best so far"
        )
    evaluate = recipe.evaluate
    if recipe.task == "segmentation" and evaluate.bootstrap not in (0, EvaluateTable.model_fields["bootstrap"].default):
        yield f"evaluate.bootstrap = {evaluate.bootstrap}: the intervals of masks need no resamples; 0 leaves them out"
    if evaluate.flips and not recipe.augment.flip:
        yield (
            "evaluate.flips = true mirrors along every axis, and training mirrors along none (augment.flip = []): "
            "a network is worse on what it never saw; leave evaluate.flips out, or give augment.flip the axes"
        )


def _warmup(recipe: Recipe, steps: int) -> Iterator[str]:
    """``steps``: of an epoch."""
    epochs, table = recipe.train.epochs, recipe.schedule
    said = f"schedule.warmup_epochs = {table.warmup_epochs:g}"
    if epochs and table.warmup_epochs >= epochs:
        yield (
            f"{said} is the whole run ({counted(epochs, 'epoch')}): the learning rate rises to its end, and never "
            f'follows schedule.name = "{table.name}"'
        )
    elif table.warmup_epochs and round(table.warmup_epochs * steps) < 2:
        yield f"{said} is less than two steps ({steps} an epoch): there is no rise from one to the next"


def _average(recipe: Recipe, steps: int) -> Iterator[str]:
    """``steps``: of the run."""
    decay = recipe.train.ema or 0.0
    reached = math.ceil((10 * decay - 1) / (1 - decay))  # the step whose (1 + step) / (10 + step) of `Ema` it is
    if 0 < 2 * steps <= reached:
        yield (
            f"train.ema = {decay:g} is never reached: the decay rises from step to step, and is {decay:g} at step "
            f"{reached}; the run has {steps}, and any decay above {(1 + steps) / (10 + steps):.3g} gives the same"
        )
