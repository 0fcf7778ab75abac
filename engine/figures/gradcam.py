"""Class activation maps of a classifier: for every class images that it took rightly and wrongly."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from engine.data.prepare import IMAGENET_MEAN, IMAGENET_STD
from engine.figures import style
from engine.figures.network import NO_PROOF, TrainedNetwork
from engine.figures.slices import across
from engine.readers.examples import Example, example_files
from engine.readers.numbers import file_part
from engine.readers.run import Drawn, FigureError, Job, RunData

_MEAN, _STD = np.array(IMAGENET_MEAN), np.array(IMAGENET_STD)
_TEXT_ROW = 0.3  # inches above a row of images


def plan(run: RunData) -> list[Job]:
    """A sheet for every class."""
    network = TrainedNetwork(run, channels=run.data.channels or 3, volumes=not run.pictures)
    parts = stems(run.classes)
    return [
        Job(f"gradcam_{parts[index]}", "gradcam", f"{network.method_name}, {name}", partial(draw, run, network, index))
        for index, name in enumerate(run.classes)
    ]


def draw(run: RunData, network: TrainedNetwork, label: int, path: Path) -> Drawn:
    """Original, map and overlay of each example of the class; right ones on the left, wrong ones on the right."""
    name = run.classes[label]
    examples = [example for example in run.examples() if int(example.arrays.get("true", -1)) == label]
    if not examples:
        raise FigureError(_why_none(run, name))
    limit = 1 if network.slow else run.options.cam_examples
    right = [example for example in examples if example.role == "right"][:limit]
    wrong = [example for example in examples if example.role == "wrong"][:limit]
    maps = _maps(network, [*right, *wrong])
    panels = {example.id: _panel(run, example, maps[example.id]) for example in [*right, *wrong]}
    figure = _sheet(run, right, wrong, panels)
    style.save(figure, path, run.options.dpi, vector=False)
    slow = "Score-CAM is slow without a GPU: one right and one wrong example a class"
    return Drawn(_caption(run, network, name, len(right), len(wrong)), slow if network.slow else network.remark)


def stems(names: list[str]) -> list[str]:
    """A file name for every class; two that would be the same get their number."""
    parts = [file_part(name) for name in names]
    lower = [part.lower() for part in parts]
    return [part if lower.count(part.lower()) == 1 else f"{part}_{index}" for index, part in enumerate(parts)]


def _why_none(run: RunData, name: str) -> str:
    if not example_files(run.folder, run.split):
        return f"there are no examples of the {run.split} split yet"
    return f"{name} has no case in the {run.split} split: there is nothing to look at"


def _maps(network: TrainedNetwork, examples: list[Example]) -> dict[str, np.ndarray]:
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    inputs = np.stack([example.arrays["input"] for example in examples]).astype(np.float32)
    targets = [ClassifierOutputTarget(int(example.arrays["predicted"])) for example in examples]
    maps = network.maps(inputs, targets)
    return {example.id: values for example, values in zip(examples, maps, strict=True)}


@dataclass(frozen=True, slots=True)
class _Panel:
    """What is shown of an example: a picture, or a slice of a volume."""

    image: np.ndarray  # (H, W, 3) or (H, W)
    seen: np.ndarray  # the part of it that the network saw
    heat: np.ndarray  # (h, w), the map on that part
    tall: float  # height of it, in widths
    where: str  # which slice


def _panel(run: RunData, example: Example, heat: np.ndarray) -> _Panel:
    image = example.arrays["image"]
    if run.pictures:
        shown = _seen(run, example)
        return _Panel(image, shown, _resized(heat, shown.shape[:2]), image.shape[0] / image.shape[1], "")
    weights = heat.sum(axis=(0, 1)) + 1e-9  # its middle: maps are coarse, and highest in the outermost slices
    middle = np.zeros(image.shape, bool)
    middle[..., round(float(np.average(np.arange(len(weights)), weights=weights)))] = True
    place, (shown, hot) = across([image, heat], middle, 2, oriented=run.data.unit == "mm")
    step = example.arrays["spacing"]
    tall = shown.shape[0] * float(step[1]) / (shown.shape[1] * float(step[0]))
    shown, hot = shown[::-1], hot[::-1]  # rows run down, as in a picture
    return _Panel(shown, shown, np.clip(hot, 0, 1), tall, f", slice {place + 1} of {image.shape[2]}")


def _sheet(run: RunData, right: list[Example], wrong: list[Example], panels: dict[str, _Panel]) -> Figure:
    rows = max(len(right), len(wrong))
    tallest = max(panel.tall for panel in panels.values())
    side = (style.WIDTH - 0.7) / 6
    height = rows * (side * tallest + _TEXT_ROW) + 0.3
    figure = style.new_figure(style.WIDTH, max(height, 1.4), layout="none")
    bar = 0.955
    grid = figure.add_gridspec(
        rows, 7, left=0.0, right=bar - 0.015, top=1 - 0.42 / height, bottom=0.01, wspace=0.03,
        hspace=_TEXT_ROW / side / tallest, width_ratios=[1, 1, 1, 0.14, 1, 1, 1],
    )  # fmt: skip
    for offset, examples, heading in ((0, right, "predicted rightly"), (4, wrong, "predicted wrongly")):
        x = grid[0, offset].get_position(figure).x0
        figure.text(x, 1 - 0.02 / height, heading, fontsize=style.LABEL, fontweight="bold", va="top")
        if not examples:
            figure.text(x, 1 - 0.3 / height, "none", fontsize=style.LABEL, color=style.MUTED, va="top")
        for row, example in enumerate(examples):
            three = [figure.add_subplot(grid[row, offset + column]) for column in range(3)]
            _triple(three, run, example, panels[example.id])
    tall = min(height, 2.0) / height
    heat_bar(figure, cax=figure.add_axes((bar, 0.5 - tall / 4, 0.012, tall / 2)))
    return figure


def _triple(panels: list[Axes], run: RunData, example: Example, shown: _Panel) -> None:
    aspect = shown.tall * shown.image.shape[1] / shown.image.shape[0]
    panels[0].imshow(shown.image, cmap="gray", vmin=0, vmax=255, aspect=aspect)
    panels[1].imshow(shown.heat, cmap=style.HEAT, vmin=0, vmax=1, aspect=aspect)
    panels[2].imshow(overlay(shown.seen, shown.heat), aspect=aspect)
    if shown.heat.max() < 1e-6:
        panels[1].text(0.5, 0.5, "nothing positive", color=style.FAINT, fontsize=style.SMALL - 1, ha="center",
                       va="center", transform=panels[1].transAxes)  # fmt: skip
    frame = style.ACCENT if example.role == "right" else style.WARNING
    for panel in panels:
        panel.set_xticks([])
        panel.set_yticks([])
        panel.spines[:].set_visible(True)
        panel.spines[:].set_color(frame)
        panel.spines[:].set_linewidth(1.2)
    panels[0].text(
        0,
        1.04,
        _title(run, example, shown.where),
        transform=panels[0].transAxes,
        fontsize=style.SMALL,
        va="bottom",
        linespacing=1.1,
    )


def _title(run: RunData, example: Example, where: str) -> str:
    probabilities = np.asarray(example.arrays["probabilities"], dtype=float)
    true, predicted = int(example.arrays["true"]), int(example.arrays["predicted"])
    mark = "✓" if true == predicted else "✗"
    case = run.case_name(example.id)
    case = case if len(case) <= 26 else "…" + case[-25:]
    return (
        f"{mark} true {run.classes[true]} {probabilities[true]:.2f}, predicted {run.classes[predicted]} "
        f"{probabilities[predicted]:.2f}\n{case}{where}"
    )


def _seen(run: RunData, example: Example) -> np.ndarray:
    recipe = run.recipe
    if recipe is None or recipe.data.resize == "stretch":
        return np.asarray(example.arrays["image"])
    seen = example.arrays["input"].transpose(1, 2, 0).astype(float)
    if recipe.data.intensity == "imagenet":
        seen = seen * _STD + _MEAN
    else:
        low, high = seen.min(), seen.max()
        seen = (seen - low) / (high - low or 1.0)
    return np.asarray(np.clip(255 * seen, 0, 255).astype(np.uint8))


def _resized(heat: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    resized = Image.fromarray(heat.astype(np.float32)).resize((shape[1], shape[0]), Image.Resampling.BILINEAR)
    return np.asarray(np.clip(np.asarray(resized), 0, 1))


def overlay(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """``heat`` (H, W) laid over ``image`` uint8 (H, W, 3) or (H, W): the hotter, the less of the image is seen."""
    base = image.astype(float) / 255
    base = np.repeat(base[..., None], 3, axis=2) if base.ndim == 2 else base
    colours: Any = colormaps[style.HEAT](heat)[..., :3]
    share = (0.75 * heat**0.8)[..., None]
    return np.asarray(np.clip((1 - share) * base + share * colours, 0, 1))


def heat_bar(figure: Figure, **place: Any) -> None:
    """The colours of a map, from low to high; ``place`` as for `Figure.colorbar`."""
    bar = style.colour_bar(figure, style.HEAT, ticks=[0, 1], **place)
    bar.ax.set_yticklabels(["low", "high"])
    bar.ax.tick_params(length=0)


def _caption(run: RunData, network: TrainedNetwork, name: str, right: int, wrong: int) -> str:
    image = "Image" if run.pictures else "The axial slice in the middle of the map"
    return (
        f"Cases of class {name} in the {run.split} split: the {right} predicted rightly and the {wrong} predicted "
        f"wrongly of which the network was surest. {image}, {network.method_name} map of the predicted class at the "
        f"last feature layer, and map over image. Numbers: the network's probability. {NO_PROOF}"
    )
