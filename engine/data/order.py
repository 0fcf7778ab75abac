"""The order of the cases in an epoch, drawn from (seed, epoch) alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]
_ORDER, _SAMPLE, _BATCH = 0, 1, 2


@dataclass(frozen=True, slots=True)
class SampleIndex:
    """One sample of an epoch: its place ``k`` in the order, and the index of its case."""

    epoch: int
    k: int
    case: int


def sample_rng(seed: int, draw: SampleIndex) -> np.random.Generator:
    """The generator behind the crop and the augmentation of one sample."""
    return np.random.default_rng([seed, _SAMPLE, draw.epoch, draw.k])


def batch_rng(seed: int, draw: SampleIndex, batch_size: int) -> np.random.Generator:
    """The generator that the samples of a batch share; ``batch_size`` is of all processes together."""
    return np.random.default_rng([seed, _BATCH, draw.epoch, draw.k // batch_size])


def epoch_order(
    targets: Sequence[int | None],
    *,
    samples_per_case: int,
    balance: bool,
    seed: int,
    epoch: int,
    shuffle: bool = True,
) -> Indices:
    """Indices of cases, (len(targets) * samples_per_case,), in the order of ``epoch``.

    Args:
        targets: class of each case; only looked at with ``balance``.
        samples_per_case: how often each case comes.
        balance: draw every class that is present equally often (but for one more or less), each
            class through all its cases before one comes again.
        seed: the recipe's seed.
        epoch: counted from 1.
        shuffle: off: as the cases lie; not with ``balance``.
    """
    rng = np.random.default_rng([seed, _ORDER, epoch])
    length = len(targets) * samples_per_case
    if not balance:
        order = np.repeat(np.arange(len(targets)), samples_per_case)
        return rng.permutation(order) if shuffle else order
    members = [np.flatnonzero([own == target for own in targets]) for target in sorted({*targets}, key=str)]
    turns = rng.permutation(np.arange(length) % len(members))
    order = np.zeros(length, np.int64)
    for index, own in enumerate(members):
        places = np.flatnonzero(turns == index)
        rounds = -(-len(places) // len(own))
        order[places] = np.concatenate([rng.permutation(own) for _ in range(rounds)] or [own])[: len(places)]
    return order


def batches(order: Indices, epoch: int, batch_size: int, rank: int, world: int) -> list[list[SampleIndex]]:
    """The batches of process ``rank`` of ``world``: every process has equally many.

    A short order is filled up from its beginning to a multiple of ``world``. A last batch of one
    sample is left out where others are larger: batch norm cannot learn from it.
    """
    length = -(-len(order) // world) * world
    own = [SampleIndex(epoch, k, int(order[k % len(order)])) for k in range(rank, length, world)]
    groups = [own[start : start + batch_size] for start in range(0, len(own), batch_size)]
    return groups[:-1] if len(groups) > 1 and len(groups[-1]) == 1 < batch_size else groups


def batch_count(samples: int, batch_size: int, world: int) -> int:
    """How many batches `batches` makes of ``samples``."""
    own = -(-samples // world)
    full, rest = divmod(own, batch_size)
    return full + (rest > 1 or (rest == 1 and full == 0))
