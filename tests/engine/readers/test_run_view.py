"""The fold: what a view holds, what a resumed run takes back, and that batches do not matter."""

from __future__ import annotations

import itertools
import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.events import (
    AnyEvent,
    CheckpointSaved,
    Control,
    EpochDone,
    Iteration,
    Log,
    Phase,
    Preview,
    Progress,
    Resources,
    Result,
    RunEnded,
    RunStarted,
    Validation,
)
from engine.readers.fold import LOGS, fold, upto
from engine.readers.run_view import EMPTY, RunView, best, last

START = RunStarted(
    seq=1,
    time_s=10.0,
    name="a",
    task="segmentation",
    classes=["atrium"],
    epochs=4,
    iterations_per_epoch=3,
    monitor="dice",
)


def step(iteration: int, loss: float | str = 1.0) -> Iteration:
    return Iteration(
        seq=iteration + 1,
        time_s=10.0 + iteration,
        iteration=iteration,
        epoch=(iteration - 1) // 3 + 1,
        loss=loss,
        lr=0.1,
    )


def validation(epoch: int, dice: float | None) -> Validation:
    return Validation(
        time_s=10.0 + 3 * epoch,
        epoch=epoch,
        iteration=3 * epoch,
        metrics={"dice": dice},
        per_class={"atrium": {"dice": dice}},
        cases=[{"id": "07", "dice": dice}],
    )


def test_counts_and_values_of_a_plain_run() -> None:
    events: list[AnyEvent] = [
        START,
        Phase(phase="train"),
        step(1),
        step(2, "nan"),
        step(3),
        validation(1, 0.5),
        step(4),
    ]
    view = fold(EMPTY, events)
    assert (view.iteration, view.epoch, view.iterations, view.iteration_in_epoch) == (4, 2, 12, 1)
    assert math.isnan(view.steps["loss"][1])
    assert best(view.validation["dice"], up=True) == (0.5, 1)
    assert last(view.validation_classes["atrium"]["dice"]) == 0.5
    assert view.classes == ("atrium",)
    assert view.worst == ({"id": "07", "dice": 0.5},)
    assert view.time_s == 14.0


def test_best_ignores_what_was_not_measured_and_knows_the_direction() -> None:
    view = fold(EMPTY, [START, validation(1, None), validation(2, 0.4), validation(3, 0.6), validation(4, math.inf)])
    assert best(view.validation["dice"], up=True) == (0.6, 3)
    assert best(view.validation["dice"], up=False) == (0.4, 2)
    assert best(fold(EMPTY, [validation(1, None)]).validation["dice"], up=True) is None


def test_a_resumed_run_takes_back_what_came_after_its_checkpoint() -> None:
    first = [START, *(step(i) for i in range(1, 8)), validation(1, 0.5), validation(2, 0.9)]
    first += [CheckpointSaved(path="checkpoints/best.pt", epoch=2, iteration=6), Preview(path="p", epoch=2, case="a")]
    first += [RunEnded(state="failed", time_s=40.0)]
    resumed = RunStarted(
        time_s=100.0, name="a", task="segmentation", epochs=4, iterations_per_epoch=3, first_iteration=4, first_epoch=2,
        resumed=True,
    )  # fmt: skip
    view = fold(fold(EMPTY, first), [resumed, step(5, 7.0)])
    assert view.steps["iteration"].tolist() == [1, 2, 3, 4, 5]
    assert view.steps["loss"][-1] == 7.0
    assert view.validation["dice"]["epoch"].tolist() == [1]
    assert (view.checkpoints, view.previews, view.ended) == ((), (), None)
    assert view.sessions == ((10.0, 40.0),)
    assert view.resumes == ((100.0, 4),)


def test_a_session_ends_with_its_work_not_with_what_the_next_one_writes_before_its_start() -> None:
    first = [Phase(time_s=5.0, phase="caching"), START, step(1), step(2)]
    second = RunStarted(time_s=500.0, name="a", task="t", resumed=True, first_iteration=2)
    view = fold(EMPTY, [*first, Phase(time_s=490.0, phase="caching"), second])
    assert view.sessions == ((5.0, 12.0),)
    assert view.session_s == 500.0


def test_an_evaluation_after_the_end_makes_a_run_no_longer() -> None:
    view = fold(EMPTY, [START, step(1), RunEnded(state="finished", time_s=30.0)])
    assert fold(view, [Log(time_s=9000.0, message="evaluated: other")]).active_s == view.active_s == 20.0


