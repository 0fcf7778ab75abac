"""Each metric over the cases of a split: its spread above, and every case by name below."""

import math
from functools import partial
from pathlib import Path
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes

from engine.figures import style
from engine.measures import better_up, find, in_tables, is_distance, title
from engine.readers.numbers import short
from engine.readers.run import CaseTable, Drawn, FigureError, Job, RunData

A_PAGE = 60  # cases named on one sheet
_ROW = 0.135  # inches a case
_FEW, _MANY = 3, 6  # metrics beyond which the numbers of the axes stand aslant, and beyond which heads are set small
_MOST_CLASSES = 200  # boxes of classes on a sheet: more make a sheet that nobody opens, of minutes


def plan(run: RunData) -> list[Job]:
    """A sheet for every 60 cases; each has the spread over all of them."""
    pages = max(1, math.ceil(len(run.cases().cases) / A_PAGE))
    jobs = []
    for page in range(pages):
        suffix, of = ("", "") if page == 0 else (f"_{page + 1}", f", part {page + 1} of {pages}")
        jobs.append(Job(f"distributions{suffix}", "distributions", f"Metrics over cases{of}", partial(draw, run, page)))
    return jobs


def draw(run: RunData, page: int, path: Path) -> Drawn:
    """Box and dots of each metric over all cases; below, the cases of this page, the worst first."""
    cases = run.cases()
    known = [name for name in in_tables("segmentation") if np.isfinite(cases.means(name)).any()]
    names = [name for name in known if not name.endswith("_regions")]
    if not names:
        raise FigureError(f"cases.csv has no measured case of the {run.split} split yet")
    order = _order(cases, names[0])
    part = order[page * A_PAGE : (page + 1) * A_PAGE]
    rows = max(len(part) * _ROW, 0.6)
    spread = 0.3 + 0.25 * len(_rows(run, cases, names[0]))
    figure = style.new_figure(style.WIDTH, spread + rows + 1.15)
    panels = figure.subplots(2, len(names), sharex="col", height_ratios=[spread, rows], squeeze=False)
    missed = cases.means("missed") > 0
    for column, name in enumerate(names):
        drawn = _rows(run, cases, name)
        _spread(panels[0][column], drawn)
        _heads(panels[0][column], title(name, run.unit), drawn[0][1], len(names))
        _cases(panels[1][column], drawn[0][1], part, missed, _limits([row for _, row in drawn], missed, name))
        panels[1][column].tick_params(axis="x", labelrotation=45 if len(names) > _FEW else 0)
    boxes = [text for text, _ in _rows(run, cases, names[0])]
    if len(boxes) > 1:
        panels[0][0].set_yticks(range(len(boxes)), boxes)
    labels = [run.case_name(cases.cases[index]) for index in part]
    panels[1][0].set_yticks(range(len(part)), [_in_22(text) for text in labels])
    for axes in panels[1][1:]:
        axes.set_yticks([])
    style.save(figure, path, run.options.dpi)
    return Drawn(_caption(run, cases, missed, page, len(part)))


def _in_22(text: str) -> str:
    """Names differ at their ends, and begin with what they have in common: the middle is what can go."""
    return text if len(text) <= 22 else f"{text[:9]}…{text[-12:]}"


def _order(cases: CaseTable, metric: str) -> list[int]:
    """Worst case first; what was not measured before everything."""
    values = cases.means(metric)
    keys = np.where(np.isnan(values), -np.inf, values if better_up(metric) else -values)
    return [int(index) for index in np.argsort(keys, kind="stable")]


def _rows(run: RunData, cases: CaseTable, name: str) -> list[tuple[str, np.ndarray]]:
    """(label, values) of the mean over the classes, of every class where there are several, and of every region."""
    rows = [("mean", cases.means(name))]
    if len(run.classes) > 1:
        rows += [(label, cases.means(f"{name}:{label}")) for label in run.classes[:_MOST_CLASSES]]
    rows += [(f"∪ {label}", cases.means(f"{name}:{label}")) for label in run.regions[:_MOST_CLASSES]]
    return rows


