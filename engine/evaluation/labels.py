"""From a prepared case to its labels, on the network's grid and on its own, block by block.

What is held at a time depends neither on the number of classes nor on the size of the image, but for the
labels themselves.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from engine.data.own_grid import OwnGrid
from engine.data.prepare import Prepared
from engine.data.read import Floats, Masks, index_type
from engine.evaluation.inference import Predictor, to_mask, voted
from engine.evaluation.windows import Box, Windows

SAMPLE_BYTES = 2**29  # so much the logits that a `Sample` keeps may take


class Sample:
    """Logits of a case in one piece, for its loss; of a case that is too large, of every n-th slice.

    Attributes:
        shape: of the image, or of its crop.
        every: n, along the first axis.
        logits: (O, *sampled).
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape, self.every = shape, 1
        self.logits = torch.empty(0)

    def add(self, box: Box, logits: Tensor) -> None:
        """Keep what is to be kept of a block (O, *box)."""
        if not len(self.logits):
            self.every = math.ceil(4 * len(logits) * math.prod(self.shape) / SAMPLE_BYTES)
            self.logits = torch.empty(len(logits), math.ceil(self.shape[0] / self.every), *self.shape[1:])
        first = -(-box[0].start // self.every)
        kept = logits[:, first * self.every - box[0].start :: self.every]
        self.logits[(slice(None), slice(first, first + kept.shape[1]), *box[1:])] = kept


def predict_labels(
    predictors: Sequence[Predictor],
    prepared: Prepared,
    *,
    threshold: float,
    crop: Box | None = None,
    sample: Sample | None = None,
) -> tuple[Masks, Masks]:
    """Class indices on the network's grid (*N) and on the case's own (*S).

    Args:
        predictors: networks that vote by their mean probability, through the same windows.
        threshold: of a single channel.
        crop: predict this part of the network's grid only, of one window's size; all else is background.
        sample: gets the logits of what is predicted; of several networks the logits of their mean probability.
    """
    first = predictors[0]
    grid = prepared.image.shape[1:]
    whole = tuple(slice(0, side) for side in grid)
    seen = crop or whole
    image = prepared.image[(slice(None), *seen)]
    windows = Windows(image.shape[1:], first.size, first.overlap)
    mask: Masks = np.zeros(grid, index_type(first.outputs - 1))
    own = None
    if prepared.resampled != prepared.turned:
        own = OwnGrid(prepared, threshold if first.kind == "sigmoid" else None, mask.dtype.type)
    margin = own.margin if own else [0] * len(grid)
    held = 4 * first.outputs * (len(predictors) + (own is not None))
    for tile in windows.tiles(margin, held):
        area = _widened(tile, margin, image.shape[1:])
        if own and seen == whole:
            own.begin(tile, area)
        for box, logits in _voted(predictors, windows, image, area):
            place = tuple(slice(s.start + b.start, s.start + b.stop) for s, b in zip(seen, box, strict=True))
            mask[place] = _decided(first, logits, threshold)
            if sample:
                sample.add(box, logits)
            if own and seen != whole:
                _add_with_background(own, first, place, logits, grid)
            elif own:
                own.add(place, first.probabilities(logits).numpy())
    return mask, own.mask() if own else np.ascontiguousarray(prepared.turn_back(mask[prepared.unpadded]))


def _widened(box: Box, margin: Sequence[int], shape: tuple[int, ...]) -> Box:
    sides = zip(box, margin, shape, strict=True)
    return tuple(slice(max(0, b.start - more), min(side, b.stop + more)) for b, more, side in sides)


def _voted(predictors: Sequence[Predictor], windows: Windows, image: Floats, area: Box) -> Iterator[tuple[Box, Tensor]]:
    """The blocks of `Windows.sweep`; of several networks, with the logits of their mean probability."""
    sweeps = [windows.sweep(predictor, image, area) for predictor in predictors]
    for blocks in zip(*sweeps, strict=True):
        yield blocks[0][0], voted(predictors, (logits for _, logits in blocks))


def _decided(predictor: Predictor, logits: Tensor, threshold: float) -> Masks:
    """Labels of a block. The greatest logit is the greatest probability."""
    values = predictor.probabilities(logits) if predictor.kind == "sigmoid" else logits
    return to_mask(values.numpy(), predictor.kind, threshold)


def _add_with_background(own: OwnGrid, predictor: Predictor, crop: Box, logits: Tensor, grid: tuple[int, ...]) -> None:
    """Add the only block, with background as wide around it as it reaches."""
    wide = _widened(crop, [more + 1 for more in own.margin], grid)
    probabilities = np.zeros((len(logits), *(side.stop - side.start for side in wide)), np.float32)
    probabilities[0] = predictor.kind == "softmax"
    inner = tuple(slice(c.start - w.start, c.stop - w.start) for c, w in zip(crop, wide, strict=True))
    probabilities[(slice(None), *inner)] = predictor.probabilities(logits).numpy()
    own.begin(wide, wide)
    own.add(wide, probabilities)
