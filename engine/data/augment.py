"""Random changes of intensity, seeded anew for every sample.

Brightness and gamma are those of MONAI's ``RandScaleIntensity`` and ``RandAdjustContrast``, to the last bit; its import
would cost every start of a training some two seconds.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage

from engine.recipe import AugmentTable

GREY = (0.299, 0.587, 0.114)  # share of red, green and blue in the brightness of a colour (ITU-R BT.601)


class Change(NamedTuple):
    """A random change of an image (C, *S): what ``how`` does by ``amount``, made with the probability ``prob``."""

    how: Callable[[torch.Tensor, float, np.random.RandomState], torch.Tensor]
    amount: float
    prob: float

    def __call__(self, image: torch.Tensor, random: np.random.RandomState) -> torch.Tensor:
        return self.how(image, self.amount, random) if random.rand() < self.prob else image


def _factor(amount: float, random: np.random.RandomState) -> float:
    return float(1 + random.uniform(-amount, amount))


def brightness(image: torch.Tensor, amount: float, random: np.random.RandomState) -> torch.Tensor:
    """All intensities by one factor within 1 - ``amount`` and 1 + ``amount``."""
    return image * _factor(amount, random)


def gamma(image: torch.Tensor, amount: float, random: np.random.RandomState) -> torch.Tensor:
    """Intensities as shares of their range to a power within 1 - ``amount``, at least 0.001, and 1 + ``amount``."""
    power = random.uniform(max(1 - amount, 1e-3), 1 + amount)
    low = image.min()
    span = image.max() - low
    return ((image - low) / float(span + 1e-7)) ** power * span + low


def contrast(image: torch.Tensor, amount: float, random: np.random.RandomState) -> torch.Tensor:
    """Intensities about their mean, each channel about its own, by a factor as for `brightness`."""
    mean = np.asarray(image).mean(axis=tuple(range(1, image.ndim)), keepdims=True, dtype=np.float64)
    centre = torch.from_numpy(mean).float()
    return (image - centre) * _factor(amount, random) + centre


def saturation(image: torch.Tensor, amount: float, random: np.random.RandomState) -> torch.Tensor:
    """The colours of an RGB image (3, H, W) about their grey, by a factor as for `brightness`."""
    grey = GREY[0] * image[0] + GREY[1] * image[1] + GREY[2] * image[2]
    return (image - grey) * _factor(amount, random) + grey


def blur(image: torch.Tensor, amount: float, random: np.random.RandomState) -> torch.Tensor:
    """Gaussian blur with a sigma of at most ``amount`` voxels; SciPy's, several times faster than a convolution."""
    sigmas = (0.0, *[random.uniform(0, amount)] * (image.ndim - 1))
    return torch.from_numpy(ndimage.gaussian_filter(np.asarray(image), sigmas, truncate=3))


def noise(image: torch.Tensor, amount: float, random: np.random.RandomState) -> torch.Tensor:
    """Gaussian noise of deviation ``amount``; drawn by torch, in a seventh of the time of MONAI's."""
    chance = torch.Generator().manual_seed(int(random.randint(2**32, dtype=np.uint64)))
    return torch.randn(image.shape, generator=chance).mul_(amount).add_(image)


def before_normalisation(table: AugmentTable, *, colour: bool) -> list[Change]:
    """Blur, brightness, contrast, saturation (``colour``) and gamma; those that are on."""
    amounts = {blur: table.blur, brightness: table.brightness, contrast: table.contrast}
    amounts |= {saturation: table.saturation if colour else 0.0, gamma: table.gamma}
    return _on(table, amounts)


def after_normalisation(table: AugmentTable) -> list[Change]:
    """Gaussian noise with a deviation of exactly ``noise``; nothing where it is off."""
    return _on(table, {noise: table.noise})


def _on(table: AugmentTable, amounts: Mapping[Callable[..., torch.Tensor], float]) -> list[Change]:
    prob = table.intensity_probability
    return [Change(how, amount, prob) for how, amount in amounts.items() if amount and prob > 0]


def apply(changes: Sequence[Change], image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """``image`` through ``changes``, each with a generator of its own that is seeded from ``rng``."""
    if changes:
        seeds = np.random.RandomState(int(rng.integers(2**32)))
        generators = [np.random.RandomState(int(seeds.randint(2**32 - 1, dtype=np.uint32))) for _ in changes]
        for change, random in zip(changes, generators, strict=True):
            image = change(image, random)
    return image
