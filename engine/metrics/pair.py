"""The metrics of one class in one case: two masks in, a number out, each registered where it is computed.

A metric has an entry in :mod:`engine.measures` (or registers one) and a function here::

    @computes("volume_error")
    def volume_error(pair: MaskPair) -> float | None: ...

It then stands in metrics.json, cases.csv, tables, figures, the report and the dashboard.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from scipy.ndimage import distance_transform_edt, generate_binary_structure, label

from engine.measures import find
from engine.metrics.masks import Mask, bounding_box, diagonal
from engine.metrics.overlap import overlap
from engine.metrics.registry import Registry
from engine.metrics.surface import REDUCTIONS, Distances, surface_distances

NSD_TOLERANCE = {"mm": 2.0, "voxel": 1.0}
"""Where the recipe names none. Nikolov et al. found observers 1 to 3 mm apart, by organ; a voxel is the least that
can be told."""
_ROUNDING = 1e-9  # 20 steps of 0.1 mm are 2 mm, also where floating point says 2.0000000000000004


@dataclass(frozen=True, slots=True)
class MetricOptions:
    """What is measured besides the overlap."""

    # keys of [evaluate] that are on, of those that :attr:`engine.measures.Measure.key` names
    asked: frozenset[str] = frozenset({"surface_validation"})
    nsd_tolerance: float | None = None  # in the unit of the spacing; None: 2 mm, or 1 voxel without a spacing

    def tolerance(self, unit: str) -> float:
        """That of the normalised surface Dice, in ``unit``."""
        return NSD_TOLERANCE.get(unit, 1.0) if self.nsd_tolerance is None else self.nsd_tolerance


WITH_SURFACES = MetricOptions()


@dataclass(frozen=True)
class MaskPair:
    """Prediction and truth of one class in one case. What several metrics need is computed once."""

    prediction: Mask  # boolean mask (*S), maybe a crop of the image that holds every voxel of both masks
    truth: Mask  # boolean mask (*S)
    spacing: tuple[float, ...]  # distance of neighbouring voxels along each axis
    image: tuple[int, ...]  # shape of the whole image
    nsd_tolerance: float = 1.0  # in the unit of the spacing
    unknown: Mask | None = None  # boolean mask (*S), where the truth is not known: neither mask has a voxel there

    @cached_property
    def volumes(self) -> tuple[int, int]:
        """Voxels of the prediction and of the truth."""
        return int(np.count_nonzero(self.prediction)), int(np.count_nonzero(self.truth))

    @cached_property
    def overlap(self) -> tuple[float, float]:
        """Dice and Jaccard."""
        return overlap(self.prediction, self.truth)

    @cached_property
    def surfaces(self) -> Distances | None:
        """From each surface voxel of one mask to the nearest of the other; None where a mask is empty.

        There are none where a mask ends nowhere but at what is not known.
        """
        if not all(self.volumes):
            return None
        return surface_distances(self.prediction, self.truth, self.spacing, self.unknown)

    @cached_property
    def all_voxels(self) -> Distances | None:
        """From each voxel of one mask to the nearest of the other, 0 where they overlap; None: a mask is empty."""
        if not all(self.volumes):
            return None
        outward, inward = (
            distance_transform_edt(~target, sampling=self.spacing)[source]
            for source, target in ((self.prediction, self.truth), (self.truth, self.prediction))
        )
        return outward, inward

    @cached_property
    def lesions(self) -> tuple[int, int, int]:
        """Connected components of the truth, those of them that are found, and predicted ones that are none.

        Voxels that touch by a face, an edge or a corner are one component. A component is found where it shares a
        voxel with the prediction, and a predicted one is true where it shares one with the truth: any overlap, as in
        the lesion-wise rates of Carass et al., NeuroImage 148, 2017.
        """
        either = np.logical_or(self.prediction, self.truth, order="C")
        if not either.any():
            return 0, 0, 0
        box, touching = bounding_box(either), generate_binary_structure(either.ndim, either.ndim)
        truth, prediction = self.truth[box], self.prediction[box]
        (lesions, true), (parts, predicted) = label(truth, touching), label(prediction, touching)
        found, right = (np.unique(marks[truth & prediction]).size for marks in (lesions, parts))
        return true, found, predicted - right

    def worst_distance(self) -> float:
        """Of masks of which one at least is empty: the diagonal of the image, or 0 where both are."""
        return diagonal(self.image, self.spacing) if any(self.volumes) else 0.0


OF_PAIRS = Registry[Callable[[MaskPair], float | None]]()  # none: it cannot be measured
computes = OF_PAIRS.computes


def measure_pair(pair: MaskPair, asked: frozenset[str]) -> dict[str, float | None]:
    """Every metric of a pair that needs no key of [evaluate], or one of those in ``asked``.

    Raises:
        UsageError: a package that adds metrics cannot be loaded.
    """
    wanted = {name: find(name).key for name in OF_PAIRS.loaded()}
    return {name: OF_PAIRS.known[name](pair) for name, key in wanted.items() if not key or key in asked}


@computes("dice")
def _dice(pair: MaskPair) -> float:
    return pair.overlap[0]


@computes("jaccard")
def _jaccard(pair: MaskPair) -> float:
    return pair.overlap[1]


@computes("volume_error")
def volume_error(pair: MaskPair) -> float | None:
    """Predicted minus true volume, as a share of the true one; None where the truth is empty and something is found."""
    predicted, true = pair.volumes
    if not true:
        return None if predicted else 0.0
    return (predicted - true) / true


@computes("absolute_volume_error")
def absolute_volume_error(pair: MaskPair) -> float | None:
    """Its size without the sign: errors of two cases cannot cancel out in the mean."""
    error = volume_error(pair)
    return None if error is None else abs(error)


@computes("lesions")
def _lesions(pair: MaskPair) -> float:
    return float(pair.lesions[0])


@computes("lesion_sensitivity")
def lesion_sensitivity(pair: MaskPair) -> float | None:
    """Share of the components of the truth that are found, see :attr:`MaskPair.lesions`; None where there is none."""
    true, found, _ = pair.lesions
    return found / true if true else None


@computes("lesion_false_positives")
def _lesion_false_positives(pair: MaskPair) -> float:
    return float(pair.lesions[2])


@computes("nsd")
def normalised_surface_dice(pair: MaskPair) -> float | None:
    """Share of both surfaces that lies within the tolerance of the other (Nikolov et al., JMIR 23, e26151, 2021).

    Every surface voxel counts alike, as in MONAI. Both masks empty: 1; one of them: 0. None without a known surface.
    """
    if pair.surfaces is None:
        return 0.0 if any(pair.volumes) else 1.0
    if not pair.surfaces[0].size:
        return None
    near = [np.count_nonzero(d <= pair.nsd_tolerance * (1 + _ROUNDING)) for d in pair.surfaces]
    return float(sum(near) / sum(d.size for d in pair.surfaces))


def _of_surfaces(name: str, pair: MaskPair) -> float | None:
    if pair.surfaces is None:
        return pair.worst_distance()
    return REDUCTIONS[name](pair.surfaces) if pair.surfaces[0].size else None


def _of_all_voxels(name: str, pair: MaskPair) -> float:
    """As earlier experiments measured: MedPy sees no inside in a mask with a trailing axis of length 1."""
    return pair.worst_distance() if pair.all_voxels is None else REDUCTIONS[name](pair.all_voxels)


for _name in REDUCTIONS:
    computes(_name)(partial(_of_surfaces, _name))
for _name in ("assd", "hd95"):
    computes(f"{_name}_all_voxels")(partial(_of_all_voxels, _name))
