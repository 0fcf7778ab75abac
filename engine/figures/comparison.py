"""Several runs in one figure: curves over each other, ROC over each other, differences case by case."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import counted
from engine.figures import style
from engine.figures.draw import draw_job
from engine.measures import better_up, in_tables, leading, ordered, title
from engine.readers.figure_index import FigureResult
from engine.readers.numbers import digits, short
from engine.readers.run import Drawn, FigureError, Job
from engine.readers.scores import Scores, read_scores
from engine.readers.together import Runs, open_runs
from engine.runfolder import RunFolder

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NAMED = 60  # cases with a name at their row
_ROW = 0.125


def draw_comparison(folders: Sequence[RunFolder], out: Path) -> list[FigureResult]:
    """Draw the figures of a comparison into the folder ``out``.

    Args:
        folders: two or more runs of one task.
        out: made where it is missing.

    Raises:
        UsageError: the runs cannot be compared.
    """
    together = open_runs(folders)
    out.mkdir(parents=True, exist_ok=True)
    return [draw_job(job, out, out.parent) for job in plan(together)]


def plan(together: Runs) -> list[Job]:
    """Curves; ROC of a classification; differences."""
    images = together.task == "classification"
    drawn = [("curves", "Curves of the runs", _curves), *([("roc", "ROC of the runs", _roc)] if images else [])]
    drawn.append(("differences", "Differences case by case", _classified if images else _segmented))
    return [Job(f"compare_{stem}", "comparison", title, partial(draw, together)) for stem, title, draw in drawn]


def _dpi(together: Runs) -> int:
    return together.runs[0].options.dpi


def _curves(together: Runs, path: Path) -> Drawn:
    views = [run.view for run in together.runs]
    names = ordered(name for view in views for name in view.validation)
    panels = [
        ("training loss", None),
        *((f"validation {'loss' if name == 'loss' else title(name, together.unit)}", name) for name in names),
    ]
    figure, grid = style.new_panels(len(panels), 3, 2.1, 0.4)
    for (heading, name), axes in zip(panels, grid, strict=True):
        for index, (view, label) in enumerate(zip(views, together.labels, strict=True)):
            track = view.train.get("loss") if name is None else view.validation.get(name)
            if track is None:
                continue
            epochs, values = track["epoch"], np.where(np.isfinite(track["value"]), track["value"], np.nan)
            axes.plot(epochs, values, label=label, **style.line_style(index))
            if name is not None and view.best:
                best = epochs == view.best.epoch
                axes.plot(epochs[best], values[best], "*", color=style.line_style(index)["color"], markersize=8)
        axes.set_title(heading)
        axes.set_xlabel("epoch")
        axes.locator_params(axis="x", integer=True)
        style.grid(axes)
    style.shared_legend(figure, grid, "left", 4)
    style.save(figure, path, _dpi(together))
    return Drawn("Star: the best epoch of each run. Losses of different kinds have different scales.")


def _roc(together: Runs, path: Path) -> Drawn:
    scores = [read_scores(run, together.split) for run in together.runs]
    if any(part.classes != scores[0].classes for part in scores):
        raise FigureError("the runs have different classes: their ROC curves cannot be laid over each other")
    if not all(part.present for part in scores):
        raise FigureError("a run has cases of one class only: there is no ROC")
    classes = scores[0].classes
    panels = [*([-1] if len(classes) > 2 else []), *range(len(classes))]
    figure, grid = style.new_panels(len(panels), 4, style.WIDTH / min(4, len(panels)) + 0.25, 0.35)
    for which, axes in zip(panels, grid, strict=True):
        axes.plot([0, 1], [0, 1], color=style.MUTED, linewidth=0.7, linestyle=":")
        texts = [_one_roc(axes, part, which, index, together.labels[index]) for index, part in enumerate(scores)]
        style.unit_square(axes)
        axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
        axes.set_title("macro" if which < 0 else classes[which], fontsize=style.LABEL)
        for row, (text, colour) in enumerate(reversed(texts)):
            axes.text(0.97, 0.05 + 0.11 * row, text, color=colour, transform=axes.transAxes, ha="right",
                      fontsize=style.SMALL, fontweight="bold")  # fmt: skip
    figure.supxlabel("false positive rate", fontsize=style.LABEL)
    figure.supylabel("true positive rate", fontsize=style.LABEL)
    style.shared_legend(figure, grid, "left", 4)
    style.save(figure, path, _dpi(together))
    return Drawn(
        f"Each class against all others on the {together.split} split; numbers: AUC, in the order of the legend."
    )


def _one_roc(axes: Axes, scores: Scores, which: int, index: int, label: str) -> tuple[str, str]:
    from sklearn.metrics import roc_auc_score, roc_curve

    from engine.figures.roc import macro_curve

    shown = scores.present if which < 0 else [which] if which in scores.present else []
    if not shown:
        return "no case", style.MUTED
    curves = [roc_curve(scores.one_hot[:, k], scores.probabilities[:, k])[:2] for k in shown]
    value = roc_auc_score(scores.one_hot[:, shown], scores.probabilities[:, shown])
    look = style.line_style(index)
    axes.plot(*(macro_curve(curves) if which < 0 else curves[0]), label=label, **look)
    return digits(value), str(look["color"])


def _segmented(together: Runs, path: Path) -> Drawn:
    """For each pair and metric a bar a case, sorted by the difference in the first."""
    common, pairs = together.common, together.pairs
    if not common:
        raise FigureError("the runs share no case")
    metrics = leading(name for name in in_tables(together.task) if _measured(together, name))[:2]
    if not metrics:
        raise FigureError("no metric was measured in every run")
    named = len(common) <= _NAMED
    height = len(common) * _ROW if named else 2.4
    figure = style.new_figure(style.WIDTH, len(pairs) * (height + 0.75) + 0.2)
    panels = figure.subplots(len(pairs), len(metrics), squeeze=False)
    for row, (first, second) in zip(panels, pairs, strict=True):
        tables = together.table(first), together.table(second)
        order = np.argsort(tables[0].numbers(metrics[0]) - tables[1].numbers(metrics[0]), kind="stable")
        for axes, name in zip(row, metrics, strict=True):
            differences = (tables[0].numbers(name) - tables[1].numbers(name))[order]
            _bars(axes, differences, better_up(name))
            axes.set_title(title(name, together.unit), fontsize=style.LABEL)
            axes.set_yticks([])
        # The names have a line of their own, and the whole width: they may be long.
        names = (_in_40(together.labels[index]) for index in (first, second))
        row[0].set_title(f"{' − '.join(names)}\n{row[0].get_title(loc='left')}", fontsize=style.LABEL)
        if named:
            labels = [together.runs[0].case_name(common[index]) for index in order]
            row[0].set_yticks(range(len(labels)), [t if len(t) <= 22 else "…" + t[-21:] for t in labels], fontsize=6)
    style.save(figure, path, _dpi(together), vector=False)
    return Drawn(
        f"The {counted(len(common), 'case')} of the {together.split} split that all runs measured. "
        "Blue, full: the first run is better on the case; orange, hatched: the second is. Line: mean difference."
    )


def _in_40(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:19]}…{text[-20:]}"


def _measured(together: Runs, name: str) -> bool:
    return all(np.isfinite(together.table(index).numbers(name)).any() for index in range(len(together.runs)))


def _bars(axes: Axes, differences: np.ndarray, up: bool) -> None:
    rows = np.arange(len(differences))
    better = differences > 0 if up else differences < 0
    look: style.Look = {"height": 0.72, "linewidth": 0}
    axes.barh(rows[better], differences[better], color=style.TRUTH, **look)
    axes.barh(rows[~better], differences[~better], color=style.PREDICTION, hatch="////", edgecolor=style.PAPER, **look)
    mean = float(np.nanmean(differences))
    axes.axvline(0, color=style.INK, linewidth=0.8)
    axes.axvline(mean, color=style.WARNING, linewidth=1.2, linestyle="--")
    axes.set_ylim(-0.6, len(differences) - 0.4)
    axes.margins(x=0.06)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.locator_params(axis="x", nbins=5)
    axes.set_xlabel(f"mean difference {short(mean)}", fontsize=style.SMALL)


def _classified(together: Runs, path: Path) -> Drawn:
    common, pairs = together.common, together.pairs
    if not common:
        raise FigureError("the runs share no case")
    figure, grid = style.new_panels(len(pairs), 3, 2.5, 0.3)
    tables = [together.table(index).rows for index in range(len(together.runs))]
    shares = [np.array([row.probabilities.get(row.true, math.nan) for row in rows]) for rows in tables]
    for (first, second), axes in zip(pairs, grid, strict=True):
        differences = np.sort(shares[first] - shares[second])
        x = (np.arange(len(differences)) + 0.5) / len(differences)
        axes.fill_between(x, differences, where=differences > 0, color=style.TRUTH, linewidth=0, step="mid")
        axes.fill_between(x, differences, where=differences <= 0, color=style.PREDICTION, linewidth=0, step="mid",
                          hatch="////", edgecolor=style.PAPER)  # fmt: skip
        axes.axhline(0, color=style.INK, linewidth=0.8)
        axes.set_xlim(0, 1)
        axes.set_ylim(-1, 1)
        axes.set_title(f"{together.labels[first]} − {together.labels[second]}", fontsize=style.LABEL)
        axes.set_xlabel(f"cases, sorted; mean {short(float(differences.mean()))}", fontsize=style.SMALL)
        axes.set_xticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
        style.grid(axes)
    grid[0].set_ylabel("difference in the probability\nof the true class")
    style.save(figure, path, _dpi(together))
    return Drawn(
        f"The {counted(len(common), 'case')} of the {together.split} split that all runs measured. "
        "Blue: the first run gives the true class a higher probability; orange, hatched: the second does."
    )
