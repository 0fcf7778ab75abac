"""Slices of the best, the median and the worst case in three planes: truth, prediction, and where they differ."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.patheffects import withStroke

from engine.figures import style
from engine.figures.volume import Volume, read_volume
from engine.readers.examples import Example, ExampleHead
from engine.readers.numbers import digits, file_part, units
from engine.readers.run import Drawn, FigureError, Job, RunData

ROLES = ("best", "median", "worst")
_PLANES = {2: ("axial", "xy"), 1: ("coronal", "xz"), 0: ("sagittal", "yz")}
_EDGES = {2: "RLPA", 1: "RLIS", 0: "APIS"}  # left, right, bottom, top of a plane in radiological view
_MARGIN = 0.12
_READABLE: style.Look = {  # white letters on any grey
    "color": style.PAPER,
    "path_effects": [withStroke(linewidth=1.6, foreground="black", alpha=0.75)],
}


@dataclass(frozen=True)
class Plane:
    """One slice, ready for the eye: rows are up, columns are right.
    truth, prediction: (rows, columns).
    extent: left, right, bottom, top in the volume's unit.
    box: the part around the masks, as ``extent``.
    name: of the plane and its index.
    letters: what lies left, right, below and above, or nothing.
    unknown: (rows, columns), where the truth is not known.
    """

    image: np.ndarray  # (rows, columns), or (rows, columns, 3) in colour
    truth: np.ndarray
    prediction: np.ndarray
    extent: tuple[float, float, float, float]
    box: tuple[float, float, float, float]
    name: str
    letters: str
    unknown: np.ndarray


def plan(run: RunData) -> list[Job]:
    """A sheet for each of the best, median and worst case."""
    jobs = []
    for head in chosen(run):
        name = run.case_name(head.id)
        title = f"Slices, {head.role} case {name}"
        jobs.append(Job(f"slices_{file_part(name)}", "slices", title, partial(draw, run, head.path)))
    return jobs or [Job("slices", "slices", "Slices", partial(no_examples, run))]


def chosen(run: RunData) -> list[ExampleHead]:
    """The best, the median and the worst example."""
    heads = [head for head in run.example_heads() if head.role in ROLES]
    return sorted(heads, key=lambda head: ROLES.index(head.role))


def no_examples(run: RunData, _: Path) -> Drawn:
    """Raises: FigureError: a figure of examples, where there are none."""
    raise FigureError(f"there are no examples of the {run.split} split yet")


def draw(run: RunData, source: Path, path: Path) -> Drawn:
    """Three planes of one case, or the one picture: the image, both contours, and the differences."""
    example = run.example(source)
    volume = read_volume(example)
    planes = [_picture(volume)] if run.pictures else [cut(volume, axis) for axis in (2, 1, 0)]
    figure = _sheet(volume, planes, run)
    style.save(figure, path, run.options.dpi, vector=False)
    return Drawn(_caption(run, example, planes), f"{run.case_name(example.id)}: {volume.empty}" if volume.empty else "")


def of_role(run: RunData, example: Example) -> str:
    """Of how many cases this is the best, the median or the worst, and its Dice, by which it is."""
    cases, dice = run.metrics[run.split].n if run.split in run.metrics else None, example.arrays.get("dice")
    value = f" by Dice ({digits(float(dice))})" if dice is not None else ""
    of = f"of the {cases} cases" if cases and cases > 1 else "case"
    return f"{example.role.capitalize()} {of} of the {run.split} split{value}"


def _caption(run: RunData, example: Example, planes: list[Plane]) -> str:
    where = "The" if run.pictures else "In each plane the slice with the most foreground: the"
    other = ", added or taken for another class" if len(run.classes) > 1 else " or added"
    text = (
        f"{of_role(run, example)}. {where} image, framed what is seen beside it; contours of truth (solid, blue) and "
        f"prediction (dashed, orange); {'pixels' if run.pictures else 'voxels'} that were missed{other}."
    )
    if len(run.classes) > 1:
        shown = [name for label, name in enumerate(run.classes, 1) if any((p.truth == label).any() for p in planes)]
        text += f" Classes: {', '.join(f'{run.classes.index(name) + 1} {name}' for name in shown)}."
    if any(plane.unknown.any() for plane in planes):
        text += " Grey: the truth is not known there, and what is predicted is neither shown nor measured."
    if any(plane.letters for plane in planes):
        text += " The patient's right (R) is on the left; A anterior, P posterior, S superior, I inferior."
    return text


def _picture(volume: Volume) -> Plane:
    image, truth, prediction, found, unknown = (array[::-1] for array in _arrays(volume))
    extent = (0.0, float(truth.shape[1]), 0.0, float(truth.shape[0]))
    return Plane(image, truth, prediction, extent, _box(found, extent, [1.0, 1.0]), "", "", unknown)


def _arrays(volume: Volume) -> tuple[np.ndarray, ...]:
    unknown = np.zeros(volume.truth.shape, bool) if volume.unknown is None else volume.unknown
    return volume.image, volume.truth, volume.prediction, volume.found, unknown


def cut(volume: Volume, axis: int) -> Plane:
    """The slice across ``axis`` with the most foreground in truth and prediction."""
    index, planes = across(_arrays(volume), volume.found, axis, oriented=volume.oriented)
    image, truth, prediction, found, unknown = planes
    step = [spacing for other, spacing in enumerate(volume.spacing) if other != axis]
    extent = (0.0, image.shape[1] * step[0], 0.0, image.shape[0] * step[1])
    where = "" if volume.oriented else f" plane, {'xyz'[axis]}"
    name = f"{plane_name(axis, oriented=volume.oriented)}{where} {index + 1}"
    letters = _EDGES[axis] if volume.oriented else ""
    return Plane(image, truth, prediction, extent, _box(found, extent, step), name, letters, unknown)


def plane_name(axis: int, *, oriented: bool) -> str:
    """Of the plane across ``axis``: axial or xy, ..."""
    return _PLANES[axis][0 if oriented else 1]


def across(
    arrays: Iterable[np.ndarray], found: np.ndarray, axis: int, *, oriented: bool
) -> tuple[int, list[np.ndarray]]:
    """The place along ``axis`` with the most of ``found``, and the slices of volumes (X, Y, Z) there, rows upwards."""
    areas = found.sum(axis=tuple(other for other in range(3) if other != axis))
    index = int(areas.argmax()) if areas.any() else found.shape[axis] // 2
    planes = [np.asarray(np.take(array, index, axis=axis)).T for array in arrays]
    return index, [plane[:, ::-1] if oriented else plane for plane in planes]  # radiological: right is on the left


def _box(found: np.ndarray, extent: tuple[float, ...], step: list[float]) -> tuple[float, float, float, float]:
    """The masks with a margin around: a part of the slice with the slice's own proportions."""
    if not found.any():
        return (extent[0], extent[1], extent[2], extent[3])
    spans = []
    for axis, end in ((1, extent[1]), (0, extent[3])):
        hit = np.flatnonzero(found.any(axis=1 - axis)) * step[1 - axis]
        spans.append((float(hit[0]), float(hit[-1]) + step[1 - axis], end))
    share = max((high - low) / end for low, high, end in spans) * (1 + 2 * _MARGIN)
    share = min(1.0, max(0.4, share))
    bounds: list[float] = []
    for low, high, end in spans:
        start = min(max(0.0, (low + high - share * end) / 2), end * (1 - share))
        bounds += [start, start + share * end]
    return (bounds[0], bounds[1], bounds[2], bounds[3])


