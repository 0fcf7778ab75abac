"""ROC curves and the reliability of probabilities as lines of braille. Pure NumPy."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.errors import counted
from engine.runfolder import CaseRow
from tui.plotting.cells import Line, cut, fit
from tui.plotting.raster import Raster
from tui.text import figure, one_line
from tui.theme import mark

BINS = 15  # as the expected calibration error of metrics.json counts them
Floats = NDArray[np.float64]


def scored(rows: Sequence[CaseRow]) -> tuple[list[str], NDArray[np.intp], Floats]:
    """Classes, true class (n,) and probabilities (n, K) of the rows that have both."""
    classes = list(next((row.probabilities for row in rows if row.probabilities), {}))
    known = [row for row in rows if row.true in classes and list(row.probabilities) == classes]
    known = [row for row in known if np.isfinite(list(row.probabilities.values())).all()]
    true = np.array([classes.index(row.true) for row in known], np.intp)
    scores = np.array([list(row.probabilities.values()) for row in known], float)
    return classes, true, scores.reshape(len(known), len(classes))


def roc(positive: NDArray[np.bool_], score: Floats) -> tuple[Floats, Floats, float]:
    """False and true positive rate at each threshold, and the area below (Fawcett 2006)."""
    order = np.argsort(-score, kind="stable")
    last = np.append(np.diff(score[order]) != 0, True)  # equal scores cross the threshold together
    hits = np.concatenate(([0], np.cumsum(positive[order])[last])) / max(1, int(positive.sum()))
    alarms = np.concatenate(([0], np.cumsum(~positive[order])[last])) / max(1, int((~positive).sum()))
    return alarms, hits, float(np.trapezoid(hits, alarms))


def reliability(true: NDArray[np.intp], probabilities: Floats) -> tuple[Floats, Floats, NDArray[np.intp], float]:
    """Mean confidence, share right and count of each bin, and the expected calibration error (Guo 2017)."""
    confidence, right = probabilities.max(1), probabilities.argmax(1) == true
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    some = np.maximum(1, counts)
    means = np.bincount(bins, confidence, BINS) / some, np.bincount(bins, right, BINS) / some
    return *means, counts, float((np.abs(means[0] - means[1]) * counts).sum() / max(1, counts.sum()))


def roc_lines(
    classes: Sequence[str], true: NDArray[np.intp], probabilities: Floats, room: tuple[int, int]
) -> list[Line]:
    """The curve of each class against all others, and its area, in ``room`` (width, lines)."""
    width, height = room
    drawn = [
        (at, *roc(true == at, probabilities[:, at])) for at in range(len(classes)) if 0 < (true == at).sum() < len(true)
    ]
    legend: list[Line] = [
        [(f"{mark(at)} ", str(at)), (fit(one_line(classes[at]), 13), "ink"), (f" {area:.3f}", "ink bold")]
        for at, _, _, area in drawn
    ]
    side = 22 if width >= 50 else 0
    raster = _square(width - side - 6, max(3, height - 2 - (0 if side else len(legend))))
    for at, alarms, hits, _ in drawn:
        # Steps straight up have no width on the raster: a hair's breadth keeps x ascending.
        raster.line(alarms * raster.width + np.arange(len(alarms)) * 1e-9, hits * raster.height, str(at))
        middle = len(alarms) // 2
        raster.put(
            alarms[middle] * raster.width, min(hits[middle] * raster.height, raster.height - 1), mark(at), str(at)
        )
    lines = _framed(raster, "true positive rate", "false positive rate")
    if not side:
        return [*lines, *legend]
    head: list[Line] = [[("AUC, one against all", "muted")]]
    beside = [*head, *legend]
    return [[*line, ("  ", "ink"), *(beside[at] if at < len(beside) else [])] for at, line in enumerate(lines)]


def reliability_lines(true: NDArray[np.intp], probabilities: Floats, room: tuple[int, int]) -> list[Line]:
    """The share right by confidence: on the diagonal a probability means what it says."""
    width, height = room
    confidence, right, counts, gap = reliability(true, probabilities)
    raster = _square(width - 6, max(3, height - 3))
    for at in np.flatnonzero(counts):
        middle = confidence[at] * raster.width
        raster.put(middle, min(right[at] * raster.height, raster.height - 1), "●", "prediction bold")
    lines = _framed(raster, "share right", "confidence")
    cases = counted(len(true), "case")
    said: Line = [("ECE ", "muted"), (figure(gap), "ink bold"), (f"  {BINS} bins of {cases}", "muted")]
    return [*lines, cut(said, width)]


def _square(width: int, height: int) -> Raster:
    """An area with its diagonal; cells are twice as high as wide."""
    raster = Raster(max(4, min(width, 2 * height + 8)), height)
    ends = np.array([0.0, 1.0])
    raster.line(ends * raster.width, ends * raster.height, "faint")
    return raster


def _framed(raster: Raster, above: str, below: str) -> list[Line]:
    lines: list[Line] = [[(above, "muted")]]
    for at, line in enumerate(raster.lines()):
        tick = "1.0" if at == 0 else "0.5" if at == raster.height // 2 else "  0" if at == raster.height - 1 else "   "
        lines.append([(f"{tick} │", "muted"), *line])
    return [*lines, [(f"    0{below.center(raster.width - 2)}1", "muted")]]
