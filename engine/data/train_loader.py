"""The training batches of one process.

The sample k of epoch e depends on (seed, e, k) alone, so it is the same for any number of workers,
and an epoch can be taken up in its middle.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from torch.utils.data import Sampler as BatchSampler

from engine.data.cache import Cases, Picture
from engine.data.order import Draw, batch_count, batches, epoch_order, sample_rng
from engine.data.samples import Sampler
from engine.data.threads import Threads
from engine.errors import DataError, Problem, RunError
from engine.recipe.tables import AugmentTable, DataTable

Batch: TypeAlias = dict[str, Any]
"""image float32 (B, C, *size); label int64 (B, *size) or (B,); id list of B strings."""


@dataclass(frozen=True, slots=True)
class _Failure:
    """A `DataError` on its way from a worker: exceptions lose their parts when they are sent."""

    message: str
    hint: str
    problems: tuple[Problem, ...]


class Samples(Dataset[Any]):
    """`Draw` -> one sample, or the failure to make it. Not for two threads at once; `copy` is."""

    def __init__(self, cases: Cases, data: DataTable, augment: AugmentTable, seed: int) -> None:
        self.cases = cases
        self.data = data
        self.augment = augment
        self.seed = seed
        self._sampler = Sampler(data, augment, task=cases.cohort.task)

    def copy(self) -> Samples:
        """The same over the same cases, with random transforms of its own."""
        return Samples(self.cases, self.data, self.augment, self.seed)

    def __getitem__(self, draw: Draw) -> Batch | _Failure:
        case = self.cases.cases[draw.case]
        rng = sample_rng(self.seed, draw)
        try:
            loaded = self.cases[draw.case]
        except DataError as error:
            return _Failure(error.message, error.hint, error.problems)
        if isinstance(loaded, Picture):
            target = -1 if case.target is None else case.target
            return {"image": self._sampler.picture(loaded, rng), "label": torch.tensor(target), "id": case.id}
        image, label = self._sampler.volume(loaded, rng)
        return {"image": image, "label": label, "id": case.id}


class _Plan(BatchSampler[list[Draw]]):
    """The batches that are to be made next; read by the loader in the main process."""

    def __init__(self) -> None:
        self.batches: list[list[Draw]] = []

    def __iter__(self) -> Iterator[list[Draw]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


class TrainLoader:
    """The training batches of one process, epoch by epoch.

    Attributes:
        workers: loader processes; 0: threads of this process make the batches.
        cached: how many cases are kept in memory.
    """

    def __init__(
        self,
        samples: Samples,
        *,
        batch_size: int,
        rank: int = 0,
        world: int = 1,
        workers: int = 0,
        threads: int = 1,
        pin_memory: bool = False,
    ) -> None:
        """See `engine.data.loaders.build_train_loader`; ``threads`` make the batches where ``workers`` is 0."""
        self.workers = workers
        self.cached = len(samples.cases.kept)
        self._samples = samples
        self._batch_size = batch_size
        self._rank, self._world = rank, world
        self._pin_memory = pin_memory
        self._plan = _Plan()
        self._closed = False
        self._threads: Threads[Draw, Batch | _Failure] | None = None
        self._loader: DataLoader[Any] | None = None
        if workers:
            self._loader = _processes(samples, self._plan, workers, pin_memory)
        else:
            self._threads = Threads(threads, lambda: samples.copy().__getitem__)

    def __len__(self) -> int:
        """Batches an epoch."""
        count = len(self._samples.cases.cases) * self._samples.data.samples_per_case
        return batch_count(count, self._batch_size, self._world)

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
            yield batch

    def close(self) -> None:
        """End the loader's processes and threads. A closed loader has no more epochs."""
        self._closed = True
        self._loader = None
        if self._threads is not None:
            self._threads.close()

    def _batches(self, epoch: int) -> list[list[Draw]]:
        data = self._samples.data
        order = epoch_order(
            [case.target for case in self._samples.cases.cases],
            samples_per_case=data.samples_per_case,
            balance=data.balance == "class",
            seed=self._samples.seed,
            epoch=epoch,
        )
        return batches(order, epoch, self._batch_size, self._rank, self._world)

    def _made(self, groups: list[list[Draw]]) -> Iterator[Batch | _Failure]:
        if self._threads is not None:
            for group in groups:
                batch = _collate(self._threads.map(group))
                if self._pin_memory and not isinstance(batch, _Failure):
                    batch |= {"image": batch["image"].pin_memory(), "label": batch["label"].pin_memory()}
                yield batch
            return
        self._plan.batches = groups
        iterator = iter(self._loader or ())
        while (made := _next(iterator)) is not None:
            yield made


def _collate(items: list[Batch | _Failure]) -> Batch | _Failure:
    made: list[Batch] = []
    for item in items:
        if isinstance(item, _Failure):
            return item
        made.append(item)
    return {"image": _stack(made, "image"), "label": _stack(made, "label"), "id": [item["id"] for item in made]}


def _stack(made: list[Batch], key: str) -> torch.Tensor:
    """NumPy's stack: torch's goes through all threads for a plain copy, and was up to 20 times slower."""
    return torch.from_numpy(np.stack([item[key].numpy() for item in made]))


def _worker(_number: int) -> None:
    """In a loader process: one thread; Ctrl-C is for the trainer; no signal handlers of the trainer's."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _processes(samples: Samples, plan: _Plan, workers: int, pin_memory: bool) -> DataLoader[Any]:
    """Loader processes that live as long as the loader; on Linux they share the cached cases with this one."""
    context = multiprocessing.get_context("fork") if sys.platform == "linux" else None
    return DataLoader(
        samples,
        batch_sampler=plan,
        num_workers=workers,
        collate_fn=_collate,
        pin_memory=pin_memory,
        persistent_workers=True,
        worker_init_fn=_worker,
        multiprocessing_context=context,
        generator=torch.Generator(),  # its own: the loader must not draw from torch's global one
    )


def _next(iterator: Iterator[Batch | _Failure]) -> Batch | _Failure | None:
    """The next batch of loader processes, None at the end; a killed process becomes a RunError."""
    try:
        return next(iterator, None)
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise RunError(
            f"a loader worker was killed (out of memory?): {str(error).splitlines()[0]}",
            'set runtime.workers = 0 or lower, or data.cache = "none"; in a container, raise its memory and /dev/shm',
        ) from None
