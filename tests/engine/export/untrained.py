"""Runs that were never trained: what they predict is as good as any for a comparison, and costs no training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from engine.checkpoint import save_checkpoint
from engine.models import build_model
from engine.recipe import load_recipe, recipe_toml
from engine.runfolder import RunFolder, create, update_manifest
from tests.engine.runs import write_recipe


def untrained(place: Path, text: str, *, seed: int = 0, channels: int = 1, **data: Any) -> RunFolder:
    """The folder of a run of the recipe ``text`` with its first weights, as if they had been learned.

    Args:
        place: the run lies below it.
        text: the recipe.
        seed: of the weights.
        channels: of an image.
        data: what else the manifest says of the data; ``classes`` at least.
    """
    path = write_recipe(place, text)
    recipe = load_recipe(path)
    folder = create(place / "runs", f"untrained-{seed}")
    folder.recipe.write_text(recipe_toml(recipe))
    update_manifest(folder, name=folder.id, data={"name": "made up", "channels": channels, **data})
    torch.manual_seed(seed)
    size, classes = recipe.data.size, len(data["classes"])
    model = build_model(
        recipe.model,
        task=recipe.task,
        channels=channels,
        classes=classes,
        spatial_dims=len(size),
        size=size,
        root=place,
    )
    save_checkpoint(folder.last, {"model": model.state_dict(), "classes": list(data["classes"]), "epoch": 1})
    return folder
