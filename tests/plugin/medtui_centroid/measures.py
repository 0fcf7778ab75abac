"""What the metric is called, which way is better, and where it is shown."""

from engine.measures import Measure, register

register(
    Measure("centroid_distance", "Centroid distance", "centro", "distance", False, ("segmentation",), per_class=True)
)
