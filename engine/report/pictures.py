"""The figures of a run as they stand in its report, and what is said of those that failed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from engine.figures.draw import draw_all
from engine.readers.figure_index import FigureResult, read_index
from engine.readers.run import RunData
from engine.report.blocks import Alert, Block, Picture, Section, Text

_HEADINGS = {
    "members": "Members while they trained",
    "curves": "Curves",
    "roc": "ROC",
    "precision_recall": "Precision and recall",
    "confusion": "Confusion",
    "reliability": "Reliability",
    "slices": "Slices",
    "surface": "Surfaces",
    "distributions": "Distributions over cases",
    "gradcam": "Class activation maps",
}
_SHAPES: dict[str, Literal["", "narrow", "tall"]] = {
    "reliability": "narrow",
    "distributions": "tall",
    "slices": "tall",
}


def load(run: RunData) -> list[FigureResult]:
    """The figures that were drawn; the curves of a run that went on since are drawn again."""
    drawn = read_index(run.folder)
    curves = run.folder.figures / "curves.png"
    if run.view.started is not None and _older(curves, run.folder.events):
        draw_all(run.folder, only={"curves"})
        drawn = read_index(run.folder)
    return drawn


def sections(run: RunData, figures: list[FigureResult], kinds: set[str] | None = None) -> Iterator[Section]:
    """A section for every kind of figure of which there is one; a kind without a heading here has its own name."""
    for kind in dict.fromkeys([*_HEADINGS, *(figure.kind for figure in figures)]):
        drawn = [figure for figure in figures if figure.kind == kind and figure.ok]
        if drawn and (kinds is None or kind in kinds):
            blocks: list[Block] = [picture(run.folder.root, figure) for figure in drawn]
            yield Section(
                _HEADINGS.get(kind, kind.replace("_", " ").capitalize()),
                [*blocks, *(Alert("note", text) for text in messages(drawn))],
            )


def failed(figures: list[FigureResult]) -> Section | None:
    """What could not be drawn, and why."""
    missing = [figure for figure in figures if not figure.ok]
    return Section("Figures that are missing", [Alert("note", text) for text in messages(missing)]) if missing else None


def messages(figures: list[FigureResult]) -> list[str]:
    """One line for each reason why figures are not there or not whole."""
    reasons: dict[str, list[str]] = {}
    for figure in figures:
        if figure.message:
            reasons.setdefault(figure.message, []).append(figure.title)
    return [f"{', '.join(titles)}: {reason}" for reason, titles in reasons.items()]


def picture(root: Path, figure: FigureResult) -> Picture:
    """One figure of the index."""
    vector = root / figure.vector if figure.vector else None
    return Picture(root / figure.path, figure.path, figure.title, figure.caption, vector, _SHAPES.get(figure.kind, ""))


def not_drawn(run: RunData, figures: list[FigureResult]) -> Text | None:
    """What to do where a finished run has no figures but its curves."""
    if run.live or any(figure.kind != "curves" for figure in figures):
        return None
    return Text(f"Other figures were not drawn; draw them with: medtui figures {run.folder.id}", muted=True)


def _older(path: Path, than: Path) -> bool:
    try:
        return path.stat().st_mtime < than.stat().st_mtime - 120
    except OSError:
        return not path.exists()
