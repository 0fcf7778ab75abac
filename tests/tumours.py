"""Small tumours as BraTS has them: a folder a case, four channels, three classes inside one another."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np

CHANNELS = ("flair", "t1", "t1ce", "t2")
CLASSES = ("necrosis", "oedema", "enhancing")
REGIONS = {"whole tumour": ["oedema", "enhancing", "necrosis"], "tumour core": ["necrosis", "enhancing"]}


def tumours(folder: Path, cases: int = 6, *, values: tuple[int, int, int] = (1, 2, 3), side: int = 20) -> Path:
    """Write cases with the mask ``values`` of necrosis, oedema and enhancing tumour."""
    rng = np.random.default_rng(0)
    grid = np.indices((side,) * 3)
    for case in range(cases):
        centre = rng.uniform(0.4, 0.6, 3) * side
        away = np.linalg.norm(grid - centre[:, None, None, None], axis=0)
        mask = np.zeros((side,) * 3, np.uint8)
        for value, radius in zip((values[1], values[2], values[0]), (0.35, 0.25, 0.15), strict=True):
            mask[away < radius * side] = value
        place = folder / f"BraTS_{case:03d}"
        place.mkdir(parents=True)
        for channel, name in enumerate((*CHANNELS, "seg")):
            image = 1.0 + np.cos(mask * (channel + 1)) + rng.normal(0, 0.1, mask.shape)
            data = mask if name == "seg" else image.astype(np.float32)
            nibabel.save(nibabel.Nifti1Image(data, np.eye(4)), place / f"{place.name}_{name}.nii.gz")
    return folder
