"""Axes: ranges that hold still while a run grows, ticks at round numbers, their labels. Pure."""

import math
from dataclasses import dataclass

from tui.text import rate

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_ROOM = (1.0, 1.25, 1.6, 2.0, 2.5, 3.2, 4.0, 5.0, 6.4, 8.0, 10.0)
LEAST_LOG = 1e-12


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis from ``low`` to ``high`` (already as powers of ten where ``log``) with its ticks."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]  # place on the axis, label
    log: bool = False


def round_up(value: float) -> float:
    """The next round number: the right end of an axis that should not move with every point."""
    if value <= 0 or not math.isfinite(value):
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in _ROOM if step * power >= value * (1 - 1e-12))


def step_for(span: float, ticks: int) -> float:
    """A round distance so that about ``ticks`` of it fill ``span``."""
    rough = span / max(1, ticks)
    power = 10.0 ** math.floor(math.log10(rough)) if rough > 0 else 1.0
    return next(step * power for step in _STEPS if step * power >= rough * (1 - 1e-9))


def value_axis(low: float, high: float, rows: int, *, log: bool = False) -> Axis:
    """A vertical axis for values from ``low`` to ``high`` on ``rows`` rows, ends at round numbers."""
    if log:
        return _log_axis(low, high, rows)
    low, high = _apart(low, high)
    step = step_for(high - low, max(3, rows // 3))
    fine = step / 2
    bottom, top = math.floor(low / fine + 1e-9) * fine, math.ceil(high / fine - 1e-9) * fine
    return Axis(bottom, top, tuple((place, label(place, step)) for place in _multiples(bottom, top, step)))


def _log_axis(low: float, high: float, rows: int) -> Axis:
    low, high = max(low, LEAST_LOG), max(high, LEAST_LOG)
    bottom, top = math.log10(low), math.log10(high)
    if top - bottom < 0.3:
        middle = (top + bottom) / 2
        bottom, top = middle - 0.15, middle + 0.15
    if top - bottom < 1.2:  # too short for powers of ten: round numbers, placed by their logarithm
        inner = value_axis(10**bottom, 10**top, rows)
        ticks = tuple((math.log10(place), text) for place, text in inner.ticks if place > 0)
        return Axis(bottom, top, ticks, log=True)
    every = max(1, math.ceil((top - bottom) / max(2, rows // 3)))
    places = range(math.ceil(bottom), math.floor(top) + 1, every)
    return Axis(bottom, top, tuple((float(k), rate(10.0**k)) for k in places), log=True)


def step_axis(low: float, high: float, width: int) -> Axis:
    """A horizontal axis of numbers on ``width`` cells."""
    low, high = _apart(low, high)
    step = max(1.0, step_for(high - low, max(1, width // 9)))  # there is no half iteration
    return Axis(low, high, tuple((place, big(place, step)) for place in _multiples(low, high, step)))


def time_axis(low: float, high: float, width: int) -> Axis:
    """A horizontal axis of seconds on ``width`` cells, in seconds, minutes, hours or days."""
    low, high = _apart(low, high)
    rough = (high - low) / max(1, width // 12)
    steps = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)
    step = next((s for s in steps if s >= rough), 86400 * math.ceil(rough / 86400))
    return Axis(low, high, tuple((place, _duration(place)) for place in _multiples(low, high, step)))


def _multiples(low: float, high: float, step: float) -> list[float]:
    """The multiples of ``step`` on an axis, a hundred at most."""
    first = math.ceil(low / step - 1e-9)
    return [float(k * step) for k in range(first, first + 100) if k * step <= high + step * 1e-9]


def label(value: float, step: float) -> str:
    """``value`` with as many decimals as ``step`` needs; big and small ones with an exponent."""
    size = max(abs(value), step)
    if value == 0:
        return "0"
    if size >= 1e5 or step < 1e-4:
        power = math.floor(math.log10(abs(value)) + 1e-12)
        return f"{value / 10.0**power:.{_decimals(step / 10.0**power)}f}e{power}"
    return f"{value:.{_decimals(step)}f}"


def _decimals(step: float) -> int:
    """How many decimals tell multiples of ``step`` apart."""
    decimals = 0
    while decimals < 6 and abs(round(step, decimals) - step) > step * 1e-6:
        decimals += 1
    return decimals


def big(value: float, step: float) -> str:
    """A count: 400, 12 k, 1.5 M."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size and step >= size / 1000:
            return f"{value / size:.4g}{unit}"
    return label(value, step)


def _duration(seconds: float) -> str:
    if seconds == 0:
        return "0"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            whole, rest = divmod(int(seconds), size)
            return f"{whole}{unit}" if not rest else f"{seconds / size:.3g}{unit}"
    return f"{seconds:g}s"


def _apart(low: float, high: float) -> tuple[float, float]:
    if high - low > max(abs(low), abs(high)) * 1e-9 and high - low > 1e-100:
        return low, high
    room = abs(low) * 0.1 if abs(low) > 1e-100 else 0.5
    return low - room, high + room
