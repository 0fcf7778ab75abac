"""Where the time of an iteration goes, and what in the recipe would change it: ``medtui check --profile``."""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch

from engine.data.order import SampleIndex
from engine.data.train_loader import CaseDataset
from engine.device import BF16_FLAGS, Device
from engine.hardware import cpu_flags
from engine.recipe import AugmentTable, Recipe

_SAMPLES = 16
_MUCH = 0.1  # of an iteration: what is worth a word
_OFF: dict[str, dict[str, Any]] = {
    "rotation, zoom and shift": {"rotate_degrees": 0.0, "rotate_plane": None, "scale": 0.0, "translate": 0.0},
    "flips": {"flip": (), "rotate90": False},
    "random part": {"crop_scale": 1.0},
    **{name: {name: 0.0} for name in ("noise", "blur", "brightness", "contrast", "saturation", "gamma")},
}
"""Kinds of augmentation, and the keys that turn them off."""


class Stopwatch:
    """Adds up the seconds of the parts of a step; on a GPU it waits for what was asked of it before."""

    def __init__(self, device: Device) -> None:
        self.seconds: dict[str, float] = {}
        self._device = device.device
        self._last = 0.0

    def __call__(self, part: str) -> None:
        """``part`` is over."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        now = time.perf_counter()
        if self._last:
            self.seconds[part] = self.seconds.get(part, 0.0) + now - self._last
        self._last = now

    def shares(self) -> list[tuple[str, float]]:
        """Every part by its share of the time, the largest first."""
        whole = sum(self.seconds.values())
        ordered = sorted(self.seconds.items(), key=lambda each: -each[1])
        return [(part, seconds / whole) for part, seconds in ordered]


def sample_seconds(samples: CaseDataset, augment: AugmentTable) -> float:
    """Seconds of one core for one sample with ``augment`` in place of its own, on the mean of a few."""
    maker = replace(samples, augment=augment)
    indices = sorted(samples.cases.kept)[:_SAMPLES] or [0]
    draws = [SampleIndex(1, k, indices[k % len(indices)]) for k in range(_SAMPLES)]
    maker[draws[0]]
    start = time.thread_time()
    for draw in draws:
        maker[draw]
    return (time.thread_time() - start) / len(draws)


def augmentation_seconds(samples: CaseDataset) -> tuple[float, list[tuple[str, float]]]:
    """Seconds of one core for a sample, and what each kind of augmentation that is on adds, the dearest first."""
    table = samples.augment
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        whole = sample_seconds(samples, table)
        adds = []
        for name, off in _OFF.items():
            if any(getattr(table, key) != value for key, value in off.items()):
                without = sample_seconds(samples, table.model_copy(update=off))
                adds.append((name, max(whole - without, 0.0)))
    finally:
        torch.set_num_threads(threads)
    return whole, sorted(adds, key=lambda each: -each[1])


def advice(
    recipe: Recipe, device: Device, shares: dict[str, float], dearest: str, *, cached: bool, workers: int
) -> Iterator[str]:
    """What in the recipe would make an iteration shorter.

    Args:
        shares: of the time, by part.
        dearest: the kind of augmentation that costs most; "" where there is none.
        cached: whether all cases are in memory.
    """
    if shares.get("loader", 0.0) >= _MUCH:
        if not cached:
            yield 'cases are read anew every time: data.cache = "memory", or more memory'
        if dearest:
            yield f"the loader is waited for: {dearest} costs most; a lower probability in [augment] is cheaper"
        if workers == 0:
            yield "no loader process works beside the network: runtime.workers = 1 or more, where a core is free"
    network = shares.get("forward", 0.0) + shares.get("backward", 0.0)
    if network >= 0.5:
        cpu = device.device.type == "cpu"
        if recipe.train.amp == "off" and (not cpu or cpu_flags() & BF16_FLAGS):
            yield 'the network computes in float32: train.amp = "auto" finds out whether bf16 is faster here'
        if not device.channels_last and cpu:
            yield 'runtime.channels_last = "auto" is faster on CPUs'
        if getattr(recipe.model, "patch", 2) == 1:
            yield "model.patch = 2 is several times faster, and somewhat coarser"
    if shares.get("optimizer", 0.0) + shares.get("loss", 0.0) >= 0.3:
        yield "what is done once a step takes long: a larger train.batch_size does it less often"
