"""How numbers are written in figures and in the report."""

import math
import re
from collections.abc import Sequence


def digits(value: float | None, places: int = 3) -> str:
    """Three decimals, as the papers print Dice, but one less for each digit from 10 on; an en dash: not measured."""
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    places = max(0, places - max(0, math.floor(math.log10(abs(value) or 1.0))))
    text = f"{value:.{places}f}".replace("-", "−")
    return text if text.strip("−0.") else text.removeprefix("−")


def signed(value: float, places: int = 3) -> str:
    """`digits` of a difference, with its sign, but of what is zero when rounded."""
    text = digits(value, places)
    return f"+{text}" if value > 0 and text.strip("0.") else text


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


def units(unit: str) -> str:
    """A unit of distances behind many: mm, voxels or pixels."""
    return unit if unit == "mm" else f"{unit}s"


def file_part(name: str) -> str:
    """``name`` as a part of a file name that is safe everywhere."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._")[:80] or "_"
