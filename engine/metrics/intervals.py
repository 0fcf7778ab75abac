"""Confidence intervals by the percentile bootstrap, over cases or over groups of cases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Interval = tuple[float, float]

_CHUNK = 2**21  # numbers of one matrix of resamples: 16 MB


def unit_index(n: int, groups: Sequence[str | None] | None) -> tuple[npt.NDArray[np.intp], int]:
    """Which unit each case belongs to, and how many units there are.

    Args:
        n: number of cases.
        groups: group (patient, lesion) of each case; a case without one (None, empty) is a unit of its own.

    Returns:
        Unit of each case ``(n,)``, numbered in the order of first appearance, and the number of units.

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


def resamples_of(
    n: int, groups: Sequence[str | None] | None = None, *, resamples: int = 1000, seed: int = 0
) -> Iterator[Floats]:
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


def percentile_interval(values: Floats, level: float = 0.95) -> Interval | None:
    """The middle share ``level`` of bootstrap values ``(resamples,)``; None if fewer than two were defined (NaN)."""
    defined = values[np.isfinite(values)]
    if defined.size < 2:
        return None
    low, high = np.percentile(defined, [50 * (1 - level), 50 * (1 + level)])
    return float(low), float(high)


def bootstrap_mean(
    values: Sequence[float | None] | Floats,
    groups: Sequence[str | None] | None = None,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval | None:
    """Percentile bootstrap interval of a mean over cases.

    Args:
        values: one value a case ``(n,)``; None or NaN where it was not measured: left out of the mean.
        groups: group of each case: then whole groups are drawn (cluster bootstrap), and the mean stays over cases.
        resamples: number of resamples.
        seed: seed of the draws.
        level: share of the resampled means inside the interval.

    Returns:
        Low and high, or None if the measured cases are fewer than two units.

    Raises:
        ValueError: there is not one group a case.
    """
    table = np.array([[np.nan if v is None else v] for v in values], dtype=np.float64).reshape(-1, 1)
    return bootstrap_means(table, groups, resamples, seed, level)[0]


def bootstrap_means(
    table: Floats,
    groups: Sequence[str | None] | None = None,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> list[Interval | None]:
    """As :func:`bootstrap_mean`, for every column of a table ``(n, columns)`` on the same resamples."""
    n, columns = table.shape
    of_case, _ = unit_index(n, groups)
    known = np.isfinite(table)
    filled = np.where(known, table, 0.0)
    means = [np.empty((0, columns))]
    for counts in resamples_of(n, groups, resamples=resamples, seed=seed):
        cases = counts @ known
        means.append(np.divide(counts @ filled, cases, out=np.full_like(cases, np.nan), where=cases > 0))
    resampled = np.concatenate(means)
    return [
        percentile_interval(resampled[:, c], level) if np.unique(of_case[known[:, c]]).size > 1 else None
        for c in range(columns)
    ]
