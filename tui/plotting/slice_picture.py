"""A slice as lines of cells: its image, and where truth and prediction agree on it. Pure.

Three looks: *agreed* is tinted, *missed* is filled, *added* is hatched, each in the colour of its class. Where a
terminal has too few colours for that, letters say it: ``a`` agreed, ``A`` missed, ``+a`` added, for a class A.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tui.plotting.agreement import ADDED, AGREED, MISSED, NOTHING, SWAPPED, Codes, codes_of, edges, fitted, kind_of
from tui.plotting.cells import Line
from tui.plotting.half_blocks import Marks, half_blocks, letters, rgb
from tui.state.images import Bytes, PreviewImages

_HEAT = np.array([[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]], float)
"""Five colours of matplotlib's inferno, which the figures use for activation maps."""
_TINT = 0.45
HATCH = "▒"

Overlay = Literal["areas", "contours", "off"]
OVERLAYS: tuple[Overlay, ...] = ("areas", "contours", "off")


@dataclass(frozen=True, slots=True)
class SliceLook:
    """How a slice is drawn."""

    series: Sequence[str]  # colours of the classes, in turn, as #rrggbb
    names: Sequence[str] = ()  # a capital for each class
    marks: bool = False  # letters say what is agreed, missed and added: the colours do not suffice
    ascii_only: bool = False  # the image is letters too
    overlay: Overlay = "areas"  # what of truth and prediction is drawn
    only: int | None = None  # the one label that is drawn; None for all
    window: float = 1.0  # share of the grey values between black and white
    level: float = 0.5  # the grey value in the middle, 0 to 1


def slice_lines(images: PreviewImages, at: int, cells: tuple[int, int], look: SliceLook) -> list[Line]:
    """Slice ``at`` on ``cells`` (width, rows), as lines."""
    picture = paint(images, at, cells, look)
    codes = codes_on(images, at, (picture.shape[0], picture.shape[1]), look)
    if look.marks or look.ascii_only:
        marks, fronts = _letter_marks(codes, look)
    else:
        picture = _tinted(picture, codes, look)
        marks, fronts = _hatches(codes, look)
        _name_classes(codes, marks, fronts, look)
    if look.ascii_only:
        return letters(picture, marks=marks, fronts=fronts)
    return half_blocks(picture, levels=255, marks=marks, fronts=fronts, ground=look.marks)


