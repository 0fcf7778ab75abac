"""Precision against recall of every class."""

from pathlib import Path

from sklearn.metrics import average_precision_score, precision_recall_curve

from engine.figures import style
from engine.readers.numbers import digits
from engine.readers.run import Drawn, FigureError, Job, RunData
from engine.readers.scores import read_scores, remark


def plan(run: RunData) -> list[Job]:
    """The one sheet of precision-recall curves."""
    return [Job("precision_recall", "precision_recall", "Precision-recall curves", lambda path: draw(run, path))]


def draw(run: RunData, path: Path) -> Drawn:
    """A curve a class with its average precision; a dot at the operating point of the largest probability."""
    scores = read_scores(run)
    if not scores.present:
        raise FigureError(f"every case of the {run.split} split has the same class: there is no precision-recall curve")
    figure = style.new_figure(style.WIDTH, 4.0)
    axes = figure.subplots()
    for index in scores.asked:
        positive, score = scores.one_hot[:, index], scores.probabilities[:, index]
        precision, recall, _ = precision_recall_curve(positive, score)
        known, share = run.result.value("average_precision", scores.classes[index]), float(positive.mean())
        average = float(average_precision_score(positive, score)) if known is None else known
        look = style.line_style(index if len(scores.asked) > 1 else 0)
        label = f"{scores.classes[index]}  {digits(average)}  ({digits(share)})"
        axes.step(recall, precision, where="post", label=label, **look)
        guessed = scores.predicted == index
        if guessed.any():
            right = (guessed & positive).sum()
            axes.plot(right / positive.sum(), right / guessed.sum(), "o", color=look["color"], markersize=4.5)
    style.unit_square(axes)
    axes.set_anchor("E")
    axes.set_xlabel("recall (sensitivity)")
    axes.set_ylabel("precision")
    figure.legend(loc="outside right upper", title="average precision (share of cases)", alignment="left")
    style.save(figure, path, run.options.dpi)
    caption = (
        f"{'Each class against all others' if scores.asked == scores.present else scores.classes[1]}, "
        f"{run.measured(scores.ids)}. "
        "Dots: the class with the largest probability is chosen. "
        "In brackets: the share of cases of the class, what chance would reach."
        f"{run.over_seeds('Average precision', scores.ids)}"
    )
    return Drawn(caption, remark(scores, run.split))
