"""What a segmentation network sees, and how deep it is: voxels, crop and levels from the sizes of the images.

Rules are those of nnU-Net (Isensee et al. 2021) where one is named, else what docs/benchmarks.md measured.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from engine.planning.facts import Facts, rounded

RoundTrip = Callable[[tuple[float, ...]], float]
"""The Dice of the truth, of the worst class, with itself after resampling to a spacing and back."""
BUDGETS = {(3, False): 112 * 112 * 80, (3, True): 128**3, (2, False): 256**2, (2, True): 512**2}
"""Voxels of the largest crop, by the axes of an image and whether there is a GPU. On a CPU seg_best's, the largest that
was trained there; of pictures, by no measurement, a quarter of its batch in one of 8. On a GPU nnU-Net's usual ones.
"""
WIDE, NARROW = 32, 16  # features of the top level: nnU-Net's and seg_best's; those of seg_best_hour
_MOST = 320  # features of any level: nnU-Net's
_SMALLEST = 4  # voxels left along each axis of the lowest level: nnU-Net's
_THINNEST = 8  # voxels: what a recipe allows
_LONG = 64  # voxels of an axis that five levels halve to so many
_MOSTLY = (
    0.5  # of every image in a crop: then what is to be found is in most crops wherever they are, by no measurement
)
_COARSEST = 0.95  # round trip that a coarser grid must keep, as `engine.data.survey` advises
_HELD = 4  # a scan of more than so many crops is resampled to a coarser grid: as nnU-Net's 3d_lowres is
_ROOM = 1.1  # a scan that is a little larger is no reason to resample
_FINER = 1.02  # a step of the search for that grid, along an axis
_THICK = 3  # times the voxels of the other axes, from which those of one are thick: nnU-Net's
_THIN = 10  # percentile of the thick axis' voxels that is taken then: nnU-Net's


@dataclass(frozen=True, slots=True)
class Shape:
    """A network and what it sees."""

    size: tuple[int, ...]
    spacing: tuple[float, ...] | None  # to which images are resampled
    median: tuple[int, ...]  # size of an image there
    levels: int
    top: int
    flat: bool  # whether an axis is too short to be halved with the others
    trip: float = 1.0  # what resampling keeps of the truth
    least: float = 1.0  # the share of an image that a crop holds, of that with the least

    @property
    def channels(self) -> list[int]:
        return [min(self.top * 2**level, _MOST) for level in range(self.levels)]

    @property
    def held(self) -> float:
        """The share of a median image that a crop holds."""
        return _share(self.size, self.median)

    @property
    def whole(self) -> bool:
        """Whether a crop is a whole image, or most of it."""
        return self.held >= 1 and self.least >= _MOSTLY


def shape_of(facts: Facts, budget: int, top: int, trip: RoundTrip) -> Shape:
    """The network of ``top`` features that sees at most about ``budget`` voxels at once."""
    spacing, median, kept = _grid(facts, budget, trip)
    steps = spacing or facts.spacing or (1.0,) * len(median)
    for levels in (4, 3, 2):
        size = crop_size(median, steps, budget, [2**levels] * len(median))
        if min(size) >= _SMALLEST * 2**levels:
            break
    flat = levels == 2 and max(size) >= _LONG and len(size) == 3
    if flat:
        size = crop_size(median, steps, budget, [16 if side >= _LONG else 4 for side in median])
        levels = 5
    return Shape(size, spacing, median, levels, top, flat, kept, _least(facts, size, spacing))


def _share(size: Sequence[int], image: Sequence[float]) -> float:
    return math.prod(min(a, b) / b for a, b in zip(size, image, strict=True))


def _least(facts: Facts, size: Sequence[int], spacing: Sequence[float] | None) -> float:
    """The least share of an image, resampled to ``spacing``, that a crop of ``size`` holds."""
    to = spacing or (1.0,) * len(size)
    own = facts.spacings if spacing and facts.spacings else [(1.0,) * len(size)] * len(facts.sizes)
    images = {
        tuple(n * s / t for n, s, t in zip(*each, to, strict=True)) for each in zip(facts.sizes, own, strict=True)
    }
    return min(_share(size, image) for image in images)


def _grid(facts: Facts, budget: int, trip: RoundTrip) -> tuple[tuple[float, ...] | None, tuple[int, ...], float]:
    """Spacing to resample to, the median size there, and how much of the truth is kept."""
    own, median = target_spacing(facts), facts.size
    if facts.mixed and own is not None:
        sides = zip(zip(*facts.sizes, strict=True), zip(*facts.spacings, strict=True), own, strict=True)
        median = tuple(round(sorted(n * s / to for n, s in zip(a, b, strict=True))[len(a) // 2]) for a, b, to in sides)
    if facts.dataset.spacing_unit == "voxel":
        return None, median, 1.0
    start = own or (1.0,) * len(median)
    mixed = tuple(rounded(side) for side in start) if facts.mixed else None
    coarse = _coarser(start, median, _HELD * budget)
    for _ in range(3):
        kept = 1.0 if coarse == start else trip(coarse)
        if coarse == start or kept >= _COARSEST:
            break
        coarse = tuple(rounded(math.sqrt(a * b)) for a, b in zip(coarse, start, strict=True))
    else:
        coarse, kept = start, 1.0
    if coarse == start:
        return mixed, median, trip(mixed) if mixed else 1.0
    return coarse, tuple(max(1, round(n * a / b)) for n, a, b in zip(median, start, coarse, strict=True)), kept


def target_spacing(facts: Facts) -> tuple[float, ...] | None:
    """The voxels that images are made alike at: the medians, but thinner along an axis of few and thick slices.

    nnU-Net's rule (Isensee et al. 2021; `determine_fullres_target_spacing` in its v2): at the median the thinner slices
    would be taken together, of few as they are. None where files have no spacing.
    """
    own, size = facts.spacing, facts.size
    if own is None or not facts.mixed:
        return own
    thick = max(range(len(own)), key=lambda axis: own[axis])
    others = [axis for axis in range(len(own)) if axis != thick]
    least = max(own[axis] for axis in others)
    if own[thick] <= _THICK * least or _THICK * size[thick] >= min(size[axis] for axis in others):
        return own
    thin = float(np.percentile([spacing[thick] for spacing in facts.spacings], _THIN))
    return tuple(max(least, thin) if axis == thick else side for axis, side in enumerate(own))


def _coarser(spacing: Sequence[float], median: Sequence[int], most: int) -> tuple[float, ...]:
    """``spacing`` made coarser until the median image has ``most`` voxels: at first along the finer axes only."""
    left, sides = list(spacing), list(map(float, median))
    if math.prod(sides) <= _ROOM * most:
        return tuple(spacing)
    while math.prod(sides) > most:
        finer = [axis for axis, side in enumerate(left) if 2 * side <= max(left)] or range(len(left))
        for axis in finer:
            left[axis], sides[axis] = left[axis] * _FINER, sides[axis] / _FINER
    return tuple(rounded(side) for side in left)


def crop_size(
    median: Sequence[int], spacing: Sequence[float], budget: int, multiples: Sequence[int]
) -> tuple[int, ...]:
    """The median image, or as much of it as ``budget`` voxels hold, in whole ``multiples``.

    Of an image that does not fit nothing is filled up, and the longest side in mm is cut first: crops are as nearly
    cubes as the image lets them be, which on the left atrium were better than long ones (docs/benchmarks.md).
    """
    size = [max(_THINNEST, -(-side // multiple) * multiple) for side, multiple in zip(median, multiples, strict=True)]
    if math.prod(size) > budget:
        least = [max(_THINNEST, multiple) for multiple in multiples]
        size = [max(low, side // step * step) for low, side, step in zip(least, median, multiples, strict=True)]
    while math.prod(size) > budget:
        free = [axis for axis, side in enumerate(size) if side > _SMALLEST * multiples[axis]]
        if not free:
            break
        longest = max(free, key=lambda axis: size[axis] * spacing[axis])
        size[longest] -= multiples[longest]
    return tuple(size)
