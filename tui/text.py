"""Numbers, times and names as people read them. No Textual, no NumPy."""

import math
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from engine.diagnosis import Finding
from engine.errors import printable
from engine.measures import find

__all__ = ["age", "clock", "figure", "one_line", "printable", "rate", "shorten", "sparkline"]

UNION = "∪"  # before the name of a region
_HUGE = 1e300  # sums and differences of what is larger overflow
_BARS = "▁▂▃▄▅▆▇█"


def one_line(text: str) -> str:
    """``text`` from a file without control characters, escapes, line breaks and turns of direction."""
    return "".join(c if c.isprintable() else " " if c in "\t\n\r" else "·" for c in text)


def wrapped(text: str, width: int) -> list[str]:
    """``text`` in lines of at most ``width`` cells, broken between words, and in a word that no line holds.

    >>> wrapped("名前 名前 a-b", 5), wrapped("", 5)
    (['名前', '名前', 'a-b'], [])
    """
    if text.isascii():
        return textwrap.wrap(text, max(1, width), break_on_hyphens=False)
    from rich.cells import cell_len  # textwrap counts letters: one that is two cells wide counts as two

    twice = "".join(c + "\0" if cell_len(c) > 1 else c for c in text)
    least = max(2, width - 1 if twice != text else width)  # a pair may be torn apart
    return [row.replace("\0", "") for row in textwrap.wrap(twice, least, break_on_hyphens=False)]


def figure(value: float | None) -> str:
    """Three significant digits: 0.771, 5.30, 12.4, 1234; "–" for what was not measured.

    >>> [figure(x) for x in (0.7712, -5.3, 123.4, 98765.4, 0.00012, float("nan"), float("inf"))]
    ['0.771', '−5.30', '123', '98765', '1.20e-4', '–', 'inf']
    """
    if value is None or math.isnan(value):
        return "–"
    if value < 0:
        return f"−{figure(-value)}"
    if math.isinf(value):
        return "inf"
    if value == 0 or 0.001 <= value < 100:
        digits = 3 if value < 1 else 2 if value < 10 else 1
        return f"{abs(value):.{digits}f}"
    return f"{value:.0f}" if 100 <= value < 1e7 else _exponent(f"{value:.2e}")


def rate(value: float | None) -> str:
    """A learning rate: 1e-3, 8.1e-4, 0.5.

    >>> [rate(x) for x in (1e-3, 8.1e-4, 0.5, 0.0)]
    ['1e-3', '8.1e-4', '0.5', '0']
    """
    if value is None or not math.isfinite(value):
        return figure(value)
    if value == 0 or abs(value) >= 0.01:
        return f"{value:.3g}"
    mantissa, _, exponent = f"{value:.2e}".partition("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def _exponent(text: str) -> str:
    mantissa, _, exponent = text.partition("e")
    return f"{mantissa}e{int(exponent)}"


def clock(seconds: float | None) -> str:
    """A duration as hours, minutes and seconds, with days before them where there are any.

    >>> [clock(x) for x in (5, 3725.6, 90061, None)]
    ['00:00:05', '01:02:05', '1d 01:01:01', '–']
    """
    if seconds is None or not math.isfinite(seconds):
        return "–"
    whole = max(0, int(seconds))
    days, rest = divmod(whole, 86400)
    text = f"{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"
    return f"{days}d {text}" if days else text


def age(seconds: float) -> str:
    """How long ago, in the largest unit that fits: 12 s, 5 min, 3 h, 6 d.

    >>> [age(x) for x in (0.4, 300, 11000, 600000)]
    ['0 s', '5 min', '3 h', '6 d']
    """
    seconds = max(0.0, seconds)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"


def sparkline(values: Sequence[float], width: int, metric: str = "") -> str:
    """A line of at most ``width`` bars, the mean of each stretch; "!" where nothing finite was in it.

    Of a ``metric`` that is a share the bars go from 0 to 1, so that a flat 0.98 is not a flat 0.

    >>> sparkline([0, 1, 2, float("nan")], 4)
    '▁▅█!'
    """
    count = len(values)
    if count == 0 or width < 1:
        return ""
    width = min(width, count)
    means = []
    for column in range(width):
        part = values[column * count // width : max((column + 1) * count // width, column * count // width + 1)]
        finite = [max(-_HUGE, min(_HUGE, float(value))) for value in part if math.isfinite(value)]
        means.append(sum(finite) / len(finite) if finite else math.nan)
    known = [mean for mean in means if not math.isnan(mean)]
    low, high = (min(known), max(known)) if known else (0.0, 0.0)
    if metric and find(metric).kind == "share":
        low, high = min(0.0, low), max(1.0, high)
    span = high - low or 1.0
    return "".join("!" if math.isnan(mean) else _BARS[round((mean - low) / span * (len(_BARS) - 1))] for mean in means)


def shorten(text: str, width: int) -> str:
    """``text`` in ``width`` characters at most, the middle left out: names differ at their ends.

    >>> shorten("a-long-name-of-a-run", 9)
    'a-lo…-run'
    """
    if len(text) <= width:
        return text
    if width <= 1:
        return "…"[: max(0, width)]
    tail = (width - 1) // 2
    return text[: width - 1 - tail] + "…" + (text[-tail:] if tail else "")


def nearest(path: Path) -> str:
    """A path as it is shortest to type: from the current folder where it lies there, else from home."""
    for base, name in ((Path.cwd(), ""), (Path.home(), "~/")):
        if path.is_relative_to(base):
            return f"{name}{path.relative_to(base)}"
    return str(path)


def finding_lines(found: Iterable[Finding], *, whole: bool = False) -> Iterator[str]:
    """A line a finding, and one for its remedy; ``whole``: the numbers behind it as well."""
    for finding in found:
        yield finding_line(finding)
        if whole:
            yield f"  {finding.evidence}"
        yield f"  {finding.remedy}"


def finding_line(finding: Finding) -> str:
    """``warning: overfitting since epoch 18: ...``"""
    since = f" since epoch {finding.since_epoch}" if finding.since_epoch else ""
    return f"{finding.severity}: {finding.code.replace('_', ' ')}{since}: {finding.message}"
