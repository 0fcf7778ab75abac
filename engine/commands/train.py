"""``medtui run``: from a request to a run folder that is ready, and `engine.commands.work` in it."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import structs

from engine.commands.work import Handshake, work
from engine.console import OVERWRITTEN, show_progress, tell
from engine.data import Dataset, check_dataset, data_root, open_dataset
from engine.data.identity import split_rows
from engine.errors import Problem, RecipeError, printable
from engine.hardware import launched_place, unwatched
from engine.recipe import Recipe, load_recipe, memory_advice, placed, recipe_toml, refuse_dead
from engine.requests import Check, Resume, Sweep, Train, encode
from engine.runfolder import RunFolder, create, take_lock, update_manifest, write_splits, write_text
from engine.training.manifest import command_line, first_manifest, hardware_facts
from engine.training.webhook import keep_webhook, stored_webhook

if TYPE_CHECKING:
    from engine.models.weights import Start
    from engine.network import Network


def train(request: Train, handshake: Handshake | None = None) -> int:
    """Check everything, make the run folder, train, measure, draw, report.

    Args:
        handshake: is called when the folder is there; nothing is left behind by what fails before.
            Default: as the request says.

    Raises:
        RecipeError, DataError: the recipe or the data cannot be used.
        UsageError: there can be no run folder.
    """
    with placed(request.recipe, request.overrides):
        if request.on == "slurm":
            return _send(request)
        return in_processes(request, lambda count: _train(request, handshake or shake_hands(request), count))


def _send(request: Train) -> int:
    """Send a run to SLURM; what is wrong with it is found here, and what it needs is fetched here."""
    from engine.data.phantom import ensure_phantom
    from engine.evaluation.start import rehearse_start
    from engine.studies.slurm import submit

    recipe = load_recipe(request.recipe, request.overrides, outside=request.allow_outside)
    refuse_uneven(recipe, request.nproc or request.nodes)
    root = data_root(request.data)
    ensure_phantom(recipe.data, root)
    dataset = open_dataset(recipe.data, recipe.task, root)
    rehearse_start(recipe, dataset, root, request.start, request.recipe.parent)
    job, log = submit(structs.replace(request, data=root), request.name or recipe.name)
    print(f"job {job}; what it says until its run begins is in {log}\nwatch it when it runs: medtui attach", flush=True)
    return 0


def _train(request: Train, handshake: Handshake, processes: int) -> int:
    overrides = (*request.overrides, f'name="{request.name}"') if request.name else request.overrides
    recipe = load_recipe(request.recipe, overrides, outside=request.allow_outside)
    refuse_uneven(recipe, processes)
    root = data_root(request.data)
    recipe, start = begin(recipe, request, root)
    dataset = open_checked(recipe, root, fits=False, start=start)
    network = build(recipe, dataset, root, start=start)
    refuse_dead(recipe, network.facts)
    folder = create(request.runs, recipe.name)
    if request.study:  # first of all: a study finds its members by it, whenever they are killed
        update_manifest(folder, study=request.study)
        keep_webhook(folder, stored_webhook(RunFolder(request.runs / str(request.study.get("id", "")))))
    if start:
        from engine.evaluation.start import keep_start

        keep_start(folder, recipe, start)
    write_text(folder.recipe, recipe_toml(recipe, network.facts))
    write_splits(folder, split_rows(dataset.cases))
    update_manifest(folder, **first_manifest(recipe, dataset, command_line()))
    update_manifest(folder, **facts_of(network, recipe, root))
    return work(folder, recipe, dataset, network, handshake, lock=take_lock(folder), resume=False)


def in_processes(request: Train | Resume, lead: Callable[[int], int], known: int = 1) -> int:
    """Do ``lead`` in the only process or in the first of several, and follow it in the others.

    Args:
        request: comes to the processes that are started here too.
        lead: takes the number of processes and gives the exit code.
        known: how many processes there are where neither the request nor a launcher says so.
    """
    launched = launched_place().world
    count = request.nproc or (launched if launched > 1 else known)
    if launched == 1 and count == 1:
        return lead(1)
    from engine.distributed import together
    from engine.training.follower import follow

    command = [request.command, encode(structs.replace(request, handshake=None, nproc=None))]
    return together(count, command, lambda: lead(count), follow)


def refuse_uneven(recipe: Recipe, count: int) -> None:
    """Look whether ``count`` processes can share the batches.

    Raises:
        RecipeError: they cannot.
    """
    size, near = recipe.train.batch_size, -(-recipe.train.batch_size // count) * count
    if size % count:
        fitting = ", ".join(str(n) for n in range(2, count) if size % n == 0)
        allowed = f"a multiple of {count}: --set train.batch_size={near}"
        allowed += f"; or --nproc {fitting}" if fitting else ""
        problem = Problem("recipe", f"found {size}, for {count} processes together", allowed, "train.batch_size")
        raise RecipeError(f"{count} processes cannot share this recipe:", problems=(problem,))


def begin(recipe: Recipe, request: Train | Check, root: Path) -> tuple[Recipe, Start | None]:
    """The weights to start from, if any, and the recipe that names them. Raises: MedtuiError: they cannot be read."""
    if request.start is None and recipe.model.weights is None:
        return recipe, None
    _load_torch()
    from engine.evaluation.start import find_start

    return find_start(recipe, request.start, request.recipe.parent, root)


def _load_torch() -> None:
    """What takes seconds is said."""
    if "torch" not in sys.modules:
        tell("loading PyTorch")
    with unwatched():
        import engine.network  # noqa: F401


def open_checked(recipe: Recipe, root: Path, *, fits: bool = True, start: Start | None = None) -> Dataset:
    """The dataset of a recipe, every case of it read once; progress goes to stderr.

    A phantom that is not there is made. Whether the network ``fits``, with the weights to ``start`` from, may be known
    already, or is of no interest.

    Raises:
        RecipeError: network, loss and data do not go together.
        DataError: with all that is wrong in the data.
    """
    from engine.data.phantom import ensure_phantom

    if made := ensure_phantom(recipe.data, root):
        tell(f"made an artificial data set: {made}")
    dataset = open_dataset(recipe.data, recipe.task, root)
    if not fits:
        _load_torch()
        from engine.evaluation.start import refuse_misfits

        refuse_misfits(recipe, dataset, root, start)
    return check_dataset(dataset, recipe.data, progress=show_progress("checking the data"))


def build(
    recipe: Recipe, dataset: Dataset, root: Path, precision: str | None = None, start: Start | None = None
) -> Network:
    """The untrained network of a recipe; memory that runs out is told with what to change."""
    from engine.device import memory_errors
    from engine.evaluation.start import start_network

    with memory_errors(memory_advice(recipe)):
        return start_network(recipe, dataset, root, start, precision)


def facts_of(network: Network, recipe: Recipe, root: Path) -> dict[str, Any]:
    """The manifest's entries on network and device."""
    from engine.distributed import world
    from engine.network import precision_of

    device = network.device
    gpu = device.name.partition(" ")[2] if device.device.type == "cuda" else None
    return {
        "model": {"name": recipe.model.name, "parameters": network.parameters, "output": network.kind}
        | ({"start": network.start} if network.start else {})
        | ({"counts": network.counts} if network.counts else {}),
        **({"started_from": dict(network.origin)} if network.origin else {}),
        "device": device.name,
        "precision": precision_of(device),  # for resume and evaluate: they compute as the run did
        "hardware": hardware_facts(gpu),
        "data_root": str(root.resolve()),  # for resume and evaluate; reports leave it out
        "processes": world(),
    }


def shake_hands(request: Train | Resume | Sweep) -> Handshake:
    """A handshake that tells the launcher's pipe the folder, and turns stdout and stderr to train.log."""
    descriptor = request.handshake

    def handshake(folder: RunFolder) -> None:
        if descriptor is None:
            print(printable(str(folder.root)), flush=True)
            return
        log = os.open(folder.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
        sys.stdout.flush()
        sys.stderr.flush()
        os.environ.pop(OVERWRITTEN, None)  # from here on nobody writes progress over in a file
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
        # A launcher that is gone by now, with its terminal, is no reason to give the run up.
        with contextlib.suppress(BrokenPipeError), os.fdopen(descriptor, "w") as pipe:
            pipe.write(json.dumps({"run": str(folder.root)}) + "\n")

    return handshake
