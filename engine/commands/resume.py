"""``medtui resume``: a run goes on from its last checkpoint, in its own folder or forked into a new one."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from engine import runfolder
from engine.commands.train import build, facts_of, in_processes, open_checked, refuse_uneven, shake_hands
from engine.commands.work import Handshake, work
from engine.data import SPLITS, data_root, fingerprint
from engine.data.identity import changed, fingerprint_of_test, split_rows
from engine.errors import DataError, Problem, RecipeError, RunError, UsageError
from engine.readers.fold import read_view
from engine.recipe import Recipe, load_run_recipe, parse_recipe, recipe_toml, toml_value
from engine.requests import Resume
from engine.toml import flat
from engine.training.manifest import command_line, first_manifest
from engine.training.webhook import keep_webhook, stored_webhook

if TYPE_CHECKING:
    from engine.checkpoint import Content
    from engine.network import Network

_STREAM = 1 << 30
_MOST = 64  # processes that a manifest, which may be a stranger's, can start
_FREE = ("runtime.", "figures.", "train.checkpoint_", "name", "description")
"""Keys that may change when a run goes on: none of them changes what is learned."""
_NOT_COMPARED = (
    "whether the data is what the run began on is not known: an earlier version began it, and kept no hashes of cases"
)
_CHOICE = ("data.", "evaluate.", "loss.", "train.monitor", "train.validate_every")
"""Keys that change what "best so far" means: a fork that changes one of them begins to look for it anew."""


def resume(request: Resume, handshake: Handshake | None = None) -> int:
    """Go on with a run that stopped, failed or was lost, from its last checkpoint; or fork it.

    Nothing in the folder is changed before all that can be refused has been looked at.

    Args:
        handshake: is called when training is about to begin; default: as the request says.

    Raises:
        RunError: it is alive, or finished, or its checkpoint is damaged.
        RecipeError: the overrides, or a recipe.toml that was changed, would make it another run.
        DataError: the data is not what the run was trained on.
    """
    if runfolder.RunFolder(request.run).is_study:
        raise UsageError(f"{request.run.name} is a study", "go on with it by: medtui resume, which knows studies")
    do = _fork if request.fork else _go_on
    known = min(max(1, runfolder.read_manifest(runfolder.RunFolder(request.run)).processes), _MOST)
    return in_processes(request, lambda count: do(request, handshake or shake_hands(request), count), known)


def _go_on(request: Resume, handshake: Handshake, processes: int) -> int:
    from engine.evaluation.start import find_start

    folder, overrides = runfolder.RunFolder(request.run), request.overrides
    _refuse_live(folder, take=request.take)
    lock = runfolder.take_lock(folder)
    try:
        _refuse_live(folder, take=request.take, held=True)  # whoever held the lock until now may have gone on with it
        _refuse_gone(folder)
        recipe = _same_recipe(folder, overrides)
        refuse_uneven(recipe, processes)
        manifest = runfolder.read_manifest(folder)
        root = data_root(request.data or _remembered_root(manifest))
        dataset = open_checked(recipe, root)
        known = [row for row in runfolder.read_splits(folder) if row.split in SPLITS]
        what = changed(known, split_rows(dataset.cases)) if known else ""
        if known and not what and manifest.data.fingerprint not in {"", fingerprint(dataset)}:
            what = "its spacings, groups or classes differ"
        if what:
            raise DataError(
                f"the data in {root / recipe.data.root} is not that of {folder.id}: {what}",
                "bring the old data back, name it with --data, or begin a new run from here: medtui resume --fork",
            )
        begun = folder.last.exists()  # then the weights that it started from are not needed again
        start = None if begun else find_start(recipe, None, folder.root, root)[1]
        network = build(recipe.bare() if begun else recipe, dataset, root, manifest.precision, start)
        if overrides:
            runfolder.write_text(folder.recipe, recipe_toml(recipe, network.facts))
        if not manifest.data.fingerprint:  # it was killed before its manifest was written
            runfolder.update_manifest(folder, **first_manifest(recipe, dataset, command_line()))
        if not known:
            if manifest.data.fingerprint:
                network = replace(network, doubts=(*network.doubts, _NOT_COMPARED))
            runfolder.write_splits(folder, split_rows(dataset.cases))
            prints = {"fingerprint": fingerprint(dataset), "test_fingerprint": fingerprint_of_test(dataset)}
            runfolder.update_manifest(folder, data=prints)  # before, it was of names and sizes
        now = facts_of(network, recipe, root)
        earlier = _earlier(manifest, now)
        runfolder.update_manifest(folder, sessions=manifest.sessions + 1, measured=False, earlier=earlier, **now)
    except BaseException:
        runfolder.release_lock(lock)
        raise
    return work(folder, recipe, dataset, network, handshake, lock=lock, resume=True)


def _earlier(manifest: runfolder.Manifest, now: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The machines of the sessions before, but for the one that the run goes on with."""
    machines = [*manifest.earlier, runfolder.Machine(hardware=manifest.hardware, device=manifest.device)]
    here = msgspec.convert({name: now[name] for name in ("hardware", "device")}, runfolder.Machine)
    found = [machine for machine in machines if machine.device and machine != here]
    return [msgspec.to_builtins(machine) for at, machine in enumerate(found) if machine not in found[:at]]


