"""Where a training crop is taken, and the affine sampling of it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from engine.data.read import Floats, Masks
from engine.recipe.tables import AugmentTable, DataTable

Voxels = tuple[npt.NDArray[np.int32], ...]
"""For each class that is present, flat indices of some of its voxels."""
Matrix = npt.NDArray[np.float64]

MAX_VOXELS = 10_000
"""Voxels kept of each class as centres of foreground crops."""


def foreground_voxels(label: Masks) -> Voxels:
    """Flat indices into ``label`` (*N), at most `MAX_VOXELS` a class, evenly taken."""
    found = []
    for value in range(1, int(label.max(initial=0)) + 1):
        flat = np.flatnonzero(label == value)
        if flat.size:
            found.append(flat[:: max(1, flat.size // MAX_VOXELS)][:MAX_VOXELS].astype(np.int32))
    return tuple(found)


def crop_start(shape: tuple[int, ...], voxels: Voxels, table: DataTable, rng: np.random.Generator) -> tuple[int, ...]:
    """First voxel of a crop of ``table.size`` out of ``shape``, as ``table.crop`` says.

    foreground: a class of those present, each as likely, then one of its voxels, put in the middle
    of the crop as far as the volume's border allows.
    """
    spare = [whole - part for whole, part in zip(shape, table.size, strict=True)]
    if table.crop == "center":
        return tuple(room // 2 for room in spare)
    wanted = table.crop == "foreground" and rng.random() < table.foreground_share
    if wanted and voxels:
        own = voxels[int(rng.integers(len(voxels)))]
        place = np.unravel_index(int(own[int(rng.integers(own.size))]), shape)
        return tuple(
            min(max(int(at) - part // 2, 0), room) for at, part, room in zip(place, table.size, spare, strict=True)
        )
    return tuple(int(rng.integers(room + 1)) for room in spare)


def affine_draw(table: AugmentTable, axes: int, rng: np.random.Generator) -> tuple[Matrix, Matrix] | None:
    """A random (axes, axes) matrix and a shift as a share of the size; None where nothing is to be done.

    The matrix takes offsets from the crop's centre, output to input: turned, and divided by the zoom.
    """
    off = table.rotate_degrees == 0 and table.scale == 0 and table.translate == 0
    if off or rng.random() >= table.affine_probability:
        return None
    limit = np.deg2rad(table.rotate_degrees)
    angles = rng.uniform(-limit, limit, 1 if axes == 2 else 3)
    zoom = 1 + rng.uniform(-table.scale, table.scale)
    shift = rng.uniform(-table.translate, table.translate, axes)
    return _rotation(angles) / zoom, shift


def flip_draw(table: AugmentTable, rng: np.random.Generator) -> tuple[int, ...]:
    """The axes that are mirrored this time."""
    return tuple(axis for axis in sorted(set(table.flip)) if rng.random() < 0.5)


def affine_grid(
    shape: tuple[int, ...],
    start: tuple[int, ...],
    size: tuple[int, ...],
    draw: tuple[Matrix, Matrix],
    sides: tuple[float, ...],
) -> torch.Tensor:
    """Where each voxel of the crop lies in the volume: a grid (1, *size, axes) for `grid_sample`.

    Args:
        shape: of the volume.
        start: first voxel of the crop, before it is moved.
        size: of the crop.
        draw: see `affine_draw`.
        sides: of a voxel, in any unit: rotations are rigid in space, not in indices.
    """
    matrix, shift = draw
    scale = np.array(sides)
    linear = matrix * scale[None, :] / scale[:, None]
    inner, outer = np.array(size, dtype=np.float64), np.array(shape, dtype=np.float64)
    centre = np.array(start) + (inner - 1) / 2 - shift * inner
    theta = np.column_stack([linear * inner[None, :] / outer[:, None], (2 * centre + 1) / outer - 1])
    reverse = list(range(len(size)))[::-1]
    theta = theta[np.ix_(reverse, [*reverse, len(size)])]
    return functional.affine_grid(torch.from_numpy(theta[None]).float(), [1, 1, *size], align_corners=False)


def resample_image(image: Floats, grid: torch.Tensor, padding: str) -> torch.Tensor:
    """``image`` (C, *N) at the places of ``grid``, linearly: (C, *size)."""
    volume = torch.from_numpy(image)[None]
    return functional.grid_sample(volume, grid, mode="bilinear", padding_mode=padding, align_corners=False)[0]


def resample_label(label: Masks, grid: torch.Tensor) -> torch.Tensor:
    """``label`` (*N) at the nearest places of ``grid``, background outside: uint8 (*size)."""
    volume = torch.from_numpy(label)[None, None].float()
    moved = functional.grid_sample(volume, grid, mode="nearest", padding_mode="zeros", align_corners=False)
    return moved[0, 0].to(torch.uint8)


def _rotation(angles: Matrix) -> Matrix:
    """About one axis in 2-D, about each of the three in turn in 3-D; (axes, axes)."""
    if len(angles) == 1:
        c, s = np.cos(angles[0]), np.sin(angles[0])
        return np.array([[c, -s], [s, c]])
    rotation = np.eye(3)
    for axis, angle in enumerate(angles):
        a, b = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        rotation = rotation @ turn
    return rotation
