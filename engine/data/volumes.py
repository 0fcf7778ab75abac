"""Volume files (NIfTI, HDF5) as arrays, and the geometry that an affine gives them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import h5py
import nibabel
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]
Affine = npt.NDArray[np.float64]

MAX_VOXELS = 2**31
"""Larger volumes are refused: a damaged header must not ask for all the memory there is."""
logging.getLogger("nibabel.global").setLevel(logging.CRITICAL)  # its remarks on headers; faults are raised

_H5 = (".h5", ".hdf5")


def read_volume(path: Path, key: str = "image") -> tuple[Array, Affine | None]:
    """The array (*S) or (*S, C) in a NIfTI file and its affine, or that called ``key`` in an h5 file and None.

    Raises:
        OSError, ValueError and others that a damaged file causes.
    """
    return (_h5(path, key), None) if path.suffix.lower() in _H5 else _nifti(path)


def volume_channels(path: Path) -> int:
    """Channels of the volume in ``path``, from its header."""
    if path.suffix.lower() in _H5:
        return 1
    shape = nibabel.load(path).shape
    return int(shape[-1]) if len(shape) > 3 else 1


def channels_first(volume: Array) -> Array | None:
    """(*S), (*S, C) or (*S, 1, C) as (C, *S), S having three axes; None for other shapes."""
    if volume.ndim == 5 and volume.shape[3] == 1:
        volume = volume[:, :, :, 0]
    if volume.ndim == 3:
        return volume[None]
    return np.moveaxis(volume, -1, 0) if volume.ndim == 4 else None


def spacing_of(affine: Affine) -> tuple[float, ...]:
    """Voxel size along each axis, in the unit of ``affine`` (4, 4): the lengths of its columns."""
    return tuple(float(value) for value in np.sqrt((affine[:-1, :-1] ** 2).sum(axis=0)))


def invertible(affine: Affine) -> bool:
    """Whether ``affine`` (4, 4) gives every voxel a place of its own."""
    return bool(np.isfinite(affine).all() and abs(np.linalg.det(affine[:-1, :-1])) > 1e-12)


def corners_apart(found: Affine, wanted: Affine, shape: Sequence[int]) -> float:
    """How far apart two affines put some corner of a grid of ``shape``, along one axis, at most."""
    ends = np.array([[0, side - 1] for side in shape], dtype=np.float64)
    corners = np.stack([axis.ravel() for axis in np.meshgrid(*ends, indexing="ij")])
    corners = np.concatenate([corners, np.ones((1, corners.shape[1]))])
    return float(np.abs((found - wanted)[:-1] @ corners).max())


def _h5(path: Path, key: str) -> Array:
    with h5py.File(path, "r") as file:
        if key not in file:
            raise ValueError(f'no data set "{key}" in it')
        item = file[key]
        if not isinstance(item, h5py.Dataset):
            raise KeyError(f'"{key}" is not an array')
        _refuse_huge(item.shape)
        return np.asarray(item[...])


def _nifti(path: Path) -> tuple[Array, Affine | None]:
    file = nibabel.load(path)
    _refuse_huge(file.shape)
    array = np.asanyarray(file.dataobj)
    if array.dtype == np.float64:
        array = array.astype(np.float32)
    return array, np.asarray(file.affine, dtype=np.float64)


def _refuse_huge(shape: Sequence[int]) -> None:
    voxels = 1
    for side in shape:
        voxels *= int(side)
    if voxels > MAX_VOXELS:
        raise ValueError(f"its header asks for {voxels} values")
