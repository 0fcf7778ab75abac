"""Curves of a run, however long it was and whatever it measured."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest

from engine import events as ev
from engine.figures import style
from engine.figures.curves import COLUMNS, _log_scale, _ranges, by_epoch, by_iteration, running_mean
from engine.readers.run import RunData
from engine.runfolder import EventWriter, RunFolder
from tests.engine.figures.pictures import looks_drawn


def _write(path: Path, *events: ev.Event) -> None:
    writer = EventWriter(path)
    for event in events:
        writer.write(event)
    writer.close()


def test_a_diverged_run_of_many_iterations_can_be_drawn(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    steps = [ev.Iteration(iteration=i, epoch=1, loss=1 / i if i % 50 else math.inf, lr=1e-3) for i in range(1, 4001)]
    epochs = [ev.EpochDone(epoch=1, iteration=4000, metrics={"loss": 0.1})]
    _write(folder.events, ev.RunStarted(name="a", task="segmentation"), *steps, *epochs)
    run = RunData(folder)
    by_iteration(run, tmp_path / "steps.png")
    by_epoch(run, tmp_path / "epochs.png")
    assert looks_drawn(tmp_path / "steps.png")
    assert looks_drawn(tmp_path / "epochs.png", colours=8)
    assert (tmp_path / "steps.svg").stat().st_size < 600_000


@pytest.mark.parametrize(
    ("losses", "shown"), [([2.0, 0.1], " (log scale)"), ([0.5, 0.4], ""), ([2.0, -0.1], ""), ([math.nan], "")]
)
def test_a_loss_that_falls_far_has_a_log_axis(losses: list[float], shown: str) -> None:
    axes = style.new_figure().subplots()
    track = {"value": np.array(losses)}
    assert _log_scale(axes, "loss", [{"loss": track}]) == shown  # type: ignore[dict-item]
    assert axes.get_yscale() == ("log" if shown else "linear")
    assert _log_scale(axes, "dice", [{"dice": track}]) == ""  # type: ignore[dict-item]


def test_no_metric_is_drawn_by_iteration_again(atrium: RunFolder, tmp_path: Path) -> None:
    drawn = by_iteration(RunData(atrium), tmp_path / "steps.png")
    assert "the loss of each (faint) and its running mean" in drawn.caption
    texts = re.findall("<!-- (.+?) -->", (tmp_path / "steps.svg").read_text())
    assert "Dice" not in texts
    assert any(text.startswith("Loss") for text in texts)


def test_no_spike_is_lost_when_points_are_drawn_as_ranges() -> None:
    values = np.zeros(20_000)
    values[12_345], values[777] = 9.0, np.nan
    low, high, _ = _ranges(np.arange(20_000.0), values)
    assert len(low) == COLUMNS
    assert np.nanmax(high) == 9.0
    assert np.nanmin(low) == 0.0


def test_the_running_mean_of_a_constant_is_that_constant_from_the_first_value_on() -> None:
    assert np.allclose(running_mean(np.full(50, 3.5), 10), 3.5)
    assert np.allclose(running_mean(np.array([np.nan, 2.0, np.nan, 2.0]), 3), [np.nan, 2.0, 2.0, 2.0], equal_nan=True)
