"""Elapsed and remaining time, worked by hand."""

from __future__ import annotations

import pytest

from engine.events import EpochDone, Iteration, Phase, Progress, RunEnded, RunStarted, Validation
from engine.readers.fold import fold
from engine.readers.run_view import EMPTY, RunView
from tui.state.estimate import done_share, elapsed_s, left_s


def run(epochs: int, *, validation_s: float = 0.0, pause_after: int = 0) -> RunView:
    """Ten epochs of ten iterations of 2 s are planned; ``epochs`` of them are done."""
    view = fold(EMPTY, [RunStarted(time_s=1e-9, name="a", task="t", epochs=10, iterations_per_epoch=10)])
    now = 0.0
    for epoch in range(1, epochs + 1):
        for step in range(1, 11):
            now += 2.0
            view = fold(view, [Iteration(time_s=now, iteration=(epoch - 1) * 10 + step, epoch=epoch, loss=1.0)])
        view = fold(view, [EpochDone(time_s=now, epoch=epoch, iteration=epoch * 10)])
        now += validation_s
        view = fold(view, [Validation(time_s=now, epoch=epoch, iteration=epoch * 10)])
        now += 3600.0 if epoch == pause_after else 0.0
    return view


def test_left_counts_iterations_before_the_second_epoch_has_ended() -> None:
    assert left_s(run(1), now_s=20.0) == pytest.approx(9 * 20.0)


def test_left_counts_validation_and_ignores_one_pause() -> None:
    view = run(5, validation_s=5.0, pause_after=2)
    assert left_s(view, now_s=float(view.steps["time_s"][-1])) == pytest.approx(5 * 25.0)


def test_left_counts_down_between_events_and_never_below_nothing() -> None:
    view = run(5)
    end = float(view.steps["time_s"][-1])
    assert left_s(view, end + 1.0) == pytest.approx(99.0)
    assert (left_s(view, end + 1e6) or 0.0) >= 0.0


def test_left_is_unknown_at_first_and_after_the_end() -> None:
    assert left_s(EMPTY, 0.0) is None
    assert left_s(fold(run(3), [RunEnded(state="finished", time_s=60.0)]), 61.0) is None


def test_left_of_another_phase_follows_its_progress() -> None:
    view = fold(
        run(10), [Phase(phase="test", total=20, time_s=200.0), Progress(phase="test", done=5, total=20, time_s=210.0)]
    )
    assert left_s(view, 210.0) == pytest.approx(30.0)


def test_left_in_a_validation_is_that_of_the_run() -> None:
    asked = [
        Phase(phase="validation", total=20, time_s=100.0),
        Progress(phase="validation", done=5, total=20, time_s=101.0),
    ]
    assert left_s(fold(run(5), asked), 101.0) == pytest.approx(3.0 + 5 * 20.0)
    assert left_s(fold(run(10), asked), 101.0) == pytest.approx(3.0)  # the last one


def test_elapsed_leaves_out_the_time_between_sessions() -> None:
    view = fold(run(2), [RunStarted(time_s=1000.0, name="a", task="t", resumed=True, first_iteration=20)])
    assert elapsed_s(view, now_s=1005.0) == pytest.approx(40.0 + 5.0)
    ended = fold(view, [RunEnded(state="finished", time_s=1010.0)])
    assert elapsed_s(ended, now_s=9999.0) == pytest.approx(50.0)


def test_left_of_a_run_that_goes_on_elsewhere_is_by_its_pace_there() -> None:
    resumed = RunStarted(
        time_s=1000.0, name="a", task="t", epochs=10, iterations_per_epoch=10, resumed=True, first_iteration=20,
        first_epoch=3,
    )  # fmt: skip
    steps = [Iteration(time_s=1000.0 + 0.5 * at, iteration=20 + at, epoch=3, loss=1.0) for at in range(1, 6)]
    assert left_s(fold(run(2), [resumed, *steps]), 1002.5) == pytest.approx(75 * 0.5)


def test_shares() -> None:
    assert done_share(run(5)) == 0.5
    assert done_share(EMPTY) is None


def test_left_follows_the_newest_steps() -> None:
    """Others take the processor in the seventh epoch: steps take four times as long."""
    view = run(6, validation_s=5.0)
    now = view.time_s
    for step in range(1, 6):
        now += 8.0
        view = fold(view, [Iteration(time_s=now, iteration=60 + step, epoch=7, loss=1.0)])
    before = 3.5 * 25.0
    assert (left_s(view, now) or 0.0) > before
    for step in range(6, 11):
        now += 8.0
        view = fold(view, [Iteration(time_s=now, iteration=60 + step, epoch=7, loss=1.0)])
    for epoch in (8, 9):
        view = fold(view, [EpochDone(time_s=now, epoch=epoch - 1, iteration=10 * epoch - 10)])
        now += 5.0
        for step in range(1, 11):
            now += 8.0
            view = fold(view, [Iteration(time_s=now, iteration=10 * epoch - 10 + step, epoch=epoch, loss=1.0)])
    assert left_s(view, now) == pytest.approx(85.0, rel=0.12)
