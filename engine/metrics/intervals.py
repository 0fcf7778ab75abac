"""95 % confidence intervals whose coverage was measured; docs/statistics.md has methods, sources and the table.

Shares (accuracy, recall) have Wilson's interval, means over cases one that allows for skewness, and whatever is
neither the expanded percentile bootstrap. All of them know groups of cases (patients, lesions).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from engine.runfolder import Bounds

Floats = npt.NDArray[np.float64]
Interval = tuple[float, float]
Values = Sequence[float | None] | Floats  # one value a case; None or NaN: not measured
Groups = Sequence[str | None] | None
"""Group (patient, lesion) of each case; a case without one (None, empty) is a unit of its own."""

MIN_UNITS = 5  # fewer cases or groups than this have no interval
ALL_EQUAL = "all values are equal"
RESAMPLES_AGREE = "all resamples give the same value"

_CHUNK = 2**21  # numbers of one matrix of resamples: 16 MB
_TAIL = 0.025


@dataclass(frozen=True, slots=True)
class Estimate:
    """An interval, or why there is none."""

    interval: Interval | None = None  # low and high, or None
    reason: str = ""  # why there is no interval; empty where there is one
    error: float | None = None  # standard error of the value, where it is known


Share = tuple[float, float, float, float]  # value, low, high, standard error


def parted(found: Mapping[str, Estimate]) -> tuple[dict[str, Bounds], dict[str, str]]:
    """``ci95`` and ``ci95_reason`` of a split: the intervals, and why there is none of the others."""
    intervals: dict[str, Bounds] = {name: one.interval for name, one in found.items() if one.interval is not None}
    return intervals, {name: one.reason for name, one in found.items() if one.interval is None}


def unit_index(n: int, groups: Groups) -> tuple[npt.NDArray[np.intp], int]:
    """Which unit each case belongs to ``(n,)``, numbered as they first appear, and how many units there are.

    Raises:
        ValueError: there is not one group a case.
    """
    if groups is None:
        return np.arange(n), n
    if len(groups) != n:
        raise ValueError(f"{len(groups)} groups for {n} cases; give one a case")
    known: dict[tuple[str, object], int] = {}
    units = [known.setdefault(("group", group) if group else ("case", i), len(known)) for i, group in enumerate(groups)]
    return np.array(units, dtype=np.intp), len(known)


def too_few(n: int, units: int) -> str:
    """Why there is no interval over ``n`` cases of ``units`` units; empty where there can be one."""
    if units >= MIN_UNITS:
        return ""
    if n == 0:
        return "not measured"
    what = "group" if units < n else "case"
    return f"{units} {what}{'s' if units != 1 else ''}; an interval needs {MIN_UNITS}"


def t_quantile(units: float) -> float:
    """Upper 2.5 % point of Student's t with ``units - 1`` degrees of freedom, which need not be whole."""
    return float(special.stdtrit(units - 1, 1 - _TAIL))


def mean_interval(values: Values, groups: Groups = None, limits: Interval | None = None) -> Estimate:
    """Interval of a mean over cases, for values of any skewness.

    The cubic transformation of t that removes its skewness (Hall, J. R. Stat. Soc. B 54, 1992) with Student's
    quantiles; a bound of Student's t that lies further out counts with weight 1 - 3/n. The skewness is the unbiased
    one times 1 + 4/n, since that of few values is too small. With groups the units are groups, and the mean over
    cases is linearised (a ratio of sums of groups).

    Args:
        values: one value a case ``(n,)``; None or NaN: not measured, left out of the mean.
        groups: group of each case.
        limits: smallest and largest value that is possible; the interval is cut there.

    Raises:
        ValueError: there is not one group a case.
    """
    table = np.array([np.nan if v is None else v for v in values], dtype=np.float64)
    of_case, _ = unit_index(table.size, groups)
    known = np.isfinite(table)
    x, (present, of_known) = table[known], np.unique(of_case[known], return_inverse=True)
    n, units = x.size, present.size
    if reason := too_few(n, units):
        return Estimate(reason=reason)
    if np.ptp(x) <= 1e-12 * max(1.0, float(np.abs(x).max())):
        return Estimate(reason=ALL_EQUAL, error=0.0)
    mean = float(x.mean())
    deviations = np.bincount(of_known, weights=x - mean, minlength=units) * (units / n)
    variance = float(np.mean(deviations**2))
    if variance < 1e-24:
        return Estimate(reason="all groups have the same mean", error=0.0)
    error = math.sqrt(variance / (units - 1))
    skewness = float(np.mean(deviations**3)) / variance**1.5
    skewness *= math.sqrt(units * (units - 1)) / (units - 2) * (1 + 4 / units)
    t = t_quantile(units)
    below, above = (_bound(t, _without_skewness(sign * t, skewness, units), units) for sign in (1, -1))
    low, high = mean - below * error, mean + above * error
    if limits is not None:
        low, high = max(low, limits[0]), min(high, limits[1])
    return Estimate((low, high), error=error)


def _without_skewness(t: float, skewness: float, n: int) -> float:
    """Hall's transformation inverted: the quantile of a t statistic with this skewness."""
    if abs(skewness) < 1e-6:
        return t
    root = math.sqrt(n)
    return 3 * root / skewness * (math.cbrt(1 + skewness * (t / root - skewness / (6 * n))) - 1)


def _bound(t: float, transformed: float, n: int) -> float:
    """Distance of one bound in standard errors: Hall's, and what Student's lies beyond it in part."""
    hall = abs(transformed)
    return hall + (1 - 3 / n) * max(t - hall, 0.0)


