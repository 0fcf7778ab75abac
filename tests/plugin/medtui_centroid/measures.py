"""What the metrics are called, which way is better, and where they are shown."""

from engine.measures import Measure, register

register(
    Measure("centroid_distance", "Centroid distance", "centro", "distance", False, ("segmentation",), per_class=True)
)
register(Measure("youden", "Youden index", "youden", "number", tasks=("classification",), per_class=True))
