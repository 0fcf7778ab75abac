"""Findings from a run folder: silence, halts, long validations, and where time goes. Real processes, real clocks."""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from ignite.engine import Engine
from msgspec.structs import replace

from engine import events as ev
from engine.readers.fold import fold
from engine.readers.health import findings_of, read_findings, time_shares
from engine.readers.run_view import EMPTY
from engine.runfolder import Status, list_runs, read_status
from engine.training.engines import StepOutput
from engine.training.handlers.iteration_events import IterationEvents
from tests.engine.diagnosis.streams import Plan, stream
from tests.faults.killing import _train, server

EVENTS = [event for event in stream(Plan(epochs=10)) if getattr(event, "epoch", 1) <= 6]
END_S = EVENTS[-1].time_s
STEP_S = 0.21


def codes(status: Status, later_s: float, *more: ev.Event) -> list[str]:
    """Of a run in its sixth epoch, so many seconds after its newest event."""
    view = fold(EMPTY, [*EVENTS, *more])
    return [finding.code for finding in findings_of(view, status, view.time_s + later_s)]


@pytest.mark.parametrize(
    ("status", "later_s", "said"),
    [
        (Status(state="running"), 15 * STEP_S, []),
        (Status(state="running"), 47 * 60, ["stalled"]),
        (Status(state="paused"), 47 * 60, []),
        (Status(state="lost"), 47 * 60, []),
        (Status(state="finished"), 47 * 60, []),
        (Status(state="running", message="the process 7 was halted by a signal (SIGSTOP)"), 0.1, ["stalled"]),
        (Status(state="starting", started_s=END_S + 47 * 60 - 60), 47 * 60, []),  # resumed: it still loads
        (Status(state="starting", started_s=END_S + 60), 47 * 60, ["stalled"]),
        (Status(state="running", host="elsewhere", heartbeat_s=END_S + 1), 47 * 60, []),  # its clock is another
        (Status(state="running", host="elsewhere", heartbeat_s=END_S + 600), 0, ["stalled"]),
    ],
)
def test_silence_is_measured_by_the_rhythm_of_the_run(status: Status, later_s: float, said: list[str]) -> None:
    assert codes(status, later_s) == said


def test_a_long_validation_that_goes_on_is_not_stalled() -> None:
    at, later = END_S, []
    later.append(ev.Phase(phase="validation", total=50, time_s=at))
    for case in range(1, 20):  # a minute a case, and half a second before
        at += 60.0
        later.append(ev.Progress(phase="validation", done=case, total=50, time_s=at))
        assert codes(Status(state="running"), 90.0, *later) == []
    assert codes(Status(state="running"), 700.0, *later) == ["stalled"]


def test_a_validation_that_tells_of_no_progress_may_take_as_long_as_the_last_one() -> None:
    begun = ev.Phase(phase="validation", total=8, time_s=END_S)
    for seconds, later_s, said in (
        (100.0, 150.0, []),
        (100.0, 180.0, ["stalled"]),
        (1.0, 9.0, []),
        (1.0, 11.0, ["stalled"]),
    ):
        measured = ev.Validation(epoch=6, iteration=72, metrics={"dice": 0.5}, seconds=seconds, time_s=END_S)
        assert codes(Status(state="running"), later_s, measured, begun) == said


@pytest.mark.parametrize(("step_s", "quiet_s", "silent_s"), [(0.02, 4.0, 6.0), (2.0, 29.0, 31.0), (40.0, 590.0, 610.0)])
def test_steps_of_any_length_are_given_fifteen_of_them(step_s: float, quiet_s: float, silent_s: float) -> None:
    clock = END_S
    steps: list[ev.Event] = [ev.RunStarted(name="a", task="segmentation", epochs=2, iterations_per_epoch=99)]
    for number in range(1, 40):
        clock += step_s + (3600.0 if number == 30 else 0.0)  # an hour's pause
        steps.append(ev.Iteration(iteration=number, epoch=1, loss=1.0, time_s=clock))
        steps += [ev.Phase(phase="training", time_s=clock)] * (number == 1)
    for later_s, said in ((quiet_s, False), (silent_s, True)):
        found = findings_of(fold(EMPTY, steps), Status(state="running"), clock + later_s)
        assert ("stalled" in {finding.code for finding in found}) == said


