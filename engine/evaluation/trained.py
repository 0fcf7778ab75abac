"""A run folder opened again for its weights: recipe, classes, network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from engine.checkpoint import Content, load_checkpoint
from engine.data import Dataset, data_root
from engine.data.sources.index import folded
from engine.errors import DataError, RunError, UsageError
from engine.network import Network, build_network
from engine.recipe import Recipe, load_run_recipe
from engine.runfolder import Manifest, RunFolder, read_manifest


@dataclass(frozen=True, slots=True)
class Trained:
    """What a run left for those who use its network.

    Attributes:
        root: the data root that it was trained with, or the one named now.
        classes: as trained.
    """

    folder: RunFolder
    recipe: Recipe
    manifest: Manifest
    root: Path
    classes: tuple[str, ...]


def open_trained(
    folder: RunFolder, *, data: Path | None = None, checkpoint: str | None = None, device: str | None = None
) -> Trained:
    """Read what a run left. ``checkpoint`` and ``device`` replace what its recipe says.

    Raises:
        RunError: it left no weights, or nothing that can be read.
    """
    overrides = [f'evaluate.checkpoint="{checkpoint}"'] if checkpoint else []
    overrides += [f'runtime.device="{device}"'] if device else []
    recipe = load_run_recipe(folder.recipe, overrides)
    if not folder.last.exists() and not folder.best.exists():
        raise UsageError(
            f"{folder.id} has no checkpoint yet", "wait for its first epoch, or look at: medtui attach " + folder.id
        )
    if checkpoint and not (folder.best if checkpoint == "best" else folder.last).exists():
        raise UsageError(f"{folder.id} has no checkpoint {checkpoint}", "use the other one: --checkpoint last or best")
    manifest = read_manifest(folder)
    root = data_root(data or (Path(manifest.data_root) if manifest.data_root else None))
    classes = tuple(manifest.data.classes)
    if not classes:
        raise RunError(f"{folder.id}: manifest.json is damaged or missing", "without it the classes are not known")
    return Trained(folder, recipe, manifest, root, classes)


def as_trained(dataset: Dataset, trained: Trained) -> Dataset:
    """``dataset`` as the network knows its images: channels by their names, of pictures the values of black and white.

    Raises:
        DataError: it names its channels, and not as the run's own data did.
    """
    known = trained.manifest.data
    dataset = _by_channel_names(dataset, known.channel_names)
    if dataset.spatial_dims == 3:
        return dataset
    return replace(dataset, channels=known.channels or dataset.channels, value_range=known.value_range)


def _by_channel_names(dataset: Dataset, trained: Sequence[str]) -> Dataset:
    own, wanted = [folded(name) for name in dataset.channel_names], [folded(name) for name in trained]
    if own == wanted or not own or not wanted:
        return dataset
    found, allowed = ", ".join(dataset.channel_names), ", ".join(trained)
    if len(own) == len(wanted) == 1:  # nothing can be in another order: MR, MRI and T1 may be the same
        return replace(dataset, notes=(*dataset.notes, f"the images are called {found}, those of training {allowed}"))
    if {*own} != {*wanted}:
        raise DataError(
            f"the channels differ: the run has {allowed}; the data {found}",
            "evaluate and predict images with the same channels; where they are the same under other names, change "
            'the names in "channel_names" of dataset.json',
        )
    note = f"the channels lie in another order ({found}) than in training: put in order by their names"
    order = tuple(own.index(name) for name in wanted)
    return replace(dataset, channel_order=order, notes=(*dataset.notes, note))


def network_for(trained: Trained, dataset: Dataset) -> Network:
    """The network of a run, for cases of the kind in ``dataset``; its weights are loaded by who uses it.

    Nothing is fetched: weights that training started from are not needed again.
    """
    recipe = trained.recipe
    bare = recipe.model_copy(update={"model": recipe.model.bare()})
    return build_network(bare, dataset, trained.root, trained.manifest.precision)


def chosen_checkpoint(folder: RunFolder, recipe: Recipe) -> tuple[Path, Content]:
    """The checkpoint that is tested: best.pt where the recipe wants it and validation wrote one.

    Raises:
        RunError: there is none, it is damaged, or its weights are not finite.
    """
    path = folder.best if recipe.evaluate.checkpoint == "best" and folder.best.exists() else folder.last
    return path, load_checkpoint(path)
