"""Loaders: the same samples for any number of workers, from any batch on, on every rank."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.data import Dataset, loaders, open_dataset
from engine.data.loaders import EvalLoader, build_train_loader, iter_prepared
from engine.data.order import batch_count, batches, epoch_order
from engine.data.processes import Threads
from engine.errors import DataError, RunError
from engine.recipe import AugmentTable, DataTable, RuntimeTable
from tests.phantoms import TASKS, data_table, phantom_root

VOLUME_CHANGES = AugmentTable(
    rotate_degrees=15.0, scale=0.1, translate=0.05, affine_probability=0.7, flip=(0, 1, 2), noise=0.1, blur=0.8,
    brightness=0.2, contrast=0.2, gamma=0.3,
)  # fmt: skip
IMAGE_CHANGES = AugmentTable(
    rotate_degrees=20.0, scale=0.1, flip=(0, 1), rotate90=True, crop_scale=0.6, noise=0.05, blur=0.7, brightness=0.2,
    contrast=0.2, saturation=0.3, gamma=0.2,
)  # fmt: skip
CROP_CHANGES = VOLUME_CHANGES.model_copy(update={"flip": (0, 1), "saturation": 0.3})
CHANGES = {
    "left_atrium": VOLUME_CHANGES,
    "hippocampus": VOLUME_CHANGES,
    "isic2018": IMAGE_CHANGES,
    "lesions": CROP_CHANGES,
}
TABLES: dict[str, dict[str, Any]] = {
    "left_atrium": {"crop": "foreground", "samples_per_case": 2, "size": (24, 24, 24)},
    "hippocampus": {"size": (24, 40, 24), "crop": "random"},
    "isic2018": {"balance": "class"},
    "lesions": {"crop": "foreground", "samples_per_case": 2, "size": (40, 48)},
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("data")
    for name, cases in (("left_atrium", 8), ("hippocampus", 9), ("isic2018", 50), ("lesions", 9)):
        phantom_root(place, name, cases=cases)
    return place


def opened(root: Path, name: str, **changes: Any) -> tuple[Dataset, DataTable]:
    table = data_table(name, **{**TABLES[name], **changes})
    return open_dataset(table, TASKS[name], root), table


def epoch(
    root: Path, name: str, *, number: int = 3, first: int = 0, workers: int = 0, seed: int = 7, **changes: Any
) -> list[dict[str, Any]]:
    dataset, table = opened(root, name, **changes)
    runtime = RuntimeTable(workers=workers, device="cpu")
    loader = build_train_loader(dataset, table, CHANGES[name], runtime, batch_size=3, seed=seed)
    try:
        made = list(loader.epoch(number, first))
        assert len(made) == len(loader) - first
        return made
    finally:
        loader.close()


def assert_same(found: Sequence[dict[str, Any]], wanted: Sequence[dict[str, Any]]) -> None:
    assert [batch["id"] for batch in found] == [batch["id"] for batch in wanted]
    for one, other in zip(found, wanted, strict=True):
        assert torch.equal(one["image"], other["image"])
        assert torch.equal(one["label"], other["label"])


@pytest.mark.parametrize("name", TASKS)
def test_workers_threads_and_the_cache_change_nothing(root: Path, name: str) -> None:
    wanted = epoch(root, name)
    image, label = wanted[0]["image"], wanted[0]["label"]
    _, table = opened(root, name)
    assert image.shape == (3, 3 if len(table.size) == 2 else 1, *table.size)
    assert image.dtype == torch.float32
    assert label.dtype == torch.int64
    assert image.isfinite().all()
    threads = torch.get_num_threads()
    try:
        for workers, kernels, cache in ((1, 1, "auto"), (3, 2, "none"), (0, 2, "memory"), (0, 1, "none")):
            torch.set_num_threads(kernels)
            assert_same(epoch(root, name, workers=workers, cache=cache), wanted)
            assert torch.get_num_threads() == kernels
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_can_be_taken_up_in_its_middle(root: Path, workers: int) -> None:
    assert_same(epoch(root, "left_atrium", first=2, workers=workers), epoch(root, "left_atrium")[2:])


def test_an_epoch_left_early_does_not_disturb_the_next(root: Path) -> None:
    dataset, table = opened(root, "isic2018")
    loader = build_train_loader(dataset, table, IMAGE_CHANGES, RuntimeTable(workers=2), batch_size=3, seed=7)
    wanted = epoch(root, "isic2018", number=5)
    left = loader.epoch(4)
    next(left)
    left.close()
    assert_same(list(loader.epoch(5)), wanted)
    loader.close()
    with pytest.raises(RuntimeError, match="closed"):
        next(loader.epoch(6))


def test_epochs_and_seeds_differ(root: Path) -> None:
    draws = [epoch(root, "hippocampus"), epoch(root, "hippocampus", number=4), epoch(root, "hippocampus", seed=8)]
    assert len({tuple(name for batch in draw for name in batch["id"]) for draw in draws}) == 3
    assert len({float(draw[0]["image"].sum()) for draw in draws}) == 3


def test_torchs_own_generator_is_left_alone(root: Path) -> None:
    torch.manual_seed(3)
    wanted = torch.rand(4)
    for workers in (0, 1):
        torch.manual_seed(3)
        epoch(root, "hippocampus", workers=workers)
        assert torch.equal(torch.rand(4), wanted)


def test_ranks_share_an_epoch(root: Path) -> None:
    dataset, table = opened(root, "hippocampus")

    def drawn(rank: int, world: int) -> list[list[str]]:
        loader = build_train_loader(
            dataset, table, AugmentTable(), RuntimeTable(workers=0), batch_size=4, seed=7, rank=rank, world=world
        )
        made = [batch["id"] for batch in loader.epoch(1)]
        loader.close()
        assert len(made) == len(loader)
        return made

    parts = zip(drawn(0, 2), drawn(1, 2), strict=True)
    assert [sorted(first + second) for first, second in parts] == [sorted(whole) for whole in drawn(0, 1)]


def test_balance_draws_every_class_equally_often(root: Path) -> None:
    dataset, table = opened(root, "isic2018")
    loader = build_train_loader(dataset, table, AugmentTable(), RuntimeTable(workers=0), batch_size=5, seed=7)
    targets = torch.cat([batch["label"] for batch in loader.epoch(1)])
    counts = torch.bincount(targets, minlength=7)
    assert counts.max() - counts.min() <= 1
    assert len(targets) == len(dataset.split("train"))
    loader.close()


def test_without_augmentation_a_centre_crop_is_the_volume_itself(root: Path) -> None:
    dataset, table = opened(root, "left_atrium", crop="center", samples_per_case=1)
    loader = build_train_loader(dataset, table, AugmentTable(), RuntimeTable(workers=0), batch_size=1, seed=0)
    prepared = {item.id: item for item in iter_prepared(dataset, table, "train")}
    for batch in loader.epoch(1):
        whole = prepared[batch["id"][0]]
        starts = [(side - 24) // 2 for side in whole.image.shape[1:]]
        box = tuple(slice(start, start + 24) for start in starts)
        np.testing.assert_array_equal(batch["image"][0, 0], whole.image[0][box])
        assert whole.label_net is not None
        np.testing.assert_array_equal(batch["label"][0], whole.label_net[box])
    loader.close()


def test_augmentation_does_not_reach_the_cache(root: Path) -> None:
    dataset, table = opened(root, "left_atrium", cache="memory")
    loader = build_train_loader(dataset, table, VOLUME_CHANGES, RuntimeTable(workers=0), batch_size=2, seed=7)
    assert loader.cached == len(dataset.split("train"))
    first = list(loader.epoch(1))
    list(loader.epoch(2))
    assert_same(list(loader.epoch(1)), first)
    loader.close()


def test_notify_counts_the_cases_that_are_loaded(root: Path) -> None:
    dataset, table = opened(root, "hippocampus", cache="memory")
    calls: list[tuple[int, int]] = []
    build_train_loader(
        dataset,
        table,
        AugmentTable(),
        RuntimeTable(workers=0),
        batch_size=2,
        seed=0,
        notify=lambda done, total: calls.append((done, total)),
    ).close()
    total = len(dataset.split("train"))
    assert calls == [(done, total) for done in range(1, total + 1)]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_file_that_breaks_during_training_is_named(tmp_path: Path, workers: int) -> None:
    phantom_root(tmp_path, "left_atrium", cases=4)
    dataset, table = opened(tmp_path, "left_atrium", cache="none")
    loader = build_train_loader(
        dataset, table, AugmentTable(), RuntimeTable(workers=workers, device="cpu"), batch_size=2, seed=0
    )
    list(loader.epoch(1))
    victim = dataset.split("train")[0].images[0]
    victim.write_bytes(victim.read_bytes()[:1000])
    with pytest.raises(DataError, match=r"PHANTOM00000/mri_norm2\.h5") as caught:
        list(loader.epoch(2))
    assert "Traceback" not in str(caught.value)
    loader.close()


def test_a_killed_worker_is_a_run_error(root: Path) -> None:
    dataset, table = opened(root, "hippocampus", samples_per_case=40)
    loader = build_train_loader(dataset, table, VOLUME_CHANGES, RuntimeTable(workers=1), batch_size=2, seed=0)
    made = loader.epoch(1)
    next(made)
    (child,) = _children()
    os.kill(child, signal.SIGKILL)
    with pytest.raises(RunError, match="killed") as caught:
        list(made)
    assert "runtime.workers" in caught.value.hint
    loader.close()


ORPHANS = """
import sys, time
from pathlib import Path
from engine.data import open_dataset
from engine.data.loaders import build_train_loader
from engine.recipe import AugmentTable, RuntimeTable
from tests.phantoms import data_table
import multiprocessing
table = data_table("hippocampus", samples_per_case=50)
dataset = open_dataset(table, "segmentation", Path(sys.argv[1]))
loader = build_train_loader(dataset, table, AugmentTable(), RuntimeTable(workers=2), batch_size=2, seed=0)
made = loader.epoch(1)
next(made)
print(*[child.pid for child in multiprocessing.active_children()], flush=True)
time.sleep(60)
"""


def test_workers_end_with_a_trainer_that_is_killed(root: Path) -> None:
    trainer = subprocess.Popen([sys.executable, "-c", ORPHANS, str(root)], stdout=subprocess.PIPE, text=True)
    assert trainer.stdout is not None
    workers = [int(word) for word in trainer.stdout.readline().split()]
    assert len(workers) == 2
    trainer.kill()
    trainer.wait()
    end = time.monotonic() + 30
    while any(_lives(worker) for worker in workers):
        assert time.monotonic() < end, "a loader process outlived its trainer"
        time.sleep(0.2)


def _lives(process: int) -> bool:
    """Whether ``process`` runs; one that ended and waits for its parent's notice does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def _children() -> Iterator[int]:
    return iter([child.pid for child in multiprocessing.active_children() if child.pid is not None])


