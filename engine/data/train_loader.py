"""The training batches of one process.

The sample k of epoch e depends on (seed, e, k) alone, so it is the same for any number of workers,
and an epoch can be taken up in its middle.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, NotRequired, TypedDict

import numpy as np
import torch
from torch.utils.data import Dataset as TorchDataset

from engine.data.cache import CachedDataset, Loaded, LoadedImage
from engine.data.order import SampleIndex, batch_count, batch_rng, batches, epoch_order, sample_rng
from engine.data.processes import Processes, Threads
from engine.data.samples import Transform
from engine.errors import DataError, Problem
from engine.recipe import AugmentTable, DataTable


class Sample(TypedDict):
    """One case of a batch."""

    image: torch.Tensor  # float32 (C, *size)
    label: torch.Tensor  # int64 (*size) or ()
    id: str
    skipped: list[tuple[str, str]]  # those that were left out, whose place this one took, and why


class Batch(TypedDict):
    """B cases."""

    image: torch.Tensor  # float32 (B, C, *size)
    label: torch.Tensor  # int64 (B, *size) or (B,)
    id: list[str]
    skipped: NotRequired[list[tuple[str, str]]]  # until the loader has said it


@dataclass(frozen=True, slots=True)
class _Failure:
    """A `DataError` on its way from a worker: exceptions lose their parts when they are sent."""

    message: str
    hint: str
    problems: tuple[Problem, ...]


@dataclass(eq=False)
class CaseDataset(TorchDataset[Any]):
    """`SampleIndex` -> one sample, or the failure to make it. Not for two threads at once; a copy by `replace` is."""

    cases: CachedDataset
    data: DataTable
    augment: AugmentTable
    seed: int
    batch_size: int  # of all processes together

    def __post_init__(self) -> None:
        self._sampler = Transform(self.data, self.augment, colour=self.cases.dataset.colour)

    def __getitem__(self, draw: SampleIndex) -> Sample | _Failure:
        rng = sample_rng(self.seed, draw)
        moves = batch_rng(self.seed, draw, self.batch_size) if self.augment.draw == "batch" else rng
        try:
            index, loaded, skipped = self._load(draw.case)
        except DataError as error:
            return _Failure(error.message, error.hint, error.problems)
        case = self.cases.cases[index]
        if isinstance(loaded, LoadedImage):
            image, label = self._sampler.picture(loaded, rng, moves), None
        else:
            image, label = self._sampler.volume(loaded, rng, moves)
        if label is None or not self.cases.dataset.dense:
            label = torch.tensor(-1 if case.target is None else case.target)
        return {"image": image, "label": label, "id": case.id, "skipped": skipped}

    def _load(self, index: int) -> tuple[int, Loaded, list[tuple[str, str]]]:
        """Case ``index``; where the recipe skips what cannot be read, the next one that can be.

        All cases were read before training: this is a file that broke since then.
        """
        skipped: list[tuple[str, str]] = []
        count = len(self.cases.cases)
        for place in range(index, index + count):
            try:
                return place % count, self.cases[place % count], skipped
            except DataError as error:
                if self.data.unreadable == "refuse" or place == index + count - 1:
                    raise
                text = "; ".join(map(str, error.problems)) or error.message
                skipped.append((self.cases.cases[place % count].id, text))
        raise AssertionError("no cases")


class TrainLoader:
    """The training batches of one process, epoch by epoch.

    Attributes:
        workers: loader processes; 0: threads of this process make the batches.
        cached: how many cases are kept in memory.
        samples: what its samples are made by.
    """

    def __init__(
        self,
        samples: CaseDataset,
        warn: Callable[[str], None] | None,
        *,
        rank: int,
        world: int,
        workers: int,
        threads: int,
        pin_memory: bool,
    ) -> None:
        """See `engine.data.loaders.build_train_loader`; ``threads`` make the batches where ``workers`` is 0."""
        self._warn = warn or (lambda _text: None)
        self._told: set[str] = set()
        self.workers = workers
        self.cached = len(samples.cases.kept)
        self.samples = samples
        self._rank, self._world = rank, world
        self._pin_memory = pin_memory
        self._closed = False
        self._maker: Threads[SampleIndex, Sample | _Failure] | Processes[SampleIndex, Batch | _Failure]
        if workers:
            self._maker = Processes(samples, _collate, workers, pin_memory=pin_memory)
        else:
            self._maker = Threads(threads, lambda: replace(samples).__getitem__)

    def __len__(self) -> int:
        """Batches an epoch."""
        count = len(self.samples.cases.cases) * self.samples.data.samples_per_case
        return batch_count(count, self.samples.batch_size)

    def epoch(self, epoch: int, first_batch: int = 0) -> Iterator[Batch]:
        """The batches of ``epoch`` (counted from 1) from ``first_batch`` (counted from 0) on.

        Raises:
            DataError: a case cannot be read any more; it names the file.
            RunError: a loader process was killed.
        """
        if self._closed:
            raise RuntimeError("the loader is closed")
        for batch in self._made(self._batches(epoch)[first_batch:]):
            if isinstance(batch, _Failure):
                raise DataError(batch.message, batch.hint, batch.problems)
            for case, text in batch.pop("skipped", ()):
                if case not in self._told:  # a file that changes while it is read is broken in several ways
                    self._told.add(case)
                    self._warn(f"left out, another case is taken in its place: {text}")
            yield batch

    def close(self) -> None:
        """End the loader's processes and threads. A closed loader has no more epochs."""
        self._closed = True
        self._maker.close()

    def _batches(self, epoch: int) -> list[list[SampleIndex]]:
        data = self.samples.data
        order = epoch_order(
            [case.target for case in self.samples.cases.cases],
            samples_per_case=data.samples_per_case,
            balance=data.balance == "class",
            seed=self.samples.seed,
            epoch=epoch,
            shuffle=data.shuffle,
        )
        return batches(order, epoch, self.samples.batch_size, self._rank, self._world)

    def _made(self, groups: list[list[SampleIndex]]) -> Iterator[Batch | _Failure]:
        if isinstance(self._maker, Processes):
            yield from self._maker.batches(groups)
            return
        for samples in self._maker.ahead(groups):  # the next are made while the network computes
            batch = _collate(samples)
            if self._pin_memory and not isinstance(batch, _Failure):
                batch |= {"image": batch["image"].pin_memory(), "label": batch["label"].pin_memory()}
            yield batch


def _collate(items: list[Sample | _Failure]) -> Batch | _Failure:
    if not items:  # of several processes, one that has no sample of a small last batch
        return {"image": torch.empty(0), "label": torch.empty(0), "id": []}
    made: list[Sample] = []
    for item in items:
        if isinstance(item, _Failure):
            return item
        made.append(item)
    return {
        "image": _stack(made, "image"),
        "label": _stack(made, "label"),
        "id": [item["id"] for item in made],
        "skipped": [text for item in made for text in item["skipped"]],
    }


def _stack(made: list[Sample], key: Literal["image", "label"]) -> torch.Tensor:
    """NumPy's stack: torch's goes through all threads for a plain copy, and was up to 20 times slower."""
    return torch.from_numpy(np.stack([item[key].numpy() for item in made]))
