"""One training sample: a crop with its mask or a whole image, augmented, as the network sees it."""

import math

import numpy as np
import torch

from engine.data import augment
from engine.data.cache import LoadedImage, LoadedVolume
from engine.data.crops import affine_draw, affine_move, crop_start, flip_draw, turn_draw, turned
from engine.data.prepare import intensity_map, resize_image
from engine.data.read import Floats
from engine.data.volumes import Array
from engine.recipe import AugmentTable, DataTable


class Transform:
    """Draws samples by the recipe's [data] and [augment]; all chance comes from the generators it is given.

    ``moves`` is that of rotation, zoom, shift and flips, which the samples of a batch can share; None: ``rng``.
    """

    def __init__(self, table: DataTable, augmentation: AugmentTable, *, colour: bool) -> None:
        self.table = table
        self.augmentation = augmentation
        self.before = augment.before_normalisation(augmentation, colour=colour)
        self.after = augment.after_normalisation(augmentation)

    def volume(
        self, volume: LoadedVolume, rng: np.random.Generator, moves: np.random.Generator | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """A crop: image float32 (C, *size), as the network sees it, and label int64 (*size)."""
        size = self.table.size
        shape = volume.label.shape
        start = crop_start(shape, volume.voxels, self.table, rng, volume.known)
        draw = affine_draw(self.augmentation, len(size), moves or rng)
        flips = flip_draw(self.augmentation, moves or rng)
        degrees = turn_draw(self.augmentation, moves or rng)
        if draw is None:
            box = tuple(slice(first, first + side) for first, side in zip(start, size, strict=True))
            image = torch.from_numpy(volume.image[(slice(None), *box)])
            label = torch.from_numpy(volume.label[box])
        else:
            image, label = affine_move(shape, start, size, draw, volume.spacing).both(volume.image, volume.label)
        if degrees and self.augmentation.rotate_plane:
            image, label = turned(image, label, degrees, self.augmentation.rotate_plane)
        if flips:
            image, label = image.flip([axis + 1 for axis in flips]), label.flip(flips)
        if volume.intensity is None:
            image = augment.apply(self.before, image, rng)
        else:
            image = self._seen(image.float().div_(255), volume.intensity, rng)
        image = augment.apply(self.after, image, rng)
        return image.float().contiguous(), label.long()  # `torch.stack` copies it out of the cache

    def _seen(self, image: torch.Tensor, intensity: tuple[Floats, Floats], rng: np.random.Generator) -> torch.Tensor:
        """A picture from 0 to 1 with its colours changed, then normalised."""
        if self.before is not None:
            image = augment.apply(self.before, image, rng).clamp(0, 1)
        scale, shift = (torch.from_numpy(part).reshape(-1, 1, 1) for part in intensity)
        image = image * scale + shift
        return image.clamp(0, 1) if self.table.intensity == "window" else image

    def picture(
        self, picture: LoadedImage, rng: np.random.Generator, moves: np.random.Generator | None = None
    ) -> torch.Tensor:
        """A whole image, or a random part of it: float32 (3, H, W)."""
        pixels = picture.image
        if self.augmentation.crop_scale < 1:
            pixels = resize_image(pixels, self.table, self._box(pixels, rng))
        pixels = self._turn(pixels, moves or rng)
        intensity = intensity_map(pixels, self.table)
        draw = affine_draw(self.augmentation, 2, moves or rng)
        image = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))).float().div_(255)
        if draw is not None:
            shape = (image.shape[1], image.shape[2])
            image = affine_move(shape, (0, 0), shape, draw, (1.0, 1.0)).image(image.numpy(), "reflection")
        image = self._seen(image, intensity, rng)
        return augment.apply(self.after, image, rng).float().contiguous()

    def _turn(self, pixels: Array, rng: np.random.Generator) -> Array:
        """Mirrored and turned by right angles; an image that is not square by 180 degrees only."""
        flips = flip_draw(self.augmentation, rng)
        if flips:
            pixels = np.flip(pixels, flips)
        if self.augmentation.rotate90:
            turns = int(rng.integers(4))
            square = pixels.shape[0] == pixels.shape[1]
            pixels = np.rot90(pixels, turns if square else 2 * (turns % 2))
        return pixels

    def _box(self, pixels: Array, rng: np.random.Generator) -> tuple[float, float, float, float]:
        """A random part with an area share of at least ``crop_scale`` and an aspect within 3:4 and 4:3
        of the network's input, or of the whole image where that is stretched."""
        rows, columns = pixels.shape[:2]
        height, width = self.table.size
        aspect = columns / rows if self.table.resize == "stretch" else width / height
        area = rows * columns * rng.uniform(self.augmentation.crop_scale, 1)
        aspect *= math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
        tall = min(math.sqrt(area / aspect), rows)
        wide = min(math.sqrt(area * aspect), columns)
        top, left = rng.uniform(0, rows - tall), rng.uniform(0, columns - wide)
        return left, top, left + wide, top + tall
