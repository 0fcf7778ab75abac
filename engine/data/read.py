"""From the files of one case to arrays, with every structural fault named by file."""

import struct
import unicodedata
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from PIL import Image

from engine.data import volumes
from engine.data.cases import MOST_LABELS, Case, Dataset
from engine.data.headers import AFFINE_TOLERANCE, Affine
from engine.data.pictures import Range, picture_channels, read_mask_picture, read_with_range, to_shades, with_channels
from engine.data.unread import namesake
from engine.data.volumes import Array
from engine.errors import DataError, Problem, counted

Floats = npt.NDArray[np.float32]
Masks = npt.NDArray[np.integer[Any]]  # class indices: uint8, or int32 where there are more than 255 classes
Label = tuple[Masks | None, tuple[int, ...]]
"""Class indices of a mask (*S), None where it cannot be used; and the classes that it holds."""

_WHITE = {255, 65_535}
_BLURRED, _EDGES = 20, 3
"""Other values than 0 and 1, beyond which a mask of one class is smoothed; with white among them."""
WHOLE = 1e-3  # mask values that are so near to a whole number are that number: resampling tools leave such

UNREADABLE = (
    *(OSError, EOFError, ValueError, KeyError, IndexError, TypeError, OverflowError, MemoryError, SyntaxError),
    *(RuntimeError, zlib.error, struct.error, ImageFileError, HeaderDataError, Image.DecompressionBombError),
)
"""What h5py, nibabel and Pillow raise over files that are damaged in every way, as fuzzing found."""


@dataclass(frozen=True, slots=True, eq=False)
class RawCase:
    """One case as it lies on disk, in its own grid."""

    id: str  # the case's
    # (C, *S). A volume: float32. A picture: shades from 0 to 255, uint8, or float32 where the file is deeper
    image: Array
    # `Masks` (*S), 0 the background, i + 1 the class ``classes[i]``, `Dataset.ignored` what is not known; or no mask
    label: Masks | None
    affine: Affine | None  # float64 (4, 4), voxel indices to mm; None where the file has none
    spacing: tuple[float, ...] | None  # voxel size in mm along the axes of S; None where the file has none
    present: tuple[int, ...] = ()  # indices of the classes that the label holds
    # `image` as the file has it, float32, where the file names the black and white of its shades; else None
    stored: Array | None = None


def read_case(dataset: Dataset, case: Case) -> RawCase:
    """Read ``case``: a volume or a picture, with its mask where it has one.

    Raises:
        DataError: a file is missing or cannot be read, or its parts do not fit together. It lists
            all that was found, by file.
    """
    problems: list[Problem] = []
    image, affine, stored = _image(dataset, case, problems)
    label, present = (None, ()) if case.label is None else _label(dataset, case.label, image, affine, problems)
    if problems or image is None:
        raise DataError(f"case {case.id} cannot be used:", problems=tuple(problems))
    spacing = None if affine is None else volumes.spacing_of(affine)
    return RawCase(case.id, image, label, affine, spacing, present, stored)


def read_image(dataset: Dataset, case: Case) -> Array:
    """The picture of ``case`` with its channels last, (H, W, C): shades from 0 to 255, see `RawCase`.

    Raises:
        DataError: the file is missing or is no readable picture.
    """
    return np.moveaxis(read_case(dataset, case).image, 0, -1)


def channels_in(paths: Sequence[Path], spatial_dims: int) -> int:
    """Channels of the images in ``paths``, from their headers: those of the first volume; 3 if any picture has colours.

    What cannot be read counts as one channel: `read_case` says why.
    """
    try:
        if spatial_dims == 3:
            return volumes.read_header(paths[0]).channels
        return 3 if any(picture_channels(path) == 3 for path in paths) else 1
    except UNREADABLE:
        return 1


def _missing(path: Path) -> str:
    """What to say of a file that is not there."""
    if path.is_symlink():
        return "a link to a file that is not there"
    beside = namesake(path)
    form = beside is not None and unicodedata.normalize("NFC", beside.name) == unicodedata.normalize("NFC", path.name)
    which = ", with its accents in another Unicode form" if form else ""
    return "no such file" + (f"; beside it is {beside.name}{which}" if beside else "")


