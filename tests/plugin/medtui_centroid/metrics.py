"""How the metric is computed."""

import numpy as np

from engine.metrics.pair import MaskPair, computes


@computes("centroid_distance")
def centroid_distance(pair: MaskPair) -> float:
    """Distance between the centres of gravity of both masks; where one is empty, the worst that there is."""
    if not all(pair.volumes):
        return pair.worst_distance()
    predicted, true = (np.argwhere(mask).mean(axis=0) for mask in (pair.prediction, pair.truth))
    return float(np.linalg.norm((predicted - true) * pair.spacing))
