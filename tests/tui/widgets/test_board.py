"""Where panes stand: they cover the board, none over another, at any size."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from textual.geometry import Region, Size

from tui.widgets.board import PANES, arrange
from tui.widgets.tiles import LEAST, moved


@given(st.integers(1, 320), st.integers(1, 120), st.sampled_from([pane.ID for pane in PANES]))
def test_panes_cover_the_board_and_do_not_overlap(width: int, height: int, chosen: str) -> None:
    covers(arrange(width, height, chosen), width, height, chosen)


BORDERS = st.dictionaries(
    st.sampled_from([f"{axis} {pane.ID}" for axis in "xyz" for pane in PANES]), st.floats(-1, 1), max_size=8
)


@given(st.integers(60, 320), st.integers(24, 120), st.sampled_from([pane.ID for pane in PANES]), BORDERS)
def test_moved_borders_tear_nothing(width: int, height: int, chosen: str, borders: dict[str, float]) -> None:
    before = arrange(width, height, chosen)
    regions = moved(before, borders, Size(width, height))
    covers(regions, width, height, chosen)
    for name, region in regions.items():
        assert region.width >= min(LEAST["x"], before[name].width)
        assert region.height >= min(LEAST["y"], before[name].height)


def covers(regions: dict[str, Region], width: int, height: int, chosen: str) -> None:
    assert chosen in regions
    cells = np.zeros((height, width), int)
    for region in regions.values():
        assert region.width > 0
        assert region.height > 0
        cells[region.y : region.bottom, region.x : region.right] += 1
        assert region.right <= width
        assert region.bottom <= height
    assert (cells == 1).all()


def test_small_terminals_have_one_pane_and_big_ones_log_and_recipe_too() -> None:
    assert list(arrange(80, 20, "log")) == ["log"]
    assert {"curves", "classes", "slice", "cases", "resources"} == set(arrange(120, 36, "curves"))
    assert {"log", "journal", "recipe"} <= set(arrange(200, 56, "curves"))
    assert list(arrange(120, 36, "recipe")) == ["recipe"]
