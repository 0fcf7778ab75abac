"""The panes of a run and where they stand: one at a time on a small terminal, all together on a big one."""

from itertools import pairwise

from textual.geometry import Region

from tui.widgets.cases import Cases
from tui.widgets.classes import Classes
from tui.widgets.curves import RunCurves
from tui.widgets.lines import Journal, LogPane
from tui.widgets.pane import Pane
from tui.widgets.recipe import RecipePane
from tui.widgets.resources import Resources
from tui.widgets.slice_view import SliceView

PANES: tuple[type[Pane], ...] = (RunCurves, Classes, SliceView, Cases, Resources, LogPane, Journal, RecipePane)
"""The panes of a run in the order of Tab and of the number keys; what each has for keys it says itself."""


def arrange(width: int, height: int, chosen: str) -> dict[str, Region]:
    """The panes on a board of ``width`` x ``height`` cells, and where; ``chosen`` where there is room for one."""
    if width < 60 or height < 24 or (width < 110 and height < 40):
        return {chosen: Region(0, 0, width, height)}
    regions = _big(width, height)
    return regions if chosen in regions else {chosen: Region(0, 0, width, height)}


def _big(width: int, height: int) -> dict[str, Region]:
    if width < 110:
        return _tall(width, height)
    if width < 170 or height < 30:
        return _middle(width, height)
    left = min(width - 50, round(width * 0.69))
    side = width - left
    rows = _parts(height, (3, 2, 4))
    regions = _middle(left, height)
    for name, (top, tall) in zip(("log", "journal", "recipe"), rows, strict=True):
        regions[name] = Region(left, top, side, tall)
    return regions


def _middle(width: int, height: int) -> dict[str, Region]:
    """Curves above; below them classes, the slice, and worst cases over resources."""
    below = max(13, min(22, round(height * 0.38)))
    top = height - below
    classes, cases = round(width * 0.38), round(width * 0.3)
    resources = 7
    return {
        "curves": Region(0, 0, width, top),
        "classes": Region(0, top, classes, below),
        "slice": Region(classes, top, width - classes - cases, below),
        "cases": Region(width - cases, top, cases, below - resources),
        "resources": Region(width - cases, height - resources, cases, resources),
    }


def _tall(width: int, height: int) -> dict[str, Region]:
    top, middle, bottom = _parts(height, (5, 3, 3))
    half = width // 2
    return {
        "curves": Region(0, 0, width, top[1]),
        "classes": Region(0, middle[0], half, middle[1]),
        "slice": Region(half, middle[0], width - half, middle[1]),
        "log": Region(0, bottom[0], half, bottom[1]),
        "resources": Region(half, bottom[0], width - half, bottom[1]),
    }


def _parts(height: int, weights: tuple[int, ...]) -> list[tuple[int, int]]:
    """(first row, rows) of parts of ``height``."""
    edges = [height * sum(weights[:i]) // sum(weights) for i in range(len(weights) + 1)]
    return [(first, second - first) for first, second in pairwise(edges)]
