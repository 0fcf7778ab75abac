"""From a case on disk to what the network sees, and back to the case's own geometry.

No torch: numpy, SciPy and Pillow only. A volume is turned to RAS+ where its affine tells how,
resampled to `DataTable.spacing`, normalised, and padded with zeros to at least `DataTable.size`.
A picture likewise, but for the turning; its intensities are a map of all its colours together, applied
last, so that training can change colours before it. `engine.data.own_grid` undoes all but the
normalisation, so predictions lie on the input's own voxels.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from nibabel.orientations import apply_orientation, io_orientation
from PIL import Image

from engine.data.headers import MAX_VOXELS, Affine
from engine.data.read import Floats, Masks, RawCase
from engine.data.resampling import resample, resample_label
from engine.data.volumes import Array
from engine.errors import DataError
from engine.recipe import DataTable

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Of RGB images from 0 to 1: the values with which torchvision's weights were trained."""
CLIP = (0.5, 99.5)  # percentiles to which volumes are clipped before they are standardised
_SAMPLE = 1_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """One volume or picture on the network's grid N, with the way back to its own grid S."""

    id: str  # the case's
    image: Floats  # float32 (C, *N), as the network sees it; from `on_grid`, a picture has its shades from 0 to 255
    label: Masks | None  # `Masks` (*S), on the case's own grid; None without a mask
    label_net: Masks | None  # `Masks` (*N), on the network's grid; None without a mask
    affine: Affine | None  # float64 (4, 4) of the case's own grid; None where the file has none
    spacing: tuple[float, ...] | None  # of the case's own grid in mm; None where the file has none
    shape: tuple[int, ...]  # S
    turned: tuple[int, ...]  # S with its axes in the network's order
    resampled: tuple[int, ...]  # shape after resampling, before padding
    # (axes, 2), for each own axis the network's axis and its sign, as nibabel has it
    orientation: npt.NDArray[np.float64]

    @property
    def is_identity(self) -> bool:
        """Whether the network's grid is the case's own: then nothing has to be restored."""
        straight = np.array_equal(self.orientation, _straight(len(self.shape)))
        return straight and self.shape == self.turned == self.resampled == self.image.shape[1:]

    @property
    def unpadded(self) -> tuple[slice, ...]:
        """The part of the network's grid that is no padding."""
        return _inner(self.image.shape[1:], self.resampled)

    @property
    def spacing_net(self) -> tuple[float, ...] | None:
        """Spacing of the network's grid in mm; None where the file has none."""
        if self.spacing is None:
            return None
        own = _turned_spacing(self.spacing, self.orientation)
        return tuple(step * old / new for step, old, new in zip(own, self.turned, self.resampled, strict=True))

    def turn_back(self, volume: Array) -> Array:
        """``volume`` (*turned) with its axes as the case has them, (*S)."""
        back = np.zeros_like(self.orientation)
        for axis, (place, sign) in enumerate(self.orientation):
            back[int(place)] = (axis, sign)
        turned: Array = apply_orientation(volume, back)
        return turned


def prepare(sample: RawCase, table: DataTable) -> Prepared:
    """Bring the image of ``sample`` to the network's grid and intensities."""
    prepared = on_grid(sample, table)
    if sample.image.ndim != 3:
        return prepared
    scale, shift = shades_map(prepared, table)
    return replace(prepared, image=_applied(prepared.image, scale, shift, table))


def shades_map(prepared: Prepared, table: DataTable) -> tuple[Floats, Floats]:
    """The `intensity_map` of a picture from `on_grid`, without what was padded."""
    return intensity_map(np.moveaxis(prepared.image[(slice(None), *prepared.unpadded)], 0, -1), table)


