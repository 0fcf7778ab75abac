"""Loss and metrics while the run trained: by epoch, and by iteration."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from engine.errors import counted
from engine.figures import style
from engine.measures import better_up, ordered, title
from engine.readers.columns import Columns
from engine.readers.numbers import short
from engine.readers.run import Drawn, FigureError, Job, RunData
from engine.readers.run_view import RunView, Tracks

COLUMNS = 1500  # more points than this in one curve are drawn as the range of each column
_FALLS = 4  # the largest loss over the smallest from which its axis is a log one
TRAIN = {"color": style.INK, "linestyle": "-", "linewidth": 1.3}
VALIDATION = {"color": style.ACCENT, "linestyle": "-", "linewidth": 1.6}


def plan(run: RunData) -> list[Job]:
    """The two sheets of curves."""
    return [
        Job("curves", "curves", "Curves by epoch", lambda path: by_epoch(run, path)),
        Job("curves_iterations", "curves", "Curves by iteration", lambda path: by_iteration(run, path)),
    ]


def by_epoch(run: RunData, path: Path) -> Drawn:
    """Training and validation values of each epoch; the best epoch is marked."""
    view = run.view
    names = _measured([view.train, view.validation])
    if not names:
        raise FigureError("no epoch has ended yet" if run.live or not view.ended else "no epoch was completed")
    figure, panels = _panels(names)
    for name, axes in zip(names, panels, strict=True):
        _both(axes, view, name, "epoch")
        axes.set_title(title(name, run.unit) + _log_scale(axes, name, [view.train, view.validation]))
        axes.set_xlabel("epoch")
        _whole_axis(axes, [view.train, view.validation], "epoch")
    style.shared_legend(figure, panels)
    style.save(figure, path, run.options.dpi)
    return Drawn(_caption(run))


def by_iteration(run: RunData, path: Path) -> Drawn:
    """The loss of every step with its running mean, learning rate, gradient norm: what `by_epoch` has not."""
    view, steps = run.view, run.view.step_tracks
    names = _measured([steps])
    if not names:
        raise FigureError("no iteration has ended yet")
    epochs = [view.train, view.validation]  # their means tell, and not the noise of steps
    figure, panels = _panels(names)
    for name, axes in zip(names, panels, strict=True):
        _steps(axes, steps[name], smooth=name == "loss")
        _both(axes, view, name, "iteration", train=False)
        if name == "lr":
            _learning_rate(axes, steps["lr"])
        axes.set_title(
            title(name, run.unit) + _log_scale(axes, name, [] if np.any(steps[name]["value"] <= 0) else epochs)
        )
        axes.set_xlabel("iteration")
        _whole_axis(axes, [view.validation, steps], "iteration")
        for _, iteration in view.resumes:
            axes.axvline(iteration, color=style.MUTED, linewidth=0.7, linestyle=":")
    style.shared_legend(figure, panels)
    style.save(figure, path, run.options.dpi)
    resumed = f" Dotted lines: the run was resumed ({counted(len(view.resumes), 'time')})." if view.resumes else ""
    shown = ["the loss of each (faint) and its running mean", "the learning rate", "the norm of the whole gradient"]
    said = "; ".join(words for words, name in zip(shown, ("loss", "lr", "grad_norm"), strict=True) if name in names)
    return Drawn(f"By iteration: {said}.{resumed}")


def _measured(groups: Sequence[Tracks]) -> list[str]:
    found = ordered(name for group in groups for name, track in group.items() if len(track))
    return sorted(found, key=lambda name: name != "loss")


def _panels(names: list[str]) -> tuple[Figure, list[Axes]]:
    alone = len(names) == 1
    return style.new_panels(len(names), 2 if len(names) in {2, 4} else 3, 2.65 if alone else 2.0, 0.35)


def _whole_axis(axes: Axes, groups: Sequence[Tracks], place: str) -> None:
    """The same axis of whole numbers for all panels, also for one with a single point."""
    places = [track[place] for group in groups for track in group.values() if len(track)]
    low, high = min(x.min() for x in places), max(x.max() for x in places)
    room = max(0.05 * (high - low), 0.5)
    axes.set_xlim(low - room, high + room)
    axes.locator_params(axis="x", integer=True)


def _log_scale(axes: Axes, name: str, groups: Sequence[Tracks]) -> str:
    """A log axis for a loss that falls to a small part of where it began, as it would lie on the edge; its mark."""
    found = np.concatenate([np.empty(0), *(group[name]["value"] for group in groups if name in group)])
    found = found[np.isfinite(found)]
    if name != "loss" or not found.size or not 0 < _FALLS * found.min() < found.max():
        return ""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if found.max() < 1000 * found.min() else (1,)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    return " (log scale)"


def _both(axes: Axes, view: RunView, name: str, place: str, *, train: bool = True) -> None:
    style.grid(axes)
    if train and name in view.train:
        _line(axes, view.train[name], place, "training", TRAIN)
    if name in view.validation:
        track = view.validation[name]
        marker = "o" if len(track) <= 40 else ""
        _line(axes, track, place, "validation", {**VALIDATION, "marker": marker, "markersize": 2.8})
        _mark_best(axes, view, name, place)


def _line(axes: Axes, track: Columns, place: str, label: str, look: dict[str, object]) -> None:
    x, y = track[place].astype(float), track["value"]
    if len(x) == 1 and not look.get("marker"):
        look = {**look, "marker": "s", "markersize": 3.5}
    _mark_bad(axes, x, y)
    axes.plot(x, np.where(np.isfinite(y), y, np.nan), label=label, **look)  # type: ignore[arg-type]


def _mark_best(axes: Axes, view: RunView, name: str, place: str) -> None:
    track = view.validation[name]
    if view.best is None or view.best.epoch not in track["epoch"]:
        return
    at = np.flatnonzero(track["epoch"] == view.best.epoch)
    x, y = int(track[place][at[0]]), float(track["value"][at[0]])
    axes.axvline(x, color=style.ACCENT, linewidth=0.8, linestyle="--", zorder=0.5)
    if math.isfinite(y):
        axes.plot([x], [y], "*", color=style.WARNING, markersize=9, label="best epoch", zorder=4, linestyle="none")
        below = better_up(name)  # a curve rises to its best value: there is room under it
        axes.annotate(
            short(y),
            (x, y),
            xytext=(0, -15 if below else 8),
            textcoords="offset points",
            ha="center",
            fontsize=style.SMALL,
            fontweight="bold",
            bbox={"facecolor": style.PAPER, "edgecolor": "none", "alpha": 0.75, "pad": 0.8},
        )


def _mark_bad(axes: Axes, x: np.ndarray, y: np.ndarray) -> None:
    """A cross on the lower edge where a value was NaN or infinite: a gap alone is easily overlooked."""
    bad = x[~np.isfinite(y)]
    if bad.size and np.isfinite(y).any():
        axes.plot(
            bad[:200],
            np.full(min(bad.size, 200), 0.03),
            "x",
            color=style.WARNING,
            markersize=5,
            transform=axes.get_xaxis_transform(),
            label="not finite",
            linestyle="none",
        )


def _steps(axes: Axes, track: Columns, *, smooth: bool) -> None:
    x, y = track["iteration"].astype(float), track["value"]
    _mark_bad(axes, x, y)
    y = np.where(np.isfinite(y), y, np.nan)
    if not smooth:
        axes.plot(*_thinned(x, y), color=style.INK, linewidth=1.0)
        return
    faint = {"color": style.MUTED, "alpha": 0.45}
    if len(x) > COLUMNS:
        low, high, at = _ranges(x, y)
        axes.fill_between(at, low, high, linewidth=0, **faint)  # type: ignore[arg-type]
    else:
        axes.plot(x, y, linewidth=0.7, **faint)  # type: ignore[arg-type]
    axes.plot(*_thinned(x, running_mean(y, max(2, min(200, len(y) // 20)))), label="training", **TRAIN)  # type: ignore[arg-type]


def running_mean(values: np.ndarray, span: int) -> np.ndarray:
    """Exponential running mean over about ``span`` values, free of the start's bias; NaN is stepped over."""
    share = 2.0 / (span + 1.0)
    result = np.empty(len(values))
    mean, weight = 0.0, 0.0
    for index, value in enumerate(values):
        if np.isfinite(value):
            mean = (1 - share) * mean + share * value
            weight = (1 - share) * weight + share
        result[index] = mean / weight if weight else np.nan
    return result


