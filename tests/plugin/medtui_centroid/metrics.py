"""How the metrics are computed."""

import numpy as np

from engine.metrics import classification
from engine.metrics.pair import MaskPair, computes


@computes("centroid_distance")
def centroid_distance(pair: MaskPair) -> float:
    """Distance between the centres of gravity of both masks; where one is empty, the worst that there is."""
    if not all(pair.volumes):
        return pair.worst_distance()
    predicted, true = (np.argwhere(mask).mean(axis=0) for mask in (pair.prediction, pair.truth))
    return float(np.linalg.norm((predicted - true) * pair.spacing))


@classification.computes("youden")
def youden(targets: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Sensitivity plus specificity minus 1, one a class; NaN where a class, or every other, has no case."""
    true = targets[:, None] == np.arange(probabilities.shape[1])
    found = probabilities.argmax(axis=1)[:, None] == np.arange(probabilities.shape[1])
    with np.errstate(invalid="ignore"):
        return (true & found).sum(axis=0) / true.sum(axis=0) - (~true & found).sum(axis=0) / (~true).sum(axis=0)
