"""Batches for training and evaluation.

The sample k of epoch e depends on (seed, e, k) alone, so it is the same for any number of workers,
and an epoch can be taken up in its middle.
"""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info
from torch.utils.data import Sampler as BatchSampler

from engine.data.cache import Cases, Picture
from engine.data.cases import Case, Cohort
from engine.data.checks import cores
from engine.data.order import Draw, batch_count, batches, epoch_order, sample_rng
from engine.data.prepare import Prepared, normalise_image, prepare, resize_image
from engine.data.read import read_case, read_image
from engine.data.samples import Sampler
from engine.errors import DataError, Problem, RunError
from engine.recipe.tables import AugmentTable, DataTable, RuntimeTable

Batch: TypeAlias = dict[str, Any]
"""image float32 (B, C, *size); label int64 (B, *size) or (B,); id list of B strings."""

CACHE_SHARE = 0.5
"""Of the free memory, that cached cases may take."""
MAX_WORKERS = 8
"""More loader processes than this are started only when the recipe says so."""


@dataclass(frozen=True, slots=True)
class _Failure:
    """A `DataError` on its way from a worker: exceptions lose their parts when they are sent."""

    message: str
    hint: str
    problems: tuple[Problem, ...]


class _Samples(Dataset[Any]):
    """`Draw` -> one sample, or the failure to make it."""

    def __init__(self, cases: Cases, sampler: Sampler, seed: int) -> None:
        self.cases = cases
        self.sampler = sampler
        self.seed = seed

    def __getitem__(self, draw: Draw) -> Batch | _Failure:
        case = self.cases.cases[draw.case]
        rng = sample_rng(self.seed, draw)
        try:
            loaded = self.cases[draw.case]
        except DataError as error:
            return _Failure(error.message, error.hint, error.problems)
        with _one_thread():
            if isinstance(loaded, Picture):
                target = -1 if case.target is None else case.target
                return {"image": self.sampler.picture(loaded, rng), "label": torch.tensor(target), "id": case.id}
            image, label = self.sampler.volume(loaded, rng)
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
    """The training batches of one process, epoch by epoch."""

    def __init__(
        self, samples: _Samples, *, batch_size: int, rank: int, world: int, workers: int, pin_memory: bool
    ) -> None:
        self._samples = samples
        self._batch_size = batch_size
        self._rank, self._world = rank, world
        self._plan = _Plan()
        context = multiprocessing.get_context("fork") if workers and sys.platform == "linux" else None
        self.workers = workers
        self._loader: DataLoader[Any] | None = DataLoader(
            samples,
            batch_sampler=self._plan,
            num_workers=workers,
            collate_fn=_collate,
            pin_memory=pin_memory,
            persistent_workers=workers > 0,
            worker_init_fn=_worker if workers else None,
            multiprocessing_context=context,
            generator=torch.Generator(),  # its own: the loader must not draw from torch's global one
        )

    @property
    def cached(self) -> int:
        """How many cases are kept in memory."""
        return len(self._samples.cases.kept)

    def __len__(self) -> int:
        """Batches an epoch."""
        count = len(self._samples.cases.cases) * self._samples.sampler.table.samples_per_case
        return batch_count(count, self._batch_size, self._world)

    def epoch(self, epoch: int, first_batch: int = 0) -> Iterator[Batch]:
        """The batches of ``epoch`` (counted from 1) from ``first_batch`` (counted from 0) on.

        Raises:
            DataError: a case cannot be read any more; it names the file.
            RunError: a loader process was killed.
        """
        if self._loader is None:
            raise RuntimeError("the loader is closed")
        table = self._samples.sampler.table
        order = epoch_order(
            [case.target for case in self._samples.cases.cases],
            samples_per_case=table.samples_per_case,
            balance=table.balance == "class",
            seed=self._samples.seed,
            epoch=epoch,
        )
        self._plan.batches = batches(order, epoch, self._batch_size, self._rank, self._world)[first_batch:]
        iterator = iter(self._loader)
        while True:
            try:
                batch = next(iterator, None)
            except RuntimeError as error:
                if "DataLoader worker" not in str(error):
                    raise
                raise _killed(error) from None
            if batch is None:
                return
            if isinstance(batch, _Failure):
                raise DataError(batch.message, batch.hint, batch.problems)
            yield batch

    def close(self) -> None:
        """End the loader processes. A closed loader has no more epochs."""
        self._loader = None


def build_train_loader(
    cohort: Cohort,
    data: DataTable,
    augment: AugmentTable,
    runtime: RuntimeTable,
    *,
    batch_size: int,
    seed: int,
    rank: int = 0,
    world: int = 1,
    notify: Callable[[int, int], None] | None = None,
) -> TrainLoader:
    """The loader of the training split; fills its cache now.

    Args:
        cohort: checked by `check_cohort`.
        data: the recipe's [data].
        augment: the recipe's [augment].
        runtime: the recipe's [runtime].
        batch_size: samples in a batch of this process.
        seed: the recipe's seed.
        rank: number of this process among ``world``.
        world: processes that train together; each gets its share of every epoch.
        notify: called with (cases loaded, all cases) while the cache is filled.

    Raises:
        DataError: a case cannot be read.
    """
    cases = Cases(cohort, cohort.split("train"), data, resize=augment.crop_scale == 1)
    cases.fill(data.cache, CACHE_SHARE / world, notify or _silent)
    workers = _workers(runtime, cases, batch_size, world)
    return TrainLoader(
        _Samples(cases, Sampler(data, augment, task=cohort.task), seed),
        batch_size=batch_size,
        rank=rank,
        world=world,
        workers=workers,
        pin_memory=_pin(runtime),
    )


