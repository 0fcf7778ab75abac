"""Masks with everything in memory at once: MONAI's windows, all probabilities, resampled by SciPy."""

from __future__ import annotations

import numpy as np
import torch
from monai.inferers import sliding_window_inference

from engine.data.prepare import Prepared
from engine.data.resampling import resample
from engine.evaluation.inference import Predictor


def logits_of(predictor: Predictor, image: np.ndarray) -> torch.Tensor:
    """Logits (O, *N) of an image (C, *N)."""
    batch = torch.from_numpy(np.ascontiguousarray(image))[None]
    with torch.inference_mode():
        if image.shape[1:] == predictor.size:
            return predictor.network(batch)[0]
        return sliding_window_inference(
            batch,
            predictor.size,
            predictor.batch_size,
            predictor.network,
            predictor.overlap,
            mode="gaussian",
        )[0]


def restored(prepared: Prepared, values: np.ndarray) -> np.ndarray:
    """Values (O, *N) on the case's own grid, (O, *S)."""
    inner = values[(slice(None), *prepared.unpadded)]
    return np.stack([prepared.turn_back(resample(channel, prepared.turned)) for channel in inner])


def masks_of(probabilities: np.ndarray, prepared: Prepared, threshold: float | None) -> list[np.ndarray]:
    """The mask (*N) and the mask (*S)."""
    both = (probabilities, restored(prepared, probabilities))
    return [p[0] >= threshold if threshold is not None else p.argmax(0) for p in both]
