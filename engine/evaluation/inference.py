"""From a prepared image to class probabilities on its whole grid."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from monai.inferers import sliding_window_inference
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor, nn

from engine.data.read import Masks, index_type
from engine.device import Device
from engine.network import Network
from engine.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Predictor:
    """Runs a trained network.

    Attributes:
        model: the network, on the device; switched to evaluation by `network`.
        device: where it runs.
        kind: ``sigmoid`` or ``softmax``.
        size: the window of a volume, as in training.
        overlap: share by which windows overlap.
        batch_size: windows in one forward pass.
        mirrors: axes that are mirrored for test-time augmentation, counted without batch and channel.
    """

    model: nn.Module
    device: Device
    kind: str
    size: tuple[int, ...]
    overlap: float = 0.5
    batch_size: int = 4
    mirrors: tuple[int, ...] = ()

    def network(self, image: Tensor) -> Tensor:
        """Logits (B, O, ...) in float32 of ``image`` (B, C, *S), the mean over mirrored inputs."""
        image = self.device.move(image)
        total: Tensor | None = None
        flips = [axes for n in range(len(self.mirrors) + 1) for axes in itertools.combinations(self.mirrors, n)]
        for axes in flips:
            dims = [axis + 2 for axis in axes]
            with self.device.autocast():
                logits = self.model(image.flip(dims) if dims else image).float()
            if dims and logits.ndim == image.ndim:
                logits = logits.flip(dims)
            total = logits if total is None else total + logits
        assert total is not None  # noqa: S101  the empty combination is always there
        return total / len(flips)

    @torch.inference_mode()
    def volume_logits(self, image: NDArray[np.float32]) -> Tensor:
        """Logits (O, *S) of a volume (C, *S) by Gaussian-weighted sliding windows."""
        self.model.eval()
        batch = torch.from_numpy(np.ascontiguousarray(image))[None]
        if tuple(image.shape[1:]) == self.size:
            return self.network(batch)[0]
        logits = sliding_window_inference(
            batch, self.size, self.batch_size, self.network, overlap=self.overlap, mode="gaussian",
            sw_device=self.device.device, device=torch.device("cpu"),
        )  # fmt: skip
        return torch.as_tensor(logits)[0]

    @torch.inference_mode()
    def class_logits(self, images: Tensor) -> Tensor:
        """Logits (B, K) of a batch of images (B, C, H, W)."""
        self.model.eval()
        return self.network(images)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Probabilities along the channel axis of ``logits`` (O, *S), or (B, K) along the classes."""
        if self.kind == "sigmoid":
            return logits.sigmoid()
        return logits.softmax(dim=1 if logits.ndim == 2 else 0)


def voted(voters: Sequence[Predictor], logits_of: Callable[[Predictor], Tensor]) -> Tensor:
    """Logits of the mean probability of several networks, one after the other; of one network its own."""
    if len(voters) == 1:
        return logits_of(voters[0])
    total = voters[0].probabilities(logits_of(voters[0]))
    for voter in voters[1:]:
        total = total + voter.probabilities(logits_of(voter))
    mean = total / len(voters)
    return mean.logit(1e-7) if voters[0].kind == "sigmoid" else mean.clamp_min(1e-30).log()


def build_predictor(recipe: Recipe, network: Network, model: nn.Module | None = None) -> Predictor:
    """How the recipe evaluates ``model``, or the network itself."""
    return Predictor(
        model=network.model if model is None else model,
        device=network.device,
        kind=network.kind,
        size=recipe.data.size,
        overlap=recipe.evaluate.overlap,
        batch_size=recipe.evaluate.batch_size or recipe.train.batch_size,
        mirrors=_mirrors(recipe),
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


def largest_component(mask: Masks, classes: int, *, faces_only: bool = False) -> Masks:
    """``mask`` (*S) with only the largest connected component of each class 1 .. ``classes``.

    Voxels that touch by a face, an edge or a corner are connected (26 neighbours in 3-D, 8 in 2-D), or
    with ``faces_only`` those that touch by a face (6 and 4).
    """
    kept = np.zeros_like(mask)
    touching = ndimage.generate_binary_structure(mask.ndim, 1 if faces_only else mask.ndim)
    for value in range(1, classes + 1):
        labels, count = ndimage.label(mask == value, touching)
        if count:
            sizes = np.bincount(labels.ravel())
            sizes[0] = 0
            kept[labels == sizes.argmax()] = value
    return kept


def center_slices(shape: Sequence[int], size: Sequence[int]) -> tuple[slice, ...]:
    """Slices of the centre crop of ``size`` in ``shape``; an axis that is too short stays whole."""
    starts = [max(0, (have - want) // 2) for have, want in zip(shape, size, strict=True)]
    return tuple(slice(start, start + min(have, want)) for start, have, want in zip(starts, shape, size, strict=True))
