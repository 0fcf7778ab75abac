"""Checks that every mask metric shares: what a binary mask is, and what a spacing is."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.errors import counted

Mask = npt.NDArray[np.bool_]
Spacing = float | Sequence[float] | None


def as_mask(array: npt.ArrayLike, name: str) -> Mask:
    """A binary array of any number type as a boolean one, without a copy where that is possible.

    Raises:
        ValueError: the array holds anything but 0 and 1: a probability, a label of 2 or more, NaN.
    """
    values: npt.NDArray[Any] = np.asarray(array)
    if values.dtype == np.bool_:
        return values
    if values.dtype.kind not in "uif":
        raise ValueError(f"the {name} is of type {values.dtype}; a mask holds booleans, or numbers 0 and 1")
    if values.dtype == np.uint8:
        if values.size and values.max() > 1:
            raise ValueError(_not_binary(values, name))
        return values.view(np.bool_)
    mask: Mask = values == 1
    if not np.array_equal(mask, values != 0):
        raise ValueError(_not_binary(values, name))
    return mask


def _not_binary(values: npt.NDArray[Any], name: str) -> str:
    wrong = values[(values != 0) & (values != 1)]
    return (
        f"the {name} is not binary: {counted(wrong.size, 'value')} other than 0 and 1, the first is {wrong.flat[0]}; "
        "threshold probabilities, and choose one class of a label map, before measuring"
    )


def mask_pair(prediction: npt.ArrayLike, truth: npt.ArrayLike) -> tuple[Mask, Mask]:
    """Prediction and truth as boolean arrays of one shape ``(*S)``.

    Raises:
        ValueError: the shapes differ, there is no dimension, or one of them is not binary.
    """
    pair = as_mask(prediction, "prediction"), as_mask(truth, "truth")
    if pair[0].shape != pair[1].shape:
        raise ValueError(f"the prediction has shape {pair[0].shape}, the truth {pair[1].shape}; they must be equal")
    if pair[0].ndim == 0:
        raise ValueError("the masks are single values; a mask has at least one dimension")
    return pair


def spacing_of(spacing: Spacing, dims: int) -> tuple[float, ...]:
    """The distance between neighbouring voxels along each axis: ones where none is given.

    Raises:
        ValueError: not one number an axis (or one for all), or one of them not finite and above 0.
    """
    if spacing is None:
        return (1.0,) * dims
    steps = np.asarray(spacing, dtype=np.float64)
    values = tuple(float(s) for s in np.broadcast_to(steps, (dims,))) if steps.ndim == 0 else tuple(steps.tolist())
    if steps.ndim > 1 or len(values) != dims:
        raise ValueError(f"the spacing {spacing} does not fit masks of {dims} dimensions: give {dims} numbers, or one")
    if not all(0 < step < np.inf for step in values):
        raise ValueError(f"the spacing {spacing} is not finite and above 0 along every axis")
    return values


def diagonal(shape: Sequence[int], spacing: Sequence[float]) -> float:
    """Length of the image's diagonal: what a mask that is missed, or made up, costs in every distance."""
    return float(np.linalg.norm(np.multiply(shape, spacing)))


def bounding_box(mask: Mask) -> tuple[slice, ...]:
    """The smallest box that holds every True of a C-ordered mask that is not empty."""
    box: list[slice] = []
    rest = mask
    for _ in range(mask.ndim):
        filled = np.flatnonzero(rest.reshape(rest.shape[0], -1).any(axis=1))
        box.append(slice(int(filled[0]), int(filled[-1]) + 1))
        rest = np.logical_or.reduce(rest[box[-1]], axis=0)
    return tuple(box)
