"""The batches of a training, epoch after epoch."""

import math
from collections.abc import Iterator

from ignite.engine import Engine

from engine.data.loaders import Batch, TrainLoader
from engine.errors import MedtuiError


class EpochStream:
    """Endless groups of ``accumulate`` batches, epoch after epoch, from wherever the trainer is.

    Ignite keeps one iterator over all epochs, so the end of an epoch is no end of the data. The
    place is read when the first group is asked for: then a resumed trainer knows its iteration.
    """

    def __init__(self, loader: TrainLoader, accumulate: int) -> None:
        self.loader = loader
        self.accumulate = accumulate
        self.trainer: Engine | None = None
        self.broken = False  # what ended training came from the loader

    def __len__(self) -> int:
        return math.ceil(len(self.loader) / self.accumulate)

    def __iter__(self) -> Iterator[list[Batch]]:
        done = 0 if self.trainer is None else int(self.trainer.state.iteration)
        epoch, group = divmod(done, len(self))
        while True:
            yield from self._groups(epoch + 1, group)
            epoch, group = epoch + 1, 0

    def _groups(self, epoch: int, group: int) -> Iterator[list[Batch]]:
        batches: list[Batch] = []
        left = len(self.loader) - group * self.accumulate
        for batch in self._fetched(epoch, group * self.accumulate):
            batches.append(batch)
            left -= 1
            if len(batches) == self.accumulate or left == 0:
                yield batches
                batches = []

    def _fetched(self, epoch: int, first: int) -> Iterator[Batch]:
        source = self.loader.epoch(epoch, first)
        while True:
            try:
                batch = next(source, None)
            except MedtuiError:
                self.broken = True
                raise
            if batch is None:
                return
            yield batch