def slice_pixels(
    images: PreviewImages, at: int, cells: tuple[int, int], cell: tuple[int, int], look: SliceLook
) -> Bytes:
    """Slice ``at`` in the terminal's own pixels (H, W, 3), filled up to whole cells; stripes in place of the hatch.

    ``cells``: (width, rows) that it may take; ``cell``: (width, height) of one in pixels.
    """
    picture = paint(images, at, (cells[0] * cell[0], cells[1] * cell[1] // 2), look)
    codes = codes_on(images, at, (picture.shape[0], picture.shape[1]), look)
    picture = _tinted(picture, codes, look)
    added = np.isin(kind_of(codes), (ADDED, SWAPPED))
    down, across = np.nonzero(added)
    stripe = ((down + across) // max(2, cell[1] // 5) % 2 == 0)[:, None]
    colors = np.array([rgb(color) for color in look.series], np.uint8)
    between = np.where((kind_of(codes) == ADDED)[added, None], picture[added] // 3, picture[added])
    picture[added] = np.where(stripe, colors[((codes[added] & 255) - 1) % len(colors)], between)
    rest = [-size % whole for size, whole in zip(picture.shape, (cell[1], cell[0]), strict=False)]
    return np.pad(picture, ((0, rest[0]), (0, rest[1]), (0, 0)))


def paint(images: PreviewImages, at: int, cells: tuple[int, int], look: SliceLook) -> Bytes:
    """The image of slice ``at`` on ``cells`` (width, rows): pixels (2 * rows, width, 3) at most.

    An image with an activation map stands beside itself under the map.
    """
    width, rows = cells
    image = images.image[at]
    across = width if images.heat is None else max(1, (width - 1) // 2)
    picked = _picked(image.shape[:2], across, rows)
    pixels = image[picked]
    if look.window < 1 or look.level != 0.5:
        shade = (pixels / 255.0 - look.level) / look.window + 0.5
        pixels = np.asarray(np.rint(np.clip(shade, 0, 1) * 255), np.uint8)
    picture = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)
    if images.heat is None:
        return picture
    gap = np.zeros((len(picture), 1, 3), np.uint8)
    return np.concatenate([picture, gap, _under(picture, images.heat[at][picked])], axis=1)


def codes_on(images: PreviewImages, at: int, size: tuple[int, int], look: SliceLook) -> Codes:
    """What each pixel of a picture of ``size`` is; nothing where the preview has no masks."""
    if images.truth is None or look.overlay == "off":
        return np.zeros(size, np.int32)
    prediction = images.truth if images.prediction is None else images.prediction  # of a training crop: its truth
    codes = fitted(codes_of(images.truth[at], prediction[at], look.only), size)
    return edges(codes) if look.overlay == "contours" else codes


def _picked(shape: tuple[int, ...], width: int, rows: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows and columns of an image that are seen on so many cells of two pixels."""
    high, wide = shape
    scale = min(width / wide, 2 * rows / high)
    size = max(2, int(high * scale) // 2 * 2), max(1, int(wide * scale))
    down = np.minimum((np.arange(size[0]) + 0.5) * high / size[0], high - 1).astype(int)
    across = np.minimum((np.arange(size[1]) + 0.5) * wide / size[1], wide - 1).astype(int)
    return np.ix_(down, across)  # type: ignore[return-value]


def _under(picture: Bytes, heat: Bytes) -> Bytes:
    """``picture`` under its map, as the figures lay it: the hotter, the less of the image is seen."""
    warm = heat / 255.0
    place = warm * (len(_HEAT) - 1)
    low = np.minimum(place.astype(int), len(_HEAT) - 2)
    part = (place - low)[..., None]
    colors = (1 - part) * _HEAT[low] + part * _HEAT[low + 1]
    share = (0.75 * warm**0.8)[..., None]
    return np.asarray(np.rint((1 - share) * picture + share * colors), np.uint8)


def _tinted(picture: Bytes, codes: Codes, look: SliceLook) -> Bytes:
    """What is agreed in a thin colour, what is missed (or taken for another class) in a full one."""
    series = np.array([rgb(color) for color in look.series], float)
    shares = np.array([0, _TINT, 0, 1, 1])[kind_of(codes)]
    seen = shares > 0
    share, colors = shares[seen][:, None], series[((codes[seen] >> 8 & 255) - 1) % len(series)]
    tinted = picture.copy()
    tinted[seen] = np.rint((1 - share) * picture[seen] + share * colors)
    return tinted


def _colors(look: SliceLook) -> NDArray[np.int64]:
    return np.array([int(color[1:], 16) for color in look.series])


def _cells(codes: Codes) -> Codes:
    return np.asarray(codes.reshape(-1, 2, codes.shape[1]).max(axis=1), np.int32)


def _hatches(codes: Codes, look: SliceLook) -> tuple[Marks, NDArray[np.int64]]:
    """A hatch in each cell with something added, also beside something missed, and its colour."""
    pairs = codes.reshape(-1, 2, codes.shape[1])
    kinds = kind_of(pairs)
    said = np.where((kinds == ADDED) | (kinds == SWAPPED), pairs & 255, 0).max(axis=1)
    return np.where(said > 0, HATCH, ""), _colors(look)[(said - 1) % len(look.series)]


def _name_classes(codes: Codes, marks: Marks, fronts: NDArray[np.int64], look: SliceLook) -> None:
    """The letter of each class in the middle of what is there of it, where there is room for one."""
    cells = _cells(codes)
    labels = np.where(kind_of(cells) == ADDED, cells & 255, cells >> 8 & 255)
    for label in np.unique(labels[labels > 0]):
        places = np.argwhere(labels == label)
        if len(places) >= 9 and label <= len(look.names):
            row, column = places[np.abs(places - places.mean(axis=0)).sum(axis=1).argmin()]
            marks[row, column], fronts[row, column] = look.names[label - 1], -1


def _letter_marks(codes: Codes, look: SliceLook) -> tuple[Marks, NDArray[np.int64]]:
    """``a`` agreed, ``A`` missed, ``+a`` added, ``A+b`` one taken for the other: what stands in each cell."""
    cells = _cells(codes)
    marks = np.full(cells.shape, "", "<U1")
    fronts, colors = np.zeros(cells.shape, np.int64), _colors(look)
    turn = 0
    for row, column in np.argwhere(cells):
        code = int(cells[row, column])
        again = column > 0 and code == cells[row, column - 1]
        turn = (turn + 1) if again else 0
        text = _written(code, look.names)
        label = code & 255 if text[turn % len(text)] == "+" or code >> 16 == ADDED else code >> 8 & 255
        marks[row, column] = text[turn % len(text)]
        fronts[row, column] = colors[(label - 1) % len(colors)]
    return marks, fronts


def _written(code: int, names: Sequence[str]) -> str:
    kind, true, said = code >> 16, code >> 8 & 255, code & 255
    upper, lower = (names[label - 1] if 0 < label <= len(names) else "?" for label in (true, said))
    return {NOTHING: " ", AGREED: upper.lower(), MISSED: upper, ADDED: f"+{lower.lower()}"}.get(
        kind, f"{upper}+{lower.lower()}"
    )
