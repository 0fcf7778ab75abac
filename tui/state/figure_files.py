"""The figures of a run: which there are, and their pixels. No Textual."""

import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from engine.readers.figure_index import FigureResult, drawn_files, read_index
from engine.runfolder import RunFolder, open_regular
from engine.runfolder.mirror import fetch

Pixels = NDArray[np.uint8]
MOST_PIXELS = 60_000_000  # a bigger picture is not opened: it would take the memory of the machine
KEPT_SIDE = 2400  # longest side of a picture as it is kept: more than any terminal shows at any zoom


def list_figures(folder: RunFolder) -> tuple[FigureResult, ...]:
    """All PNG files in ``figures/``, in the order of its index, then by name; then those that failed."""
    there = [f"figures/{path.name}" for path in drawn_files(folder)]
    indexed = read_index(folder)
    drawn = [entry for entry in indexed if entry.ok and entry.path in there]
    known = {entry.path for entry in drawn}
    failed = [entry for entry in indexed if not entry.ok]
    return (*drawn, *(FigureResult(path) for path in there if path not in known), *failed)


def load_figure(folder: RunFolder, figure: FigureResult) -> Pixels | str:
    """The picture (H, W, 3), made smaller where it is huge; or a short reason why it cannot be shown."""
    if not figure.ok:
        return figure.message or "it could not be drawn"
    path = folder.root / figure.path
    if not folder.holds(path):
        return "the figure lies outside of the run folder"
    fetch(folder, figure.path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with open_regular(path, links=False) as stream, Image.open(stream, formats=("PNG",)) as opened:
                if opened.width * opened.height > MOST_PIXELS:
                    return f"the figure is too big to show ({opened.width} x {opened.height})"
                opened.thumbnail((KEPT_SIDE, KEPT_SIDE), Image.Resampling.BOX, reducing_gap=2.0)
                return _on_white(opened)
    except FileNotFoundError:
        return "the figure is no longer there"
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError):
        return "the figure cannot be read"


def view_of(pixels: Pixels, width: int, rows: int, zoom: float, centre: tuple[float, float]) -> Pixels:
    """The part of a picture (H, W, 3) that ``width`` x ``rows`` cells of two pixels show; all of it at a zoom of 1.

    ``centre``: what is in the middle, as shares of the width and the height. Gives (2 * r, w, 3) with w <= width and
    r <= rows, in the proportions of what it shows.
    """
    high, wide = pixels.shape[:2]
    scale = min(width / wide, 2 * rows / high) * zoom
    part_wide, part_high = min(wide, width / scale), min(high, 2 * rows / scale)
    left = min(max(centre[0] * wide - part_wide / 2, 0), wide - part_wide)
    top = min(max(centre[1] * high - part_high / 2, 0), high - part_high)
    size = max(1, min(width, round(part_wide * scale))), max(2, min(2 * rows, round(part_high * scale)) // 2 * 2)
    box = (left, top, left + part_wide, top + part_high)
    filter_ = Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.NEAREST
    source, by = pixels, 1
    if scale < 0.34 and float(np.median(pixels[::8, ::8])) > 240:
        by = int(0.67 / scale)
        source = _thickened(pixels, by)
    inner = tuple(min(edge / by, source.shape[1 - at % 2]) for at, edge in enumerate(box))
    small = Image.fromarray(source).resize(size, filter_, box=inner)
    return np.asarray(small)


def _thickened(pixels: Pixels, by: int) -> Pixels:
    """A drawing on white, smaller by a whole factor, its darkest pixels kept: thin lines would fade away."""
    high, wide = (side // by * by for side in pixels.shape[:2])
    if high == 0 or wide == 0:
        return pixels
    darkest: Pixels = pixels[:high, :wide].reshape(high // by, by, wide // by, by, 3).min(axis=(1, 3))
    return darkest


def _on_white(image: Image.Image) -> Pixels:
    if image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info:
        layered = image.convert("RGBA")
        ground = Image.new("RGBA", layered.size, "white")
        return np.asarray(Image.alpha_composite(ground, layered).convert("RGB"))
    return np.asarray(image.convert("RGB"))
