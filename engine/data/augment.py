"""Random changes of intensity, as MONAI transforms that are seeded anew for every sample."""

from __future__ import annotations

import numpy as np
import torch
from monai.transforms import Compose, RandAdjustContrast, RandomizableTransform, RandScaleIntensity
from scipy import ndimage

from engine.recipe import AugmentTable

GREY = (0.299, 0.587, 0.114)
"""Share of red, green and blue in the brightness of a colour (ITU-R BT.601)."""


class _Rand(RandomizableTransform):  # type: ignore[misc]  # MONAI ships no types
    """A change of an image (C, *S) by ``amount``, made with the probability ``prob``."""

    def __init__(self, amount: float, prob: float) -> None:
        super().__init__(prob)
        self.amount = amount

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        self.randomize(None)
        return self.changed(image) if self._do_transform else image

    def changed(self, image: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def about(self, image: torch.Tensor, centre: torch.Tensor) -> torch.Tensor:
        """``image`` scaled about ``centre`` by a factor within 1 - ``amount`` and 1 + ``amount``."""
        factor = float(1 + self.R.uniform(-self.amount, self.amount))
        return (image - centre) * factor + centre


class RandContrast(_Rand):
    """Intensities about their mean, each channel about its own."""

    def changed(self, image: torch.Tensor) -> torch.Tensor:
        axes = tuple(range(1, image.ndim))
        mean = np.asarray(image).mean(axis=axes, keepdims=True, dtype=np.float64)
        return self.about(image, torch.from_numpy(mean).float())


class RandSaturation(_Rand):
    """The colours of an RGB image (3, H, W) about their grey."""

    def changed(self, image: torch.Tensor) -> torch.Tensor:
        return self.about(image, GREY[0] * image[0] + GREY[1] * image[1] + GREY[2] * image[2])


class RandBlur(_Rand):
    """Gaussian blur with a sigma of at most ``amount`` voxels; SciPy's, several times faster than a convolution."""

    def changed(self, image: torch.Tensor) -> torch.Tensor:
        sigmas = (0.0, *[self.R.uniform(0, self.amount)] * (image.ndim - 1))
        return torch.from_numpy(ndimage.gaussian_filter(np.asarray(image), sigmas, truncate=3))


class RandNoise(_Rand):
    """Gaussian noise of deviation ``amount``; drawn by torch, in a seventh of the time of MONAI's."""

    def changed(self, image: torch.Tensor) -> torch.Tensor:
        chance = torch.Generator().manual_seed(int(self.R.randint(2**32, dtype=np.uint64)))
        return torch.randn(image.shape, generator=chance).mul_(self.amount).add_(image)


def before_normalisation(table: AugmentTable, *, colour: bool) -> Compose | None:
    """Blur, brightness, contrast, saturation (``colour``) and gamma; None where all are off."""
    probability, gamma = table.intensity_probability, (max(1 - table.gamma, 1e-3), 1 + table.gamma)
    kinds = (
        (table.blur, RandBlur(table.blur, probability)),
        (table.brightness, RandScaleIntensity(factors=table.brightness, prob=probability)),
        (table.contrast, RandContrast(table.contrast, probability)),
        (colour and table.saturation, RandSaturation(table.saturation, probability)),
        (table.gamma, RandAdjustContrast(prob=probability, gamma=gamma)),
    )
    parts = [part for on, part in kinds if on]
    return Compose(parts) if parts and probability > 0 else None


def after_normalisation(table: AugmentTable) -> Compose | None:
    """Gaussian noise with a deviation of exactly ``noise``; None where it is off."""
    if not table.noise or table.intensity_probability == 0:
        return None
    return Compose([RandNoise(table.noise, table.intensity_probability)])


def apply(transforms: Compose | None, image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """``image`` through ``transforms``, every generator of which is seeded from ``rng``."""
    if transforms is None:
        return image
    transforms.set_random_state(state=np.random.RandomState(int(rng.integers(2**32))))
    changed = transforms(image)
    plain: torch.Tensor = changed.as_tensor() if hasattr(changed, "as_tensor") else changed
    return plain
