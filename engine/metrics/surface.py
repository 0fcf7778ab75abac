"""Distances between the surfaces of two binary masks: ASD, ASSD and two kinds of 95th percentile.

The surface of a mask is every voxel of it with a face neighbour outside (MedPy's ``connectivity=1``); beyond the
border of the image is outside. For each surface voxel of one mask the distance to the nearest of the other is
exact, as from a distance transform of the whole image, but found on the surfaces alone: most voxels of a usable
prediction lie within a few voxels of the truth, so the neighbourhood is looked up ring by ring, and only what is
left over goes to a k-d tree (or, where a noisy mask is nearly all surface, to a distance transform).
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree

from engine.metrics.masks import Mask, Spacing, bounding_box, diagonal, mask_pair, spacing_of

_REACH = 6  # rings go this many voxels far along the axis of the finest spacing

# Costs in nanoseconds on one core of 2024, from which the end of the ring search is decided. They choose the
# faster way, never the result.
_LOOKUP_NS = 2.5
_CALL_NS = 4_000.0
_TREE_POINT_NS = 130.0
_TREE_QUERY_NS = 1_500.0
_TRANSFORM_VOXEL_NS = 125.0

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]
Distances: TypeAlias = tuple[Floats, Floats]  # prediction to truth (n,), truth to prediction (m,)

REDUCTIONS: Mapping[str, Callable[[Distances], float]] = {
    "asd": lambda pair: float(pair[0].mean()),
    "assd": lambda pair: float(np.concatenate(pair).mean()),
    "hd95": lambda pair: float(np.percentile(np.concatenate(pair), 95)),
    "hd95_max": lambda pair: float(max(np.percentile(pair[0], 95), np.percentile(pair[1], 95))),
}
"""What is made of the distances of both directions, in the order of tables; see :func:`surface_metrics`."""


def surface_metrics(prediction: npt.ArrayLike, truth: npt.ArrayLike, spacing: Spacing = None) -> dict[str, float]:
    """Surface distances of a predicted mask from the true one.

    - ``asd``: mean distance from the prediction's surface to the truth's (MedPy ``asd``).
    - ``assd``: mean of the distances of both directions pooled (MedPy 0.5 ``assd``).
    - ``hd95``: 95th percentile of both directions pooled (MedPy ``hd95``).
    - ``hd95_max``: the larger of the 95th percentiles of the two directions (MONAI's HD95).

    Two empty masks are at distance 0. If one mask alone is empty every value is the diagonal of the image, so
    that a missed object is the worst result and cannot vanish from a mean.

    Args:
        prediction: binary mask ``(*S)``, bool or numbers 0 and 1; 2-D or 3-D (any number of dimensions works).
        truth: binary mask ``(*S)``.
        spacing: distance of neighbouring voxels along each axis (or one number for all), e.g. in mm; None: 1 voxel.

    Returns:
        The four distances, in the unit of the spacing.

    Raises:
        ValueError: the shapes differ, a mask is not binary (NaN included), or the spacing does not fit.

    Example:
        >>> surface_metrics([[0, 1, 0, 0]], [[0, 0, 0, 1]])
        {'asd': 2.0, 'assd': 2.0, 'hd95': 2.0, 'hd95_max': 2.0}
    """
    masks = mask_pair(prediction, truth)
    steps = spacing_of(spacing, masks[0].ndim)
    there = [bool(mask.any()) for mask in masks]
    if not all(there):
        return dict.fromkeys(REDUCTIONS, diagonal(masks[0].shape, steps) if any(there) else 0.0)
    distances = surface_distances(*masks, steps)
    return {name: reduce(distances) for name, reduce in REDUCTIONS.items()}


def surface_distances(
    prediction: Mask, truth: Mask, spacing: Sequence[float], unknown: Mask | None = None
) -> Distances:
    """Distances from each surface voxel of one mask to the nearest surface voxel of the other, both ways.

    Args:
        prediction: boolean mask ``(*S)``, not empty.
        truth: boolean mask ``(*S)``, not empty.
        spacing: distance of neighbouring voxels along each axis.
        unknown: boolean mask ``(*S)`` of what neither mask holds and none is outside of: where they end there is no
            surface. None: there is nothing such.

    Returns:
        Prediction to truth ``(n,)`` and truth to prediction ``(m,)``, one distance a surface voxel; both empty where
        one of them has none, which only what is unknown brings about.
    """
    if prediction.flags.f_contiguous and truth.flags.f_contiguous:  # as NIfTI is read: turn it, do not copy it
        prediction, truth, spacing = prediction.T, truth.T, tuple(reversed(spacing))
        unknown = None if unknown is None else unknown.T
    rings = _rings(tuple(spacing))
    margin = [max(int(axis.max()), 1) for axis in np.concatenate([offsets for _, offsets in rings]).T]
    box = bounding_box(np.logical_or(prediction, truth, order="C"))
    if unknown is not None:  # what is beside the masks counts
        box = tuple(slice(0, side) for side in unknown.shape)
    first, second = (_edges(mask, box, margin, unknown) for mask in (prediction, truth))
    if unknown is not None and not (first.any() and second.any()):
        return np.empty(0), np.empty(0)
    return _nearest(first, second, spacing, rings), _nearest(second, first, spacing, rings)


def _edges(mask: Mask, box: tuple[slice, ...], margin: Sequence[int], unknown: Mask | None) -> Mask:
    """Voxels of the mask with a face neighbour outside it: the box, with an empty margin of at least 1 around it."""
    padded = np.zeros([s.stop - s.start + 2 * m for s, m in zip(box, margin, strict=True)], dtype=np.bool_)
    place = tuple(slice(m, -m) for m in margin)
    padded[place] = mask[box] if unknown is None else mask | unknown
    flat = padded.ravel()
    middle = slice(padded.strides[0], flat.size - padded.strides[0])  # what lies outside is margin, so no edge
    inner = flat[middle].copy()
    for step in padded.strides:
        inner &= flat[middle.start - step : middle.stop - step]
        inner &= flat[middle.start + step : middle.stop + step]
    edges: Mask = np.zeros_like(padded)
    np.greater(flat[middle], inner, out=edges.reshape(-1)[middle])
    if unknown is not None:
        edges[place] &= mask
    return edges


@lru_cache(maxsize=64)
def _rings(spacing: tuple[float, ...]) -> tuple[tuple[float, Ints], ...]:
    """Every offset nearer than what ``_REACH`` leaves out, as (distance, offsets (k, dims)), the nearest first."""
    dims = len(spacing)
    limit = (_REACH + 1) * min(spacing)
    reach = [int(limit / step) for step in spacing]
    offsets = np.indices([2 * r + 1 for r in reach]).reshape(dims, -1) - np.array(reach)[:, None]
    square = np.add.reduce(np.square(offsets * np.array(spacing)[:, None]), axis=0)
    distance = np.sqrt(square)
    kept = np.flatnonzero(distance < limit)
    kept = kept[np.argsort(distance[kept], kind="stable")]
    starts = np.flatnonzero(np.diff(distance[kept], prepend=-1.0))
    groups = np.split(kept, starts[1:])
    return tuple((float(distance[group[0]]), offsets[:, group].T.astype(np.intp)) for group in groups)


def _nearest(source: Mask, target: Mask, spacing: Sequence[float], rings: tuple[tuple[float, Ints], ...]) -> Floats:
    """Distance ``(n,)`` from each True of ``source`` to the nearest True of ``target``, in C order."""
    flat = target.reshape(-1)
    left = np.flatnonzero(source)
    where = np.arange(left.size)
    distances: Floats = np.empty(left.size)
    budget = np.count_nonzero(flat) * _TREE_POINT_NS / 2
    for distance, offsets in rings:
        # Go on while the rings have cost less than the queries that they saved, and half of building the tree.
        budget -= len(offsets) * (_CALL_NS + left.size * _LOOKUP_NS)
        if not left.size or (budget < 0 and distance > 0):
            break
        found = np.zeros(left.size, dtype=np.bool_)
        for step in offsets @ np.array(target.strides):
            found |= flat[left + step]
        distances[where[found]] = distance
        missed = ~found
        budget += (left.size - np.count_nonzero(missed)) * _TREE_QUERY_NS
        left, where = left[missed], where[missed]
    if left.size * _TREE_QUERY_NS > target.size * _TRANSFORM_VOXEL_NS:
        distances[where] = distance_transform_edt(~target, sampling=spacing).reshape(-1)[left]
    elif left.size:
        distances[where] = _by_tree(left, np.flatnonzero(flat), target.shape, spacing)
    return distances


def _by_tree(source: Ints, target: Ints, shape: tuple[int, ...], spacing: Sequence[float]) -> Floats:
    """Distances between voxels given as flat indices of an array of that shape."""
    steps = np.array(spacing)
    points, others = (np.stack(np.unravel_index(flat, shape), axis=-1) for flat in (source, target))
    tree = cKDTree(others * steps, leafsize=32, balanced_tree=False, compact_nodes=False)
    _, nearest = tree.query(points * steps)
    # From whole voxels again, so that no rounding of large coordinates is left in the result.
    offsets = (points - others[nearest]) * steps
    distances: Floats = np.sqrt(np.add.reduce(np.square(offsets).T, axis=0))
    return distances