def test_what_stands_at_its_third_step_or_after_a_long_validation_is_said() -> None:
    """Half a minute is enough for steps of 0.2 s, however long the caching or the validation before them took."""
    start = ev.RunStarted(name="a", task="segmentation", epochs=9, iterations_per_epoch=3, cases={"validation": 8})
    events: list[ev.Event] = [start, ev.Phase(phase="training", time_s=END_S)]
    clock = END_S
    for number in range(1, 13):
        clock += 0.2
        events.append(ev.Iteration(iteration=number, epoch=(number + 2) // 3, loss=1.0, time_s=clock))
        if number % 3 == 0:
            clock += 200.0
            events += [
                ev.Validation(epoch=number // 3, iteration=number, metrics={"dice": 0.1}, seconds=200.0, time_s=clock),
                ev.Phase(phase="training", time_s=clock),
            ]
        for later_s, said in ((4.0, False), (31.0, True)):
            found = findings_of(fold(EMPTY, events), Status(state="running"), clock + later_s)
            assert ("stalled" in {finding.code for finding in found}) == said, number


def test_samples_of_resources_are_no_sign_of_work() -> None:
    samples = [ev.Resources(cpu_percent=1.0, memory_mb=1.0, time_s=END_S + 3.0 * n) for n in range(100)]
    assert codes(Status(state="running"), 0.0, *samples) == ["stalled"]


@pytest.mark.parametrize(("others", "said"), [(190.0, "others use 190 % of a core"), (10.0, ""), (math.nan, "")])
def test_a_trainer_that_gets_no_time_may_be_told_from_one_that_hangs(others: float, said: str) -> None:
    sample = ev.Resources(cpu_percent=1.0, memory_mb=1.0, others_percent=others, time_s=END_S)
    (found,) = findings_of(fold(EMPTY, [*EVENTS, sample]), Status(state="running"), END_S + 2820.0)
    assert "".join(found.evidence.partition("others")[1:]) == said


def test_a_halted_trainer_is_said_within_ten_steps(tmp_path: Path) -> None:
    from tests.engine.runs import SEGMENTATION

    trainer = server().Process(target=_train, args=(tmp_path, SEGMENTATION, ("train.epochs=500",)))
    trainer.start()
    try:
        until(lambda: any(map(has_steps, list_runs(tmp_path / "runs"))), 120)
        (folder,) = list_runs(tmp_path / "runs")
        assert "stalled" not in {finding.code for finding in read_findings(folder)}
        os.kill(trainer.pid or 0, signal.SIGSTOP)
        until(lambda: read_findings(folder)[:1] != () and read_findings(folder)[0].code == "stalled", 5)
        os.kill(trainer.pid or 0, signal.SIGCONT)
        until(lambda: "stalled" not in {finding.code for finding in read_findings(folder)}, 20)
    finally:
        trainer.kill()
        trainer.join()


def has_steps(folder) -> bool:
    return folder.events.exists() and b'"iteration":12' in folder.events.read_bytes()


def until(so: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not so():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize(("wait_s", "work_s"), [(0.05, 0.03), (0.05, 0.2), (0.0, 0.03)])
def test_a_loader_that_sleeps_is_measured_within_five_points(wait_s: float, work_s: float) -> None:
    written: list[ev.Event] = []
    spent = {"loader": 0.0, "step": 0.0}

    def batches() -> Iterator[int]:
        for number in range(25):
            spent["loader"] += slept(wait_s)
            yield number

    def step(engine: Engine, batch: int) -> StepOutput:
        spent["step"] += slept(work_s)
        return StepOutput(0.5, 2, 1e-3, 1.0, torch.zeros(2, 2))

    trainer = Engine(step)
    IterationEvents(lambda event: written.append(replace(event, time_s=1.0, seq=len(written) + 1))).attach(trainer)
    trainer.run(batches(), max_epochs=1, epoch_length=25)
    shares = time_shares(fold(EMPTY, written))
    assert shares["loader"] == pytest.approx(spent["loader"] / sum(spent.values()), abs=0.05)


def slept(seconds: float) -> float:
    begun = time.perf_counter()
    time.sleep(seconds)
    return time.perf_counter() - begun


def test_a_run_that_ended_at_a_loss_of_nan_is_diverging(tmp_path: Path) -> None:
    from tests.engine.runs import SEGMENTATION, events, run

    far = ("optimizer.name=sgd", "optimizer.lr=100", "train.epochs=20")
    code, folder = run(tmp_path, SEGMENTATION, *far)
    assert code == 1
    last = [event for event in events(folder) if isinstance(event, ev.Iteration)][-1]
    assert last.loss in ("nan", "inf")
    assert [finding.code for finding in read_findings(folder)] == ["diverging"]
    assert [finding.code for finding in read_status(folder).findings or ()] == ["diverging"]
