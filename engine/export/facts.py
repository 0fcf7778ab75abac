"""``model.json``: all that ``predict.py`` has to know of the network, and what its users should."""

from collections.abc import Sequence
from typing import Any

import engine
from engine.data.prepare import CLIP, IMAGENET_MEAN, IMAGENET_STD
from engine.evaluation.inference import Predictor
from engine.evaluation.trained import Trained
from engine.recipe import SegmentationEvaluateTable
from engine.recipe.sources import CaseFoldersTable


def facts(trained: Trained, predictor: Predictor, networks: Sequence[dict[str, Any]], channels: int) -> dict[str, Any]:
    """The content of the file.

    Args:
        trained: the run, or the study.
        predictor: how its networks are used.
        networks: of each its file, its sum, and of which checkpoint of which run it is.
        channels: of an image.
    """
    known = trained.manifest.data
    return {
        "format": 1,
        "made_by": f"medtui {engine.__version__}",
        "name": trained.folder.name,
        "run": trained.folder.id,
        "task": trained.recipe.task,
        "classes": list(trained.classes),
        "label_values": list(known.label_values) or list(range(1, len(trained.classes) + 1)),
        "image": _image(trained, channels),
        "output": _output(trained, predictor),
        "networks": list(networks),
        "ranges": {name: list(ends) for name, ends in known.ranges.items()},
        "data": {"name": known.name, "phantom": known.phantom, **known.statement},
    }


def _image(trained: Trained, channels: int) -> dict[str, Any]:
    """How an image becomes what the networks see."""
    table, known = trained.recipe.data, trained.manifest.data
    axes = len(table.size)
    spacing = getattr(table, "spacing", None)
    found: dict[str, Any] = {
        "axes": axes,
        "channels": channels,
        "channel_names": list(known.channel_names),
        "orientation": "RAS" if axes == 3 else None,
        "spacing": None if spacing is None else list(spacing),
        "smooth": table.smooth,
        "size": list(table.size),
        "resize": getattr(table, "resize", None),
        "value_range": None if known.value_range is None else list(known.value_range),
        "intensity": table.intensity,
    }
    if isinstance(table, CaseFoldersTable):
        found["channel_files"] = list(table.channels)
    if table.intensity == "window" and table.window is not None:
        found["window"] = list(table.window)
    if table.intensity == "imagenet":
        found |= {"mean": list(IMAGENET_MEAN), "std": list(IMAGENET_STD)}
    if table.intensity in {"zscore", "body"} and axes == 3:
        found["percentiles"] = list(CLIP)
    return found


def _output(trained: Trained, predictor: Predictor) -> dict[str, Any]:
    """How logits become masks or classes, as ``medtui predict`` does it."""
    table = trained.recipe.evaluate
    found: dict[str, Any] = {"activation": predictor.kind, "mirror_axes": list(predictor.mirrors)}
    if isinstance(table, SegmentationEvaluateTable):
        found |= {
            "overlap": table.overlap,
            "threshold": table.threshold,
            "largest_component": table.largest_component,
            "connectivity": table.connectivity,
        }
    return found
