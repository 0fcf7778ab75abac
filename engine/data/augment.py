"""Random changes of intensity, seeded anew for every sample.

Brightness and gamma are those of MONAI's ``RandScaleIntensity`` and ``RandAdjustContrast``, to the last bit; its import
would cost every start of a training some two seconds.
"""

from collections.abc import Sequence

import numpy as np
import torch
from scipy import ndimage

from engine.recipe import AugmentTable

GREY = (0.299, 0.587, 0.114)  # share of red, green and blue in the brightness of a colour (ITU-R BT.601)


class RandIntensity:
    """A change of an image (C, *S) by ``amount``, made with the probability ``prob``."""

    def __init__(self, amount: float, prob: float) -> None:
        self.amount, self.prob = amount, prob

    def __call__(self, image: torch.Tensor, random: np.random.RandomState) -> torch.Tensor:
        return self.changed(image, random) if random.rand() < self.prob else image

    def changed(self, image: torch.Tensor, random: np.random.RandomState) -> torch.Tensor:
        raise NotImplementedError

    def factor(self, random: np.random.RandomState) -> float:
        """Within 1 - ``amount`` and 1 + ``amount``."""
        return float(1 + random.uniform(-self.amount, self.amount))


class RandBrightness(RandIntensity):
    """All intensities by one factor."""

    def changed(self, image: torch.Tensor, random: np.random.RandomState) -> torch.Tensor:
        return image * self.factor(random)


class RandGamma(RandIntensity):
    """Intensities as shares of their range to a power within 1 - ``amount``, at least 0.001, and 1 + ``amount``."""

    def changed(self, image: torch.Tensor, random: np.random.RandomState) -> torch.Tensor:
        gamma = random.uniform(max(1 - self.amount, 1e-3), 1 + self.amount)
        low = image.min()
        span = image.max() - low
        return ((image - low) / float(span + 1e-7)) ** gamma * span + low


class RandContrast(RandIntensity):
    """Intensities about their mean, each channel about its own."""

    def changed(self, image: torch.Tensor, random: np.random.RandomState) -> torch.Tensor:
        axes = tuple(range(1, image.ndim))
        mean = np.asarray(image).mean(axis=axes, keepdims=True, dtype=np.float64)
        centre = torch.from_numpy(mean).float()
        return (image - centre) * self.factor(random) + centre


class RandSaturation(RandIntensity):
    """The colours of an RGB image (3, H, W) about their grey."""

    def changed(self, image: torch.Tensor, random: np.random.RandomState) -> torch.Tensor:
        grey = GREY[0] * image[0] + GREY[1] * image[1] + GREY[2] * image[2]
        return (image - grey) * self.factor(random) + grey


class RandBlur(RandIntensity):
    """Gaussian blur with a sigma of at most ``amount`` voxels; SciPy's, several times faster than a convolution."""

    def changed(self, image: torch.Tensor, random: np.random.RandomState) -> torch.Tensor:
        sigmas = (0.0, *[random.uniform(0, self.amount)] * (image.ndim - 1))
        return torch.from_numpy(ndimage.gaussian_filter(np.asarray(image), sigmas, truncate=3))


class RandNoise(RandIntensity):
    """Gaussian noise of deviation ``amount``; drawn by torch, in a seventh of the time of MONAI's."""

    def changed(self, image: torch.Tensor, random: np.random.RandomState) -> torch.Tensor:
        chance = torch.Generator().manual_seed(int(random.randint(2**32, dtype=np.uint64)))
        return torch.randn(image.shape, generator=chance).mul_(self.amount).add_(image)


def before_normalisation(table: AugmentTable, *, colour: bool) -> list[RandIntensity]:
    """Blur, brightness, contrast, saturation (``colour``) and gamma; those that are on."""
    kinds = (
        (RandBlur, table.blur),
        (RandBrightness, table.brightness),
        (RandContrast, table.contrast),
        (RandSaturation, table.saturation if colour else 0.0),
        (RandGamma, table.gamma),
    )
    probability = table.intensity_probability
    return [kind(amount, probability) for kind, amount in kinds if amount and probability > 0]


def after_normalisation(table: AugmentTable) -> list[RandIntensity]:
    """Gaussian noise with a deviation of exactly ``noise``; nothing where it is off."""
    return [RandNoise(table.noise, table.intensity_probability)] if table.noise and table.intensity_probability else []


def apply(changes: Sequence[RandIntensity], image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """``image`` through ``changes``, each with a generator of its own that is seeded from ``rng``."""
    if changes:
        seeds = np.random.RandomState(int(rng.integers(2**32)))
        generators = [np.random.RandomState(int(seeds.randint(2**32 - 1, dtype=np.uint32))) for _ in changes]
        for change, random in zip(changes, generators, strict=True):
            image = change(image, random)
    return image