def _spread(axes: Axes, rows: list[tuple[str, np.ndarray]]) -> None:
    """A box for each of ``rows``: the mean over the classes first, then the others."""
    axes.boxplot(
        [values[np.isfinite(values)] for _, values in rows],
        orientation="horizontal",
        positions=range(len(rows)),
        widths=0.6,
        showfliers=False,
        patch_artist=True,
        boxprops={"facecolor": style.FAINT, "edgecolor": style.MUTED, "linewidth": 0.8},
        medianprops={"color": style.INK, "linewidth": 1.4},
        whiskerprops={"color": style.MUTED, "linewidth": 0.8},
        capprops={"color": style.MUTED, "linewidth": 0.8},
    )
    draw = np.random.default_rng(0)
    for place, (_, values) in enumerate(rows):
        known = values[np.isfinite(values)]
        jitter = place + draw.uniform(-0.22, 0.22, len(known))
        axes.plot(known, jitter, "o", color=style.TRUTH, markersize=2.4, alpha=0.65, markeredgewidth=0)
        if known.size:
            axes.plot([known.mean()], [place], "D", color=style.WARNING, markersize=4.5, zorder=4)
    axes.set_ylim(len(rows) - 0.45, -0.55)
    axes.set_yticks([])
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.tick_params(axis="both", length=0, labelbottom=False)


def _heads(axes: Axes, heading: str, values: np.ndarray, metrics: int) -> None:
    """The metric, its mean and its median, above one of so many ``metrics`` beside each other."""
    smaller = 1.5 if metrics > _MANY else 0.0
    axes.set_title(fill(heading, max(10, 60 // metrics)), pad=26, fontsize=style.TITLE - smaller)
    known = values[np.isfinite(values)]
    text = f"mean {short(float(known.mean()))}\nmedian {short(float(np.median(known)))}"
    look: style.Look = {"fontsize": style.SMALL - smaller / 2, "color": style.MUTED, "va": "bottom"}
    axes.text(0, 1.0, text, transform=axes.transAxes, **look).set_in_layout(False)


def _cases(axes: Axes, values: np.ndarray, part: list[int], missed: np.ndarray, limits: tuple[float, float]) -> None:
    shown, lost = values[part], missed[part]
    rows, high = np.arange(len(part)), limits[1]
    axes.set_xlim(*limits)
    axes.hlines(rows, 0, 1, transform=axes.get_yaxis_transform(), color=style.FAINT, linewidth=0.5, zorder=0)
    axes.plot(shown[~lost], rows[~lost], "o", color=style.TRUTH, markersize=3.4)
    for value, row in zip(shown[lost], rows[lost], strict=True):
        outside = value > high
        axes.plot([min(value, high)], [row], "X", color=style.WARNING, markersize=5.5, clip_on=False, zorder=4)
        if outside:
            axes.annotate(short(value), (high, row), xytext=(-6, 0), textcoords="offset points", ha="right",
                          va="center", fontsize=6, color=style.WARNING)  # fmt: skip
    axes.axvline(float(np.nanmean(values)), color=style.WARNING, linewidth=0.8, linestyle="--")
    axes.set_ylim(len(part) - 0.4, -0.6)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0, labelsize=6.0)
    axes.tick_params(axis="x", labelsize=style.SMALL - 0.5)
    axes.locator_params(axis="x", nbins=3)


def _limits(rows: list[np.ndarray], missed: np.ndarray, name: str) -> tuple[float, float]:
    """Ends of the axis: all that is drawn, the classes too; of distances only the cases that were not missed, so
    that the diagonal of the image squeezes nothing.
    """
    values = np.stack(rows)
    kept = values[:, ~missed] if is_distance(name) else values
    kept = kept if np.isfinite(kept).any() else values
    low, high = float(np.nanmin(kept)), float(max(np.nanmax(kept), np.nanmean(values[0])))
    margin = 0.06 * (high - low or abs(high) or 1.0)
    if is_distance(name):
        return -margin / 2, high + margin
    return low - margin, min(high + margin, find(name).bounds[1] + margin / 2)


def _caption(run: RunData, cases: CaseTable, missed: np.ndarray, page: int, shown: int) -> str:
    first = page * A_PAGE
    ids = cases.cases
    which = "every case" if shown == len(ids) else f"cases {first + 1} to {first + shown} of {len(ids)}"
    text = (
        f"Above: quartiles, median and mean (diamond) over the {run.measured(ids)}"
        f"{', each the mean of its seeds' if len(ids) < len(cases) else ''}. "
        f"Below: {which}, the lowest Dice first; dashed: mean."
    )
    if run.regions:
        text += " ∪: regions, which are unions of classes."
    if len(run.classes) > _MOST_CLASSES:
        text += f" Of the {len(run.classes)} classes the first {_MOST_CLASSES} are drawn; all are in cases.csv."
    return (
        f"{text} Crosses: cases with a missed class ({int(missed.sum())}), with their distance where it lies outside."
        if missed.any()
        else text
    )
