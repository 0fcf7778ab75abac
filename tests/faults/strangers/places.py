"""Pipes, devices, circles of links, holes and sockets in place of every kind of file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from engine.checkpoint import load_checkpoint
from engine.evaluation.results import is_predicted
from engine.recipe import load_recipe
from tests.faults.strangers.made import (
    CASES,
    PLACES,
    Act,
    atrium,
    everything,
    photos,
    run_of,
    volumes,
)

for place in PLACES:

    def _picture(folder: Path, place: Callable[[Path], None] = place) -> Act:
        act = photos(folder)
        place(folder / "photos" / "a" / "0.png")
        return act

    def _volume(folder: Path, place: Callable[[Path], None] = place) -> Act:
        act = volumes(folder)
        (folder / "odd" / "images" / "0.nii.gz").unlink()
        place(folder / "odd" / "images" / "0.nii.gz")
        return act

    def _h5(folder: Path, place: Callable[[Path], None] = place) -> Act:
        act = atrium(folder)
        place(folder / "atrium" / "0" / "mri_norm2.h5")
        return act

    def _list(folder: Path, place: Callable[[Path], None] = place) -> Act:
        act = atrium(folder)
        (folder / "atrium" / "train.list").unlink()
        place(folder / "atrium" / "train.list")
        return act

    def _run(folder: Path, place: Callable[[Path], None] = place) -> Act:
        run = run_of(folder)
        run.recipe.unlink()
        parts = (run.status, run.events, run.cases, run.metrics, run.manifest, run.recipe, run.figures / "index.json")
        for path in (*parts, run.figures / "roc.png", run.examples / "test_a.npz", run.last, run.log):
            place(path)
        return everything(run)

    def _checkpoint(folder: Path, place: Callable[[Path], None] = place) -> Act:
        place(folder / "last.pt")
        return lambda: load_checkpoint(folder / "last.pt")

    def _recipe(folder: Path, place: Callable[[Path], None] = place) -> Act:
        place(folder / "r.toml")
        return lambda: load_recipe(folder / "r.toml")

    def _mask(folder: Path, place: Callable[[Path], None] = place) -> Act:
        for ending in ("png", "nii.gz"):
            place(folder / f"a.{ending}")
        return lambda: [is_predicted(folder / f"a.{ending}") for ending in ("png", "nii.gz")]

    for build in (_picture, _volume, _h5, _list, _run, _checkpoint, _recipe, _mask):
        CASES[f"{build.__name__.strip('_')}_{place.__name__}"] = build