def _sheet(volume: Volume, planes: list[Plane], run: RunData) -> Figure:
    column = (style.WIDTH - 0.5) / 3
    ratios = [min(1.6, plane.extent[3] / plane.extent[1]) for plane in planes]
    figure = style.new_figure(style.WIDTH, column * sum(ratios) + 0.75)
    panels = figure.subplots(len(planes), 3, height_ratios=ratios, squeeze=False)
    for row, plane in enumerate(planes):
        low, high = _window(volume.image)
        for axes in panels[row]:
            axes.imshow(plane.image, cmap="gray", vmin=low, vmax=high, origin="lower", extent=plane.extent)
            style.bare(axes)
        panels[row][0].set_ylabel(plane.name, fontsize=style.LABEL)
        _whole(panels[row][0], plane)
        _contours(panels[row][1], plane, run.classes)
        _differences(panels[row][2], plane)
        for axes in panels[row][1:]:
            axes.set_xlim(plane.box[0], plane.box[1])
            axes.set_ylim(plane.box[2], plane.box[3])
        _scale_bar(panels[row][1], plane.box, volume.unit)
    for axes, title in zip(panels[0], ("Image", "Contours", "Differences"), strict=True):
        axes.set_title(title)
    _legend(figure, planes)
    return figure


def _window(image: np.ndarray) -> tuple[float, float]:
    finite = image[np.isfinite(image)]
    if not finite.size:
        return 0.0, 1.0
    low, high = np.percentile(finite[:: max(1, finite.size // 500_000)], [0.5, 99.5])
    return float(low), float(high if high > low else low + 1)


def _whole(axes: Axes, plane: Plane) -> None:
    left, right, bottom, top = plane.box
    box = Rectangle((left, bottom), right - left, top - bottom, fill=False, color=style.PAPER, linewidth=0.8, alpha=0.8)
    axes.add_patch(box)
    places = ((0.02, 0.5, "left"), (0.98, 0.5, "right"), (0.5, 0.02, "center"), (0.5, 0.98, "center"))
    for letter, (x, y, side) in zip(plane.letters, places, strict=False):
        vertical = {0.02: "bottom", 0.98: "top"}.get(y, "center")
        axes.text(x, y, letter, transform=axes.transAxes, fontsize=style.LABEL, ha=side, va=vertical, **_READABLE)


def _contours(axes: Axes, plane: Plane, classes: list[str]) -> None:
    halo = [withStroke(linewidth=2.6, foreground=style.PAPER, alpha=0.55)]
    for label in range(1, max(len(classes), int(plane.truth.max()), int(plane.prediction.max())) + 1):
        for mask, colour, dashes in (
            (plane.truth == label, style.TRUTH, "-"),
            (plane.prediction == label, style.PREDICTION, (0, (3.5, 1.6))),
        ):
            if mask.any():
                outline(axes, mask, plane.extent, colors=colour, linestyles=[dashes], linewidths=1.5, path_effects=halo)
        if len(classes) > 1 and (plane.truth == label).any():
            rows, columns = np.nonzero(plane.truth == label)
            height, width = plane.truth.shape
            x = (columns.mean() + 0.5) / width * plane.extent[1]
            y = (rows.mean() + 0.5) / height * plane.extent[3]
            axes.text(x, y, str(label), fontsize=style.LABEL, ha="center", va="center", **_READABLE)


def outline(axes: Axes, mask: np.ndarray, extent: tuple[float, ...], **look: Any) -> None:
    """The border of a binary mask (rows, columns); one that touches the edge of the image is closed there."""
    padded = np.pad(mask.astype(float), 1)
    rows, columns = padded.shape
    step = (extent[1] - extent[0]) / (columns - 2), (extent[3] - extent[2]) / (rows - 2)
    x = extent[0] + (np.arange(columns) - 0.5) * step[0]
    y = extent[2] + (np.arange(rows) - 0.5) * step[1]
    axes.contour(x, y, padded, levels=[0.5], **look)


def _differences(axes: Axes, plane: Plane) -> None:
    truth, prediction = plane.truth, plane.prediction
    paint = np.zeros((*truth.shape, 4))
    paint[plane.unknown] = to_rgba(style.MUTED, 0.7)
    paint[(truth > 0) & (prediction == truth)] = to_rgba(style.PAPER, 0.28)
    paint[(truth > 0) & (prediction == 0)] = to_rgba(style.TRUTH, 0.9)
    paint[(truth == 0) & (prediction > 0)] = to_rgba(style.PREDICTION, 0.9)
    paint[(truth > 0) & (prediction > 0) & (truth != prediction)] = to_rgba(style.CYCLE[3], 0.9)
    axes.imshow(paint, origin="lower", extent=plane.extent, interpolation="nearest")


def _scale_bar(axes: Axes, box: tuple[float, ...], unit: str) -> None:
    width, height = box[1] - box[0], box[3] - box[2]
    length = round_length(width / 4)
    x, y = box[0] + 0.05 * width, box[2] + 0.06 * height
    axes.plot([x, x + length], [y, y], color=style.PAPER, linewidth=2.2, solid_capstyle="butt")
    text = f"{length:g} {units(unit) if length != 1 else unit}"
    axes.text(x, y + 0.02 * height, text, fontsize=style.SMALL, va="bottom", **_READABLE)


def round_length(length: float) -> float:
    """The largest of 1, 2, 5, 10, 20, 50, ... that is not longer than ``length``."""
    power = 10.0 ** np.floor(np.log10(max(length, 1e-9)))
    return float(max(step * power for step in (1, 2, 5) if step * power <= length * (1 + 1e-9)))


def _legend(figure: Figure, planes: list[Plane]) -> None:
    handles: list[Any] = [
        Line2D([], [], color=style.TRUTH, label="truth"),
        Line2D([], [], color=style.PREDICTION, linestyle=(0, (3.5, 1.6)), label="prediction"),
        Patch(color=style.TRUTH, label="missed"),
        Patch(color=style.PREDICTION, label="added"),
    ]
    if any(((p.truth > 0) & (p.prediction > 0) & (p.truth != p.prediction)).any() for p in planes):
        handles.append(Patch(color=style.CYCLE[3], label="another class"))
    if any(plane.unknown.any() for plane in planes):
        handles.append(Patch(color=style.MUTED, alpha=0.7, label="not known"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
