"""A run folder opened again for its weights: recipe, classes, network."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from engine.checkpoint import Content, load_checkpoint, load_weights
from engine.data import Dataset, data_root
from engine.data.channels import order_of
from engine.distributed import broadcast, rank
from engine.errors import DataError, RunError, UsageError
from engine.evaluation.inference import Predictor, build_predictor
from engine.network import Network, build_network
from engine.recipe import Recipe, load_run_recipe
from engine.recipe.document import there
from engine.recipe.names import folded
from engine.runfolder import ENDED, Manifest, RunFolder, read_manifest, read_status
from engine.runfolder.study import read_study, voters


@dataclass(frozen=True, slots=True)
class Trained:
    """What a run left for those who use its network, or a study for those who use its members."""

    folder: RunFolder
    recipe: Recipe
    manifest: Manifest
    root: Path  # the data root that it was trained with, or the one named now
    classes: tuple[str, ...]  # as trained
    voters: tuple[RunFolder, ...]  # the runs of which the networks are used: this one, or the members of a study


def open_trained(folder: RunFolder, *, checkpoint: str | None = None, device: str | None = None) -> Trained:
    """Read what a run left, or the best members of a study, with the post-processing that was chosen for them.

    ``checkpoint`` and ``device`` replace what the recipe says.

    Raises:
        RunError: it left no weights, or nothing that can be read.
    """
    overrides = [f'evaluate.checkpoint="{checkpoint}"'] if checkpoint else []
    overrides += [f'runtime.device="{device}"'] if device else []
    runs = [folder]
    if folder.is_study:
        study = read_study(folder)
        runs = voters(folder, study)
        overrides += [f"evaluate.{key}={str(value).lower()}" for key, value in study.post.items()]
        if not runs:
            raise UsageError(f"no member of {folder.id} is finished", f"go on with it: medtui resume {folder.address}")
        if gone := [run.id for run in runs if not run.root.exists()]:
            raise UsageError(f"{gone[0]} is gone, a run of {folder.id}", f"train it: medtui resume {folder.address}")
    for run in runs:
        _refuse_weightless(run, checkpoint)
    recipe, manifest = load_run_recipe(runs[0].recipe, overrides), read_manifest(runs[0])
    root, here = data_root(Path(manifest.data_root) if manifest.data_root else None), data_root(None)
    if not there(root / recipe.data.root) and there(here / recipe.data.root):
        root = here  # the run was copied to another machine, or its data moved
    classes = tuple(manifest.data.classes)
    if not classes:
        raise RunError(f"{folder.id}: manifest.json is damaged or missing", "without it the classes are not known")
    return Trained(folder, recipe, manifest, root, classes, tuple(runs))


def _refuse_weightless(folder: RunFolder, checkpoint: str | None) -> None:
    if not folder.last.exists() and not folder.best.exists():
        state = read_status(folder).state
        if state == "finished":
            again = f"put its folder checkpoints back, or train again: medtui run {folder.recipe}"
            raise UsageError(f"{folder.id} is finished, and its checkpoints are gone", again)
        go_on = f"go on with: medtui resume {folder.id}"
        hint = go_on if state in ENDED else f"wait for its first epoch: medtui attach {folder.id}"
        raise UsageError(f"{folder.id} has no checkpoint yet", hint)
    if checkpoint and not (folder.best if checkpoint == "best" else folder.last).exists():
        raise UsageError(f"{folder.id} has no checkpoint {checkpoint}", "use the other one: --checkpoint last or best")


def inputs_of(trained: Trained) -> Dataset:
    """The data set of new images for the network of a run; its cases have yet to be put in."""
    known, dims = trained.manifest.data, len(trained.recipe.data.size)
    return Dataset(
        task=trained.recipe.task,
        name="inputs",
        source=trained.recipe.data.source,
        cases=(),
        classes=trained.classes,
        label_values=tuple(known.label_values or range(1, len(trained.classes) + 1)),
        channels=known.channels or (1 if dims == 3 else 3),
        spatial_dims=dims,
        spacing_unit="voxel" if dims == 3 else "pixel",
        phantom=False,
        published_split=None,
    )


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
    order = order_of(dataset.channel_names, trained)
    found, allowed = ", ".join(dataset.channel_names), ", ".join(trained)
    if order is None:
        raise DataError(
            f"the channels differ: the run has {allowed}; the data {found}",
            "evaluate and predict images with the same channels; where they are the same under other names, change "
            'the names in "channel_names" of dataset.json',
        )
    if order:
        note = f"the channels lie in another order ({found}) than in training: put in order by their names"
        return replace(dataset, channel_order=order, notes=(*dataset.notes, note))
    if found and allowed and [*map(folded, dataset.channel_names)] != [*map(folded, trained)]:  # of the only channel
        return replace(dataset, notes=(*dataset.notes, f"the images are called {found}, those of training {allowed}"))
    return dataset


def network_for(trained: Trained, dataset: Dataset) -> Network:
    """The network of a run, for cases of the kind in ``dataset``; its weights are loaded by who uses it.

    Nothing is fetched: weights that training started from are not needed again.
    """
    recipe, known = trained.recipe, trained.manifest
    counts = known.model.counts
    if not counts and not dataset.dense:  # runs of earlier versions
        counts = list(known.data.counts.get("train", {}).values())
    return build_network(recipe.bare(), dataset, trained.root, known.precision, counts)


def load_predictors(
    recipe: Recipe, network: Network, runs: Sequence[RunFolder]
) -> tuple[list[Predictor], Path, Content]:
    """What predicts with the chosen weights of each run; the checkpoint of the first. The network has its weights.

    Raises:
        RunError: as `chosen_checkpoint`, or the weights do not fit.
    """
    path, content = chosen_checkpoint(runs[0], recipe)
    load_weights(network.model, content["model"], path.name)
    predictors = [build_predictor(recipe, network)]
    for folder in runs[1:]:
        model = copy.deepcopy(network.model)
        other, weights = chosen_checkpoint(folder, recipe)
        if weights.get("classes") != content.get("classes"):
            raise RunError(f"{folder.id} was trained for other classes than {runs[0].id}", "let those vote that agree")
        load_weights(model, weights["model"], f"{other.name} of {folder.id}")
        predictors.append(build_predictor(recipe, network, model))
    return predictors, path, content


def chosen_path(folder: RunFolder, recipe: Recipe) -> Path:
    """The checkpoint that is tested: best.pt where the recipe wants it and validation wrote one, else last.pt."""
    return folder.best if recipe.evaluate.checkpoint == "best" and folder.best.exists() else folder.last


def chosen_checkpoint(folder: RunFolder, recipe: Recipe) -> tuple[Path, Content]:
    """`chosen_path` and its content; process 0 reads it.

    Raises:
        RunError: there is none, it is damaged, its weights are not finite, or it is of a run with other classes.
    """
    path = chosen_path(folder, recipe)
    path, content = broadcast((path, load_checkpoint(path) if rank() == 0 else {}))
    found, known = content.get("classes"), read_manifest(folder).data.classes
    if found and known and list(found) != list(known):
        raise RunError(
            f"{path.name} in {folder.id} is of another run: its classes are {', '.join(map(str, found))}, "
            f"those of the run {', '.join(known)}",
            "put the run's own checkpoint back",
        )
    return path, content