def whole_volume(sample: RawCase, table: DataTable) -> tuple[Floats, tuple[float, ...]]:
    """A volume that has a class as a whole, as the network sees it: all of it or its centre, as ``table.resize`` says.

    Returns:
        The image (C, *size), and the sides of its voxels, in mm where the file has a spacing.
    """
    stretched = table.resize == "stretch"
    prepared = on_grid(sample, table, table.size if stretched else None)
    starts = [(have - want) // 2 for have, want in zip(prepared.image.shape[1:], table.size, strict=True)]
    centre = tuple(slice(start, start + side) for start, side in zip(starts, table.size, strict=True))
    image = np.ascontiguousarray(prepared.image[(slice(None), *centre)])
    if prepared.spacing_net is not None:
        return image, prepared.spacing_net
    return image, tuple(old / new for old, new in zip(prepared.turned, prepared.resampled, strict=True))


def on_grid(sample: RawCase, table: DataTable, stretched: tuple[int, ...] | None = None) -> Prepared:
    """Bring the image of ``sample`` to the network's grid; a picture keeps its shades from 0 to 255.

    Args:
        stretched: the grid's shape, where it does not follow from ``table.spacing``.
    """
    orientation = _straight(sample.image.ndim - 1) if sample.affine is None else io_orientation(sample.affine)
    image = np.stack([apply_orientation(channel, orientation) for channel in sample.image])
    label = None if sample.label is None else apply_orientation(sample.label, orientation)
    turned = image.shape[1:]
    resampled = stretched or _resampled_shape(turned, sample.spacing, orientation, table)
    if math.prod(resampled) > MAX_VOXELS:
        shape = "x".join(map(str, resampled))
        raise DataError(f"data.spacing makes {shape} voxels of case {sample.id}", "a coarser data.spacing makes fewer")
    if len(turned) == 2:
        image = np.stack([_resample_picture(channel, resampled) for channel in image])
    else:
        image = np.stack([resample(normalise(channel, table), resampled, smooth=table.smooth) for channel in image])
    label_net = None if label is None else pad(resample_label(label, resampled, smooth=table.smooth), table.size)
    return Prepared(
        id=sample.id,
        image=np.ascontiguousarray(
            np.stack([pad(channel, table.size) for channel in image]), dtype=None if len(turned) == 2 else np.float32
        ),
        label=sample.label,
        label_net=None if label_net is None else np.ascontiguousarray(label_net),
        affine=sample.affine,
        spacing=sample.spacing,
        shape=sample.image.shape[1:],
        turned=turned,
        resampled=resampled,
        orientation=orientation,
    )


def normalise(volume: Array, table: DataTable) -> Floats:
    """One channel (*S) of a volume as float32, by ``table.intensity``.

    zscore and body clip to the 0.5th and 99.5th percentile first: a single hot voxel must not set the scale.
    imagenet has no meaning for a volume: it is refused.
    """
    values = volume.astype(np.float32)
    if table.intensity == "none":
        return values
    if table.intensity == "window" and table.window is not None:
        low, high = table.window
        return (np.clip(values, low, high) - np.float32(low)) / np.float32(high - low)
    if table.intensity == "minmax":
        low, high = float(values.min()), float(values.max())
        return (values - np.float32(low)) / np.float32(max(high - low, 1e-12))
    body = np.asarray(_body(values, table), np.float32)
    step = max(1, body.size // _SAMPLE)
    low, high = np.percentile(body.ravel()[::step], CLIP)
    if high > low:
        values = np.clip(values, low, high)
        body = values if table.intensity == "zscore" else np.clip(body, low, high)
    mean, deviation = float(body.mean(dtype=np.float64)), float(body.std(dtype=np.float64))
    return (values - np.float32(mean)) / np.float32(max(deviation, 1e-12))


def _body(values: Array, table: DataTable) -> Array:
    """The values that statistics are of: all; with "body" those that are neither 0 nor the least."""
    if table.intensity != "body":
        return values
    body = values[(values != 0) & (values != values.min())]
    return body if body.size else values


def pad(volume: Array, size: tuple[int, ...]) -> Array:
    """``volume`` (*S) in the middle of zeros, at least ``size`` along every axis."""
    outer = tuple(max(side, least) for side, least in zip(volume.shape, size, strict=True))
    if outer == volume.shape:
        return volume
    padded = np.zeros(outer, volume.dtype)
    padded[_inner(outer, volume.shape)] = volume
    return padded


def resize_image(image: Array, table: DataTable, box: tuple[float, float, float, float] | None = None) -> Array:
    """``image`` (H, W, 3), uint8 or float32, at ``table.size``: stretched, or its centre, as ``table.resize`` says.

    Args:
        box: (left, top, right, bottom) in pixels: take this part of the image in place of the whole.
    """
    height, width = table.size
    if box is None:
        if image.shape[:2] == (height, width):
            return image
        box = seen_box(image.shape, table)
    if image.dtype == np.uint8:
        return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR, box=box))
    parts = [Image.fromarray(np.ascontiguousarray(image[..., channel])) for channel in range(image.shape[2])]
    resized = [np.asarray(part.resize((width, height), Image.Resampling.BILINEAR, box=box)) for part in parts]
    return np.stack(resized, axis=-1)


