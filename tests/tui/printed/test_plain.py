"""Runs as text: plain lines, one view, tables and numbers."""

from __future__ import annotations

import doctest
import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

import engine.errors
import tui.text
from engine import events as ev
from engine.errors import printable
from engine.events import Control, EpochDone, Iteration, Log, Phase, Result, RunStarted, Validation
from engine.readers import run_view
from engine.readers.fold import fold
from engine.runfolder import EventReader, read_status
from tests.tui import recorded
from tui.cli import main
from tui.printed import once
from tui.printed.plain import outcome, watch
from tui.printed.plain_lines import PlainLines
from tui.printed.result_table import metric_table
from tui.text import figure, shorten, sparkline


@pytest.mark.parametrize("module", [tui.text, engine.errors])
def test_the_examples_in_the_docstrings_hold(module):
    assert doctest.testmod(module).failed == 0


def said(*events: ev.Event) -> list[str]:
    lines = PlainLines()
    return [line for event in events for line in lines.take(event)] + lines.rest()


START = RunStarted(name="seg", task="segmentation", epochs=10, iterations_per_epoch=2, monitor="dice", time_s=1.0)


def epoch(n: int, loss: float = 0.5) -> list[ev.Event]:
    steps = [
        Iteration(iteration=2 * n - 1 + k, epoch=n, loss=loss, lr=1e-3, time_s=10.0 * n + k, cases_per_s=3.0)
        for k in (0, 1)
    ]
    return [*steps, EpochDone(epoch=n, iteration=2 * n, metrics={"loss": loss}, time_s=10.0 * n + 2)]


def validation(n: int, dice: float | str | None) -> list[ev.Event]:
    measured = Validation(epoch=n, iteration=2 * n, metrics={"dice": dice}, time_s=10.0 * n + 4)
    return [Phase(phase="validation", total=4, time_s=10.0 * n + 3), measured]


def test_an_epoch_and_its_validation_are_one_line():
    lines = said(START, *epoch(1), *validation(1, 0.6), *epoch(2), *epoch(3), *validation(3, 0.5))
    assert len(lines) == 4
    assert lines[1] == "epoch  1/10  loss 0.500  val dice 0.600 (best 0.600 @  1)  lr 1e-3     3.00 cases/s"
    assert lines[2].startswith("epoch  2/10  loss 0.500  lr")
    assert "val dice 0.500 (best 0.600 @  1)" in lines[3]
    assert "left 00:01:" in lines[3]  # seven epochs of ten seconds


def test_an_epoch_that_no_event_follows_is_told_at_the_end():
    assert said(START, *epoch(1))[-1].startswith("epoch  1/10")


def test_numbers_that_are_none_are_shown_as_such():
    lines = said(START, *epoch(1, math.nan), *validation(1, "nan"), *epoch(2, math.inf), *validation(2, None))
    first, second = (line for line in lines if line.startswith("epoch"))
    assert "loss – " in first
    assert "val dice – " in first
    assert "loss inf" in second
    assert "error: diverging since epoch 1: the training loss is nan: nothing is learned" in lines


def test_what_matters_beside_epochs_is_told_and_the_rest_is_not():
    lines = said(
        Log(message="cached", level="info"),
        Log(message="prediction empty", level="warning"),
        Phase(phase="test", total=20, detail="whole volume"),
        Phase(phase="training"),
        Control(request="1", command="pause", state="done", message="paused after iteration 3"),
        ev.Note(text="a thought"),
        ev.Figure(path="figures/a.png"),
        ev.Figure(path="figures/b.png", ok=False, message="no libEGL"),
        ev.CheckpointSaved(path="checkpoints/last.pt", epoch=1, iteration=2),
    )
    assert lines == [
        "warning: prediction empty",
        "test: 20  whole volume",
        "pause: paused after iteration 3",
        "note: a thought",
        "warning: figures/b.png: no libEGL",
    ]


def test_results_are_a_table_with_units_and_counts():
    per_class = {"left": {"dice": 0.5, "hd95": "inf", "support": 4}, "right\x1b": {"dice": None}}
    lines = said(START, Result(split="test", metrics={"dice": 0.75, "missed": 2}, per_class=per_class))
    assert [line.split() for line in lines[2:6]] == [
        ["dice", "hd95", "voxel", "missed", "support"],
        ["test", "0.750", "2"],
        ["left", "0.500", "inf", "4"],
        ["right\\x1b", "–"],
    ]


