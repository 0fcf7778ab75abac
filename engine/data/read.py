"""From the files of one case to arrays, with every structural fault named by file."""

from __future__ import annotations

import logging
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import nibabel
import numpy as np
import numpy.typing as npt
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from PIL import Image, ImageOps

from engine.data.cases import Case, Dataset
from engine.errors import DataError, Problem

Array = npt.NDArray[np.generic]
Floats = npt.NDArray[np.float32]
Masks = npt.NDArray[np.uint8]
Affine = npt.NDArray[np.float64]

MAX_VOXELS = 2**31
"""Larger volumes are refused: a damaged header must not ask for all the memory there is."""
AFFINE_TOLERANCE = 0.1
"""Share of the smallest voxel side by which two grids may lie apart and still count as the same."""
logging.getLogger("nibabel.global").setLevel(logging.CRITICAL)  # its remarks on headers; faults are raised

_H5 = (".h5", ".hdf5")
_UNREADABLE = (
    *(OSError, EOFError, ValueError, KeyError, IndexError, TypeError, OverflowError, MemoryError, SyntaxError),
    *(RuntimeError, zlib.error, struct.error, ImageFileError, HeaderDataError, Image.DecompressionBombError),
)
"""What h5py, nibabel and Pillow raise over files that are damaged in every way, as fuzzing found."""


@dataclass(frozen=True, slots=True, eq=False)
class RawCase:
    """One case as it lies on disk, in its own grid.

    Attributes:
        id: the case's.
        image: float32 (C, *S); classification: uint8 RGB (H, W, 3).
        label: uint8 (*S), 0 the background and i + 1 the class ``classes[i]``; None without a mask.
        affine: float64 (4, 4), voxel indices to mm; None where the file has none.
        spacing: voxel size in mm along the axes of S; None where the file has none.
    """

    id: str
    image: Array
    label: Masks | None
    affine: Affine | None
    spacing: tuple[float, ...] | None


def read_case(dataset: Dataset, case: Case) -> RawCase:
    """Read ``case``: a volume with its mask, or an RGB image.

    Raises:
        DataError: a file is missing or cannot be read, or its parts do not fit together. It lists
            all that was found, by file.
    """
    if dataset.task == "classification":
        return RawCase(case.id, read_image(dataset, case), None, None, None)
    problems: list[Problem] = []
    image, affine = _image(dataset, case, problems)
    label = None if case.label is None else _label(dataset, case.label, image, affine, problems)
    if problems or image is None:
        raise DataError(f"case {case.id} cannot be used:", problems=tuple(problems))
    spacing = None if affine is None else spacing_of(affine)
    return RawCase(case.id, image, label, affine, spacing)


def read_image(dataset: Dataset, case: Case) -> Masks:
    """The RGB image of a classification case, uint8 (H, W, 3), turned upright as its EXIF data says.

    Grey images become three equal channels, 16-bit ones are scaled to 8 bits, transparency is dropped.

    Raises:
        DataError: the file is missing or is no readable image.
    """
    path = case.images[0]
    try:
        with Image.open(path) as file:
            return rgb(file)
    except FileNotFoundError:
        problem = Problem(dataset.where(path), missing(path))
    except _UNREADABLE as error:
        problem = Problem(dataset.where(path), f"cannot be read as an image: {_why(error)}")
    raise DataError(f"case {case.id} cannot be used:", problems=(problem,))


def rgb(file: Image.Image) -> Masks:
    """``file`` as uint8 RGB (H, W, 3)."""
    upright = ImageOps.exif_transpose(file)
    if upright.mode in {"I", "I;16", "I;16B", "I;16L"}:
        values = np.asarray(upright).astype(np.float32)
        grey = np.clip(values / 257.0 if values.max(initial=0) > 255 else values, 0, 255)
        return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)
    return np.asarray(upright.convert("RGB"))


def read_volume(path: Path) -> tuple[Array, Affine | None]:
    """The array (*S) or (*S, C) in a NIfTI file and its affine, or ``image`` of an h5 file and None.

    Raises:
        OSError, ValueError and others that a damaged file causes; see `read_case` for named errors.
    """
    if path.suffix.lower() in _H5:
        return _h5(path, "image"), None
    return _nifti(path)


def channels_in(path: Path) -> int:
    """Channels of the volume in ``path``, from its header; 1 where it cannot be read: `read_case` says why."""
    try:
        if path.suffix.lower() in _H5:
            return 1
        shape = nibabel.load(path).shape
    except _UNREADABLE:
        return 1
    return int(shape[-1]) if len(shape) > 3 else 1


def spacing_of(affine: Affine) -> tuple[float, ...]:
    """Voxel size along each axis, in the unit of ``affine`` (4, 4): the lengths of its columns."""
    return tuple(float(value) for value in np.sqrt((affine[:3, :3] ** 2).sum(axis=0)))


def missing(path: Path) -> str:
    """What to say of a file that is not there."""
    return "a link to a file that is not there" if path.is_symlink() else "no such file"


