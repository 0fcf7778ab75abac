"""Changes of a whole batch of images on its way into the network: its size, MixUp and CutMix."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from engine.distributed import whole_batch
from engine.recipe import AugmentTable
from engine.recipe.tables import grown

_MIX = 3  # beside the numbers of engine.data.order
_GROWN = 2 / 3

Shares = list[tuple[float, Tensor]]  # of the loss: indices (B,), and by how much they count


@dataclass(frozen=True, slots=True)
class BatchChanges:
    """What ``[augment]`` does with whole batches; all chance is drawn from (seed, iteration, number)."""

    table: AugmentTable
    seed: int

    @property
    def grows(self) -> bool:
        return self.table.grow_from < 1

    @property
    def small_share(self) -> float:
        """Of two kinds of epochs, as at the beginning and as at the end, how many of the first together with the
        others see as many pixels as all epochs do."""
        start = self.table.grow_from
        pixels = _GROWN * (1 + start + start**2) / 3 + 1 - _GROWN
        return (1 - pixels) / (1 - start**2) if self.grows else 0.0

    def full_size(self, epochs: int) -> int:
        """The first of ``epochs`` epochs, counted from 1, whose images have their full size."""
        return math.ceil(_GROWN * epochs) + 1 if self.grows else 1

    def sized(self, image: Tensor, progress: float) -> Tensor:
        """``image`` (B, C, *S) at the size of ``progress`` (0 to 1 over the epochs), in multiples of 16."""
        start = self.table.grow_from
        share = start + (1 - start) * min(progress / _GROWN, 1.0)
        sides = [grown(side, share) for side in image.shape[2:]]
        if sides == list(image.shape[2:]):
            return image
        if len(sides) == 3:  # torch smooths no volumes: each new voxel is the mean of what it covers
            return functional.interpolate(image, sides, mode="area")
        return functional.interpolate(image, sides, mode="bilinear", antialias=True)

    def mixed(self, image: Tensor, label: Tensor, iteration: int, number: int) -> tuple[Tensor, Shares]:
        """``image`` (B, C, *S) mixed with its batch in another order, and the shares of the loss.

        The partners are drawn from the batch of all processes.

        Args:
            label: (B,).
            iteration: of the trainer.
            number: of the batch in its step.
        """
        table = self.table
        ways = [way for way in ("mixup", "cutmix") if getattr(table, way)]
        rng = np.random.default_rng([self.seed, _MIX, iteration, number])
        if not ways or rng.random() >= table.mix_probability:
            return image, [(1.0, label)]
        way = ways[int(rng.integers(len(ways)))]
        alpha = getattr(table, way)
        share = float(rng.beta(alpha, alpha))
        images, labels, own = whole_batch(image, label)
        other = torch.from_numpy(rng.permutation(len(labels))[own]).to(label.device)
        if way == "mixup":
            return torch.lerp(images[other], image, share), [(share, label), (1 - share, labels[other])]
        sides = image.shape[2:]
        box = [_span(side, (1 - share) ** (1 / len(sides)), rng) for side in sides]
        place = (slice(None), slice(None), *(slice(*span) for span in box))
        image = image.clone()
        image[place] = images[place][other]
        pasted = math.prod(end - start for start, end in box) / math.prod(sides)
        return image, [(1 - pasted, label), (pasted, labels[other])]


def _span(side: int, part: float, rng: np.random.Generator) -> tuple[int, int]:
    """Where along an axis the ``part`` of it lies: about a place anywhere, cut at the border."""
    half = side * part / 2
    centre = rng.uniform(0, side)
    return max(round(centre - half), 0), min(round(centre + half), side)