def _fork(request: Resume, handshake: Handshake, processes: int) -> int:
    """Begin a new run at the last checkpoint of another one, with a recipe that may differ from its own.

    The new folder, beside the old one, gets the checkpoint, best.pt, and the stream up to there. Weights,
    the optimizer's memory and the place in training come from the checkpoint; every setting comes from
    the recipe. The old run is not touched, and may be alive or finished.
    """
    from engine.evaluation.start import find_start, keep_start

    folder = runfolder.RunFolder(request.run)
    recipe = _recipe_of_fork(request, folder)
    refuse_uneven(recipe, processes)
    content, best = _one_moment(folder)
    root = data_root(request.data or _remembered_root(runfolder.read_manifest(folder)))
    dataset = open_checked(recipe, root)
    recipe, start = find_start(recipe, None, folder.root, root)
    network = build(recipe.bare(), dataset, root)
    _refuse_weights(folder, network, content)
    changed = _differing(load_run_recipe(folder.recipe), recipe)
    new = runfolder.create(folder.root.parent, recipe.name)
    keep_webhook(new, stored_webhook(folder))
    keep_start(new, recipe, start)
    content["recipe"] = recipe_toml(recipe, network.facts)
    runfolder.write_text(new.recipe, content["recipe"])
    _copy_stream(folder, new, content)
    _write_checkpoints(new, content, best, folder.id, changed)
    runfolder.write_splits(new, split_rows(dataset.cases))
    runfolder.update_manifest(new, **first_manifest(recipe, dataset, command_line()))
    runfolder.update_manifest(new, **facts_of(network, recipe, root))
    origin = {"run": folder.id, "epoch": content["epoch"], "iteration": content["iteration"], "changed": changed}
    runfolder.update_manifest(new, forked_from=origin)
    return work(new, recipe, dataset, network, handshake, lock=runfolder.take_lock(new), resume=True)


def _recipe_of_fork(request: Resume, folder: runfolder.RunFolder) -> Recipe:
    named = (*request.overrides, f'name="{request.name}"') if request.name else request.overrides
    recipe = load_run_recipe(folder.recipe, named)
    if recipe.train.minutes is not None:
        allowed = "train.epochs: those behind it count too"
        problem = Problem("--set", "a fork goes on inside a training of known length", allowed, "train.minutes")
        raise RecipeError(f"{folder.id} cannot be forked with this recipe:", problems=(problem,))
    return recipe


def _refuse_weights(folder: runfolder.RunFolder, network: Network, content: Content) -> None:
    from engine.checkpoint import load_weights

    try:
        load_weights(network.model, content["model"], "last.pt")
    except RunError as error:
        raise UsageError(
            f"the weights of {folder.id} do not fit this recipe: {error.message}",
            "a fork keeps the network: change no [model] keys and no classes, or start a new run",
        ) from error


def _write_checkpoints(
    new: runfolder.RunFolder, content: Content, best: Content | None, origin: str, changed: Sequence[str]
) -> None:
    """last.pt and, where "best so far" still means the same, best.pt."""
    from engine.checkpoint import save_checkpoint

    for own in ("early", "clock"):  # patience and time of a new run begin anew
        content["parts"].pop(own, None)
    if best is None or any(key.startswith(_CHOICE) for key in changed):
        content["parts"].pop("best", None)
    else:
        save_checkpoint(new.best, best)
    content["forked"] = {"run": origin, "optimizer": "optimizer.name" not in changed}
    save_checkpoint(new.last, content)


