"""From images as files have them to what the network sees: its grid and its intensities."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.export.program.cases import Array, Case


@dataclass
class Seen:
    """One image on the network's grid, and what leads back to its own."""

    image: Array  # float32 (C, *N)
    inner: tuple[slice, ...]  # the part of N that is no padding
    turned: tuple[int, ...]  # shape of the file's grid with its axes in the network's order
    turn: Array | None  # how they were turned, as nibabel has it


def normalised(volume: Array, how: dict[str, Any]) -> Array:
    """One channel of a volume as the network sees it."""
    values = volume.astype(np.float32)
    if how["intensity"] == "none":
        return values
    if how["intensity"] == "window":
        low, high = how["window"]
        return np.asarray((np.clip(values, low, high) - np.float32(low)) / np.float32(high - low))
    if how["intensity"] == "minmax":
        low, high = float(values.min()), float(values.max())
        return np.asarray((values - np.float32(low)) / np.float32(max(high - low, 1e-12)))
    part = np.asarray(body(values, how), np.float32)
    step = max(1, part.size // 1_000_000)
    low, high = np.percentile(part.ravel()[::step], how["percentiles"])
    if high > low:
        values = np.clip(values, low, high)
        part = values if how["intensity"] == "zscore" else np.clip(part, low, high)
    mean, deviation = float(part.mean(dtype=np.float64)), float(part.std(dtype=np.float64))
    return np.asarray((values - np.float32(mean)) / np.float32(max(deviation, 1e-12)))


def body(values: Array, how: dict[str, Any]) -> Array:
    """The values that statistics are of: all; with "body" those that are neither 0 nor the least."""
    if how["intensity"] != "body":
        return values
    found = values[(values != 0) & (values != values.min())]
    return found if found.size else values


def shaded(image: Array, part: Array, how: dict[str, Any]) -> Array:
    """A picture (C, H, W) of shades from 0 to 255 as the network sees it; ``part``: what of it statistics are of."""
    scale, shift = np.ones(len(image)), np.zeros(len(image))
    if how["intensity"] == "imagenet":
        scale = 1 / np.array(how["std"])
        shift = -np.array(how["mean"]) * scale
    elif how["intensity"] in {"zscore", "body"}:
        found = body(part, how)
        deviation = max(float(found.std(dtype=np.float64)) / 255, 1e-6)
        scale, shift = scale / deviation, shift - float(found.mean(dtype=np.float64)) / 255 / deviation
    elif how["intensity"] == "minmax":
        low, high = float(part.min()), float(part.max())
        extent = max(high - low, 1 if part.dtype == np.uint8 else 1e-6)
        scale, shift = scale * 255 / extent, shift - low / extent
    elif how["intensity"] == "window":
        low, high = how["window"]
        scale, shift = scale * 255 / (high - low), shift - low / (high - low)
    factor, offset = (each.astype(np.float32)[:, None, None] for each in (scale, shift))
    values = image.astype(np.float32) / np.float32(255) * factor + offset
    return np.asarray(np.clip(values, 0, 1) if how["intensity"] == "window" else values)


def shrunk(image: Array, how: dict[str, Any]) -> Array:
    """A picture (C, H, W) at the network's size: stretched, or its centre."""
    (rows, columns), (height, width) = image.shape[1:], how["size"]
    if (rows, columns) == (height, width):
        return image
    left, top, right, bottom = 0.0, 0.0, float(columns), float(rows)
    if how["resize"] == "crop":
        scale = min(rows / height, columns / width)
        top, left = (rows - height * scale) / 2, (columns - width * scale) / 2
        right, bottom = left + width * scale, top + height * scale
    return np.stack([resized(channel, (height, width), (left, top, right, bottom)) for channel in image])


def seen_whole(case: Case, how: dict[str, Any]) -> Array:
    """An image as a network of classes sees it, (C, *size): all of it, or its centre."""
    if how["axes"] == 2:
        image = shrunk(case.values, how)
        return shaded(image, image, how)
    image = prepared(case, how, how["size"] if how["resize"] == "stretch" else None).image
    starts = [(a - b) // 2 for a, b in zip(image.shape[1:], how["size"], strict=True)]
    return image[(slice(None), *(slice(a, a + b) for a, b in zip(starts, how["size"], strict=True)))]


def resized(channel: Array, shape: Sequence[int], box: tuple[float, float, float, float] | None = None) -> Array:
    """One channel of a picture (H, W) on a grid of ``shape``: each new pixel the mean of what it covers."""
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(channel))
    return np.asarray(picture.resize((shape[1], shape[0]), Image.Resampling.BILINEAR, box=box))


def prepared(case: Case, how: dict[str, Any], stretched: Sequence[int] | None = None) -> Seen:
    """An image on the network's grid: turned to RAS+, at the network's spacing or ``stretched``, normalised, padded."""
    image, turn, spacing, size = case.values, None, case.spacing, how["size"]
    if case.affine is not None:
        from nibabel.orientations import apply_orientation, io_orientation

        turn = io_orientation(case.affine)
        image = np.stack([apply_orientation(channel, turn) for channel in image])
        spacing = tuple(np.array(case.spacing)[np.argsort(turn[:, 0])].tolist())
    turned = image.shape[1:]
    shape = turned
    spacing = (1.0, 1.0) if how["axes"] == 2 else spacing
    if how["spacing"] and spacing:
        shape = tuple(max(1, round(n * a / b)) for n, a, b in zip(turned, spacing, how["spacing"], strict=True))
    shape = shape if stretched is None else tuple(stretched)
    if how["axes"] == 3:
        from engine.data.resampling import resample

        smooth = how.get("smooth", True)
        values = [resample(normalised(channel, how), shape, smooth=smooth) for channel in image]
        image = np.stack(values).astype(np.float32)
    elif shape != turned:
        image = np.stack([resized(channel.astype(np.float32), shape) for channel in image])
    outer = tuple(max(side, least) for side, least in zip(shape, size, strict=True))
    inner = tuple(slice((a - b) // 2, (a - b) // 2 + b) for a, b in zip(outer, shape, strict=True))
    padded = np.zeros((len(image), *outer), image.dtype)
    padded[(slice(None), *inner)] = image
    if how["axes"] == 2:
        padded = shaded(padded, image, how)
    return Seen(padded, inner, turned, turn)
