"""How metrics, units and numbers are written in figures and in the report."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

DISTANCES = ("asd", "assd", "hd95", "hd95_max")
_TITLES = {
    "loss": "Loss",
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "auc": "AUC",
    "dice": "Dice",
    "jaccard": "Jaccard",
    "asd": "ASD",
    "assd": "ASSD",
    "hd95": "95HD",
    "hd95_max": "95HD (max)",
    "ece": "ECE",
    "brier": "Brier score",
    "average_precision": "Average precision",
    "lr": "Learning rate",
    "grad_norm": "Gradient norm",
}
_ORDER = tuple(_TITLES)
_LOWER_IS_BETTER = frozenset({"loss", *DISTANCES, "ece", "brier"})


def title(metric: str, unit: str = "") -> str:
    """``hd95`` -> ``95HD (mm)``; names that are not known stay as they are, with spaces."""
    base = metric.removesuffix("_weighted").removesuffix("_micro")
    text = _TITLES.get(base, base.replace("_", " "))
    if base != metric:
        text += f" ({metric.removeprefix(base + '_')})"
    return f"{text} [{unit}]" if unit and base in DISTANCES else text


def ordered(metrics: Sequence[str]) -> list[str]:
    """``metrics`` in the order in which papers list them; what is not known last, by name."""

    def place(name: str) -> tuple[int, str]:
        base = name.removesuffix("_weighted").removesuffix("_micro")
        return (_ORDER.index(base) if base in _ORDER else len(_ORDER), name)

    return sorted(metrics, key=place)


def better_up(metric: str) -> bool:
    """Whether a larger value of ``metric`` is a better one."""
    return metric.removesuffix("_weighted") not in _LOWER_IS_BETTER


def digits(value: float | None, places: int = 3) -> str:
    """Three decimals, as the papers print Dice and distances; an en dash for what was not measured."""
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:.{places}f}".replace("-", "−")


def short(value: float | None) -> str:
    """Three significant digits, for marks in a figure."""
    if value is None or not math.isfinite(value):
        return digits(value)
    return f"{value:#.3g}".rstrip(".").replace("-", "−")


def interval(bounds: Sequence[float | None] | None) -> str:
    """``0.851 to 0.892``, or nothing where there is no interval."""
    if not bounds or any(bound is None or math.isnan(bound) for bound in bounds):
        return ""
    return f"{digits(bounds[0])} to {digits(bounds[1])}"


def duration(seconds: float | None) -> str:
    """``3 h 05 min``, ``4 min 10 s``, ``12 s``."""
    if seconds is None or not math.isfinite(seconds):
        return "–"
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def file_part(name: str) -> str:
    """``name`` as a part of a file name that is safe everywhere."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._")[:80] or "_"
