"""Where truth and prediction of a slice agree: as codes of pixels, on a coarser grid, in numbers. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tui.state.images import Bytes

Codes = NDArray[np.int32]  # what each pixel is: ``kind << 16 | true class << 8 | predicted class``
NOTHING, AGREED, ADDED, MISSED, SWAPPED = range(5)
"""Kinds in the order in which one hides another where several pixels share a place: an error is never hidden."""


@dataclass(frozen=True, slots=True)
class ClassOverlap:
    """One class in one slice; ``truth`` and ``prediction`` in pixels."""

    place: int  # label - 1: the place of its name among the classes
    truth: int
    prediction: int
    dice: float


def kind_of(codes: Codes) -> Codes:
    """The kinds behind ``codes``."""
    return codes >> 16


def codes_of(truth: Bytes, prediction: Bytes, only: int | None = None) -> Codes:
    """The codes of two label maps (H, W); with ``only``, of one label and nothing else."""
    true, said = (each.astype(np.int32) for each in (truth, prediction))
    if only is not None:
        true, said = (np.where(each == only, each, 0) for each in (true, said))
    kind = np.select(
        [(true == 0) & (said == 0), true == said, true == 0, said == 0], [NOTHING, AGREED, ADDED, MISSED], SWAPPED
    )
    return np.asarray(kind << 16 | true << 8 | said, np.int32)


def fitted(codes: Codes, size: tuple[int, int]) -> Codes:
    """``codes`` on ``size`` (rows, columns): where several fall together, the largest kind stays."""
    rows, columns = (np.arange(count) * length // count for length, count in zip(codes.shape, size, strict=True))
    tall = _block_max(codes, rows, 0)
    return _block_max(tall, columns, 1)


def edges(codes: Codes) -> Codes:
    """Only the pixels of ``codes`` on the outline of a region of truth or of prediction."""
    true, said = codes >> 8 & 255, codes & 255
    return np.where(_edge(true) | _edge(said), codes, 0)


def overlaps(truth: Bytes, prediction: Bytes) -> list[ClassOverlap]:
    """Each class that a slice (H, W) has, in truth or prediction, with its Dice there."""
    counts = np.zeros((256, 256), np.int64)
    np.add.at(counts, (truth.ravel(), prediction.ravel()), 1)
    true, said = counts.sum(1), counts.sum(0)
    dice = 2 * np.diagonal(counts) / np.maximum(1, true + said)
    return [
        ClassOverlap(label - 1, int(true[label]), int(said[label]), float(dice[label]))
        for label in np.flatnonzero(true + said).tolist()
        if label
    ]


def wrong_slices(truth: Bytes, prediction: Bytes) -> NDArray[np.intp]:
    """The places of the slices of (S, H, W) in which the two differ."""
    return np.flatnonzero((truth != prediction).reshape(len(truth), -1).any(axis=1))


def letters_of(names: Sequence[str]) -> list[str]:
    """A capital for each class: the first letter of its name that no class before it has, else any that is free.

    >>> letters_of(["anterior", "posterior", "peduncle", "7"])
    ['A', 'P', 'E', 'B']
    """
    given: list[str] = []
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWYZ"  # an X looks like a cross
    for name in names:
        wanted = [char for char in (*name.upper(), *alphabet) if char in alphabet and char not in given]
        given.append(wanted[0] if wanted else alphabet[len(given) % len(alphabet)])
    return given


def _block_max(codes: Codes, starts: NDArray[np.intp], axis: int) -> Codes:
    if len(starts) >= codes.shape[axis]:  # enlarged: each place shows one pixel
        return np.take(codes, starts, axis)
    return np.asarray(np.maximum.reduceat(codes, starts, axis))


def _edge(labels: Codes) -> NDArray[np.bool_]:
    """Pixels with a label that have a neighbour with another."""
    padded = np.pad(labels, 1)
    around = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    return np.asarray((labels > 0) & np.any([labels != each for each in around], axis=0))
