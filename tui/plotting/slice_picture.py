"""What a preview shows, as pixels: an image with contours, or an image beside its activation map. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tui.plotting.half_blocks import rgb
from tui.state.images import Bytes, PreviewImages

_HEAT = np.array([[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]], float)
"""Five colours of matplotlib's inferno, which the figures use for activation maps."""


def paint(images: PreviewImages, at: int, cells: tuple[int, int], *, truth: str, prediction: str) -> Bytes:
    """Slice ``at`` with its contours on ``cells`` (width, rows): pixels (2 * rows, width, 3) at most.

    An image with an activation map stands beside itself under the map.
    """
    width, rows = cells
    image = images.image[at]
    across = width if images.heat is None else max(1, (width - 1) // 2)
    picked = _fitted(image.shape[:2], across, rows)
    pixels = image[picked]
    picture = pixels.copy() if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)
    if images.heat is not None:
        gap = np.zeros((len(picture), 1, 3), np.uint8)
        return np.concatenate([picture, gap, _under(picture, images.heat[at][picked])], axis=1)
    for mask, color in ((images.prediction, prediction), (images.truth, truth)):
        if mask is not None:
            small = mask[at][picked]
            for label in np.unique(small[small > 0]):
                picture[_edge(small == label)] = rgb(color)
    return picture


def _fitted(shape: tuple[int, ...], width: int, rows: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows and columns of an image that are seen on so many cells of two pixels."""
    high, wide = shape
    scale = min(width / wide, 2 * rows / high)
    size = max(2, int(high * scale) // 2 * 2), max(1, int(wide * scale))
    down = np.minimum((np.arange(size[0]) + 0.5) * high / size[0], high - 1).astype(int)
    across = np.minimum((np.arange(size[1]) + 0.5) * wide / size[1], wide - 1).astype(int)
    return np.ix_(down, across)  # type: ignore[return-value]


def _under(picture: Bytes, heat: Bytes) -> Bytes:
    """``picture`` under its map, as the figures lay it: the hotter, the less of the image is seen."""
    warm = heat / 255.0
    place = warm * (len(_HEAT) - 1)
    low = np.minimum(place.astype(int), len(_HEAT) - 2)
    part = (place - low)[..., None]
    colors = (1 - part) * _HEAT[low] + part * _HEAT[low + 1]
    share = (0.75 * warm**0.8)[..., None]
    return np.asarray(np.rint((1 - share) * picture + share * colors), np.uint8)


def _edge(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels of a mask that have a neighbour outside of it."""
    padded = np.pad(mask, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inner
