"""Whether a probability means what it says: confidence against the share that is right."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from engine.figures import style
from engine.metrics.calibration import calibration_error
from engine.metrics.intervals import Groups, score_interval
from engine.readers.numbers import digits
from engine.readers.run import Drawn, Job, RunData
from engine.readers.scores import read_scores

BINS = 15  # as the expected calibration error of metrics.json counts them


def plan(run: RunData) -> list[Job]:
    """The one reliability diagram."""
    return [Job("reliability", "reliability", "Reliability diagram", lambda path: draw(run, path))]


def draw(run: RunData, path: Path) -> Drawn:
    """Share right in each bin of confidence above, how many cases are in it below."""
    scores = read_scores(run)
    confidence = scores.probabilities.max(axis=1)
    right = scores.predicted == scores.targets
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    figure = style.new_figure(4.4, 5.2)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3.2, 1])
    low, high = whiskers(right, bins, scores.groups)
    _diagram(above, confidence, right, bins, (low, high))
    centres = (np.arange(BINS) + 0.5) / BINS
    below.bar(centres, counts, width=0.92 / BINS, color=style.TRUTH, alpha=0.75)
    sure, share = float(confidence.mean()), float(right.mean())
    below.axvline(share, color=style.INK, linestyle="-", label="share right")
    below.axvline(sure, color=style.PREDICTION, linestyle="--", label="mean confidence")
    below.set_ylabel("cases")
    below.set_xlabel("confidence (probability of the predicted class)")
    style.grid(below)
    below.legend(loc="upper left")
    known = run.result.value("ece")
    ece = calibration_error(scores.targets, scores.probabilities, BINS) if known is None else known
    above.set_title(f"ECE {digits(ece)}")
    style.save(figure, path, run.options.dpi)
    return Drawn(
        f"{run.measured(scores.ids)} by the probability of the predicted class, in {BINS} bins; "
        f"whiskers: 95 % Wilson interval. Expected calibration error (ECE) {digits(ece)}; mean confidence "
        f"{digits(sure)}, share right {digits(share)}.{run.over_seeds('ECE', scores.ids)}"
    )


def whiskers(right: np.ndarray, bins: np.ndarray, groups: Groups = None) -> tuple[np.ndarray, np.ndarray]:
    """The 95 % interval of the share right in each bin that holds a case, low and high; groups count as such."""
    known = None if groups is None else np.array(groups, dtype=object)
    found = [
        score_interval(right[bins == place], None if known is None else known[bins == place].tolist())[1:3]
        for place in np.unique(bins)
    ]
    low, high = np.array(found).T
    return low, high


def _diagram(
    axes: Axes, confidence: np.ndarray, right: np.ndarray, bins: np.ndarray, spread: tuple[np.ndarray, np.ndarray]
) -> None:
    counts, (low, high) = np.bincount(bins, minlength=BINS), spread
    filled = counts > 0
    safe = np.maximum(counts, 1)
    x = (np.bincount(bins, weights=confidence, minlength=BINS) / safe)[filled]
    y = (np.bincount(bins, weights=right, minlength=BINS) / safe)[filled]
    axes.plot([0, 1], [0, 1], color=style.MUTED, linestyle=":", linewidth=0.9, label="perfect calibration")
    axes.vlines(x, np.minimum(x, y), np.maximum(x, y), color=style.PREDICTION, linewidth=5, alpha=0.45, label="gap")
    look: style.Look = {"color": style.TRUTH, "markersize": 4.5, "linewidth": 1.2, "elinewidth": 0.8, "capsize": 1.8}
    axes.errorbar(x, y, yerr=np.clip([y - low, high - y], 0, None), fmt="o-", label="share right", **look)
    style.unit_square(axes)
    axes.set_aspect("auto")  # as wide as the bars below, so that a bin stands above its own bar
    axes.set_ylabel("share of cases that are right")
    axes.legend(loc="upper left")