class EvalLoader:
    """The images of a split in the order of their ids, read ahead by threads; the last batch may be smaller."""

    def __init__(self, cohort: Cohort, cases: Sequence[Case], table: DataTable, batch_size: int, threads: int) -> None:
        self._cohort, self._cases, self._table = cohort, tuple(cases), table
        self._batch_size, self._threads = batch_size, threads

    def __len__(self) -> int:
        """Number of batches."""
        return math.ceil(len(self._cases) / self._batch_size)

    def __iter__(self) -> Iterator[Batch]:
        groups = [self._cases[i : i + self._batch_size] for i in range(0, len(self._cases), self._batch_size)]
        with ThreadPoolExecutor(max_workers=self._threads) as pool:
            ahead = [pool.submit(self._one, case) for group in groups[:1] for case in group]
            for index, group in enumerate(groups):
                now = ahead
                following = groups[index + 1] if index + 1 < len(groups) else ()
                ahead = [pool.submit(self._one, case) for case in following]
                images = torch.from_numpy(np.stack([future.result() for future in now]))
                targets = torch.tensor([-1 if case.target is None else case.target for case in group])
                yield {"image": images, "label": targets, "id": [case.id for case in group]}

    def _one(self, case: Case) -> Any:
        return normalise_image(resize_image(read_image(self._cohort, case), self._table), self._table)


def build_eval_loader(
    cohort: Cohort,
    data: DataTable,
    runtime: RuntimeTable,
    split: str,
    *,
    batch_size: int,
    rank: int = 0,
    world: int = 1,
) -> EvalLoader:
    """The images of ``split`` (classification), as the network sees them, without augmentation.

    With several processes, process ``rank`` gets every ``world``-th case.
    """
    del runtime  # threads that read ahead cost no memory worth a setting
    return EvalLoader(cohort, cohort.split(split)[rank::world], data, batch_size, max(1, min(4, cores() // world)))


def iter_prepared(cohort: Cohort, data: DataTable, split: str, *, rank: int = 0, world: int = 1) -> Iterator[Prepared]:
    """The volumes of ``split`` in the order of their ids; a thread reads the next one meanwhile.

    Raises:
        DataError: a case cannot be read.
    """
    cases = cohort.split(split)[rank::world]
    with ThreadPoolExecutor(max_workers=1) as pool:
        ahead = [pool.submit(_prepared, cohort, case, data) for case in cases[:1]]
        for index in range(len(cases)):
            now = ahead.pop()
            ahead += [pool.submit(_prepared, cohort, case, data) for case in cases[index + 1 : index + 2]]
            yield now.result()


def _prepared(cohort: Cohort, case: Case, data: DataTable) -> Prepared:
    return prepare(read_case(cohort, case), data)


def _workers(runtime: RuntimeTable, cases: Cases, batch_size: int, world: int) -> int:
    """Loader processes: as the recipe says; "auto" leaves a core to the network and never takes more than there are."""
    if runtime.workers != "auto":
        return runtime.workers
    own = cores() // world
    if own <= 2 and (cases.complete or own < 2):
        return 0
    wanted = max(1, min(own - 1, MAX_WORKERS))
    batch_bytes = batch_size * cases.cohort.channels * math.prod(cases.table.size) * 12
    return wanted if _shared_memory() > 4 * wanted * batch_bytes else 0


def _shared_memory() -> float:
    """Bytes free where loader processes hand over their batches; small in many containers."""
    place = Path("/dev/shm")  # noqa: S108  (only looked at)
    return shutil.disk_usage(place).free if place.is_dir() else float("inf")


def _pin(runtime: RuntimeTable) -> bool:
    return torch.cuda.is_available() and runtime.device.startswith(("auto", "cuda"))


def _collate(items: list[Batch | _Failure]) -> Batch | _Failure:
    made: list[Batch] = []
    for item in items:
        if isinstance(item, _Failure):
            return item
        made.append(item)
    return {
        "image": torch.stack([item["image"] for item in made]),
        "label": torch.stack([item["label"] for item in made]),
        "id": [item["id"] for item in made],
    }


def _worker(_number: int) -> None:
    """In a loader process: one thread; Ctrl-C is for the trainer; no signal handlers of the trainer's."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """One thread for torch's kernels: sums come out the same here as in a loader process."""
    threads = torch.get_num_threads()
    if get_worker_info() is not None or threads == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _killed(error: RuntimeError) -> RunError:
    text = str(error).split("\n")[0]
    return RunError(
        f"a loader worker was killed (out of memory?): {text}",
        'set runtime.workers = 0 or lower, or data.cache = "none"; in a container, raise its memory and /dev/shm',
    )


def _silent(_done: int, _total: int) -> None:
    """Nobody listens."""
