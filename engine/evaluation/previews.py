"""Small arrays for eyes: previews of a validation for the dashboard, examples of a split for figures."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.data.cases import Dataset
from engine.data.read import Masks
from engine.events import Event, Preview
from engine.recipe import FiguresTable
from engine.runfolder import RunFolder, example_file, file_name, write_with

SLICES = 12
PIXELS = 112  # the longer side of the image of a preview, at most
MASK_PIXELS = 1024  # the longer side of its masks, at most: they pack well, and a border off by a voxel is to be seen
EPOCHS_KEPT = 60  # about so many epochs of a run get previews, so that a long run does not fill the disk


def shrink_step(shape: tuple[int, ...], most: int = PIXELS) -> int:
    """Every how many pixels of an image of ``shape`` (H, W, ...) a preview shows."""
    return max(1, -(-max(shape[:2]) // most))


def shades(values: NDArray[Any]) -> NDArray[np.uint8]:
    """``values`` as uint8, from their 1st percentile to their 99th."""
    low, high = np.percentile(values, (1, 99))
    return np.asarray(np.clip((values - low) / max(float(high - low), 1e-6), 0, 1) * 255).astype(np.uint8)


def preview_slices(image: NDArray[np.float32], truth: Masks | None, mask: Masks) -> dict[str, NDArray[Any]]:
    """A few slices along the last axis, spread over where truth or mask is; of a 2-D image, all of it.

    Args:
        image: (C, *S). Shown is its first channel; of a 2-D image with three, all.
        truth: class indices (*S), where there is one.
        mask: the predicted class indices (*S).

    Returns:
        ``image``: uint8 (N, H, W), or (N, H, W, 3) in colour, clipped to the 1st and 99th percentile;
        ``truth`` and ``prediction``: uint8 (N, H', W'), as fine as they were measured up to `MASK_PIXELS`;
        ``slices``: int64 (N,), where they lie.
    """
    truth = np.zeros_like(mask) if truth is None else truth
    truth, mask = (np.minimum(each, 255).astype(np.uint8) for each in (truth, mask))  # classes from 255 on look alike
    colour = mask.ndim == 2 and len(image) == 3
    image = image if colour else image[:1]
    if mask.ndim == 2:
        image, truth, mask = image[..., None], truth[..., None], mask[..., None]
    depth = np.flatnonzero((truth > 0).any((0, 1)) | (mask > 0).any((0, 1)))
    first, last = (depth[0], depth[-1]) if depth.size else (0, mask.shape[2] - 1)
    places = np.unique(np.linspace(first, last, SLICES).round().astype(np.int64))
    step = shrink_step(mask.shape)
    slices = np.ascontiguousarray(np.moveaxis(shades(image[:, ::step, ::step, places]), (3, 0), (0, 3)))
    fine = shrink_step(mask.shape, MASK_PIXELS)
    masks = {"truth": truth, "prediction": mask}
    return {
        "image": slices if colour else slices[..., 0],
        **{name: np.ascontiguousarray(np.moveaxis(m[::fine, ::fine, places], 2, 0)) for name, m in masks.items()},
        "slices": places,
    }


class PreviewWriter:
    """Writes the previews of validations as ``previews/e<epoch>_<n>.npz``, and announces them."""

    def __init__(
        self, folder: RunFolder, emit: Callable[[Event], object], figures: FiguresTable, dataset: Dataset, epochs: int
    ) -> None:
        self.count = figures.preview_cases  # of a validation
        self._folder = folder
        self._emit = emit
        self._names = figures.case_names
        measured = {case.id for split in ("validation", "test") for case in dataset.split(split)}
        self._numbers = {case: n for n, case in enumerate(sorted(measured), start=1)}  # as the figures count them
        self._epochs = epochs
        self._epoch = 0
        self._written = 0

    def begin(self, epoch: int) -> bool:
        """Turn to the validation of ``epoch``; whether it gets previews."""
        self._epoch, self._written = epoch, 0
        return epoch % max(1, self._epochs // EPOCHS_KEPT) == 0 or epoch == self._epochs

    def write(self, case: str, value: float, arrays: dict[str, NDArray[Any]]) -> None:
        """Write the next preview of the epoch, the worst first: a case with the value that ranks it."""
        path = self._folder.previews / f"e{self._epoch:05d}_{self._written}.npz"
        self._written += 1
        _save(path, arrays)
        # A number is a case's own: who follows it through the epochs sees one case, not a rank.
        shown = case if self._names else f"case {self._numbers[case]:02d}"
        self._emit(Preview(path=f"previews/{path.name}", epoch=self._epoch, case=shown, value=value))


def write_training_crop(
    folder: RunFolder, emit: Callable[[Event], object], case: str, image: NDArray[np.float32], label: NDArray[np.int64]
) -> None:
    """Show a case as the network gets it, augmented, with its truth: epoch 0 of the previews.

    Args:
        emit: announces it.
        image: (C, *S).
        label: class indices (*S), or the one class of a classification.
    """
    mask = label if label.ndim else np.zeros(image.shape[1:], np.int64)
    arrays = preview_slices(image, mask, mask)
    del arrays["prediction"]
    if not label.ndim:
        arrays["true"] = label
        del arrays["truth"]
    path = folder.previews / "e00000_0.npz"
    _save(path, arrays)
    emit(Preview(path=f"previews/{path.name}", epoch=0, case=case, split="train"))


class ExampleWriter:
    """Writes ``examples/<split>_<case>.npz``, so that a figure needs the run folder and nothing else."""

    def __init__(self, folder: RunFolder, split: str, count: int) -> None:
        self.count = count  # of examples of each kind, where there is a choice
        self._folder = folder
        self._split = split

    def clear(self) -> None:
        """Drop the examples of an earlier evaluation of the split."""
        self._folder.examples.mkdir(mode=0o700, exist_ok=True)
        for path in self._folder.examples.glob(example_file(self._split, "*")):
            path.unlink()

    def write(self, case: str, arrays: dict[str, Any]) -> None:
        """Write the arrays of one case."""
        name = example_file(self._split, file_name(case))
        _save(self._folder.examples / name, {**arrays, "id": np.array(case), "split": np.array(self._split)})


def _save(path: Path, arrays: dict[str, Any]) -> None:
    write_with(path, lambda temporary: np.savez_compressed(temporary, allow_pickle=False, **arrays))
