"""Surfaces of the best, the median and the worst case: truth, prediction, and their distance in colour."""

from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from engine.figures import style
from engine.figures.render import Renderer, Rendering
from engine.figures.slices import chosen, no_examples, of_role, round_length
from engine.figures.turntable import write_gif, write_mp4
from engine.figures.volume import Volume, read_volume
from engine.readers.examples import Example
from engine.readers.numbers import digits, file_part, short, units
from engine.readers.run import Drawn, Job, RunData

FRAMES = 40
_TITLES = ("Truth", "Prediction", "Distance to truth", "Distance to prediction")


def plan(run: RunData) -> list[Job]:
    """A sheet, and a turntable where the recipe asks for one, for each of the best, median and worst case.

    Nothing for pictures: `slices` shows their contours.
    """
    if run.pictures:
        return []
    jobs: list[Job] = []
    turntable = run.options.turntable
    renderer = Renderer()
    for head in chosen(run):
        name = run.case_name(head.id)
        scene = cache(partial(_rendered, run, renderer, head.path, FRAMES if turntable != "none" else 0))
        stem = f"surface_{file_part(name)}"
        jobs.append(Job(stem, "surface", f"Surfaces, {head.role} case {name}", partial(_draw, run, head.path, scene)))
        if turntable != "none":
            title = f"Turntable, {head.role} case {name}"
            jobs.append(Job(f"{stem}_turn", "surface", title, partial(_turn, scene, turntable)))
    return jobs or [Job("surface", "surface", "Surfaces", partial(no_examples, run))]


def _rendered(run: RunData, renderer: Renderer, source: Path, frames: int) -> tuple[Volume, Rendering, str]:
    example = run.example(source)
    volume = read_volume(example)
    size = int(np.clip(2 * run.options.dpi * style.WIDTH / 4, 240, 1200))
    return volume, renderer.render(volume, size=size if not frames else min(size, 480), frames=frames), example.role


def _draw(run: RunData, source: Path, scene: Any, path: Path) -> Drawn:
    volume, rendering, _ = scene()
    figure = _sheet(volume, rendering)
    style.save(figure, path, run.options.dpi, vector=False)
    example = run.example(source)
    case = run.case_name(example.id)
    remarks = [f"{case}: {volume.empty}" if volume.empty else "", rendering.message]
    return Drawn(_caption(run, volume, rendering, example), "; ".join(text for text in remarks if text))


def _turn(scene: Any, form: str, path: Path) -> Drawn:
    _, rendering, role = scene()
    if form == "mp4":
        write_mp4(rendering.turn, path.with_suffix(".mp4"))
    else:
        write_gif(rendering.turn, path.with_suffix(".gif"))
    return Drawn(f"{role.capitalize()} case: truth (blue), prediction (orange), and the prediction by its distance.")


def _sheet(volume: Volume, rendering: Rendering) -> Figure:
    parts = [_trimmed(row) for row in rendering.images]
    pixels = rendering.images.shape[-2]
    wide = _columns(rendering.images)
    side = (style.WIDTH - 0.95) / 4
    heights = [part.shape[1] / (wide.stop - wide.start) for part in parts]
    figure = style.new_figure(style.WIDTH, max(1.6, sum(heights) * side + 0.5))
    panels = figure.subplots(len(parts), 4, squeeze=False, height_ratios=heights)
    pixel = 2 * rendering.half / pixels
    for row, part in enumerate(parts):
        for column, axes in enumerate(panels[row]):
            image = part[column][:, wide]
            axes.imshow(image, interpolation="antialiased")
            style.bare(axes)
            if row == 0:
                axes.set_title(_TITLES[column], fontsize=style.LABEL)
            if (image == 255).all():
                axes.text(0.5, 0.5, "empty", ha="center", va="center", color=style.MUTED, transform=axes.transAxes)
        panels[row][0].set_ylabel(rendering.views[row], fontsize=style.LABEL)
    _scale_bar(panels[-1][0], (wide.stop - wide.start) * pixel, volume.unit)
    if np.isfinite(rendering.maximum):
        _colour_bar(figure, panels, rendering, volume.unit)
    return figure


def _trimmed(images: np.ndarray) -> np.ndarray:
    """Pictures (4, H, W, 3) of one view without the empty rows above and below all of them."""
    rows = np.flatnonzero((images != 255).any(axis=(0, 2, 3)))
    margin = max(4, images.shape[1] // 40)
    if not rows.size:
        return images
    return images[:, max(0, rows[0] - margin) : rows[-1] + 1 + 2 * margin]


def _columns(images: np.ndarray) -> slice:
    """The columns that hold something in any picture (V, 4, H, W, 3): one scale for all."""
    columns = np.flatnonzero((images != 255).any(axis=(0, 1, 2, 4)))
    if not columns.size:
        return slice(0, images.shape[-2])
    margin = max(4, images.shape[-2] // 40)
    return slice(max(0, int(columns[0]) - margin), min(images.shape[-2], int(columns[-1]) + margin + 1))


def _scale_bar(axes: Axes, width: float, unit: str) -> None:
    """A bar of a round length below the picture; ``width`` of the picture in ``unit``."""
    length = round_length(width * 0.4)
    share = length / width
    axes.plot([0, share], [-0.06, -0.06], color=style.INK, linewidth=1.8, transform=axes.transAxes, clip_on=False)
    text = f"{length:g} {units(unit) if length != 1 else unit}"
    axes.text(share + 0.03, -0.06, text, fontsize=style.SMALL, va="center", transform=axes.transAxes)


def _colour_bar(figure: Figure, panels: np.ndarray, rendering: Rendering, unit: str) -> None:
    place = {"ax": panels, "location": "right", "shrink": 0.8, "aspect": 24, "pad": 0.01}
    extend = "max" if rendering.maximum > rendering.highest * 1.001 else "neither"
    bar = style.colour_bar(figure, style.SEQUENTIAL, max(rendering.highest, 1e-6), extend=extend, **place)
    bar.set_label(f"surface distance [{unit}]", fontsize=style.LABEL)


def _caption(run: RunData, volume: Volume, rendering: Rendering, example: Example) -> str:
    tones = f", of the classes from dark to light: {', '.join(run.classes)}" if len(run.classes) > 1 else ""
    text = (
        f"{of_role(run, example)}: surfaces of truth (blue) and prediction (orange){tones}; and each surface "
        "coloured by its distance to the other."
    )
    if np.isfinite(rendering.maximum):
        mean, most = digits(rendering.mean), short(rendering.maximum)
        text += f" Over both surfaces the mean distance is {mean}, the largest {most} {units(volume.unit)}; "
        text += "the scale ends at the 99th percentile."
    if run.recipe and getattr(run.recipe.evaluate, "mode", "") == "center_crop":
        text += " Only the centre crop was predicted and measured; the truth outside of it is shown, and counts here."
    return text