def _image(dataset: Dataset, case: Case, problems: list[Problem]) -> tuple[Array | None, Affine | None, Array | None]:
    """`RawCase.image`, ``affine`` and ``stored``."""
    ends: Range | None = None
    parts: list[Array] = []
    affine: Affine | None = None
    for path in case.images:
        loaded = _load(dataset, path, "image", problems)
        if loaded is None:
            continue
        channels, own, ends = loaded
        if parts and channels.shape[1:] != parts[0].shape[1:]:
            problems.append(_other_shape(dataset, path, channels.shape[1:], parts[0].shape[1:], "the first channel"))
            continue
        if parts:
            problems.extend(_other_grid(dataset.where(path), own, affine, channels.shape[1:], "the first channel"))
        affine = own if not parts else affine
        parts.append(channels)
    if problems or not parts:
        return None, affine, None
    image = np.concatenate(parts) if len(parts) > 1 else parts[0]
    if image.shape[0] != dataset.channels:
        where = dataset.where(case.images[0])
        problems.append(Problem(where, counted(image.shape[0], "channel"), f"{dataset.channels}, as the data set says"))
        return None, affine, None
    if dataset.channel_order:
        image = image[list(dataset.channel_order)]
    if dataset.spatial_dims == 2:
        if ends is not None:
            stored = image.astype(np.float32)
            return to_shades(stored, ends), affine, stored
        return to_shades(image, dataset.value_range), affine, None
    return _last_axis_fastest(image), affine, None


def _last_axis_fastest(image: Array) -> Floats:
    """``image`` (C, *S) as float32, with the values of the last axis side by side; files have those of the first so."""
    if abs(image.strides[-1]) <= abs(image.strides[-2]):
        return np.ascontiguousarray(image, dtype=np.float32)
    found = np.empty(image.shape, np.float32)
    for row in range(image.shape[-2]):  # NumPy by itself takes three times as long for a CT: it leaves the caches
        found[..., row, :] = image[..., row, :]
    return found


def _label(dataset: Dataset, path: Path, image: Array | None, affine: Affine | None, problems: list[Problem]) -> Label:
    loaded = _load(dataset, path, "label", problems)
    if loaded is None:
        return None, ()
    channels, own, _ = loaded
    if channels.shape[0] != 1:
        found = f"a label of {counted(channels.shape[0], 'channel')}"
        problems.append(Problem(dataset.where(path), found, "one class a voxel"))
        return None, ()
    mask = channels[0]
    if image is not None and mask.shape != image.shape[1:]:
        problems.append(_other_shape(dataset, path, mask.shape, image.shape[1:], "its image"))
        return None, ()
    if image is not None:
        problems.extend(_other_grid(dataset.where(path), own, affine, mask.shape, "its image"))
    return _indices(dataset, path, mask, problems)


def _indices(dataset: Dataset, path: Path, mask: Array, problems: list[Problem]) -> Label:
    """Mask values -> 0 for the background, i + 1 for the value ``label_values[i]``, `Dataset.ignored` for ``ignore``.

    A mask of 0 and 255 (16 bits: 65,535) is one of 0 and 1 where the data set has the one class 1: so programs save
    black and white.
    """
    where = dataset.where(path)
    allowed = ", ".join(map(str, (0, *dataset.label_values[:50]))) + (", ..." if len(dataset.label_values) > 50 else "")
    allowed += "" if dataset.ignore is None else f", {dataset.ignore} (not known)"
    if mask.dtype.kind == "f":
        if not np.isfinite(mask).all():
            problems.append(Problem(where, "label with NaN or infinite values", allowed))
            return None, ()
        whole = np.rint(mask)
        mask = whole if np.abs(mask - whole).max() <= WHOLE else mask
    values = np.flatnonzero(np.bincount(mask.ravel())) if mask.dtype == np.uint8 else np.unique(mask)
    white, unknown = values.max(), () if dataset.ignore is None else (dataset.ignore,)
    if (
        dataset.label_values == (1,)
        and white in _WHITE
        and white != dataset.ignore
        and set(values.tolist()) <= {0, white, *unknown}
    ):
        return to_indices(mask, (white, *unknown), values.tolist()), (0,)
    places = {value: index for index, value in enumerate(dataset.label_values)}
    wrong = [value for value in values.tolist() if value not in {0, dataset.ignore} and value not in places]
    if wrong:
        names = ", ".join(f"{value:.9g}" for value in wrong[:5]) + (", ..." if len(wrong) > 5 else "")
        nameable = [value for value in wrong if 0 < value <= MOST_LABELS and float(value).is_integer()]
        edges = len(wrong) > _BLURRED or (len(wrong) > _EDGES and white in _WHITE)
        if edges and dataset.label_values == (1,):
            allowed += "; so many values look like a mask that was smoothed: resample it by nearest neighbour"
        elif nameable and dataset.source != "left_atrium":
            allowed += "; names in data.classes stand for 1, 2, ... in their order, and"
            allowed += f' "labels" of a dataset.json for any value: {{"lesion": {nameable[0]:.9g}}}'
        if len(wrong) == len(nameable) == 1 and dataset.ignore is None:
            allowed += f"; data.ignore = {nameable[0]:.9g} where it stands for voxels whose truth is not known"
        problems.append(Problem(where, f"label value {names}", allowed))
        return None, ()
    present = sorted(places[value] for value in values.tolist() if value in places)
    return to_indices(mask, (*dataset.label_values, *unknown), values.tolist()), tuple(present)


