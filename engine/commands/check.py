"""``medtui check``: everything but training."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from engine.commands.train import begin, open_checked, refuse_uneven
from engine.data import Dataset, data_root
from engine.data.survey import Survey, survey
from engine.errors import RecipeError, counted, millions, printable
from engine.events import portable
from engine.recipe import Recipe, load_recipe, memory_advice, placed, refuse_dead
from engine.requests import Check

if TYPE_CHECKING:
    from engine.data.train_loader import TrainLoader
    from engine.models.weights import Start
    from engine.network import Network

_PROFILED_MINUTES = 10.0  # as if training took so long: some seconds of steps are measured


def check(request: Check) -> int:
    """Check recipe and data, then train on one batch that is thrown away; print what was found.

    ImageNet weights that are not here and cannot be fetched now are a note, not an error: the batch is
    run without them.

    Raises:
        RecipeError, DataError: as ``run`` would.
        RunError: the step fails (memory, a loss that is not finite).
    """
    with placed(request.recipe, request.overrides):
        return _check(request)


def _check(request: Check) -> int:
    from engine.device import memory_errors
    from engine.training.doubts import doubts

    recipe = load_recipe(request.recipe, request.overrides, outside=request.allow_outside)
    processes = request.nproc or 1
    refuse_uneven(recipe, processes)
    if not request.json:
        _say("recipe", f"{recipe.name}: {recipe.task}, {recipe.model.name}, {recipe.loss.name}")
    root = data_root(request.data)
    recipe, start = begin(recipe, request, root)
    dataset = open_checked(recipe, root, fits=request.json, start=start)
    found = survey(dataset, recipe.data)
    if request.json:
        print(json.dumps(portable(msgspec.to_builtins(found)), indent=1))
        return 0
    words = ", ".join(f"{n} {split}" for split, n in found.cases.items() if n)
    _say("data", f"{dataset.name}: {words}; classes {', '.join(dataset.classes)}")
    _found(found)
    for note in doubts(recipe, len(dataset.split("train"))):
        _say("", note, "note")
    with memory_errors(memory_advice(recipe)):
        network = _network(recipe, dataset, root, start)
        refuse_dead(recipe, network.facts)
        _say("model", f"{recipe.model.name}, {millions(network.parameters)} weights, on {network.device.name}")
        if network.start:
            _say("weights", network.start)
        for doubt in network.doubts:
            _say("", doubt, "note")
        if network.device.reason:
            _say("amp", network.device.reason)
        _step(recipe, dataset, network, processes)
        if recipe.train.minutes is not None or request.profile:
            _pace(recipe, dataset, network, profile=request.profile)
    _memory(network)
    return 0


def _found(found: Survey) -> None:
    for split, classes in found.classes.items():
        _say("", f"{split}: cases of each class: {', '.join(f'{name} {n}' for name, n in classes.items())}")
    channels = f", {counted(found.channels, 'channel')}" if found.channels > 1 else ""
    _say("sizes", " x ".join(map(_range, found.sizes)) + channels)
    if found.spacings:
        _say("spacing", " x ".join(map(_range, found.spacings)) + " mm")
    if found.orientations:
        _say("axes", ", ".join(f"{name} {count}" for name, count in found.orientations.items()))
    low, mean, high = found.values
    _say("values", f"{low:.4g} to {high:.4g}, mean {mean:.4g}")
    cases = counted(sum(found.cases.values()), "case")
    known = f"{counted(found.groups, 'group')}, known for {found.grouped} of {cases}"
    _say("groups", known if found.groups else "none known: cases of one patient may be in two splits")
    if found.round_trip:
        parts = ", ".join(f"{name} {value:.3f}" for name, value in found.round_trip.items())
        _say("truth", f"Dice after resampling to data.spacing and back: {parts}")
    if found.known:
        least, median, most = (f"{share:.1%}" for share in found.known)
        _say("known", f"the truth of {median} of the voxels of a case in the median ({least} to {most})")
    for note in found.notes:
        _say("", note, "note")
    for advice in found.advice:
        _say("", f"{advice.what}; {advice.remedy}", "note")


def _range(values: tuple[float, float, float]) -> str:
    low, high = f"{values[0]:.4g}", f"{values[2]:.4g}"
    return low if low == high else f"{low} to {high}"


def _say(what: str, words: str, state: str = "ok") -> None:
    # Progress on stderr ends with a carriage return: on a terminal this line begins where it began.
    clear = "\r\x1b[K" if sys.stdout.isatty() else ""
    print(f"{clear}{what:9}{state:5}{printable(words)}", flush=True)


def _network(recipe: Recipe, dataset: Dataset, root: Path, start: Start | None) -> Network:
    from engine.evaluation.start import start_network

    try:
        return start_network(recipe, dataset, root, start)
    except RecipeError as error:
        if [problem.key for problem in error.problems] != ["model.pretrained"]:
            raise
        _say("weights", f"{error.problems[0].what}. {error.hint}", "note")
        return start_network(recipe.bare(), dataset, root, None)


def _step(recipe: Recipe, dataset: Dataset, network: Network, processes: int) -> None:
    """One optimizer step, or the share of one of ``processes``, with a loader that neither caches nor starts any."""
    import torch

    from engine.data.loaders import build_train_loader
    from engine.training.engines import build_step, make_trainer
    from engine.training.stream import EpochStream

    data = recipe.data.model_copy(update={"cache": "none"})
    runtime = recipe.runtime.model_copy(update={"workers": 0})
    size, seed = recipe.train.batch_size, recipe.seed
    loader = build_train_loader(dataset, data, recipe.augment, runtime, batch_size=size, seed=seed, world=processes)
    stream = EpochStream(loader, recipe.train.accumulate)
    step = build_step(recipe, network, dataset.labels, len(stream))
    batches = next(iter(stream))
    start = time.perf_counter()
    output = step(make_trainer(step, stream), batches)
    seconds = time.perf_counter() - start
    loader.close()
    steps = counted(len(stream), "step")
    _say("batch", f"{counted(output.cases, 'case')} in {seconds:.2f} s, loss {output.loss:.4g}; {steps} an epoch")
    if processes > 1:
        _say("nproc", f"this was the share of one of {processes} processes; each needs its own memory and cases")
        gpus = torch.cuda.device_count()
        if network.device.device.type == "cuda" and gpus < processes:
            _say("", f"this machine has {counted(gpus, 'GPU')}: --nproc {gpus}, or more machines", "note")
        if recipe.augment.mixup or recipe.augment.cutmix:
            _say("", "augment.mixup and cutmix mix the cases of one process only", "note")


def _pace(recipe: Recipe, dataset: Dataset, network: Network, *, profile: bool) -> None:
    """What ``run`` would make of train.minutes, by its own loader, cache and measurement; where the time goes."""
    from engine.data.loaders import build_train_loader
    from engine.training.pace import measure_pace
    from engine.training.profile import Stopwatch
    from engine.training.stream import EpochStream

    start = time.monotonic()
    size, seed, minutes = recipe.train.batch_size, recipe.seed, recipe.train.minutes
    loader = build_train_loader(dataset, recipe.data, recipe.augment, recipe.runtime, batch_size=size, seed=seed)
    stream, watch = EpochStream(loader, recipe.train.accumulate), Stopwatch(network.device) if profile else None
    try:
        pace = measure_pace(recipe, network, dataset, stream, minutes or _PROFILED_MINUTES, clock=watch)
        if minutes is not None:
            _say("epochs", pace.words(minutes, pace.epochs(minutes, time.monotonic() - start)))
        if watch:
            _say("profile", f"{pace.step_s:.3g} s a step, {pace.epoch_s:.3g} s an epoch, validation included")
            _profile(recipe, network, loader, dict(watch.shares()))
    finally:
        loader.close()


def _profile(recipe: Recipe, network: Network, loader: TrainLoader, shares: dict[str, float]) -> None:
    from engine.training.profile import advice, augmentation_seconds

    for part, share in shares.items():
        _say("", f"{share:6.1%}  {part}")
    whole, adds = augmentation_seconds(loader.samples)
    words = ", ".join(f"{name} {1e3 * seconds:.3g}" for name, seconds in adds) or "nothing is changed at random"
    _say("sample", f"{1e3 * whole:.3g} ms of one core for each; of these: {words}")
    dearest, complete = adds[0][0] if adds else "", loader.samples.cases.complete
    for text in advice(recipe, network.device, shares, dearest, cached=complete, workers=loader.workers):
        _say("", text, "note")


def _memory(network: Network) -> None:
    import torch

    device = network.device.device
    if device.type == "cuda":
        peak = torch.cuda.max_memory_allocated(device) / 2**30
        total = torch.cuda.get_device_properties(device).total_memory / 2**30
        _say("memory", f"{peak:.2f} of {total:.1f} GiB on the GPU")
    else:
        _say("memory", f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB at the peak")
