"""Which classes are taken for which: counts of cases, and shares of each true class."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from engine.figures import style
from engine.readers.run import Drawn, Job, RunData
from engine.readers.scores import read_scores, remark


def plan(run: RunData) -> list[Job]:
    """The one sheet with both matrices."""
    return [Job("confusion", "confusion", "Confusion matrix", lambda path: draw(run, path))]


def draw(run: RunData, path: Path) -> Drawn:
    """Counts on the left, shares of each true class (rows) on the right."""
    scores = read_scores(run)
    counts = np.zeros((len(scores.classes), len(scores.classes)), dtype=int)
    np.add.at(counts, (scores.targets, scores.predicted), 1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    beside = len(scores.classes) <= 12
    side = style.WIDTH / 2 if beside else style.WIDTH
    figure = style.new_figure(style.WIDTH, side * (1.02 if beside else 2.0))
    left, right = figure.subplots(1, 2) if beside else figure.subplots(2, 1)
    _matrix(left, shares, [[str(n) for n in row] for row in counts], scores.classes, "Cases")
    texts = [
        ["–" if counts[r].sum() == 0 else f"{100 * shares[r, c]:.0f}" for c in range(len(counts))]
        for r in range(len(counts))
    ]
    _matrix(right, shares, texts, scores.classes, "Share of each true class in %")
    style.save(figure, path, run.options.dpi)
    right_count = int(np.trace(counts))
    caption = (
        f"Rows: true class; columns: predicted class. {right_count} of {run.measured(scores.ids)} are on the diagonal "
        "(right). Both matrices are shaded by the share of the row."
    )
    return Drawn(caption, remark(scores, run.split))


def _matrix(axes: Axes, shares: np.ndarray, texts: list[list[str]], classes: list[str], title: str) -> None:
    size = len(classes)
    axes.imshow(shares, cmap=style.SHARES, vmin=0, vmax=1)
    font = min(style.LABEL, max(4.0, 62 / size))
    for row in range(size):
        for column in range(size):
            axes.text(
                column,
                row,
                texts[row][column],
                ha="center",
                va="center",
                fontsize=font,
                fontweight="bold" if row == column else "normal",
                color=style.PAPER
                if shares[row, column] > 0.55
                else style.MUTED
                if texts[row][column] == "0"
                else style.INK,
            )
    long = max(len(name) for name in classes) > 5 or size > 9
    axes.set_xticks(range(size), classes, rotation=60 if long else 0, ha="right" if long else "center")
    if long:
        for label in axes.get_xticklabels():
            label.set_rotation_mode("anchor")
    axes.set_yticks(range(size), classes)
    axes.set_xticks(np.arange(size + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(size + 1) - 0.5, minor=True)
    axes.grid(True, which="minor", color=style.PAPER, linewidth=1.2)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(title)
