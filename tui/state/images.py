"""The arrays of a preview or an example, as panes draw them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.readers.arrays import DAMAGED, Array, ArraysError, load_arrays
from engine.runfolder import RunFolder
from engine.runfolder.mirror import fetch

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Example:
    """A case of which the arrays were kept at the test, with all its slices; ``path`` in the run folder."""

    path: str
    case: str
    split: str


@dataclass(frozen=True, slots=True)
class PreviewImages:
    """The arrays of one preview file."""

    image: Bytes  # (S, H, W) or (S, H, W, 3)
    slices: NDArray[np.int64]  # (S,) where in the volume each stands
    truth: Bytes | None = None  # (S, H', W') class of each pixel, 0 for none; as fine as the image or finer
    prediction: Bytes | None = None  # the same of the prediction
    verdict: str = ""  # the true class and the predicted one, or ""
    heat: Bytes | None = None  # (S, H, W) activation map of the prediction, 0 to 255


Taken: TypeAlias = PreviewImages | str  # what can be shown of a file, or a short reason why nothing can


def read_images(
    folder: RunFolder, path: str, what: str, take: Callable[[dict[str, Array]], Taken], **limits: Any
) -> Taken:
    """What ``take`` makes of the arrays in a file of a run, read within the ``limits`` of `load_arrays`."""
    whole = folder.root / path
    if not folder.holds(whole):
        return f"the {what} lies outside of the run folder"
    fetch(folder, path)
    try:
        return take(load_arrays(whole, **limits))
    except ArraysError as error:
        return f"the {what} {error}"
    except DAMAGED:
        return f"the {what} cannot be read"


def class_name(value: object, classes: Sequence[str]) -> str:
    """The class that a value means: a name itself, or the place of one in ``classes``; "" for None."""
    if isinstance(value, int) and 0 <= value < len(classes):
        return classes[value]
    return "" if value is None else str(value)


def verdict(true: str, predicted: str, share: float = math.nan) -> str:
    """``true nevus, predicted melanoma (0.71)``."""
    return f"true {true}, predicted {predicted}" + (f" ({share:.2f})" if math.isfinite(share) else "")
