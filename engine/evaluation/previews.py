"""Small images of the worst validation cases, for the dashboard. Written at validation, never in a step."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.data.prepare import normalise_image, resize_image
from engine.data.read import read_image
from engine.evaluation.gradcam import Explain, enlarged
from engine.events import Preview
from engine.runfolder import write_with

if TYPE_CHECKING:
    from engine.evaluation.protocol import SegmentedCase
    from engine.training.session import Session

SLICES = 12
SIDE = 112
EPOCHS_KEPT = 60
"""About so many epochs of a run get previews, so that a long run does not fill the disk."""


class PreviewWriter:
    """Keeps the worst cases of a validation and writes each as ``previews/e<epoch>_<n>.npz``."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._count = session.recipe.figures.preview_cases
        self._names = session.recipe.figures.case_names
        measured = {case.id for split in ("validation", "test") for case in session.dataset.split(split)}
        self._numbers = {case: n for n, case in enumerate(sorted(measured), start=1)}  # as the figures count them
        self._every = max(1, session.recipe.train.epochs // EPOCHS_KEPT)
        self._worst: list[tuple[float, str, dict[str, NDArray[Any]]]] = []

    def collect(self, case: SegmentedCase) -> None:
        """See one case of a validation; only the worst are kept, reduced to a few small slices."""
        dice = case.row.value("dice") or 0.0
        if len(self._worst) >= self._count and -dice <= self._worst[0][0]:
            return
        entry = (-dice, case.row.id, _slices(case))
        if len(self._worst) < self._count:
            heapq.heappush(self._worst, entry)
        else:
            heapq.heapreplace(self._worst, entry)

    def write(self, epoch: int) -> None:
        """Write what was collected, the worst first, and begin anew."""
        worst = sorted(self._worst, key=lambda entry: entry[:2], reverse=True)
        self._worst = []
        if not self._due(epoch):
            return
        for n, (negative, name, arrays) in enumerate(worst):
            self._save(epoch, n, name, -negative, arrays)

    def write_images(self, epoch: int, cases: list[dict[str, Any]], explain: Explain) -> None:
        """Write the images of the worst wrongly classified cases, with what spoke for the class that was said.

        Args:
            epoch: of the validation.
            cases: as the stream names them, the worst first.
            explain: makes the maps.
        """
        wrong = [case for case in cases if case["true"] != case["predicted"]][: self._count]
        if not wrong or not self._due(epoch):
            return
        dataset, data = self._session.dataset, self._session.recipe.data
        by_id = {case.id: case for case in dataset.split("validation")}
        images = [read_image(dataset, by_id[case["id"]]) for case in wrong]
        seen = [resize_image(image, data) for image in images]
        labels = np.array([dataset.classes.index(case["predicted"]) for case in wrong], np.int64)
        heats = explain(np.stack([normalise_image(image, data) for image in seen]), labels)
        for n, case in enumerate(wrong):
            # A cropped image is shown as the network saw it: the map covers nothing else.
            shown = seen[n] if data.resize == "crop" else images[n]
            step = max(1, -(-max(shown.shape[:2]) // SIDE))
            small = shown[::step, ::step]
            arrays: dict[str, NDArray[Any]] = {
                "image": small[None],
                "heat": enlarged(heats[n], small.shape[:2])[None],
                "slices": np.zeros(1, np.int64),
                "true": np.array(case["true"]),
                "predicted": np.array(case["predicted"]),
                "probability": np.array(case["probability"]),
            }
            self._save(epoch, n, case["id"], case["loss"], arrays)

    def _due(self, epoch: int) -> bool:
        return epoch % self._every == 0 or epoch == self._session.recipe.train.epochs

    def _save(self, epoch: int, n: int, name: str, value: float, arrays: dict[str, NDArray[Any]]) -> None:
        path = self._session.folder.previews / f"e{epoch:05d}_{n}.npz"
        write_with(path, lambda temporary: np.savez_compressed(temporary, allow_pickle=False, **arrays))
        # A number is a case's own: who follows it through the epochs sees one case, not a rank.
        shown = name if self._names else f"case {self._numbers[name]:02d}"
        self._session.emit(Preview(path=f"previews/{path.name}", epoch=epoch, case=shown, value=value))


def _slices(case: SegmentedCase) -> dict[str, NDArray[Any]]:
    """A few slices along the last axis, spread over where truth or prediction is.

    On the network's grid, so that a preview costs no resampling; image as uint8 (S, H, W), clipped
    to its 1st and 99th percentile.
    """
    truth = case.prepared.label_net
    if truth is None:
        truth = np.zeros_like(case.mask_net)
    volume = case.prepared.image[0]
    depth = np.flatnonzero((truth > 0).any((0, 1)) | (case.mask_net > 0).any((0, 1)))
    first, last = (depth[0], depth[-1]) if depth.size else (0, volume.shape[2] - 1)
    places = np.unique(np.linspace(first, last, SLICES).round().astype(np.int64))
    step = max(1, -(-max(volume.shape[:2]) // SIDE))
    part = volume[::step, ::step, places]
    low, high = np.percentile(part, (1, 99))
    shades = np.clip((part - low) / max(float(high - low), 1e-6), 0, 1) * 255

    def stack(array: NDArray[Any]) -> NDArray[np.uint8]:
        return np.ascontiguousarray(np.moveaxis(array, 2, 0)).astype(np.uint8)

    return {
        "image": stack(shades),
        "truth": stack(truth[::step, ::step, places]),
        "prediction": stack(case.mask_net[::step, ::step, places]),
        "slices": places,
    }
