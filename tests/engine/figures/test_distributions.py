"""Nothing that is drawn lies outside of the axis, and names keep the ends in which they differ."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from matplotlib.text import Text

from engine.figures import style
from engine.figures.distributions import _heads, _in_22, _limits
from engine.measures import in_tables, title

NONE = np.zeros(3, dtype=bool)
MEAN = np.array([0.80, 0.82, 0.84])


@pytest.mark.parametrize("name", ["dice", "hd95", "volume_error"])
def test_classes_outside_the_range_of_the_means_are_on_the_axis(name):
    classes = [np.array([0.99, 0.2, np.nan]), np.array([np.nan, 0.95, 0.1])]
    low, high = _limits([MEAN, *classes], NONE, name)
    assert low < 0.1
    assert high > 0.99


def test_a_share_ends_at_1_and_a_volume_error_does_not():
    assert _limits([np.array([0.5, 1.0, 0.7])], NONE, "dice")[1] < 1.1
    assert _limits([np.array([-0.5, 3.0, 0.7])], NONE, "volume_error") == pytest.approx((-0.71, 3.21))


def test_a_missed_case_does_not_squeeze_the_distances_of_the_others():
    values, missed = np.array([1.0, 2.0, 300.0]), np.array([False, False, True])
    assert _limits([values], missed, "hd95")[1] == pytest.approx(101 + 0.06 * 100)  # the mean is drawn too
    assert _limits([values], ~NONE, "hd95")[1] > 300
    assert _limits([np.array([np.nan, np.nan, 5.0])], missed, "hd95")[1] > 5


def test_long_names_lose_their_middle():
    names = [_in_22(f"hospital-of-somewhere-study-{number:03d}_left") for number in (1, 2)]
    assert names == ["hospital-…udy-001_left", "hospital-…udy-002_left"]
    assert all(len(name) == 22 for name in names)
    assert _in_22("case 07") == "case 07"


def test_heads_of_many_metrics_stand_beside_each_other_and_not_over() -> None:
    names = in_tables("segmentation", per_class=True)
    with style.styled():
        figure = style.new_figure(style.WIDTH, 2.0)
        panels = figure.subplots(1, len(names))
        for axes, name in zip(panels, names, strict=True):
            _heads(axes, title(name, "voxel"), np.array([0.1234]), len(names))
        figure.draw_without_rendering()
        ends = []
        for axes in panels:
            wanted = {axes.get_title(loc="left"), axes.texts[0].get_text()}
            boxes = [text.get_window_extent() for text in axes.findobj(Text) if text.get_text() in wanted]
            ends.append((min(box.x0 for box in boxes), max(box.x1 for box in boxes)))
    assert len(boxes) == 2
    assert len(names) == 8
    assert all(before[1] < after[0] for before, after in pairwise(ends))