def test_the_evaluation_loader_gives_every_case_once_in_order(root: Path) -> None:
    dataset, table = opened(root, "isic2018")
    loader = EvalLoader(dataset, table, "test", batch_size=5)
    made = list(loader)
    assert len(made) == len(loader)
    assert [name for batch in made for name in batch["id"]] == [case.id for case in dataset.split("test")]
    assert torch.cat([batch["label"] for batch in made]).tolist() == [case.target for case in dataset.split("test")]
    assert made[0]["image"].shape == (5, 3, *table.size)
    halves = [EvalLoader(dataset, table, "test", batch_size=5, rank=r, world=2) for r in (0, 1)]
    ids = [name for half in halves for batch in half for name in batch["id"]]
    assert sorted(ids) == [case.id for case in dataset.split("test")]


def test_workers_without_room_for_their_batches_are_not_started(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They would wait for ever: /dev/shm is small, or full, in many containers."""
    dataset, table = opened(root, "hippocampus")
    monkeypatch.setattr(loaders, "_shared_memory", lambda: 64 << 10)
    said: list[str] = []
    loader = build_train_loader(
        dataset, table, AugmentTable(), RuntimeTable(workers=2), batch_size=2, seed=7, warn=said.append
    )
    loader.close()
    assert loader.workers == 0
    assert said == ["runtime.workers = 2 have no room for their batches in /dev/shm: threads make them"]


def test_prepared_volumes_come_in_order(root: Path) -> None:
    dataset, table = opened(root, "hippocampus")
    assert [item.id for item in iter_prepared(dataset, table, "train")] == [case.id for case in dataset.split("train")]
    assert list(iter_prepared(dataset, table, "validation")) == []


@pytest.mark.parametrize("samples", range(1, 14))
@pytest.mark.parametrize("world", [1, 2, 3])
def test_the_batches_of_all_processes_are_those_of_one(samples: int, world: int) -> None:
    order = epoch_order([None] * samples, samples_per_case=1, balance=False, seed=0, epoch=1)
    assert sorted(order.tolist()) == list(range(samples))
    for size in (1, 2, 4, 6):
        whole = batches(order, 1, size)
        made = [batches(order, 1, size, rank, world) for rank in range(world)]
        assert {len(own) for own in made} == {batch_count(samples, size)} == {len(whole)}
        shared = [
            sorted((draw for part in parts for draw in part), key=lambda draw: draw.k)
            for parts in zip(*made, strict=True)
        ]
        assert shared == whole
        assert all(len(batch) > 1 for batch in whole) or size == 1 or len(whole) == 1


def test_without_shuffling_the_cases_come_by_their_ids_and_the_last_batch_is_smaller(root: Path) -> None:
    dataset, _ = opened(root, "left_atrium")
    ids = [case.id for case in dataset.split("train")]
    for number in (1, 2):
        made = epoch(root, "left_atrium", number=number, samples_per_case=1, shuffle=False)
        assert [name for batch in made for name in batch["id"]] == ids
        assert [len(batch["id"]) for batch in made] == [3, len(ids) - 3]


@pytest.mark.parametrize("world", [1, 2])
def test_the_samples_of_a_batch_can_share_one_draw(root: Path, world: int) -> None:
    """A flip of an axis is seen in the mask, also of other cases: by which of the two it equals."""
    dataset, table = opened(root, "left_atrium", crop="center", samples_per_case=4)

    def labels(augment: AugmentTable, rank: int) -> list[torch.Tensor]:
        loader = build_train_loader(
            dataset, table, augment, RuntimeTable(workers=0), batch_size=6, seed=7, rank=rank, world=world
        )
        made = [batch["label"] for number in range(1, 5) for batch in loader.epoch(number)]
        loader.close()
        return made

    drawn: list[set[bool]] = []
    for rank in range(world):
        plain, shared = labels(AugmentTable(), rank), labels(AugmentTable(flip=(1,), draw="batch"), rank)
        for index, (before, after) in enumerate(zip(plain, shared, strict=True)):
            drawn += [set()] if index == len(drawn) else []
            drawn[index] |= {not torch.equal(one, other) for one, other in zip(before, after, strict=True)}
    assert all(len(values) == 1 for values in drawn)
    assert {True, False} == set.union(*drawn)
    alone = labels(AugmentTable(flip=(1,)), 0)
    assert any(
        len({torch.equal(one, other) for one, other in zip(before, after, strict=True)}) == 2
        for before, after in zip(labels(AugmentTable(), 0), alone, strict=True)
    )


def test_a_file_that_breaks_during_training_can_be_skipped(tmp_path: Path) -> None:
    phantom_root(tmp_path, "left_atrium", cases=4)
    dataset, table = opened(tmp_path, "left_atrium", cache="none", unreadable="skip")
    said: list[str] = []
    loader = build_train_loader(
        dataset, table, AugmentTable(), RuntimeTable(workers=0), batch_size=2, seed=0, warn=said.append
    )
    victim = dataset.split("train")[0].images[0]
    victim.write_bytes(victim.read_bytes()[:1000])
    names = {name for batch in loader.epoch(1) for name in batch["id"]}
    loader.close()
    assert names == {case.id for case in dataset.split("train")[1:]}
    assert len(said) == 1
    assert "PHANTOM00000/mri_norm2.h5" in said[0]


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no niceness of their own")
def test_threads_that_make_samples_give_way_to_the_network() -> None:
    pool = Threads(1, lambda: lambda _: os.getpriority(os.PRIO_PROCESS, 0))
    try:
        assert pool.result(pool.submit(0)) == min(os.getpriority(os.PRIO_PROCESS, 0) + 10, 19)
    finally:
        pool.close()
