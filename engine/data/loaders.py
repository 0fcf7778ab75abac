"""Loaders by the recipe: batches for training and evaluation, volumes for the sliding window."""

import math
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from engine.console import tell
from engine.data.cache import CachedDataset
from engine.data.cases import Case, Dataset
from engine.data.daemons import Daemons
from engine.data.prepare import Prepared, normalise_image, prepare, resize_image, whole_volume
from engine.data.read import Floats, read_case, read_image
from engine.data.train_loader import Batch, CaseDataset, TrainLoader
from engine.distributed import neighbours
from engine.hardware import cores
from engine.recipe import AugmentTable, DataTable, RuntimeTable

__all__ = ["Batch", "EvalLoader", "TrainLoader", "build_train_loader", "iter_prepared"]

CACHE_SHARE = 0.5  # of the free memory, that cached cases may take
MAX_WORKERS = 8  # more loader processes than this are started only when the recipe says so


def build_train_loader(
    dataset: Dataset,
    data: DataTable,
    augment: AugmentTable,
    runtime: RuntimeTable,
    *,
    batch_size: int,
    seed: int,
    rank: int = 0,
    world: int = 1,
    notify: Callable[[int, int], None] | None = None,
    warn: Callable[[str], None] | None = None,
) -> TrainLoader:
    """The loader of the training split; fills its cache now.

    Args:
        dataset: checked by `check_dataset`.
        batch_size: samples in a batch of all processes together.
        rank: number of this process among ``world``.
        world: processes that train together; each gets its share of every batch.
        notify: called with (cases loaded, all cases) while the cache is filled.
        warn: called with a line for each case that broke since it was checked, where the recipe skips such.

    Raises:
        DataError: a case cannot be read.
    """
    cases = CachedDataset(dataset, dataset.split("train"), data, resize=augment.crop_scale == 1)
    cases.fill(data.cache, CACHE_SHARE / neighbours(), notify or (lambda _done, _total: None))
    own_size = math.ceil(batch_size / world)
    return TrainLoader(
        CaseDataset(cases, data, augment, seed, batch_size),
        warn,
        rank=rank,
        world=world,
        workers=_workers(runtime, cases, own_size, warn or tell),
        threads=max(1, min(cores(), own_size, MAX_WORKERS)),
        pin_memory=torch.cuda.is_available() and runtime.device.startswith(("auto", "cuda")),
    )


class EvalLoader:
    """The images of a split as the network sees them, in the order of their ids, read ahead by threads.

    The last batch may be smaller. With several processes, process ``rank`` gets every ``world``-th case.
    """

    def __init__(
        self, dataset: Dataset, table: DataTable, split: str, *, batch_size: int, rank: int = 0, world: int = 1
    ) -> None:
        self._dataset, self._table, self._batch_size = dataset, table, batch_size
        self._cases = dataset.split(split)[rank::world]

    def __len__(self) -> int:
        """Number of batches."""
        return math.ceil(len(self._cases) / self._batch_size)

    def __iter__(self) -> Iterator[Batch]:
        groups = [self._cases[i : i + self._batch_size] for i in range(0, len(self._cases), self._batch_size)]
        with Daemons(max(1, min(4, cores())), lambda: self._one) as pool:
            for group, made in zip(groups, pool.ahead(groups), strict=True):
                images = torch.from_numpy(np.stack(made))
                targets = torch.tensor([-1 if case.target is None else case.target for case in group])
                yield {"image": images, "label": targets, "id": [case.id for case in group]}

    def _one(self, case: Case) -> Floats:
        if self._dataset.spatial_dims == 3:
            return whole_volume(read_case(self._dataset, case), self._table)[0]
        return normalise_image(resize_image(read_image(self._dataset, case), self._table), self._table)


def iter_prepared(
    dataset: Dataset, data: DataTable, split: str, *, rank: int = 0, world: int = 1
) -> Iterator[Prepared]:
    """The volumes of ``split`` in the order of their ids; a thread reads the next one meanwhile.

    Raises:
        DataError: a case cannot be read.
    """

    def prepared_case(case: Case) -> Prepared:
        return prepare(read_case(dataset, case), data)

    with Daemons(1, lambda: prepared_case) as pool:
        for (prepared,) in pool.ahead([case] for case in dataset.split(split)[rank::world]):
            yield prepared


def _workers(runtime: RuntimeTable, cases: CachedDataset, batch_size: int, warn: Callable[[str], None]) -> int:
    """Loader processes: as the recipe says; "auto" leaves a core to the network and never takes more than there are.

    None where their batches have no room in shared memory: they would wait for it for ever.
    """
    batch_bytes = batch_size * cases.dataset.channels * math.prod(cases.table.size) * 12
    if runtime.workers != "auto":
        if runtime.workers and _shared_memory() < 2 * runtime.workers * batch_bytes:
            warn(f"runtime.workers = {runtime.workers} have no room for their batches in /dev/shm: threads make them")
            return 0
        return runtime.workers
    own = cores()
    if own <= 2 and (cases.complete or own < 2):
        return 0
    wanted = max(1, min(own - 1, MAX_WORKERS))
    return wanted if _shared_memory() > 4 * wanted * batch_bytes else 0


def _shared_memory() -> float:
    """Bytes free where loader processes hand over their batches; small in many containers."""
    place = Path("/dev/shm")  # noqa: S108  (only looked at)
    return shutil.disk_usage(place).free if place.is_dir() else float("inf")
