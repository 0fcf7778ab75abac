"""The card of a run that is over: what it says in how many lines."""

from __future__ import annotations

import pytest

from tui.widgets.end_card import flowed_with


@pytest.mark.parametrize(("width", "lines"), [(30, ["R resume   e report   6 log"]), (26, ["R resume   e report"])])
def test_what_costs_a_line_gives_way(width: int, lines: list[str]) -> None:
    found = flowed_with([[("R resume", "ink")], [("e report", "ink")]], [[("6 log", "ink")]], width)
    assert ["".join(text for text, _ in line).rstrip() for line in found] == lines
