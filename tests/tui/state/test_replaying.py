"""Stops of the time slider, and that a view at a stop is the fold of the events until then."""

from __future__ import annotations

from pathlib import Path

from engine.events import AnyEvent, Iteration
from engine.readers.fold import fold
from engine.readers.run_view import EMPTY
from engine.runfolder import EventReader
from tests.tui import recorded
from tui.state.replaying import beside, nearest, stops, view_at


def events_of(folder: Path) -> list[AnyEvent]:
    return EventReader(folder / "events.jsonl").read(1 << 30)


def test_each_epoch_is_a_stop_and_looks_as_it_did(tmp_path: Path) -> None:
    plan = recorded.Plan(done=6, extra_steps=0, epochs=6)
    folder = recorded.finish(recorded.record(tmp_path, plan), plan)
    events = events_of(folder.root)
    whole = fold(EMPTY, events)
    places = stops(whole)
    assert [place.epoch for place in places] == [0, 1, 2, 3, 4, 5, 6, 6]
    assert places[-1].end
    assert view_at(whole, places[-1]) is whole
    stop = places[3]
    nxt = next(e for e in events if isinstance(e, Iteration) and e.iteration == stop.iteration + 1)
    then = fold(EMPTY, [event for event in events if event.seq < nxt.seq])
    now = view_at(whole, stop)
    assert (now.iteration, now.epoch) == (21, 3)
    assert now.steps == then.steps
    assert now.validation == then.validation
    assert now.validations == then.validations
    assert now.previews == then.previews
    assert now.checkpoints == then.checkpoints
    assert now.logs == then.logs
    assert now.journal == then.journal
    assert now.results == {}


def test_a_short_run_stops_at_iterations(tmp_path: Path) -> None:
    whole = fold(EMPTY, events_of(recorded.record(tmp_path, recorded.Plan(done=0, extra_steps=5)).folder.root))
    assert [place.iteration for place in stops(whole)] == [0, 1, 2, 3, 4, 5, 5]


def test_a_run_that_has_not_started_has_no_stop() -> None:
    assert stops(EMPTY) == ()


def test_single_iterations(tmp_path: Path) -> None:
    whole = fold(EMPTY, events_of(recorded.live(tmp_path).root))
    places = stops(whole)
    later = beside(whole, places[2], 1)
    assert (later.iteration, later.epoch) == (15, 2)
    assert view_at(whole, later).iteration == 15
    assert beside(whole, later, -1).iteration == 14
    assert beside(whole, later, -1).epoch == 2
    assert nearest(places, later) == 2
    assert beside(whole, places[-1], 1) == places[-1]
    assert nearest(places, places[-1]) == len(places) - 1
