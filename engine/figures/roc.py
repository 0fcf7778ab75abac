"""Receiver operating characteristic: of every class against all others, micro and macro; of two, with its band."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from sklearn.metrics import roc_auc_score, roc_curve

from engine.figures import style
from engine.metrics.intervals import MIN_UNITS, Groups, percentile_interval, resamples_of, unit_index
from engine.readers.numbers import digits, interval
from engine.readers.run import Drawn, FigureError, Job, RunData
from engine.readers.scores import Scores, read_scores, remark
from engine.runfolder import Bounds

_GRID = np.linspace(0, 1, 201)
_RESAMPLES = 500


def plan(run: RunData) -> list[Job]:
    """The one sheet of ROC curves."""
    return [Job("roc", "roc", "ROC curves", lambda path: draw(run, path))]


def draw(run: RunData, path: Path) -> Drawn:
    """A curve a class with its AUC and interval, the micro curve and the mean of the classes.

    Of two classes the curve of the second, which metrics.json asks for, with its 95 % band and the threshold in use.
    """
    scores = read_scores(run)
    if not scores.present:
        raise FigureError(f"every case of the {run.split} split has the same class: there is no ROC")
    figure = style.new_figure(style.WIDTH, 4.0)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=style.MUTED, linewidth=0.8, linestyle=":", label="chance  0.500")
    curves = [roc_curve(scores.one_hot[:, k], scores.probabilities[:, k])[:2] for k in scores.asked]
    for (x, y), index in zip(curves, scores.asked, strict=True):
        name = scores.classes[index]
        look = style.line_style(index if len(curves) > 1 else 0)
        axes.plot(x, y, label=_label(run, name, index, scores), **look)
    if scores.asked == scores.present:
        _means(axes, run, scores, curves)
        caption = f"Each class against all others, {run.measured(scores.ids)}."
    else:
        which = f"{scores.classes[1]} against {scores.classes[0]}"
        caption = f"{which}, {run.measured(scores.ids)}.{_two(axes, run, scores)}"
    caption += run.over_seeds("AUC", scores.ids)
    style.unit_square(axes)
    axes.set_anchor("E")
    axes.set_xlabel("false positive rate (1 − specificity)")
    axes.set_ylabel("true positive rate (sensitivity)")
    known = any(run.result.interval("auc", name) for name in (None, *scores.classes))
    title = "AUC (95 % interval)" if known else "AUC"
    figure.legend(loc="outside right upper", title=title, alignment="left")
    style.save(figure, path, run.options.dpi)
    return Drawn(caption, remark(scores, run.split))


def band(
    positive: np.ndarray, score: np.ndarray, groups: Groups = None, seed: int = 0
) -> tuple[np.ndarray, np.ndarray] | None:
    """Pointwise 95 % interval of the true positive rate at each false positive rate of `_GRID`, low and high.

    By bootstrap over cases or groups (vertical averaging, Fawcett, Pattern Recognit. Lett. 27, 2006); None where
    these are too few.
    """
    rows = [
        np.interp(_GRID, *roc_curve(positive, score, sample_weight=counts)[:2])
        for block in resamples_of(len(score), groups, resamples=_RESAMPLES, seed=seed)
        for counts in block
        if counts[positive].any() and counts[~positive].any()
    ]
    units = unit_index(len(score), groups)[1]
    if not rows or units < MIN_UNITS:
        return None
    rates = np.stack(rows)
    found = [percentile_interval(column, units).interval for column in rates.T]
    known = np.array([(np.nan, np.nan) if ends is None else ends for ends in found])  # None: all resamples agree
    low, high = np.where(np.isnan(known), rates[0][:, None], known).T
    return low, high


def _two(axes: Axes, run: RunData, scores: Scores) -> str:
    """Band and threshold of the one curve; what the caption says of them."""
    words, look = "", style.line_style(0)
    if spread := band(scores.one_hot[:, 1], scores.probabilities[:, 1], scores.groups, run.seed or 0):
        axes.fill_between(_GRID, *spread, color=look["color"], alpha=0.18, linewidth=0)
        words = " Band: pointwise 95 % interval of the sensitivity."
    sensitivity, specificity = run.result.value("sensitivity"), run.result.value("specificity")
    threshold = run.result.value("threshold")
    if sensitivity is None or specificity is None or threshold is None:
        return words
    label = f"threshold {digits(threshold)}"
    axes.plot([1 - specificity], [sensitivity], "o", color=look["color"], markersize=5.5, zorder=4, label=label)
    return f"{words} Dot: sensitivity {digits(sensitivity)} and specificity {digits(specificity)} at the threshold."


def macro_curve(curves: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """The mean true positive rate of the classes at every false positive rate."""
    x = np.unique(np.concatenate([np.linspace(0, 1, 201), *(c[0] for c in curves)]))
    y = np.mean([np.interp(x, *c) for c in curves], axis=0)
    return np.concatenate([[0.0], x]), np.concatenate([[0.0], y])


def _means(axes: Axes, run: RunData, scores: Scores, curves: list[tuple[np.ndarray, np.ndarray]]) -> None:
    look: style.Look = {"color": style.INK, "linewidth": 2.2}
    pooled = scores.one_hot.ravel(), scores.probabilities.ravel()
    micro = run.result.value("auc_micro")
    micro = roc_auc_score(*pooled) if micro is None else micro
    axes.plot(*roc_curve(*pooled)[:2], label=f"micro  {digits(micro)}", linestyle=(0, (4, 1.5)), **look)
    macro = run.result.value("auc")
    if macro is None:
        macro = roc_auc_score(scores.one_hot[:, scores.present], scores.probabilities[:, scores.present])
    axes.plot(*macro_curve(curves), label=_text("macro", macro, run.result.interval("auc")), **look)


def _label(run: RunData, name: str, index: int, scores: Scores) -> str:
    value = run.result.value("auc", name)
    if value is None:
        value = roc_auc_score(scores.one_hot[:, index], scores.probabilities[:, index])
    return _text(name, value, run.result.interval("auc", name))


def _text(name: str, value: float, bounds: Bounds | None) -> str:
    spread = interval(bounds)
    return f"{name}  {digits(value)} ({spread})" if spread else f"{name}  {digits(value)}"
