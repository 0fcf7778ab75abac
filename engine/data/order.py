"""The order of the cases in an epoch, drawn from (seed, epoch) alone."""

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
    targets: Sequence[int | None], *, samples_per_case: int, balance: bool, seed: int, epoch: int, shuffle: bool = True
) -> Indices:
    """Indices of cases, (len(targets) * samples_per_case,), in the order of ``epoch``.

    Args:
        targets: class of each case; only looked at with ``balance``.
        balance: draw every class that is present equally often (but for one more or less), each
            class through all its cases before one comes again.
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


def batches(order: Indices, epoch: int, batch_size: int, rank: int = 0, world: int = 1) -> list[list[SampleIndex]]:
    """The batches of process ``rank`` of ``world``: its share of each batch of ``batch_size`` samples.

    A last batch of one sample is left out where others are larger: batch norm cannot learn from it. Of one with
    fewer samples than there are processes, the last processes get nothing.
    """
    samples = [SampleIndex(epoch, k, int(case)) for k, case in enumerate(order)]
    groups = [samples[start : start + batch_size] for start in range(0, len(samples), batch_size)]
    return [group[rank::world] for group in groups[: batch_count(len(order), batch_size)]]


def batch_count(samples: int, batch_size: int) -> int:
    """How many batches `batches` makes of ``samples``."""
    full, rest = divmod(samples, batch_size)
    return full + (rest > 1 or (rest == 1 and full == 0))
