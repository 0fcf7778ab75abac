"""Volumes (NIfTI, NRRD, MetaImage, DICOM, HDF5) as arrays, and the geometry that an affine gives them."""

import gzip
import logging
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt
from nibabel.openers import ImageOpener
from nibabel.volumeutils import apply_read_scaling

from engine.data.dicom_folders import is_slice
from engine.data.endings import HDF5, ITK
from engine.data.headed import open_headed, read_headed
from engine.data.headers import Affine, Header, refuse_huge
from engine.data.planes import volume_of
from engine.data.series import read_series, series_header
from engine.data.signs import kind_in
from engine.runfolder.regular import open_regular

Array = npt.NDArray[np.generic]

_KINDS = (nibabel.Nifti1Image, nibabel.Nifti2Image)
_MILLIMETRES = {1: 1e3, 3: 1e-3}  # in the units of length of NIfTI-1 that are not mm: metre and micron
_MOST_HEADER = 16 << 20
_MOST_BEHIND = 64 << 20  # bytes behind the values that are looked through for the check sum
logging.getLogger("nibabel.global").setLevel(logging.CRITICAL)  # its remarks on headers; faults are raised


def read_volume(path: Path, key: str = "image") -> tuple[Array, Affine | None]:
    """The array (*S) or (*S, C) and its affine, or that called ``key`` in an h5 file and None.

    Args:
        path: a file, or the folder of a series of DICOM; where that holds several, one of its files.
        key: "image" or "label".

    Raises:
        OSError, ValueError and others that a damaged file causes.
    """
    ending = path.suffix.lower()
    if path.is_dir() or is_slice(path):
        return read_series(path, key)
    if ending in HDF5:
        return _h5(path, key), None
    if ending in ITK:
        return read_headed(path, key)
    return _nifti(path, key)


def read_header(path: Path) -> Header:
    """What the file, or the series, ``path`` says of its volume. Raises as `read_volume`."""
    ending = path.suffix.lower()
    if path.is_dir() or is_slice(path):
        return series_header(path)
    if ending in HDF5:
        import h5py

        with open_regular(path) as stream, h5py.File(stream, "r") as file:
            return Header(tuple(map(int, file["image"].shape[:3])), 1, file["image"].dtype, None)
    if ending in ITK:
        return open_headed(path).header
    file = open_nifti(path)
    channels = int(file.shape[-1]) if len(file.shape) > 3 else 1
    return Header(tuple(map(int, file.shape[:3])), channels, file.get_data_dtype(), _nifti_affine(file))


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
    import h5py

    with open_regular(path) as stream, h5py.File(path, "r") as file:
        link = file.get(key, getlink=True)
        if link is None:
            raise ValueError(f'no data set "{key}" in it, but {", ".join(list(file)[:10])[:200] or "nothing"}')
        if type(link) is not h5py.HardLink:
            raise ValueError(f'"{key}" is a link to another place, which is not followed')
        item = file[key]
        if not isinstance(item, h5py.Dataset) or item.shape is None:
            raise KeyError(f'"{key}" is not an array')
        if item.external or item.is_virtual:
            raise ValueError(f'"{key}" has its values in another file, which is not opened')
        if item.dtype.kind not in "biuf":
            raise ValueError(f"it holds {item.dtype}, in place of integers or real numbers")
        refuse_huge(item.shape, item.dtype, key, stream)
        return np.asarray(item[...])


