"""Receiver operating characteristic of every class against all others, micro and macro."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from sklearn.metrics import roc_auc_score, roc_curve

from engine.figures import style
from engine.readers.numbers import digits, interval
from engine.readers.run import Drawn, FigureError, Job, RunData
from engine.readers.scores import Scores, read_scores, remark
from engine.runfolder import Bounds


def plan(run: RunData) -> list[Job]:
    """The one sheet of ROC curves."""
    return [Job("roc", "roc", "ROC curves", lambda path: draw(run, path))]


def draw(run: RunData, path: Path) -> Drawn:
    """A curve a class with its AUC and interval, the micro curve and the mean of the classes."""
    scores = read_scores(run)
    if not scores.present:
        raise FigureError(f"every case of the {run.split} split has the same class: there is no ROC")
    figure = style.new_figure(style.WIDTH, 4.0)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=style.MUTED, linewidth=0.8, linestyle=":", label="chance  0.500")
    curves = [roc_curve(scores.one_hot[:, k], scores.probabilities[:, k])[:2] for k in scores.present]
    for (x, y), index in zip(curves, scores.present, strict=True):
        name = scores.classes[index]
        axes.plot(x, y, label=_label(run, name, index, scores), **style.line_style(index))
    if len(scores.classes) > 2:
        _means(axes, run, scores, curves)
    style.unit_square(axes)
    axes.set_anchor("E")
    axes.set_xlabel("false positive rate (1 − specificity)")
    axes.set_ylabel("true positive rate (sensitivity)")
    known = any(run.result.interval("auc", name) for name in (None, *scores.classes))
    title = "AUC (95 % interval)" if known else "AUC"
    figure.legend(loc="outside right upper", title=title, alignment="left")
    style.save(figure, path, run.options.dpi)
    caption = f"Each class against all others, {run.measured(scores.ids)}."
    return Drawn(caption, remark(scores, run.split))


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
