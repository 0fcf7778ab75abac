"""Tables of ``medtui runs`` and ``cases`` on a narrow terminal."""

from __future__ import annotations

import pytest

from tui.commands.runs import fitting

ROWS = [("id", "dice", "area error"), ("a_long_name", "0.9", "0.1")]


@pytest.mark.parametrize(("width", "left"), [(80, 3), (29, 3), (28, 2), (10, 1)])
def test_columns_that_have_no_room_are_left_out(width, left):
    rows = fitting(ROWS, ["area error", "dice"], ["dice", "area error"], width)
    assert rows == [row[:left] for row in ROWS]


def test_a_pipe_has_room_for_all():
    assert fitting(ROWS, ["dice"]) == ROWS
