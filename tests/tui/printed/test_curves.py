"""Curves as text: what is drawn, and values that plotext would not take."""

from __future__ import annotations

import numpy as np
import pytest

from engine.readers.fold import read_view
from engine.readers.run_view import EMPTY
from engine.runfolder import RunFolder
from tests.tui import recorded
from tui.cli import main
from tui.printed.curves import ROWS, curve_lines


@pytest.mark.parametrize("kind", recorded.KINDS)
@pytest.mark.parametrize("width", [39, 40, 80, 200])
def test_every_kind_of_run_has_curves_that_fit_or_none(kind, width, tmp_path):
    lines = curve_lines(read_view(recorded.KINDS[kind](tmp_path).events), width, ascii_only=False)
    assert all(len(line) <= width for line in lines)
    assert width >= 40 or not lines


def test_the_loss_falls_from_left_to_right(tmp_path):
    lines = curve_lines(read_view(recorded.finished(tmp_path).events), 80, ascii_only=False)
    assert lines[0].strip() == "loss"
    plot = [line.partition("┤")[2] or line.partition("│")[2] for line in lines[2 : ROWS - 3]]
    drawn = np.array([[char not in " │" for char in row.ljust(80)[:70]] for row in plot])
    rows = np.arange(len(plot))[:, None]
    left, right = drawn[:, 2:8] * rows, drawn[:, 60:68] * rows
    assert left.sum() / drawn[:, 2:8].sum() < right.sum() / drawn[:, 60:68].sum()  # rows count downwards


def test_nothing_is_drawn_of_nothing():
    assert curve_lines(EMPTY, 80, ascii_only=False) == []


def test_printed_views_have_curves_and_plain_letters(tmp_path, capsys, monkeypatch):
    folder: RunFolder = recorded.finished(tmp_path)
    monkeypatch.setenv("MEDTUI_ASCII", "1")
    assert main(["attach", "--once", str(folder.root)]) == 0
    once = capsys.readouterr().out
    assert once.isascii()
    assert "oo val" in once
    assert main(["attach", "--plain", str(folder.root)]) == 0
    assert "oo val" in capsys.readouterr().out
