"""What figures and report ask of a stream that was folded."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from engine import events as ev
from engine.readers.fold import read_view
from engine.readers.run_view import EMPTY, finite
from engine.runfolder import EventWriter


def _write(path: Path, *events: ev.Event) -> None:
    writer = EventWriter(path)
    for event in events:
        writer.write(event)
    writer.close()


def test_tracks_hold_what_was_measured_and_nan_stays(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    _write(
        path,
        ev.RunStarted(name="a", task="segmentation", monitor="dice"),
        ev.Iteration(iteration=1, epoch=1, loss=0.9, lr=0.1),
        ev.Iteration(iteration=2, epoch=1, loss=math.nan, lr=0.1),
        ev.EpochDone(epoch=1, iteration=2, metrics={"loss": math.nan}),
        ev.Validation(
            epoch=1, iteration=2, metrics={"dice": 0.5, "hd95": None}, per_class={"x": {"dice": 0.5}}, best=True
        ),
        ev.RunStarted(name="a", task="segmentation", resumed=True, first_iteration=2, first_epoch=2),
        ev.Iteration(iteration=3, epoch=2, loss=0.7, lr=0.1),
        ev.Resources(cpu_percent=1, memory_mb=7),
    )
    view = read_view(path)
    assert len(view.sessions) == 1
    assert [iteration for _, iteration in view.resumes] == [2]
    steps = view.step_tracks
    assert steps.keys() == {"loss", "lr"}  # no gradient norm was measured
    assert steps["loss"]["iteration"].tolist() == [1, 2, 3]
    assert np.allclose(steps["loss"]["value"], [0.9, math.nan, 0.7], equal_nan=True)
    assert not finite(view.train["loss"])
    assert math.isnan(view.validation["hd95"]["value"][0])
    assert view.best is not None
    assert view.best.epoch == 1
    assert view.epochs_completed == 1
    assert view.validation_classes["x"]["dice"]["value"].tolist() == [0.5]


def test_the_best_of_a_run_that_went_back_is_that_of_what_is_left(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    validations = [ev.Validation(epoch=n, iteration=n, metrics={"dice": n / 10}, best=True) for n in (1, 2, 3)]
    resumed = ev.RunStarted(name="a", task="segmentation", resumed=True, first_iteration=2, first_epoch=3)
    _write(path, ev.RunStarted(name="a", task="segmentation"), *validations, resumed)
    best = read_view(path).best
    assert best is not None
    assert best.epoch == 2


def test_a_missing_stream_is_an_empty_view(tmp_path: Path) -> None:
    assert read_view(tmp_path / "none.jsonl") == EMPTY
