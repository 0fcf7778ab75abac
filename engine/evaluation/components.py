"""Connected components of masks. Exported folders have it too: NumPy and SciPy are all that it needs."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Masks = NDArray[np.integer[Any]]


def largest_component(mask: Masks, classes: int, *, faces_only: bool = False) -> Masks:
    """``mask`` (*S) with only the largest connected component of each class 1 .. ``classes``.

    Voxels that touch by a face, an edge or a corner are connected (26 neighbours in 3-D, 8 in 2-D), or
    with ``faces_only`` those that touch by a face (6 and 4).
    """
    kept = np.zeros_like(mask)
    touching = ndimage.generate_binary_structure(mask.ndim, 1 if faces_only else mask.ndim)
    for value, box in enumerate(ndimage.find_objects(mask, classes), 1):
        if box is not None:
            labels, _ = ndimage.label(mask[box] == value, touching)
            sizes = np.bincount(labels.ravel())
            sizes[0] = 0
            kept[box][labels == sizes.argmax()] = value
    return kept