def share_interval(hits: npt.ArrayLike, groups: Groups = None) -> Estimate:
    """Wilson's score interval of a share of cases (J. Am. Stat. Assoc. 22, 1927).

    With groups of several cases the number of cases is the effective one, n over the design effect, from the
    variance between groups (Kish, Survey Sampling, 1965), never more than n and never fewer than groups that
    agree within would give, with Student's quantile of the number of groups (Korn & Graubard, Survey Methodology
    24, 1998; Dean & Pagano, J. Surv. Stat. Methodol. 3, 2015).

    Args:
        hits: whether each case counts ``(n,)``, bool.
        groups: group of each case.

    Raises:
        ValueError: there is not one group a case.
    """
    counted = np.asarray(hits, dtype=np.bool_)
    _, units = unit_index(counted.size, groups)
    if reason := too_few(counted.size, units):
        return Estimate(reason=reason)
    _, low, high, error = score_interval(counted, groups)
    return Estimate((low, high), error=error)


def score_interval(hits: npt.NDArray[np.bool_], groups: Groups = None) -> tuple[float, float, float, float]:
    """Share, low, high and standard error of :func:`share_interval`, for any number of cases; of none 0 to 1."""
    n = hits.size
    if not n:
        return 0.0, 0.0, 1.0, 0.0
    of_case, units = unit_index(n, groups)
    share, effective, z = float(hits.mean()), float(n), float(special.ndtri(1 - _TAIL))
    if units < n:
        sizes = np.bincount(of_case, minlength=units)
        deviations = np.bincount(of_case, weights=hits - share, minlength=units)
        variance = units / max(units - 1, 1) * float(np.sum(deviations**2)) / n**2
        fewest = n**2 / float(np.sum(sizes**2))
        alike = share * (1 - share)  # variance of one case; without any nothing is known of agreement in groups
        effective = min(n, max(fewest, alike / max(variance, 1e-12))) if alike else fewest
        z = t_quantile(max(units, 2))
    spread = share * (1 - share) / effective
    centre = (share + z**2 / (2 * effective)) / (1 + z**2 / effective)
    half = z / (1 + z**2 / effective) * math.sqrt(spread + z**2 / (4 * effective**2))
    # Rounding alone could leave a share of 0 or 1 outside.
    return share, min(share, max(0.0, centre - half)), max(share, min(1.0, centre + half)), math.sqrt(spread)


def resamples_of(n: int, groups: Groups = None, *, resamples: int = 1000, seed: int = 0) -> Iterator[Floats]:
    """Resamples of n cases as counts, in blocks that fit memory.

    As many units (cases, or whole groups) as there are, are drawn with replacement; a group comes with all its
    cases. The draws depend on the seed, the groups and the number of cases alone, so that two models on the same
    cases see the same resamples.

    Yields:
        ``(block, n)``: how often each case is in each resample, as whole floats. The blocks have ``resamples`` rows
        in all, or none if there are fewer than two units.

    Raises:
        ValueError: there is not one group a case.
    """
    of_case, units = unit_index(n, groups)
    if units < 2:
        return
    generator = np.random.default_rng(seed)
    rows = max(1, _CHUNK // max(n, units))
    for start in range(0, resamples, rows):
        block = min(rows, resamples - start)
        drawn = generator.integers(units, size=(block, units)) + np.arange(block)[:, None] * units
        counts = np.bincount(drawn.reshape(-1), minlength=block * units).reshape(block, units)
        yield counts[:, of_case].astype(np.float64)


def percentile_interval(resampled: Floats, units: int) -> Estimate:
    """Expanded percentile interval of bootstrap values (Hesterberg, Am. Stat. 69, 2015).

    The percentiles are moved outwards so that for a mean of normal values the interval is as wide as Student's.

    Args:
        resampled: value of each resample ``(resamples,)``; NaN where it was undefined: left out.
        units: cases, or groups, that were drawn from.
    """
    if units < MIN_UNITS:
        return Estimate(reason=too_few(units, units))
    defined = resampled[np.isfinite(resampled)]
    if defined.size < max(2, resampled.size / 2):
        return Estimate(reason="undefined in most resamples")
    if np.ptp(defined) < 1e-9:  # rounding of sums in another order
        return Estimate(reason=RESAMPLES_AGREE, error=0.0)
    tail = 100 * float(special.ndtr(-math.sqrt(units / (units - 1)) * t_quantile(units)))
    low, high = np.percentile(defined, [tail, 100 - tail])
    return Estimate((float(low), float(high)), error=float(defined.std(ddof=1)) * math.sqrt(units / (units - 1)))


def mean_of_shares(parts: Sequence[Share], weights: Floats, correlations: Floats | None = None) -> Estimate:
    """Interval of a weighted sum of shares, independent but for their ``correlations``, from the interval of each.

    The method of variance estimates recovery (Zou & Donner, Stat. Med. 27, 2008).
    """
    share, low, high, error = np.array(parts).T
    mean = float(weights @ share)
    alike = np.eye(len(parts)) if correlations is None else correlations
    squares = ((weights * part) @ alike @ (weights * part) for part in (share - low, high - share, error))
    below, above, errors = (math.sqrt(max(0.0, float(square))) for square in squares)
    rounding = 1e-12  # of weights that sum to nearly 1
    return Estimate((max(0.0, mean - below - rounding), min(1.0, mean + above + rounding)), error=errors)
