"""Images and labels on another grid over the same extent, whole or in part. NumPy and SciPy."""

import math
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Array = npt.NDArray[np.generic]
Floats = npt.NDArray[np.float32]
Masks = npt.NDArray[np.integer[Any]]

_TRUNCATE = 4.0


def resample(volume: Array, shape: tuple[int, ...], *, smooth: bool = True) -> Array:
    """``volume`` (*S) on a grid of ``shape`` over the same extent: linear, for a coarser one smoothed before.

    The Gaussian makes the point spread of a voxel that of a voxel ``f`` times as long: a deviation of
    ``sqrt(f**2 - 1) / 2.355`` voxels (Cardoso et al., Scale factor point spread function matching, MICCAI 2015).
    """
    if volume.shape == tuple(shape):
        return volume
    zoom = [new / old for new, old in zip(shape, volume.shape, strict=True)]
    volume = _smoothed(volume, volume.shape, shape) if smooth else volume
    resized: Array = ndimage.zoom(volume, zoom, order=1, mode="nearest", grid_mode=True)
    return resized


def resample_part(
    part: Array, area: tuple[slice, ...], wanted: tuple[slice, ...], whole: tuple[int, ...], shape: tuple[int, ...]
) -> Floats:
    """What `resample` makes of a volume of shape ``whole`` in the box ``wanted`` of the new grid of ``shape``.

    Args:
        part: the volume in the box ``area``: all that the box wanted depends on (`smoothing_radii`, and one voxel).
        area: where the part lies.
        wanted: which of the new voxels.
        whole: shape of the volume.
    """
    step = [old / new for old, new in zip(whole, shape, strict=True)]
    sides = zip(step, area, wanted, strict=True)
    offset = [size * (new.start + 0.5) - 0.5 - old.start for size, old, new in sides]
    outer = tuple(new.stop - new.start for new in wanted)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The behavior of affine_transform with a 1-D")
        smooth = _smoothed(part, whole, shape)
        resized: Floats = ndimage.affine_transform(smooth, step, offset, outer, order=1, mode="nearest")
    return resized


def _deviations(old: tuple[int, ...], new: tuple[int, ...]) -> list[float]:
    """Of the Gaussian of `resample`, in old voxels."""
    factors = (wanted / side for side, wanted in zip(old, new, strict=True))
    return [math.sqrt(max(factor**-2 - 1, 0) / (8 * math.log(2))) for factor in factors]


def smoothing_radii(old: tuple[int, ...], new: tuple[int, ...]) -> list[int]:
    """Old voxels that the Gaussian of `resample` reaches, an axis."""
    return [int(_TRUNCATE * deviation + 0.5) for deviation in _deviations(old, new)]


def _smoothed(volume: Array, old: tuple[int, ...], new: tuple[int, ...]) -> Array:
    deviations = _deviations(old, new)
    if not any(deviations):
        return volume
    return np.asarray(ndimage.gaussian_filter(volume, deviations, mode="nearest", truncate=_TRUNCATE))


def resample_label(label: Masks, shape: tuple[int, ...], *, smooth: bool = True) -> Masks:
    """``label`` (*S) on a grid of ``shape``: of each voxel the class of which `resample` finds most there; or with
    ``smooth`` off that of the nearest voxel."""
    if label.shape == tuple(shape):
        return label
    if not smooth:
        zoom = [new / old for new, old in zip(shape, label.shape, strict=True)]
        nearest: Masks = ndimage.zoom(label, zoom, order=0, mode="nearest", grid_mode=True)
        return nearest

    def share(value: int) -> Floats:
        return np.asarray(resample((label == value).astype(np.float32), shape), np.float32)

    most = share(0)
    resized = np.zeros(shape, label.dtype)
    for value in np.flatnonzero(np.bincount(label.ravel())).tolist():
        if value:
            own = share(value)
            resized[own >= most] = value
            most = np.maximum(own, most)
    return resized
