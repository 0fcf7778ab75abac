"""Class activation maps of a segmentation network: of each class on slices of the median case."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from engine.figures import style
from engine.figures.gradcam import heat_bar, overlay, stems
from engine.figures.network import NO_PROOF, TrainedNetwork
from engine.figures.slices import across, chosen, no_examples, of_role, outline, plane_name
from engine.readers.examples import Example
from engine.readers.run import Drawn, FigureError, Job, RunData


@dataclass(frozen=True)
class Crops:
    """The part of the median case that goes through the network once, around what is to be found."""

    image: np.ndarray  # float32 (C, *N): what the network sees, N being ``data.size``
    truth: np.ndarray  # uint8 (*N)
    prediction: np.ndarray  # uint8 (*N)
    shown: np.ndarray  # what is shown of the image: (*N), or (H, W, C) shades from 0 to 255


class Patch:
    """The median case and its network; read when first asked for."""

    def __init__(self, run: RunData, source: Path) -> None:
        self.run = run
        self.source = source

    @cached_property
    def example(self) -> Example:
        return self.run.example(self.source)

    @cached_property
    def network(self) -> TrainedNetwork:
        return TrainedNetwork(
            self.run, channels=int(self.example.arrays["image"].shape[0]), volumes=not self.run.pictures
        )

    @cached_property
    def crops(self) -> Crops:
        from engine.data.prepare import on_grid, prepare
        from engine.data.read import RawCase

        recipe, arrays = self.run.recipe, self.example.arrays
        if recipe is None:
            raise FigureError("the recipe of this run cannot be read: its network cannot be built")
        affine = arrays["affine"] if self.oriented else None
        spacing = tuple(float(step) for step in arrays["spacing"]) or None
        raw = RawCase(self.example.id, arrays["image"], arrays["truth"], affine, spacing)
        case = prepare(raw, recipe.data)
        nothing = np.zeros((1, *arrays["truth"].shape), np.float32)
        found = prepare(RawCase(self.example.id, nothing, arrays["prediction"], affine, spacing), recipe.data)
        truth, prediction = case.label_net, found.label_net
        if truth is None or prediction is None:
            raise FigureError(f"{self.source.name} has no masks")
        box = _around((truth > 0) | (prediction > 0), recipe.data.size)
        shown = np.moveaxis(on_grid(raw, recipe.data).image, 0, -1) if self.run.pictures else case.image[0]
        return Crops(case.image[(slice(None), *box)], truth[box], prediction[box], shown[box])

    @property
    def oriented(self) -> bool:
        return bool(self.example.arrays["affine"].shape == (4, 4))

    def explained(self, label: int) -> tuple[str, np.ndarray | None]:
        """Over what class ``label`` is explained, in words and as a mask (*N); None: over all of the crop."""
        voxels, name = "pixels" if self.run.pictures else "voxels", self.run.classes[label - 1]
        for how, labels in (("predicted as", self.crops.prediction), ("that are truly", self.crops.truth)):
            if (where := labels == label).any():
                return f"the {voxels} {how} {name}", where
        return f"all {voxels}, as none is {name}", None

    def heat(self, label: int) -> np.ndarray:
        """float32 (*N): the map of class ``label`` (counted from 1) over what `explained` gives.

        Its mean logit there is what is explained (Vinogradova et al., AAAI 2020: Seg-Grad-CAM).
        """
        _, where = self.explained(label)
        region = ... if where is None else where.nonzero()

        def mean_logit(output: Any) -> Any:
            channel = 0 if len(output) == 1 else label  # one sigmoid channel, or softmax with the background first
            return output[channel][region].mean()

        return np.asarray(self.network.maps(self.crops.image[None], [mean_logit])[0])


def plan(run: RunData) -> list[Job]:
    """A sheet for every foreground class."""
    heads = {head.role: head.path for head in chosen(run)}
    source = heads.get("median") or heads.get("best") or heads.get("worst")
    patch = Patch(run, source) if source else None
    return [
        Job(f"gradcam_{stem}", "gradcam", f"Class activation, {name}", partial(draw, run, patch, index))
        for index, (name, stem) in enumerate(zip(run.classes, stems(run.classes), strict=True))
    ]


def draw(run: RunData, patch: Patch | None, index: int, path: Path) -> Drawn:
    """Image with contours, map, and map over the image: three planes through the class, or the picture."""
    if patch is None:
        return no_examples(run, path)
    label = index + 1
    heat = patch.heat(label)
    figure = _sheet(patch, label, heat)
    style.save(figure, path, run.options.dpi, vector=False)
    name, case = run.classes[index], run.case_name(patch.example.id)
    text = (
        f"{of_role(run, patch.example)}, {case}: {patch.network.method_name} of class {name} at the last feature "
        f"layer, explained over {patch.explained(label)[0]}. Contours: truth (solid, blue) and prediction (dashed, "
        f"orange). {NO_PROOF}"
    )
    remarks = [patch.network.remark]
    if not (patch.crops.truth == label).any():
        remarks.append(f"{name} is not in {case}")
    return Drawn(text, "; ".join(remark for remark in remarks if remark))


def _around(found: np.ndarray, size: tuple[int, ...]) -> tuple[slice, ...]:
    """A box of ``size`` with the middle of ``found`` in its own middle, as far as the border allows."""
    box = []
    for axis, (side, wanted) in enumerate(zip(found.shape, size, strict=True)):
        hit = np.flatnonzero(found.any(axis=tuple(other for other in range(found.ndim) if other != axis)))
        middle = (int(hit[0]) + int(hit[-1]) + 1) // 2 if hit.size else side // 2
        start = min(max(0, middle - wanted // 2), max(0, side - wanted))
        box.append(slice(start, start + wanted))
    return tuple(box)


def _sheet(patch: Patch, label: int, heat: np.ndarray) -> Figure:
    rows = list(_rows(patch, label, heat))
    column = (style.WIDTH - 0.9) / 3
    ratios = [min(1.3, cut[1].shape[0] / cut[1].shape[1]) for _, cut in rows]
    figure = style.new_figure(style.WIDTH, column * sum(ratios) + 0.6)
    panels = figure.subplots(len(rows), 3, height_ratios=ratios, squeeze=False)
    for row, (name, (image, hot, truth, prediction)) in zip(panels, rows, strict=True):
        row[0].imshow(image, cmap="gray", origin="lower", vmin=0, vmax=1)
        row[1].imshow(hot, cmap=style.HEAT, origin="lower", vmin=0, vmax=1)
        row[2].imshow(overlay((255 * image).astype(np.uint8), np.clip(hot, 0, 1)), origin="lower")
        for axes in (row[0], row[2]):
            _contours(axes, truth, prediction)
        for axes in row:
            style.bare(axes)
        row[0].set_ylabel(name, fontsize=style.LABEL)
    for axes, title in zip(panels[0], ("Image", "Map", "Overlay"), strict=True):
        axes.set_title(title)
    heat_bar(figure, ax=panels, shrink=0.4, aspect=22, pad=0.01)
    return figure


def _rows(patch: Patch, label: int, heat: np.ndarray) -> Iterator[tuple[str, list[np.ndarray]]]:
    """For each plane its name, and image (from 0 to 1), map, truth and prediction of one class, rows upwards."""
    crops = patch.crops
    arrays = (crops.shown, heat, crops.truth == label, crops.prediction == label)
    if heat.ndim == 2:
        yield "", [np.clip(arrays[0] / 255, 0, 1)[::-1].squeeze(), *(array[::-1] for array in arrays[1:])]
        return
    low, high = np.percentile(crops.shown, [0.5, 99.5])
    for axis in (2, 1, 0):
        _, cut = across(arrays, arrays[2] | arrays[3], axis, oriented=patch.oriented)
        grey = np.clip((cut[0] - low) / (high - low or 1.0), 0, 1)
        yield plane_name(axis, oriented=patch.oriented), [grey, *cut[1:]]


def _contours(axes: Axes, truth: np.ndarray, prediction: np.ndarray) -> None:
    extent = (-0.5, truth.shape[1] - 0.5, -0.5, truth.shape[0] - 0.5)
    for mask, colour, dashes in ((truth, style.TRUTH, "-"), (prediction, style.PREDICTION, (0, (3.5, 1.6)))):
        if mask.any():
            outline(axes, mask, extent, colors=colour, linestyles=[dashes], linewidths=1.3)
    axes.set_xlim(*extent[:2])  # as the map beside it: a contour takes a pixel around
    axes.set_ylim(*extent[2:])