def open_nifti(path: Path) -> nibabel.Nifti1Image:
    """A NIfTI file, of which only the header is read so far.

    Raises:
        OSError, ValueError and others: it is no regular file, no NIfTI, or has a header of gigabytes.
    """
    open_regular(path).close()
    for kind in _KINDS:
        if kind.path_maybe_image(path)[0]:
            with ImageOpener(path) as stream:
                size = kind.header_class.template_dtype.itemsize
                begin = float(kind.header_class(stream.read(size), check=False)["vox_offset"])
            if not begin <= _MOST_HEADER:  # what lies before the voxels is read at once
                raise ValueError("the voxels begin at an absurd place")
            return kind.from_filename(path)
    with open_regular(path) as stream:
        packed, named = stream.read(2) == b"\x1f\x8b", path.name.lower().endswith(".gz")
        kind = kind_in(stream, packed=packed)
    if packed != named and kind == ": it is a NIfTI volume":
        kind = "; gzip packed it: call it .nii.gz" if packed else "; it is not packed: call it .nii"
    raise ValueError(f"it is no NIfTI file{kind}")


def _nifti(path: Path, key: str) -> tuple[Array, Affine | None]:
    file = open_nifti(path)
    with open_regular(path) as stream:
        refuse_huge(file.shape, file.get_data_dtype(), key, stream)
    single = len(file.shape) >= 3 and 0 < math.prod(file.shape) == math.prod(file.shape[:3])
    if key == "image" and single and file.get_data_dtype().kind in "biuf":  # others are refused, with their kind
        return _by_planes(path, file).reshape(file.shape), _nifti_affine(file)
    array = _unpacked(path, file) if path.name.lower().endswith(".gz") else np.asanyarray(file.dataobj)
    if array.dtype == np.float64:
        with np.errstate(over="ignore"):  # infinite values are found, and said, as such
            array = array.astype(np.float32)
    return array, _nifti_affine(file)


def _unpacked(path: Path, file: nibabel.Nifti1Image) -> Array:
    """The values of ``file``, read on to where gzip keeps its check sum: nibabel stops before it.

    Raises:
        gzip.BadGzipFile: the values are others than were packed.
    """
    with ImageOpener(path) as stream:
        array: Array = np.asanyarray(type(file).from_stream(stream.fobj).dataobj)
        _read_on(stream)
    return array


def _by_planes(path: Path, file: nibabel.Nifti1Image) -> npt.NDArray[np.float32]:
    """The values (X, Y, Z) of ``file`` as nibabel scales them, as float32.

    Raises:
        OSError: it is cut off. And as `_read_on`.
    """
    proxy = file.dataobj
    columns, rows, count = map(int, file.shape[:3])
    slope, intercept = np.asanyarray(proxy.slope), np.asanyarray(proxy.inter)
    wanted = columns * rows * proxy.dtype.itemsize

    def planes(stream: ImageOpener) -> Iterator[tuple[int, Array]]:
        stream.seek(proxy.offset)
        for at in range(count):
            content = stream.read(wanted)
            if len(content) < wanted:
                raise OSError(f"it is cut off: its values are less than the {wanted * count} bytes of its header")
            stored = np.frombuffer(content, proxy.dtype).reshape(rows, columns)
            yield at, apply_read_scaling(stored, slope, intercept)

    with ImageOpener(path) as stream, np.errstate(over="ignore"):  # infinite values are found, and said, as such
        volume = volume_of((columns, rows, count), planes(stream))
        if path.name.lower().endswith(".gz"):
            _read_on(stream)
    return volume


def _read_on(stream: ImageOpener) -> None:
    """Read the file to where gzip keeps its check sum.

    Raises:
        gzip.BadGzipFile: the values are others than were packed.
    """
    try:
        for _ in range(_MOST_BEHIND >> 20):
            if not stream.read(1 << 20):
                break
    except gzip.BadGzipFile as error:
        if "gzipped" not in str(error):  # other bytes behind what is packed do not matter, as to gzip itself
            raise


def _nifti_affine(file: nibabel.Nifti1Image) -> Affine:
    """From voxel indices to mm, (4, 4), in whatever unit the header is; an unknown one is mm, as in ITK."""
    affine = np.array(file.affine, dtype=np.float64)
    affine[:3] *= _MILLIMETRES.get(int(file.header["xyzt_units"]) & 7, 1.0)
    return affine
