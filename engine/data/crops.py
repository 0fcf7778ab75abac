"""Where a training crop is taken, and the affine sampling of it."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch.nn import functional

from engine.data.read import Floats, Masks
from engine.data.trilinear import sampled
from engine.data.volumes import Array
from engine.recipe import AugmentTable, DataTable

Voxels = tuple[npt.NDArray[np.int32], ...]  # for each class that is present, flat indices of some of its voxels
Matrix = npt.NDArray[np.float64]

MAX_VOXELS = 10_000  # voxels kept of each class as centres of foreground crops


def foreground_voxels(label: Masks, ignored: int | None = None) -> Voxels:
    """Flat indices into ``label`` (*N), at most `MAX_VOXELS` a class, evenly taken; ``ignored`` is none."""
    values = range(1, int(label.max(initial=0)) + 1)
    found = (np.flatnonzero(label == value) for value in values if value != ignored)
    return tuple(map(_some, filter(len, found)))


def known_voxels(label: Masks, ignored: int | None) -> Voxels:
    """The same of all that is known in one; nothing where all is, or nothing."""
    if ignored is None:
        return ()
    flat = np.flatnonzero(label != ignored)
    return (_some(flat),) if 0 < flat.size < label.size else ()


def _some(flat: npt.NDArray[np.intp]) -> npt.NDArray[np.int32]:
    return flat[:: -(-flat.size // MAX_VOXELS)].astype(np.int32)


def crop_start(
    shape: tuple[int, ...], voxels: Voxels, table: DataTable, rng: np.random.Generator, known: Voxels = ()
) -> tuple[int, ...]:
    """First voxel of a crop of ``table.size`` out of ``shape``, as ``table.crop`` says.

    foreground: a class of those present, each as likely, then one of its voxels, put in the middle
    of the crop as far as the volume's border allows. Where not all is ``known``, other crops that are not "center" lie
    about what is, in the same way.
    """
    spare = [whole - part for whole, part in zip(shape, table.size, strict=True)]
    if table.crop == "center":
        return tuple(room // 2 for room in spare)
    wanted = table.crop == "foreground" and rng.random() < table.foreground_share
    if among := voxels if wanted and voxels else known:
        own = among[int(rng.integers(len(among)))]
        place = np.unravel_index(int(own[int(rng.integers(own.size))]), shape)
        sides = zip(place, table.size, spare, strict=True)
        return tuple(min(max(int(at) - part // 2, 0), room) for at, part, room in sides)
    return tuple(int(rng.integers(room + 1)) for room in spare)


def affine_draw(table: AugmentTable, axes: int, rng: np.random.Generator) -> tuple[Matrix, Matrix] | None:
    """A random (axes, axes) matrix and a shift as a share of the size; None where nothing is to be done.

    The matrix takes offsets from the crop's centre, output to input: turned, and divided by the zoom.
    """
    degrees = 0.0 if table.rotate_plane else table.rotate_degrees  # else `turn_draw`
    off = degrees == 0 and table.scale == 0 and table.translate == 0
    if off or rng.random() >= table.affine_probability:
        return None
    limit = np.deg2rad(degrees)
    angles = rng.uniform(-limit, limit, 1 if axes == 2 else 3)
    zoom = 1 + rng.uniform(-table.scale, table.scale)
    shift = rng.uniform(-table.translate, table.translate, axes)
    return _rotation(angles) / zoom, shift


def flip_draw(table: AugmentTable, rng: np.random.Generator) -> tuple[int, ...]:
    """The axes that are mirrored this time."""
    return tuple(axis for axis in sorted(set(table.flip)) if rng.random() < 0.5)


def turn_draw(table: AugmentTable, rng: np.random.Generator) -> float:
    """Degrees by which a crop is turned in ``table.rotate_plane``; 0 where it is not."""
    if table.rotate_plane is None or rng.random() >= table.affine_probability:
        return 0.0
    return float(rng.uniform(-table.rotate_degrees, table.rotate_degrees))


def turned(
    image: torch.Tensor, label: torch.Tensor, degrees: float, plane: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """``image`` (C, *S) and ``label`` (*S) as `scipy.ndimage.rotate` turns them: cubic splines, 0 outside.

    Each class of the mask by itself, from a half on: splines through class indices would make other classes.
    """
    turn = partial(ndimage.rotate, angle=degrees, axes=plane, reshape=False)
    moved = torch.from_numpy(np.stack([turn(channel) for channel in image.float().numpy()]))
    mask = torch.zeros_like(label)
    for value in range(1, int(label.max()) + 1):
        mask[torch.from_numpy(turn((label == value).byte().numpy())) > 0] = value
    return moved, mask


@dataclass(frozen=True, slots=True, eq=False)
class AffineCrop:
    """An affine crop: voxel ``o`` of the crop shows the place ``matrix @ o + origin`` of the volume."""

    matrix: Matrix  # (axes, axes), from indices of the crop to indices of the volume
    origin: Matrix  # (axes,), the place that voxel 0 shows
    shape: tuple[int, ...]
    size: tuple[int, ...]

    def needed(self) -> tuple[tuple[slice, ...], "AffineCrop"]:
        """The part of the volume that the crop shows, and the same crop of that part: for images that are
        much larger than a crop."""
        ends = self.matrix * (np.array(self.size) - 1)
        low = self.origin + np.minimum(ends, 0).sum(axis=1)
        high = self.origin + np.maximum(ends, 0).sum(axis=1)
        first = np.clip(np.floor(low).astype(np.int64) - 1, 0, np.array(self.shape) - 1)
        last = np.clip(np.ceil(high).astype(np.int64) + 2, first + 1, self.shape)
        box = tuple(slice(int(start), int(end)) for start, end in zip(first, last, strict=True))
        return box, AffineCrop(self.matrix, self.origin - first, tuple(int(n) for n in last - first), self.size)

    def both(self, image: Array, label: Masks) -> tuple[torch.Tensor, torch.Tensor]:
        """``image`` (C, *shape) linearly, float32 (C, *size), and ``label`` (*shape) by the nearest voxel (*size).

        Outside, what lies at the border: what is seen there has its own class.
        """
        if len(self.size) == 3:
            seen, mask = sampled(image, label, self.matrix, self.origin, self.size)
            return torch.from_numpy(seen), torch.from_numpy(mask)
        part, local = self.needed()
        pixels = image[(slice(None), *part)].astype(np.float32, copy=False)
        return local.image(pixels, "border"), self.label(label)

    def image(self, image: Floats, padding: str) -> torch.Tensor:
        """``image`` (C, *shape) at the moved places, linearly: float32 (C, *size). Outside lies what ``padding`` of
        `torch.nn.functional.grid_sample` says."""
        grid = np.empty((len(self.size), *self.size), np.float32)  # an axis after the other: quicker to fill
        for axis, side in enumerate(self.shape):
            factor = 2 / side
            self._places(axis, factor, (self.origin[axis] + 0.5) * factor - 1, grid[-1 - axis])
        volume, places = torch.from_numpy(image)[None], torch.from_numpy(grid).movedim(0, -1)[None]
        return functional.grid_sample(volume, places, mode="bilinear", padding_mode=padding, align_corners=False)[0]

    def label(self, label: Masks) -> torch.Tensor:
        """``label`` (*shape) at the voxels nearest to the moved places (*size).

        Outside, that at the border, as `image` has it with "border": what is seen there has its own class.
        """
        flat = np.zeros(self.size, np.int32)
        place = np.empty(self.size, np.float32)
        for axis, side in enumerate(self.shape):
            index = np.rint(self._places(axis, 1.0, self.origin[axis], place), out=place).astype(np.int32)
            flat *= side
            flat += np.clip(index, 0, side - 1, out=index)
        return torch.from_numpy(label.reshape(-1).take(flat))

    def _places(self, axis: int, factor: float, offset: float, out: Floats) -> Floats:
        """``factor * (matrix @ o)[axis] + offset`` for every voxel o of the crop, into ``out`` (*size)."""
        terms = [
            (factor * self.matrix[axis, other] * np.arange(side)).reshape(
                [-1 if other == k else 1 for k in range(len(self.size))]
            )
            for other, side in enumerate(self.size)
        ]
        terms[-1] = terms[-1] + offset
        head = terms[0].astype(np.float32)
        for term in terms[1:-1]:
            head = head + term.astype(np.float32)
        np.add(head, terms[-1].astype(np.float32), out=out)
        return out


def affine_move(
    shape: tuple[int, ...],
    start: tuple[int, ...],
    size: tuple[int, ...],
    draw: tuple[Matrix, Matrix],
    spacing: tuple[float, ...],
) -> AffineCrop:
    """The crop of ``size`` from ``start`` of a volume of ``shape``, moved by ``draw`` about its centre.

    Args:
        start: first voxel of the crop, before it is moved.
        draw: see `affine_draw`.
        spacing: of a voxel, in any unit: rotations are rigid in space, not in indices.
    """
    matrix, shift = draw
    scale, inner = np.array(spacing), np.array(size, dtype=np.float64)
    linear = matrix * scale[None, :] / scale[:, None]
    centre = np.array(start) + (inner - 1) / 2 - shift * inner
    return AffineCrop(linear, centre - linear @ ((inner - 1) / 2), shape, size)


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
