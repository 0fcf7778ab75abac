"""What processes other than the first do in a run: their share of the computing, and no writing."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from engine.checkpoint import Content, StateDict, load_weights
from engine.data import Dataset
from engine.device import memory_errors
from engine.distributed import broadcast, use_device, world
from engine.events import Event
from engine.hardware import launched_place
from engine.network import Network, build_network, precision_of
from engine.recipe import Recipe, memory_advice
from engine.runfolder import RunFolder
from engine.training.loop import build_training
from engine.training.session import Session
from engine.training.testing import test


class _Nothing:
    """Stands where a process that writes nothing has no writer, no board and no desk."""

    stop = ""

    def __getattr__(self, _name: str) -> Callable[..., None]:
        return lambda *_, **__: None


class Follower(Session):
    """The session of a process that leaves all that is written and asked for to process 0."""

    def __init__(self, folder: RunFolder, recipe: Recipe, dataset: Dataset) -> None:
        nothing: Any = _Nothing()
        super().__init__(folder, recipe, dataset, nothing, nothing, nothing, lock=-1, health=nothing)

    def emit(self, event: Event) -> None:
        """Nothing is written."""

    def progress(self, phase: str, done: int, total: int) -> None:
        """Nobody is asked."""


@dataclass(frozen=True, slots=True)
class _Job:
    """What process 0 knows when it begins to train."""

    folder: Path
    recipe: Recipe
    dataset: Dataset
    precision: str
    weights: StateDict
    gpus: bool  # whether each process has a GPU of its own
    logged: bool  # whether the output of process 0 is train.log


def share(session: Session, network: Network) -> None:
    """Tell the other processes what they take part in. `follow` hears it."""
    if world() == 1:
        return
    log = session.folder.log
    logged = log.exists() and os.path.samestat(os.fstat(2), log.stat())
    weights = {name: value.cpu() for name, value in network.model.state_dict().items()}
    gpus = network.device.device == torch.device("cuda")
    precision = precision_of(network.device)
    broadcast(_Job(session.folder.root, session.recipe, session.dataset, precision, weights, gpus, logged))
    use_device(torch.device("cuda", launched_place().local) if gpus else None)


def follow() -> None:
    """Take part in the run of process 0, from its network to the test."""
    nothing: Any = None
    job: _Job = broadcast(nothing)
    folder = RunFolder(job.folder)
    if job.logged:
        log = os.open(folder.log, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW)
        os.dup2(log, 1)
        os.dup2(log, 2)
    recipe = job.recipe.bare()
    if job.gpus:
        runtime = recipe.runtime.model_copy(update={"device": f"cuda:{launched_place().local}"})
        recipe = recipe.model_copy(update={"runtime": runtime})
    with memory_errors(memory_advice(recipe)):
        network = build_network(recipe, job.dataset, Path(), job.precision)
        load_weights(network.model, job.weights, "the network")
        use_device(network.device.device if job.gpus else None)
        session = Follower(folder, recipe, job.dataset)
        training = build_training(session, network)
        content: Content | None = broadcast(nothing)
        if content is not None:
            training.restore(content)
        try:
            if not training.ended():
                training.run()
        finally:
            training.stream.loader.close()
        if broadcast(nothing):
            test(session, network)
