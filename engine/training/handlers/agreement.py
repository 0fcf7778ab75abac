"""Keeps the processes of a run at one step: process 0 decides, the others do as it does."""

import numpy as np
import torch
from ignite.engine import Engine, Events

from engine.distributed import broadcast, rank, world


class Agreement:
    """Tells the other processes after every iteration and epoch whether process 0 goes on.

    A paused process 0 keeps them waiting here. What the others draw from torch's global generator (random layers of
    packages; dropout is drawn together) depends on ``(seed, rank, iteration)`` alone: a checkpoint needs the state of
    process 0 only.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def attach(self, trainer: Engine) -> None:
        """Listen to iterations and epochs; attach after all others."""
        if world() == 1:
            return
        trainer.add_event_handler(Events.ITERATION_COMPLETED | Events.EPOCH_COMPLETED, self._agree)
        if rank():
            trainer.add_event_handler(Events.ITERATION_STARTED, self._draw)

    def _agree(self, trainer: Engine) -> None:
        trainer.should_terminate = broadcast(bool(trainer.should_terminate))

    def _draw(self, trainer: Engine) -> None:
        sequence = np.random.SeedSequence([self._seed, rank(), trainer.state.iteration])
        torch.manual_seed(int(sequence.generate_state(1)[0]))
