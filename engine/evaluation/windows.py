"""Sliding windows over an image, summed in blocks that are let go as soon as no window is left that touches them.

What is held is a slice through the image as thick as two windows overlap. Where that is too much, the image
is cut across into tiles; only windows over a cut are then run once more.
"""

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.evaluation.inference import Predictor

Box = tuple[slice, ...]
Piece = tuple[int, int]  # first voxel of a part of an axis, and the one behind its last
LIVE_BYTES = 2**31  # so much the sums of all tiles that are held at a time may take


@dataclass(slots=True)
class _Block:
    """Sum of weighted logits (O, *b), sum of weights (*b), and how many windows have yet to come."""

    total: Tensor
    weight: Tensor
    left: int


@dataclass(frozen=True)
class Windows:
    """The windows of a predictor over an image: where MONAI's ``sliding_window_inference`` has them."""

    shape: tuple[int, ...]  # of the image, *N; no axis is shorter than the window
    size: tuple[int, ...]  # of the window
    overlap: float  # share by which neighbours overlap
    starts: list[list[int]] = field(init=False)

    def __post_init__(self) -> None:
        starts = []
        for length, size, step in zip(self.shape, self.size, self._steps, strict=True):
            starts.append([min(i * step, length - size) for i in range(math.ceil((length - size) / step) + 1)])
        object.__setattr__(self, "starts", starts)

    @property
    def _steps(self) -> list[int]:
        sides = zip(self.shape, self.size, strict=True)
        return [size if size == length else max(1, int(size * (1 - self.overlap))) for length, size in sides]

    def tiles(self, margin: Sequence[int], voxel_bytes: int) -> Iterator[Box]:
        """The image in parts whose sums, each with ``margin`` around it, take at most `LIVE_BYTES` where that can be.

        Args:
            margin: voxels of the neighbours that each part needs, an axis.
            voxel_bytes: what is held of a voxel.
        """
        cuts = [[s + more for s in own[1:]] for own, more in zip(self.starts, margin, strict=True)]
        cuts = [[cut for cut in own if cut < side] for own, side in zip(cuts, self.shape, strict=True)]
        parts = [1] * len(cuts)
        while True:
            edges = [_edges(*each) for each in zip(self.shape, cuts, parts, strict=True)]
            width = [max(b - a for a, b in itertools.pairwise(e)) + 2 * m for e, m in zip(edges, margin, strict=True)]
            more = [axis for axis in range(1, len(cuts)) if parts[axis] <= len(cuts[axis])]
            if not more or self._live(width) * voxel_bytes <= LIVE_BYTES:
                break
            parts[max(more, key=lambda axis: width[axis])] += 1
        for pairs in itertools.product(*map(itertools.pairwise, edges)):
            yield tuple(slice(*pair) for pair in pairs)

    def _live(self, width: Sequence[int]) -> int:
        """Voxels that are held at most, in a tile of ``width``: behind the windows of a plane, and of a row."""
        shared = [size - step for size, step in zip(self.size, self._steps, strict=True)]
        return shared[0] * math.prod(width[1:]) + self.size[0] * shared[1] * math.prod(width[2:])

    def _pieces(self, axis: int, part: slice) -> dict[int, list[Piece]]:
        """For each window that touches ``part`` of an axis, its start: the pieces of the part that it covers.

        No window begins or ends inside of a piece.
        """
        size = self.size[axis]
        own = [start for start in self.starts[axis] if start < part.stop and start + size > part.start]
        inner = {edge for start in own for edge in (start, start + size) if part.start < edge < part.stop}
        pieces = list(itertools.pairwise(sorted({part.start, part.stop, *inner})))
        return {start: [(a, b) for a, b in pieces if start <= a and b <= start + size] for start in own}

    @torch.inference_mode()
    def sweep(self, predictor: Predictor, image: NDArray[np.float32], area: Box) -> Iterator[tuple[Box, Tensor]]:
        """Blocks that fill ``area``, each with the mean logits (O, *block) of its windows, weighted by Gaussians.

        Windows are run in the order of their starts, none twice; each sum is made in that order.
        """
        sums = _Sums([self._pieces(axis, part) for axis, part in enumerate(area)], self.size)
        windows = list(itertools.product(*sums.axes))
        for first in range(0, len(windows), predictor.at_once):
            group = windows[first : first + predictor.at_once]
            boxes = [tuple(slice(s, s + n) for s, n in zip(starts, self.size, strict=True)) for starts in group]
            stacked = torch.from_numpy(np.stack([image[(slice(None), *box)] for box in boxes]))
            for starts, logits in zip(group, predictor.network(stacked).cpu(), strict=True):
                if self.shape == self.size:
                    yield area, logits[(slice(None), *area)]
                else:
                    yield from sums.add(starts, logits)


def gaussian_weights(size: Sequence[int]) -> Tensor:
    """Weights (*size) of a window's voxels: a Gaussian of an eighth of each side, at least 0.001 (MONAI, nnU-Net)."""
    weights = torch.ones(())
    for side in size:
        axis = torch.arange(side, dtype=torch.float32) - (side - 1) / 2
        weights = weights.unsqueeze(-1) * torch.exp(axis**2 / (-2 * (0.125 * side) ** 2))
    return weights.clamp_(min=max(float(weights.min()), 1e-3))


class _Sums:
    """The blocks of a tile that windows have touched and others have yet to.

    Args:
        axes: `Windows._pieces` of each axis.
        size: of the window.
    """

    def __init__(self, axes: list[dict[int, list[Piece]]], size: tuple[int, ...]) -> None:
        self.axes = axes
        self._counts = [Counter(itertools.chain.from_iterable(pieces.values())) for pieces in axes]
        self._gaussian = gaussian_weights(size)
        self._live: dict[tuple[Piece, ...], _Block] = {}

    def add(self, starts: tuple[int, ...], logits: Tensor) -> Iterator[tuple[Box, Tensor]]:
        """Add the logits (O, *size) of the window that begins at ``starts``; the blocks that are complete by it."""
        logits *= self._gaussian
        for key in itertools.product(*(pieces[start] for pieces, start in zip(self.axes, starts, strict=True))):
            place = tuple(slice(a - s, b - s) for (a, b), s in zip(key, starts, strict=True))
            part, weight = logits[(slice(None), *place)], self._gaussian[place]
            block = self._live.get(key)
            if block is None:
                count = math.prod(each[piece] for each, piece in zip(self._counts, key, strict=True))
                block = self._live[key] = _Block(part.clone(), weight.clone(), count)
            else:
                block.total += part
                block.weight += weight
            block.left -= 1
            if not block.left:
                del self._live[key]
                yield tuple(slice(*piece) for piece in key), block.total.div_(block.weight)


def _edges(side: int, cuts: Sequence[int], parts: int) -> list[int]:
    """0, ``parts - 1`` of the ``cuts``, and ``side``."""
    places = (index * (len(cuts) + 1) // parts - 1 for index in range(1, parts))
    return [0, *(cuts[place] for place in places), side]