def _ranges(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lowest and highest value of each of `COLUMNS` columns, so that no spike is lost."""
    edges = np.linspace(0, len(x), COLUMNS + 1).astype(int)[:-1]
    filled_low, filled_high = np.where(np.isnan(y), np.inf, y), np.where(np.isnan(y), -np.inf, y)
    low, high = np.minimum.reduceat(filled_low, edges), np.maximum.reduceat(filled_high, edges)
    empty = low > high
    return np.where(empty, np.nan, low), np.where(empty, np.nan, high), x[edges]


def _thinned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    step = max(1, len(x) // (2 * COLUMNS))
    return x[::step], y[::step]


def _learning_rate(axes: Axes, track: Columns) -> None:
    """Small numbers as 1e-03 in place of a factor above the axis."""
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.2g}"))
    values = track["value"][np.isfinite(track["value"])]
    if len(values) and (top := float(values.max())) > 0:
        axes.set_ylim(0, top * 1.08)


def _without_best(run: RunData) -> str:
    started = run.view.started
    if run.view.validation:
        return "Training (black) and validation (green) by epoch. No validation gave a best epoch."
    awaited = run.live and started is not None and started.cases.get("validation", 0) > 0
    return (
        f"Means over each epoch of training; there {'has been no validation yet' if awaited else 'was no validation'}."
    )


def _caption(run: RunData) -> str:
    best, monitor = run.view.best, run.view.monitor
    if best is None:
        return _without_best(run)
    value = best.metrics.get(monitor)
    shown = f" ({title(monitor)} {short(float(value))})" if monitor and value is not None else ""
    tested = run.manifest.checkpoint
    other = f" Tested were the weights of the last epoch, {tested.epoch}." if tested.name == "last" else ""
    lines = "Training (black) and validation (green) by epoch"
    return f"{lines}. Star and dashed line: best epoch, {best.epoch}{shown}.{other}"
