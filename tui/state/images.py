"""The arrays of a preview or an example, as panes draw them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.events import Preview
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


def read_preview(folder: RunFolder, preview: Preview, classes: Sequence[str]) -> PreviewImages | str:
    """The arrays of ``preview``, or a short reason why they cannot be shown; ``classes``: those of the run."""
    return read_images(folder, preview.path, "preview", lambda found: _checked(found, classes), most=64 << 20)


def _checked(arrays: dict[str, Array], classes: Sequence[str]) -> PreviewImages | str:
    image = arrays["image"]
    slices = arrays.get("slices", np.arange(len(image)))
    masks = {name: arrays[name] for name in ("truth", "prediction", "heat") if name in arrays}
    coloured = image.ndim == 4 and image.shape[3] == 3
    numbered = slices.shape == image.shape[:1] and slices.dtype.kind in "iu"
    if image.dtype != np.uint8 or not (image.ndim == 3 or coloured) or not image.size or not numbered:
        return "the preview has another layout than this version knows"
    heat, labels = masks.get("heat"), [masks[name] for name in ("truth", "prediction") if name in masks]
    odd = heat is not None and heat.shape != image.shape[:3]
    odd |= any(not _covers(mask.shape, image.shape[:3]) for mask in labels)
    if odd or len({mask.shape for mask in labels}) > 1 or any(mask.dtype != np.uint8 for mask in masks.values()):
        return "the masks of the preview have another shape than its image"
    words = f"true {class_name(arrays['true'].ravel()[0].item(), classes)}" if "true" in arrays else ""
    if "predicted" in arrays:
        true, predicted = (class_name(arrays[name].ravel()[0].item(), classes) for name in ("true", "predicted"))
        words = verdict(
            true, predicted, float(arrays["probability"].ravel()[0]) if "probability" in arrays else math.nan
        )
    return PreviewImages(image, slices, masks.get("truth"), masks.get("prediction"), words, heat)


def _covers(mask: tuple[int, ...], image: tuple[int, ...]) -> bool:
    """Whether a mask (S, H', W') can be of an image (S, H, W): as fine, or finer by one factor."""
    if len(mask) != 3 or mask[0] != image[0] or mask[1] < image[1] or mask[2] < image[2]:
        return False
    down, across = mask[1] / image[1], mask[2] / image[2]  # every nth pixel of the last rows may be missing
    return mask == image or abs(down - across) < min(down, across) / min(image[1:])