def _one_moment(folder: runfolder.RunFolder) -> tuple[Content, Content | None]:
    """last.pt, and the best.pt that it knows of; None where there is no such.

    A live trainer replaces one after the other, so that they may have to be read again.
    """
    from engine.checkpoint import load_checkpoint

    for pause_s in (0.1, 0.5, 2.0, 0.0):
        content = load_checkpoint(folder.last)
        best = load_checkpoint(folder.best) if folder.best.exists() else None
        parts = content.get("parts")
        if not isinstance(parts, dict) or not isinstance(parts.get("best"), dict):
            raise RunError("last.pt is damaged: it holds no state of the training")
        if best is None or best.get("iteration") == parts["best"].get("iteration"):
            return content, best
        time.sleep(pause_s)
    return content, None


def _refuse_gone(folder: runfolder.RunFolder) -> None:
    """Raises: UsageError: last.pt was written and is not there; from the beginning, the stream would be cut."""
    saved = () if folder.last.exists() else read_view(folder.events).checkpoints
    if written := [each for each in saved if folder.root / each.path == folder.last]:
        raise UsageError(
            f"{folder.id} came to epoch {written[-1].epoch}, but checkpoints/last.pt is gone",
            f"put it back, or train again: medtui run {folder.recipe}"
            + ("; best.pt still serves evaluate and predict" if folder.best.exists() else ""),
        )


def _refuse_live(folder: runfolder.RunFolder, *, take: bool, held: bool = False) -> None:
    status = runfolder.read_status(folder, held=held)
    if status.state == "silent" and not take:
        raise UsageError(f"{folder.id}: {status.message}", status.hint)
    if status.state not in {*runfolder.ENDED, "silent"}:
        raise UsageError(f"{folder.id} is {status.state}", f"watch it with: medtui attach {folder.address}")
    if status.state == "finished":
        raise UsageError(
            f"{folder.id} is finished",
            f"train it longer in a run of its own: medtui resume {folder.address} --fork --set train.epochs=...",
        )


def _remembered_root(manifest: runfolder.Manifest) -> Path | None:
    known = manifest.data_root
    return Path(known) if known and not os.environ.get("MEDTUI_DATA") else None


def _same_recipe(folder: runfolder.RunFolder, overrides: Sequence[str]) -> Recipe:
    """The recipe to go on with: it may differ from the one in last.pt in `_FREE` keys only."""
    from engine.checkpoint import load_checkpoint

    recipe = load_run_recipe(folder.recipe, overrides)
    before = load_run_recipe(folder.recipe) if overrides else recipe
    if folder.last.exists():
        text = load_checkpoint(folder.last).get("recipe")
        if isinstance(text, str):
            before = parse_recipe(text, "the recipe in last.pt", outside=True, stored=True)
    differing = [key for key in _differing(before, recipe) if not key.startswith(_FREE)]
    if not differing:
        return recipe
    old, new = flat(before.model_dump()), flat(recipe.model_dump())
    where = "--set" if overrides else folder.recipe.name
    values = {key: [said.get(key) for said in (new, old)] for key in differing}
    words = {key: ["nothing" if value is None else toml_value(value) for value in pair] for key, pair in values.items()}
    found = {key: " in place of ".join(pair) for key, pair in words.items()}
    problems = tuple(Problem(where, what, "as it was", key) for key, what in found.items())
    hint = f"begin a new run from its checkpoint: medtui resume {folder.address} --fork --set ..."
    raise RecipeError(f"{folder.id} cannot go on with another recipe:", hint, problems)


def _differing(before: Recipe, after: Recipe) -> list[str]:
    old, new = flat(before.model_dump()), flat(after.model_dump())
    return [key for key in {**old, **new} if old.get(key) != new.get(key)]


def _copy_stream(old: runfolder.RunFolder, new: runfolder.RunFolder, content: Content) -> None:
    """The stream of ``old`` up to its checkpoint, so that the curves of the fork begin where they began."""
    place = content.get("stream")
    if not (isinstance(place, list) and len(place) == 2 and isinstance(place[1], int) and 0 <= place[1] <= _STREAM):
        raise RunError("last.pt is damaged: it names no place in the stream")
    with runfolder.open_regular(old.events) as stream:
        runfolder.write_bytes(new.events, stream.read(place[1]))