def test_a_table_too_wide_is_broken_into_blocks():
    metrics = {f"metric_{n}": 0.5 for n in range(10)}
    lines = metric_table("test", metrics, {"a": {"metric_1": 0.25}}, "mm", 60)
    assert max(len(line) for line in lines) <= 60
    assert sum(line.count("0.500") for line in lines) == 10
    assert metric_table("test", {}, {}, "mm", 60) == ["test: nothing was measured"]


def test_progress_is_for_the_moment():
    lines = PlainLines()
    assert lines.progress() == ""
    for event in [START, *epoch(1), *epoch(2)]:
        lines.take(event)
    assert lines.progress(22.0).startswith("epoch 2/10  iteration 2/2  loss 0.500  3.00 cases/s")
    lines.take(Phase(phase="test", total=20, time_s=30.0))
    lines.take(ev.Progress(phase="test", done=5, total=20, time_s=35.0))
    assert lines.progress(35.0) == "test  5/20  left 00:00:15"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """One recorded run of every kind, by its kind."""
    folder = tmp_path_factory.mktemp("recorded")
    return {kind: build(folder) for kind, build in recorded.KINDS.items() if kind not in {"huge", "million"}}


def test_every_recorded_run_can_be_told_in_lines(runs, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    for kind, folder in runs.items():
        code = outcome(folder) if read_status(folder).state in {"finished", "failed", "lost", "stopped"} else None
        if code is None:
            continue
        assert watch(folder) == code, kind
        told = capsys.readouterr()
        for text in (told.out, told.err):
            assert printable(text) == text, kind
    assert watch(runs["finished"]) == 0
    told = capsys.readouterr().out
    assert told.count("\nepoch ") == 75
    assert "report" in told or "figures" in told
    assert watch(runs["failed"]) == 1
    assert "not a number at iteration 24" in capsys.readouterr().err


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_one_view_of_every_recorded_run_fits_and_says_its_state(runs, width):
    for kind, folder in runs.items():
        view = fold(run_view.EMPTY, EventReader(folder.events).read())
        status = read_status(folder)
        lines = once.lines(folder, status, view, width, time.time())
        assert max(len(line) for line in lines) <= width, kind
        assert status.state in "\n".join(lines)[:200], kind
        assert all(printable(line, keep="") == line for line in lines), kind


def test_attach_once_prints_the_view(runs, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    folder = runs["finished"]
    assert main(["attach", folder.id, "--once", "--runs", str(folder.root.parent)]) == 0
    told = capsys.readouterr().out
    for word in ("finished", "epoch 75/75", "loss", "val dice", "best", "left atrium", "▁"):
        assert word in told
    assert main(["attach", str(folder.root)]) == 0  # no terminal here: the same view
    assert "epoch 75/75" in capsys.readouterr().out


@given(st.floats(-1e300, 1e300) | st.sampled_from([math.nan, math.inf, -math.inf]))
def test_a_figure_is_short_and_near(value):
    text = figure(value)
    assert len(text) <= 10
    if math.isfinite(value):
        assert float(text.replace("−", "-")) == pytest.approx(value, rel=0.006, abs=0.0006)


@given(st.lists(st.floats(), max_size=200), st.integers(0, 50))
def test_a_sparkline_has_its_width_and_only_bars(values, width):
    line = sparkline(values, width)
    assert len(line) == min(width, len(values))
    assert set(line) <= set("▁▂▃▄▅▆▇█!")


@given(st.text(max_size=50), st.integers(0, 60))
def test_a_name_is_cut_to_its_width(text, width):
    assert len(shorten(text, width)) == min(len(text), width)
    assert shorten(text, 50) == text


@given(st.text(st.characters(exclude_categories=[])))
def test_what_is_printable_holds_no_control(text):
    clean = printable(text)
    clean.encode()
    assert not any((ord(c) < 32 and c != "\n") or 127 <= ord(c) < 160 for c in clean)
    assert printable(clean) == clean


def test_attach_once_and_runs_write_ascii_where_that_is_asked_for(runs, capsys, monkeypatch):
    monkeypatch.setenv("MEDTUI_ASCII", "1")
    folder = runs["finished"]
    assert main(["attach", folder.id, "--once", "--runs", str(folder.root.parent)]) == 0
    assert main(["runs", "--runs", str(folder.root.parent)]) == 0
    told = capsys.readouterr().out
    assert told.isascii()
    assert "epoch 75/75" in told
