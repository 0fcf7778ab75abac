"""A segmented case as figures show it: a volume, turned to the patient's axes where the file says how, or a picture."""

from dataclasses import dataclass

import numpy as np

from engine.readers.examples import Example
from engine.readers.run import FigureError


@dataclass(frozen=True)
class Volume:
    """Image, truth and prediction on one grid S: (X, Y, Z), or of a picture (H, W)."""

    image: np.ndarray  # float32 (*S), the first channel; of a picture uint8 (H, W), or (H, W, 3) in colour
    truth: np.ndarray  # uint8 (*S), 0 background, i + 1 the class
    prediction: np.ndarray  # uint8 (*S)
    spacing: tuple[float, ...]  # distance of voxels along the axes, in ``unit``
    unit: str  # ``mm``, or ``voxel`` or ``pixel`` where the file knows no spacing
    oriented: bool  # whether the axes run to the patient's right, front and head (RAS+)
    unknown: np.ndarray | None = None  # bool (*S): where the truth is not known; None where it is everywhere

    @property
    def found(self) -> np.ndarray:
        """bool (*S): foreground of the truth or of the prediction."""
        return np.asarray((self.truth > 0) | (self.prediction > 0))

    @property
    def empty(self) -> str:
        """Which of the masks is empty, in words; empty text where neither is."""
        names = [name for name, mask in (("truth", self.truth), ("prediction", self.prediction)) if not mask.any()]
        return {0: "", 1: f"the {names[0]} is empty" if names else "", 2: "truth and prediction are empty"}[len(names)]


def read_volume(example: Example) -> Volume:
    """The arrays of a segmentation example, in RAS+ where it has an affine.

    Raises:
        FigureError: an array is missing, or they do not lie on one grid in 2-D or 3-D.
    """
    arrays = example.arrays
    missing = [name for name in ("image", "truth", "prediction") if name not in arrays]
    if missing:
        raise FigureError(f"{example.path.name} has no {', '.join(missing)}")
    image, truth, prediction = arrays["image"], arrays["truth"], arrays["prediction"]
    unknown = arrays.get("unknown", np.zeros(truth.shape, bool))
    if image.ndim == truth.ndim + 1:
        image = np.moveaxis(image, 0, -1) if truth.ndim == 2 and len(image) == 3 else image[0]
    if (
        truth.ndim not in {2, 3}
        or image.shape[: truth.ndim] != truth.shape
        or {prediction.shape, unknown.shape} != {truth.shape}
    ):
        raise FigureError(
            f"{example.path.name}: image {image.shape}, truth {truth.shape}, prediction {prediction.shape}"
        )
    if truth.ndim == 2:
        return Volume(image, truth, prediction, (1.0, 1.0), "pixel", False, unknown if unknown.any() else None)
    given = [float(step) for step in arrays.get("spacing", np.zeros(0))]
    known = len(given) == 3 and min(given) > 0
    spacing = (given[0], given[1], given[2]) if known else (1.0, 1.0, 1.0)
    unit = "mm" if known else "voxel"
    affine = arrays.get("affine", np.zeros(0))
    oriented = affine.shape == (4, 4) and bool(np.isfinite(affine).all()) and abs(np.linalg.det(affine[:3, :3])) > 0
    if oriented:
        from nibabel.orientations import apply_orientation, io_orientation

        turn = io_orientation(affine)
        turned = (apply_orientation(array, turn) for array in (image, truth, prediction, unknown))
        image, truth, prediction, unknown = turned
        place = np.argsort(turn[:, 0])
        spacing = (spacing[int(place[0])], spacing[int(place[1])], spacing[int(place[2])])
    return Volume(image, truth, prediction, spacing, unit, oriented, unknown if unknown.any() else None)
