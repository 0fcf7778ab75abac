"""Reads preview files: small arrays that the trainer leaves at validation."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence

import numpy as np

from engine.events import Preview
from engine.runfolder import RunFolder
from tui.state.images import PreviewImages
from tui.state.series import Array

LARGEST_BYTES = 64 << 20


def read_preview(folder: RunFolder, preview: Preview, classes: Sequence[str]) -> PreviewImages | str:
    """The arrays of ``preview``, or a short reason why they cannot be shown; ``classes``: those of the run."""
    path = folder.root / preview.path
    if not folder.holds(path):
        return "the preview lies outside of the run folder"
    try:
        if path.stat().st_size > LARGEST_BYTES:
            return "the preview is too big to show"
        with np.load(path, allow_pickle=False) as arrays:
            return _checked({name: arrays[name] for name in arrays.files}, classes)
    except FileNotFoundError:
        return "the preview is no longer there"
    except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile):
        return "the preview cannot be read"


def _checked(arrays: dict[str, Array], classes: Sequence[str]) -> PreviewImages | str:
    image = arrays["image"]
    slices = arrays.get("slices", np.arange(len(image)))
    masks = {name: arrays[name] for name in ("truth", "prediction", "heat") if name in arrays}
    if image.dtype != np.uint8 or image.ndim not in {3, 4} or not image.size or len(slices) != len(image):
        return "the preview has another layout than this version knows"
    if any(mask.shape != image.shape[:3] or mask.dtype != np.uint8 for mask in masks.values()):
        return "the masks of the preview have another shape than its image"
    told = [_class_name(arrays[name], classes) for name in ("true", "predicted") if "predicted" in arrays]
    sure = float(arrays["probability"].ravel()[0]) if "probability" in arrays else float("nan")
    said = _said(told, sure)
    return PreviewImages(image, slices, masks.get("truth"), masks.get("prediction"), said, masks.get("heat"))


def _class_name(array: Array, classes: Sequence[str]) -> str:
    """The class that an array of one value names: by its name, or by its place in the run's classes."""
    value = array.ravel()[0]
    if array.dtype.kind not in "iu":
        return str(value)
    return classes[int(value)] if 0 <= int(value) < len(classes) else str(value)


def _said(names: list[str], sure: float) -> str:
    """``nevus: said melanoma (71 %)``."""
    if len(names) < 2:
        return ""
    share = f" ({sure * 100:.0f} %)" if np.isfinite(sure) else ""
    return f"{names[0]}: said {names[1]}{share}"
