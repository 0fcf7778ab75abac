"""What a recipe may say, and hardly means: noted by the check and in the log of a run, never refused."""

from __future__ import annotations

from collections.abc import Iterator

from engine.errors import counted
from engine.recipe.model import Recipe


def doubts(recipe: Recipe) -> Iterator[str]:
    """A sentence for each."""
    warmup, epochs = recipe.schedule.warmup_epochs, recipe.train.epochs
    if epochs is not None and warmup >= epochs:
        yield (
            f"schedule.warmup_epochs = {warmup:g} is the whole run ({counted(epochs, 'epoch')}): the learning "
            f'rate rises to its end, and never follows schedule.name = "{recipe.schedule.name}"'
        )
    if recipe.evaluate.flips and not recipe.augment.flip:
        yield (
            "evaluate.flips = true mirrors along every axis, and training mirrors along none (augment.flip = []): "
            "a network is worse on what it never saw; leave evaluate.flips out, or give augment.flip the axes"
        )
