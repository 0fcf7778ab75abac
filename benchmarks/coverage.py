"""Coverage of the 95 % intervals and level of the paired tests, by simulation: ``python -m benchmarks.coverage``.

Prints the tables of docs/statistics.md. Every number comes from the functions that reports use, on draws of which
the true value is known. ``--simulations`` (default 2000) sets how many a row; a share of 0.95 then has an error of
0.005.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator

import numpy as np
from scipy import stats

from engine.metrics.class_intervals import intervals
from engine.metrics.compare import PairedTest, mcnemar, wilcoxon
from engine.metrics.compare_classes import classification_differences
from engine.metrics.intervals import Estimate, mean_interval, share_interval

Draw = Callable[[np.random.Generator, int], np.ndarray]
MEANS: dict[str, tuple[Draw, float]] = {
    "normal": (lambda rng, n: rng.normal(size=n), 0.0),
    "Dice-like, Beta(18, 2)": (lambda rng, n: rng.beta(18, 2, n), 0.9),
    "distance-like, lognormal(0, 0.5)": (lambda rng, n: rng.lognormal(0, 0.5, n), math.exp(0.125)),
    "distance-like, lognormal(0, 1)": (lambda rng, n: rng.lognormal(0, 1, n), math.exp(0.5)),
}
SIZES = (6, 20, 50, 200)
GROUPS = (20, 60)
SHARES = (0.8, 0.95)
IMAGES = ("balanced_accuracy", "precision", "f1", "auc", "average_precision", "brier", "log_loss", "ece")


def main() -> None:
    """Print one table a kind of interval, and one of the tests."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--simulations", type=int, default=2000)
    count = parser.parse_args().simulations
    columns = [f"n = {n}" for n in SIZES]
    show("Mean over cases", columns, {name: mean_row(*kind, count) for name, kind in MEANS.items()})
    show("Share of cases: exact, from the binomial", columns, {f"{p}": exact_row(p) for p in SHARES})
    show("Groups of 4 cases", [f"{n} groups" for n in GROUPS], dict(grouped_rows(4, count)))
    show("Groups of 1 to 8 cases", [f"{n} groups" for n in GROUPS], dict(grouped_rows(0, count)))
    show("Two classes", list(IMAGES), dict(image_rows(max(count // 4, 1))))
    show("Share of equal models called better", [f"n = {n}" for n in (20, 50, 130)], dict(null_rows(count)))
    show("Type I error, 240 pictures of 60 lesions", ["with groups", "without"], dict(lesion_rows(max(count // 4, 1))))


def show(title: str, columns: list[str], rows: dict[str, list[float]]) -> None:
    """A table in Markdown."""
    print(f"\n| {title} | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
    for name, values in rows.items():
        print(f"| {name} | {' | '.join(f'{value:.3f}' for value in values)} |", flush=True)


def covered(true: float, draw: Callable[[int], Estimate], count: int) -> float:
    """Share of ``count`` intervals that hold the true value; one without an interval holds none."""
    hits = 0
    for seed in range(count):
        bounds = draw(seed).interval
        hits += bounds is not None and bounds[0] <= true <= bounds[1]
    return hits / count


def mean_row(draw: Draw, true: float, count: int) -> list[float]:
    """Coverage of a mean at each of SIZES."""
    return [
        covered(true, lambda seed, n=n: mean_interval(draw(np.random.default_rng((seed, n)), n)), count) for n in SIZES
    ]


def exact_row(share: float) -> list[float]:
    """Coverage of a share at each of SIZES: the chance of every count whose interval holds it."""
    row = []
    for n in SIZES:
        counts = np.arange(n + 1)
        found = [share_interval(np.arange(n) < right).interval or (0.0, 1.0) for right in counts]
        held = np.array([low <= share <= high for low, high in found])
        row.append(float(stats.binom.pmf(counts, n, share) @ held))
    return row


def grouped_rows(size: int, count: int) -> Iterator[tuple[str, list[float]]]:
    """Coverage where cases of a group are alike (correlation 0.5); ``size`` 0: groups of 1 to 8."""

    def latent(seed: int, groups: int) -> tuple[np.ndarray, list[str]]:
        rng = np.random.default_rng((seed, groups))
        of_case = np.repeat(np.arange(groups), size or np.arange(groups) % 8 + 1)
        values = math.sqrt(0.5) * (rng.normal(size=groups)[of_case] + rng.normal(size=of_case.size))
        return values, [str(i) for i in of_case]

    def row(true: float, interval: Callable[[np.ndarray, list[str]], Estimate]) -> list[float]:
        return [covered(true, lambda seed, g=groups: interval(*latent(seed, g)), count) for groups in GROUPS]

    yield "mean, normal", row(0.0, mean_interval)
    beta = stats.beta(18, 2)
    yield "mean, Dice-like", row(0.9, lambda z, of: mean_interval(beta.ppf(stats.norm.cdf(z)), of))
    for share in SHARES:
        limit = stats.norm.ppf(share)
        yield f"share {share}", row(share, lambda z, of, limit=limit: share_interval(z < limit, of))


def two_classes(rng: np.random.Generator, n: int, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Targets (n,) and calibrated probabilities (n, 2); the second class has this share of the cases."""
    targets = (rng.random(n) < share).astype(np.intp)
    second = 1 / (1 + np.exp(-(rng.normal(size=n) + 1.5 * targets - 0.75 + math.log(share / (1 - share)) / 1.5)))
    return targets, np.stack([1 - second, second], axis=1)


def image_rows(count: int) -> Iterator[tuple[str, list[float]]]:
    """Coverage of the metrics of a classification, against their values in 500,000 cases."""
    from engine.metrics.classification import summarise

    for n, share in ((20, 0.5), (50, 0.3), (200, 0.1), (200, 0.4)):
        large = two_classes(np.random.default_rng(0), 500_000, share)
        truth = summarise(*large, ["no", "yes"], protocol="", bootstrap=0).values
        hits = dict.fromkeys(IMAGES, 0)
        defined = dict.fromkeys(IMAGES, 0)
        for seed in range(count):
            drawn = two_classes(np.random.default_rng((seed, n)), n, share)
            found = intervals(*drawn, resamples=400, seed=seed, threshold=0.5)
            for name in IMAGES:
                bounds = found[name].interval if name in found else None
                if bounds is not None:
                    defined[name] += 1
                    hits[name] += bounds[0] <= (truth[name] or 0.0) <= bounds[1]
        yield f"n = {n}, {share:.0%} positive", [hits[name] / max(defined[name], 1) for name in IMAGES]


def called_better(test: PairedTest) -> bool:
    """The rule of a comparison: p below 0.05 and an interval without 0."""
    low, high = test.ci95 or (-math.inf, math.inf)
    return test.p is not None and test.p < 0.05 and not low <= 0 <= high


def null_rows(count: int) -> Iterator[tuple[str, list[float]]]:
    """How often one of two equally good models is called better."""
    called: dict[str, list[float]] = {"Dice, Wilcoxon": [], "accuracy, McNemar": []}
    for n in (20, 50, 130):
        hits = dict.fromkeys(called, 0)
        for seed in range(count):
            rng = np.random.default_rng((seed, n))
            dice = rng.beta(18, 2, n) + 0.03 * rng.normal(size=(2, n))
            right = rng.random(n) + 0.4 * rng.normal(size=(2, n)) < 0.9
            hits["Dice, Wilcoxon"] += called_better(wilcoxon(*dice))
            hits["accuracy, McNemar"] += called_better(mcnemar(*right))
        for name, values in called.items():
            values.append(hits[name] / count)
    yield from called.items()


def lesion_rows(count: int) -> Iterator[tuple[str, list[float]]]:
    """p below 0.05 between equally good models where four pictures show one lesion."""
    lesions = [str(i) for i in np.repeat(np.arange(60), 4)]
    targets = np.repeat(np.arange(60) % 2, 4)
    hits: dict[str, list[float]] = {name: [0.0, 0.0] for name in ("accuracy", "balanced_accuracy", "f1", "auc")}
    for seed in range(count):
        rng = np.random.default_rng(seed)
        latent = np.repeat(rng.normal(size=(2, 60)), 4, axis=1) + 0.4 * rng.normal(size=(2, 240)) + 1.5 * targets
        second = 1 / (1 + np.exp(0.75 - latent))
        pair = np.stack([1 - second, second], axis=2)
        right = pair.argmax(axis=2) == targets
        for column, groups in enumerate((lesions, None)):
            tests = classification_differences(targets, pair[0], pair[1], groups, resamples=400, seed=seed)
            tests["accuracy"] = mcnemar(right[0], right[1], groups)
            for name, values in hits.items():
                values[column] += (tests[name].p or 1.0) < 0.05
    yield from ((name, [value / count for value in values]) for name, values in hits.items())


if __name__ == "__main__":
    main()