def seen_box(shape: tuple[int, ...], table: DataTable) -> tuple[float, float, float, float]:
    """(left, top, right, bottom) of what the network sees of an image of ``shape`` (H, W): all, or its centre."""
    rows, columns = shape[:2]
    height, width = table.size
    if table.resize == "stretch":
        return 0.0, 0.0, float(columns), float(rows)
    scale = min(rows / height, columns / width)
    top, left = (rows - height * scale) / 2, (columns - width * scale) / 2
    return left, top, left + width * scale, top + height * scale


def intensity_map(image: Array, table: DataTable) -> tuple[Floats, Floats]:
    """(scale, shift), float32 (C,) each: ``image / 255 * scale + shift`` is what the network sees.

    zscore, body and minmax are of the whole image (H, W, C), over its colours together, so that hues stay.
    imagenet has means of three colours; a data set in grey is refused with it.
    """
    scale, shift = np.ones(image.shape[-1]), np.zeros(image.shape[-1])
    if table.intensity == "imagenet":
        scale = 1 / np.array(IMAGENET_STD)
        shift = -np.array(IMAGENET_MEAN) * scale
    elif table.intensity in {"zscore", "body"}:
        body = _body(image, table)
        deviation = max(float(body.std(dtype=np.float64)) / 255, 1e-6)
        scale, shift = scale / deviation, shift - float(body.mean(dtype=np.float64)) / 255 / deviation
    elif table.intensity == "minmax":
        low, high = float(image.min()), float(image.max())
        extent = max(high - low, 1 if image.dtype == np.uint8 else 1e-6)
        scale, shift = scale * 255 / extent, shift - low / extent
    elif table.intensity == "window" and table.window is not None:
        low_value, high_value = table.window
        scale, shift = scale * 255 / (high_value - low_value), shift - low_value / (high_value - low_value)
    return scale.astype(np.float32), shift.astype(np.float32)


def normalise_image(image: Array, table: DataTable) -> Floats:
    """``image`` (H, W, C) of shades from 0 to 255 as the network sees it: float32 (C, H, W)."""
    return _applied(np.ascontiguousarray(np.moveaxis(image, -1, 0)), *intensity_map(image, table), table)


def _applied(image: Array, scale: Floats, shift: Floats, table: DataTable) -> Floats:
    values = image.astype(np.float32) / np.float32(255) * scale[:, None, None] + shift[:, None, None]
    return np.clip(values, 0, 1) if table.intensity == "window" else values


def _resample_picture(channel: Array, shape: tuple[int, ...]) -> Array:
    """One channel of a picture (H, W) on a grid of ``shape``: each new pixel the mean of what it covers."""
    if channel.shape == tuple(shape):
        return channel
    grey = Image.fromarray(channel.astype(np.float32))
    return np.asarray(grey.resize((shape[1], shape[0]), Image.Resampling.BILINEAR))


def _straight(axes: int) -> npt.NDArray[np.float64]:
    return np.stack([np.arange(axes), np.ones(axes)], axis=1).astype(np.float64)


def _resampled_shape(
    turned: tuple[int, ...], spacing: tuple[float, ...] | None, orientation: npt.NDArray[np.float64], table: DataTable
) -> tuple[int, ...]:
    """Voxels along each of the network's axes at ``table.spacing``, in pixels of the file where it is a picture."""
    if spacing is None and len(turned) == 2:
        spacing = (1.0, 1.0)
    if table.spacing is None or spacing is None:
        return turned
    sides = zip(turned, _turned_spacing(spacing, orientation), table.spacing, strict=True)
    return tuple(max(1, round(side * now / wanted)) for side, now, wanted in sides)


def _turned_spacing(spacing: tuple[float, ...], orientation: npt.NDArray[np.float64]) -> tuple[float, ...]:
    own = [0.0] * len(spacing)
    for axis, (place, _) in enumerate(orientation):
        own[int(place)] = spacing[axis]
    return tuple(own)


def _inner(outer: tuple[int, ...], inner: tuple[int, ...]) -> tuple[slice, ...]:
    starts = ((whole - part) // 2 for whole, part in zip(outer, inner, strict=True))
    return tuple(slice(start, start + part) for start, part in zip(starts, inner, strict=True))