def test_older_views_stay_as_they_were() -> None:
    first = fold(EMPTY, [START, step(1), step(2)])
    second = fold(first, [step(3)])
    other = fold(first, [step(3, 9.0), step(4, 9.0)])
    assert len(first.steps) == 2
    assert second.steps["loss"].tolist() == [1.0, 1.0, 1.0]
    assert other.steps["loss"].tolist() == [1.0, 1.0, 9.0, 9.0]
    assert not second.steps["loss"].flags.writeable


def test_logs_are_bounded_and_warnings_reach_the_journal() -> None:
    logs = [Log(message=str(i), level="warning" if i == LOGS + 9 else "info") for i in range(LOGS + 10)]
    view = fold(EMPTY, logs)
    assert len(view.logs) == LOGS
    assert view.logs[0].message == "10"
    assert [event.message for event in view.journal if isinstance(event, Log)] == [str(LOGS + 9)]


def test_upto_shows_the_run_as_it_was() -> None:
    view = fold(EMPTY, [START, *(step(i) for i in range(1, 10)), validation(1, 0.1), validation(3, 0.3)])
    view = fold(view, [Log(time_s=12.0, message="early"), Log(time_s=18.5, message="late"), RunEnded(state="finished")])
    then = upto(view, iteration=5, epoch=1, time_s=15.0)
    assert then.iteration == 5
    assert then.validation["dice"]["value"].tolist() == [0.1]
    assert [line.message for line in then.logs] == ["early"]
    assert then.ended is None


EVENTS = st.one_of(
    st.builds(
        Iteration,
        time_s=st.floats(0, 1e6),
        iteration=st.integers(0, 30),
        epoch=st.integers(1, 5),
        loss=st.one_of(st.floats(), st.sampled_from(["nan", "inf", "-inf", None])),
    ),
    st.builds(
        Validation,
        iteration=st.integers(0, 30),
        epoch=st.integers(1, 5),
        metrics=st.dictionaries(st.sampled_from(["dice", "loss"]), st.one_of(st.none(), st.floats(0, 1))),
        per_class=st.dictionaries(st.sampled_from(["a", "b"]), st.just({"dice": 0.5})),
    ),
    st.builds(EpochDone, iteration=st.integers(0, 30), epoch=st.integers(1, 5), metrics=st.just({"loss": "nan"})),
    st.builds(
        RunStarted,
        time_s=st.floats(0, 1e6),
        name=st.just("a"),
        task=st.just("segmentation"),
        first_iteration=st.integers(0, 30),
        first_epoch=st.integers(1, 5),
        resumed=st.booleans(),
    ),
    st.builds(Log, level=st.sampled_from(["info", "error"]), message=st.text(max_size=3)),
    st.builds(Resources, cpu_percent=st.floats(0, 100), memory_mb=st.floats(0, 100)),
    st.builds(Phase, phase=st.just("validation")),
    st.builds(Progress, phase=st.just("validation"), done=st.integers(0, 3), total=st.just(3)),
    st.builds(Preview, path=st.just("p"), epoch=st.integers(1, 5), case=st.just("c")),
    st.builds(Result, split=st.sampled_from(["test", "validation"])),
    st.builds(Control, request=st.just("r"), command=st.just("pause"), state=st.just("done")),
    st.builds(RunEnded, state=st.just("finished")),
)


def fields(view: RunView) -> dict[str, object]:
    return {name: repr(getattr(view, name)) for name in RunView.__dataclass_fields__}


@settings(max_examples=150, deadline=None)
@given(st.lists(EVENTS, max_size=40), st.lists(st.integers(0, 40), max_size=6))
def test_batches_do_not_change_the_view(events: list[AnyEvent], cuts: list[int]) -> None:
    whole = fold(EMPTY, events)
    edges = sorted({0, len(events), *(min(cut, len(events)) for cut in cuts)})
    parts = EMPTY
    for begin, end in itertools.pairwise(edges):
        parts = fold(parts, events[begin:end])
    assert fields(parts) == fields(whole)
    assert parts.steps == whole.steps
    assert parts.validation == whole.validation
    assert parts.validation_classes == whole.validation_classes
    assert parts.resources == whole.resources
    assert bool(np.all(np.diff(whole.steps["iteration"]) > 0))
