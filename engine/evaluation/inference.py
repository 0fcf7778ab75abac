"""A trained network as a recipe runs it, and masks from what it says."""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from engine.data.read import Masks, index_type
from engine.device import Device
from engine.losses import log_shares
from engine.network import Network
from engine.recipe import Recipe

BATCH_BYTES = 2**29  # so much the output of one forward pass may take, unless a single window needs more


@dataclass(frozen=True, slots=True)
class Predictor:
    """Runs a trained network."""

    model: nn.Module  # the network, on the device; switched to evaluation by `network`
    device: Device  # where it runs
    kind: str  # ``sigmoid`` or ``softmax``
    size: tuple[int, ...]  # the window of a volume, as in training
    overlap: float = 0.5  # share by which windows overlap
    batch_size: int = 4  # windows in one forward pass
    # axes that are mirrored for test-time augmentation, counted without batch and channel
    mirrors: tuple[int, ...] = ()
    outputs: int = 2  # logits of a voxel; memory is planned by it

    @property
    def at_once(self) -> int:
        """Windows in one forward pass: `batch_size`, or fewer of many classes."""
        return max(1, min(self.batch_size, BATCH_BYTES // (4 * self.outputs * math.prod(self.size))))

    def network(self, images: Tensor) -> Tensor:
        """Logits (B, O, ...) in float32 of ``images`` (B, C, *S), the mean over mirrored inputs.

        Mirrored copies share a forward pass, as many as `at_once` lets in.
        """
        self.model.eval()
        flips = [axes for n in range(len(self.mirrors) + 1) for axes in itertools.combinations(self.mirrors, n)]
        count = max(1, self.at_once // len(images))
        total: Tensor | None = None
        for group in (flips[first : first + count] for first in range(0, len(flips), count)):
            dims = [[axis + 2 for axis in axes] for axes in group]
            batch = self.device.move(torch.cat([images.flip(each) for each in dims]))
            with self.device.autocast(), self.device.alone(batch):
                logits = self.model(batch).float()
            for each, part in zip(dims, logits.split(len(images)), strict=True):
                turned = part.flip(each) if each and part.ndim == images.ndim else part
                total = turned if total is None else total.add_(turned)
        assert total is not None  # noqa: S101  the empty combination is always there
        return total.div_(len(flips)) if len(flips) > 1 else total

    @torch.inference_mode()
    def class_logits(self, images: Tensor) -> Tensor:
        """Logits (B, K) of a batch of images (B, C, H, W)."""
        return self.network(images)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Probabilities along the channel axis of ``logits`` (O, *S), or (B, K) along the classes."""
        if self.kind == "sigmoid":
            return logits.sigmoid()
        return logits.softmax(dim=1 if logits.ndim == 2 else 0)


class Adjusted(nn.Module):
    """A classifier with something added to the logits of each class.

    Args:
        module: the classifier, (B, C, *S) to (B, K).
        added: (K,).
    """

    added: Tensor

    def __init__(self, module: nn.Module, added: Tensor) -> None:
        super().__init__()
        self.module = module
        self.register_buffer("added", added, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """``(B, C, *S)`` to ``(B, K)``."""
        logits: Tensor = self.module(images)
        return logits + self.added


def voted(voters: Sequence[Predictor], logits: Iterable[Tensor]) -> Tensor:
    """Logits of the mean probability of several networks, of each one's ``logits``; of one network its own."""
    first, *rest = voters
    each = iter(logits)
    if not rest:
        return next(each)
    total = first.probabilities(next(each))
    for found in each:
        total = total + first.probabilities(found)
    mean = total / len(voters)
    return mean.logit(1e-7) if first.kind == "sigmoid" else mean.clamp_min(1e-30).log()


def build_predictor(recipe: Recipe, network: Network, model: nn.Module | None = None) -> Predictor:
    """How the recipe evaluates ``model``, or the network itself."""
    model = network.model if model is None else model
    if power := getattr(recipe.evaluate, "logit_adjustment", 0.0):
        model = Adjusted(
            model, torch.tensor([-x for x in log_shares(network.counts, power)], device=network.device.device)
        )
    return Predictor(
        model=model,
        device=network.device,
        kind=network.kind,
        size=recipe.data.size,
        overlap=getattr(recipe.evaluate, "overlap", 0.0),  # of windows: a classification has none
        batch_size=recipe.evaluate.batch_size or recipe.train.batch_size,
        mirrors=_mirrors(recipe),
        outputs=network.outputs,
    )


def _mirrors(recipe: Recipe) -> tuple[int, ...]:
    """The axes that training mirrored; all of them where it mirrored none and the recipe still asks."""
    if not recipe.evaluate.flips:
        return ()
    return recipe.augment.flip or tuple(range(len(recipe.data.size)))


def to_mask(probabilities: NDArray[np.float32], kind: str, threshold: float) -> Masks:
    """Class indices (*S) from probabilities (O, *S): over the threshold, or the most probable."""
    if kind == "sigmoid":
        return np.asarray(probabilities[0] >= threshold, dtype=np.uint8)
    return np.asarray(np.argmax(probabilities, axis=0), dtype=index_type(len(probabilities) - 1))


def center_slices(shape: Sequence[int], size: Sequence[int]) -> tuple[slice, ...]:
    """Slices of the centre crop of ``size`` in ``shape``; an axis that is too short stays whole."""
    starts = [max(0, (have - want) // 2) for have, want in zip(shape, size, strict=True)]
    return tuple(slice(start, start + min(have, want)) for start, have, want in zip(starts, shape, size, strict=True))