def index_type(classes: int) -> type[np.integer[Any]]:
    """Of the masks of so many foreground classes."""
    return np.uint8 if classes <= 255 else np.int32


def to_indices(mask: Array, label_values: Sequence[int], found: Iterable[float]) -> Masks:
    """The values ``found`` in a mask (*S) as class indices: i + 1 for ``label_values[i]``, 0 for any other."""
    places: dict[float, int] = {value: index for index, value in enumerate(label_values, 1)}
    label = np.zeros(mask.shape, index_type(len(label_values)))
    for value in found:
        if value in places:
            label[mask == value] = places[value]
    return label


def _load(
    dataset: Dataset, path: Path, what: str, problems: list[Problem]
) -> tuple[Array, Affine | None, Range | None] | None:
    """What ``path`` holds, (C, *S), its affine, its own black and white; or None and a problem more."""
    where = dataset.where(path)
    affine: Affine | None = None
    ends: Range | None = None
    try:
        array: Array | None
        if dataset.spatial_dims == 3:
            volume, affine = volumes.read_volume(path, what)
            array, shape = volumes.channels_first(volume), volume.shape
        else:
            picture, ends = (read_mask_picture(path), None) if what == "label" else read_with_range(path)
            array = picture[None] if what == "label" else with_channels(picture, dataset.channels)
            shape = array.shape
    except FileNotFoundError:
        problems.append(Problem(where, f"{what}: {_missing(path)}"))
        return None
    except UNREADABLE as error:
        problems.append(Problem(where, f"{what} cannot be read: {why(error)}"))
        return None
    problem = _fault(where, what, array, shape, affine)
    if problem is not None or array is None:
        problems.extend([problem] if problem else [])
        return None
    return array, affine, ends


def _fault(where: str, what: str, array: Array | None, shape: Sequence[int], affine: Affine | None) -> Problem | None:
    """What keeps an array that was read from being an image or a mask."""
    found = "x".join(map(str, shape))
    if array is None:
        slices = "; slices are read as pictures (PNG, TIFF), or with a third axis of 1" if len(shape) == 2 else ""
        return Problem(where, f"{what} of shape {found}", f"3 axes, or for an image a 4th with the channels{slices}")
    if array.size == 0:
        return Problem(where, f"{what} has no voxels: shape {found}")
    if array.dtype.kind not in "biuf":
        return Problem(where, f"{what} holds {array.dtype}", "integers or real numbers")
    if affine is not None and not volumes.invertible(affine):
        return Problem(where, f"{what} has an affine that is not invertible")
    return None


def _other_shape(dataset: Dataset, path: Path, found: Sequence[int], wanted: Sequence[int], of: str) -> Problem:
    text = "x".join(map(str, found))
    return Problem(dataset.where(path), f"shape {text}", f"{'x'.join(map(str, wanted))}, the shape of {of}")


def _other_grid(
    where: str, found: Affine | None, wanted: Affine | None, shape: Sequence[int], of: str
) -> list[Problem]:
    """A problem if the two affines put some corner of ``shape`` at places too far apart."""
    if found is None or wanted is None:
        return []
    apart = volumes.corners_apart(found, wanted, shape)
    if apart <= AFFINE_TOLERANCE * min(volumes.spacing_of(wanted)):
        return []
    return [Problem(where, f"affine other than that of {of}: up to {apart:.3g} mm apart", "the same grid")]


def why(error: BaseException) -> str:
    """One line on what went wrong, without the path that the message names already."""
    text = (getattr(error, "strerror", None) or str(error) or type(error).__name__).split("\n")[0]
    text = text.removesuffix(" from ")  # nibabel's words on a stream without a name
    return text if len(text) <= 200 else text[:197] + "..."
