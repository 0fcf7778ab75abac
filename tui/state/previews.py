"""Reads preview files: small arrays that the trainer leaves at validation."""

import math
from collections.abc import Sequence

import numpy as np

from engine.events import Preview
from engine.readers.arrays import Array
from engine.runfolder import RunFolder
from tui.state.images import PreviewImages, class_name, read_images, verdict

LARGEST_BYTES = 64 << 20


def read_preview(folder: RunFolder, preview: Preview, classes: Sequence[str]) -> PreviewImages | str:
    """The arrays of ``preview``, or a short reason why they cannot be shown; ``classes``: those of the run."""
    return read_images(folder, preview.path, "preview", lambda found: _checked(found, classes), most=LARGEST_BYTES)


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
