"""Dice and Jaccard of two binary masks."""

import numpy as np
import numpy.typing as npt

from engine.metrics.masks import Mask, mask_pair


def dice(prediction: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """The Dice of two binary masks ``(*S)``, see `overlap`.

    Raises:
        ValueError: the shapes differ, or a mask is not binary.
    """
    return overlap(*mask_pair(prediction, truth))[0]


def overlap(prediction: Mask, truth: Mask) -> tuple[float, float]:
    """Dice 2|P and T| / (|P| + |T|) and Jaccard |P and T| / |P or T| of two boolean masks ``(*S)`` of one shape.

    Both are 1 where both masks are empty, and 0 where one of them is.
    """
    both = int(np.count_nonzero(prediction & truth))
    total = int(np.count_nonzero(prediction)) + int(np.count_nonzero(truth))
    if total == 0:
        return 1.0, 1.0
    return 2 * both / total, both / (total - both)