def _image(dataset: Dataset, case: Case, problems: list[Problem]) -> tuple[Floats | None, Affine | None]:
    """All channels of ``case`` as float32 (C, *S), and the affine that they share."""
    parts: list[Array] = []
    affine: Affine | None = None
    for path in case.images:
        loaded = _load(dataset, path, "image", problems)
        if loaded is None:
            continue
        volume, own = loaded
        channels = _channels(volume)
        if channels is None:
            found = "x".join(map(str, volume.shape))
            problems.append(Problem(dataset.where(path), f"shape {found}", "3 axes, or a 4th with the channels"))
            continue
        if parts and channels.shape[1:] != parts[0].shape[1:]:
            problems.append(_other_shape(dataset, path, channels.shape[1:], parts[0].shape[1:], "the first channel"))
            continue
        if parts:
            problems.extend(_other_grid(dataset.where(path), own, affine, channels.shape[1:], "the first channel"))
        affine = own if not parts else affine
        parts.append(channels)
    if problems or not parts:
        return None, affine
    image = np.concatenate(parts) if len(parts) > 1 else parts[0]
    if image.shape[0] != dataset.channels:
        where = dataset.where(case.images[0])
        problems.append(Problem(where, f"{image.shape[0]} channels", f"{dataset.channels}, as the data set says"))
        return None, affine
    return np.ascontiguousarray(image, dtype=np.float32), affine


def _label(
    dataset: Dataset, path: Path, image: Floats | None, affine: Affine | None, problems: list[Problem]
) -> Masks | None:
    """The mask in ``path`` as class indices, uint8 (*S)."""
    loaded = _load(dataset, path, "label", problems)
    if loaded is None:
        return None
    volume, own = loaded
    channels = _channels(volume)
    if channels is None or channels.shape[0] != 1:
        found = "x".join(map(str, volume.shape))
        problems.append(Problem(dataset.where(path), f"label of shape {found}", "3 axes: one class index a voxel"))
        return None
    mask = channels[0]
    if image is not None and mask.shape != image.shape[1:]:
        problems.append(_other_shape(dataset, path, mask.shape, image.shape[1:], "its image"))
        return None
    if image is not None:
        problems.extend(_other_grid(dataset.where(path), own, affine, mask.shape, "its image"))
    return _indices(dataset, path, mask, problems)


def _indices(dataset: Dataset, path: Path, mask: Array, problems: list[Problem]) -> Masks | None:
    """Mask values -> 0 for the background, i + 1 for the value ``label_values[i]``."""
    where = dataset.where(path)
    allowed = ", ".join(map(str, (0, *dataset.label_values)))
    if mask.dtype.kind == "f" and not np.isfinite(mask).all():
        problems.append(Problem(where, "label with NaN or infinite values", allowed))
        return None
    values = np.flatnonzero(np.bincount(mask.ravel())) if mask.dtype == np.uint8 else np.unique(mask)
    wrong = [value for value in values.tolist() if value != 0 and value not in dataset.label_values]
    if wrong:
        names = ", ".join(f"{value:g}" for value in wrong[:5]) + (", ..." if len(wrong) > 5 else "")
        problems.append(Problem(where, f"label value {names}", allowed))
        return None
    label = np.zeros(mask.shape, np.uint8)
    for index, value in enumerate(dataset.label_values):
        label[mask == value] = index + 1
    return label


def _load(dataset: Dataset, path: Path, what: str, problems: list[Problem]) -> tuple[Array, Affine | None] | None:
    """The array and affine in ``path``, or None and a problem more."""
    where = dataset.where(path)
    try:
        volume, affine = (_h5(path, what), None) if path.suffix.lower() in _H5 else _nifti(path)
    except FileNotFoundError:
        problems.append(Problem(where, f"{what}: {missing(path)}"))
        return None
    except _UNREADABLE as error:
        problems.append(Problem(where, f"{what} cannot be read: {_why(error)}"))
        return None
    if volume.size == 0:
        problems.append(Problem(where, f"{what} has no voxels: shape {'x'.join(map(str, volume.shape))}"))
        return None
    if volume.dtype.kind not in "biuf":
        problems.append(Problem(where, f"{what} holds {volume.dtype}", "integers or real numbers"))
        return None
    if affine is not None and not _invertible(affine):
        problems.append(Problem(where, f"{what} has an affine that is not invertible"))
        return None
    return volume, affine


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


def _channels(volume: Array) -> Array | None:
    """(*S), (*S, C) or (*S, 1, C) as (C, *S); None for other shapes."""
    if volume.ndim == 5 and volume.shape[3] == 1:
        volume = volume[:, :, :, 0]
    if volume.ndim == 3:
        return volume[None]
    return np.moveaxis(volume, -1, 0) if volume.ndim == 4 else None


def _invertible(affine: Affine) -> bool:
    return bool(np.isfinite(affine).all() and abs(np.linalg.det(affine[:3, :3])) > 1e-12)


def _other_shape(dataset: Dataset, path: Path, found: Sequence[int], wanted: Sequence[int], of: str) -> Problem:
    text = "x".join(map(str, found))
    return Problem(dataset.where(path), f"shape {text}", f"{'x'.join(map(str, wanted))}, the shape of {of}")


def _other_grid(
    where: str, found: Affine | None, wanted: Affine | None, shape: Sequence[int], of: str
) -> list[Problem]:
    """A problem if the two affines put some corner of ``shape`` at places too far apart."""
    if found is None or wanted is None:
        return []
    sides = np.array([[0, side - 1] for side in shape], dtype=np.float64)
    corners = np.stack([*(axis.ravel() for axis in np.meshgrid(*sides, indexing="ij")), np.ones(8)])
    apart = float(np.abs((found - wanted)[:3] @ corners).max())
    if apart <= AFFINE_TOLERANCE * min(spacing_of(wanted)):
        return []
    return [Problem(where, f"affine other than that of {of}: up to {apart:.3g} mm apart", "the same grid")]


def _why(error: BaseException) -> str:
    """One line on what went wrong, without the path that the message names already."""
    text = (getattr(error, "strerror", None) or str(error) or type(error).__name__).split("\n")[0]
    return text if len(text) <= 200 else text[:197] + "..."
