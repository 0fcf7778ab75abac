"""Where a time slider can stop in a run, and what the run looked like there. Pure."""

from dataclasses import dataclass

import numpy as np

from engine.readers.fold import upto
from engine.readers.run_view import RunView

MOST_STEPS = 200  # stops of a run that has no two epochs: single iterations, at most so many
_JUST_BEFORE_S = 1e-3


@dataclass(frozen=True, slots=True)
class Stop:
    """A moment of a run: ``iteration`` and all of ``epoch`` were done, and what belongs to them was written."""

    iteration: int
    epoch: int
    time_s: float
    end: bool = False  # the whole run, test and figures too


def stops(view: RunView) -> tuple[Stop, ...]:
    """The beginning, the end of each epoch, and the end of the run; for a short run iterations in place of epochs."""
    if view.started is None:
        return ()
    begin = Stop(0, 0, view.sessions[0][0] if view.sessions else view.session_s)
    end = Stop(view.iteration, view.epoch, view.time_s, end=True)
    places = _epochs(view)
    if len(places) < 2:
        count = len(view.steps)
        rows: list[int] = np.unique(np.linspace(0, max(0, count - 1), min(count, MOST_STEPS)).astype(int)).tolist()
        return (begin, *(step_stop(view, row) for row in rows), end)
    return (begin, *(Stop(i, e, _settled(view, i)) for i, e in places), end)


def step_stop(view: RunView, row: int) -> Stop:
    """The moment after the iteration in ``row`` of the view's steps."""
    iteration, epoch = int(view.steps["iteration"][row]), int(view.steps["epoch"][row])
    whole = view.iterations_per_epoch and iteration >= epoch * view.iterations_per_epoch
    return Stop(iteration, epoch if whole else epoch - 1, _settled(view, iteration))


def view_at(view: RunView, stop: Stop) -> RunView:
    """``view`` as it was at ``stop``."""
    return view if stop.end else upto(view, stop.iteration, stop.epoch, stop.time_s)


def beside(view: RunView, stop: Stop, by: int) -> Stop:
    """The moment one iteration later (1) or earlier (-1); ``stop`` itself where there is none."""
    rows = view.steps["iteration"]
    at = int(np.searchsorted(rows, stop.iteration, "right")) - 1 + by
    return step_stop(view, at) if 0 <= at < len(rows) else stop


def nearest(places: tuple[Stop, ...], stop: Stop) -> int:
    """Which of ``places`` is the last at or before ``stop``."""
    if stop.end:
        return len(places) - 1
    before = [at for at, place in enumerate(places) if not place.end and place.iteration <= stop.iteration]
    return before[-1] if before else 0


def _epochs(view: RunView) -> list[tuple[int, int]]:
    """(iteration, epoch) at the end of each epoch, by what was measured there."""
    tables = [view.epochs_done, *view.validation.values(), *view.train.values()]
    found: dict[int, int] = {}
    for table in tables:
        found |= zip(table["iteration"].tolist(), table["epoch"].tolist(), strict=True)
    return sorted(found.items())


def _settled(view: RunView, iteration: int) -> float:
    """Just before the next iteration ended: validation, checkpoints and previews are written by then."""
    rows = view.steps["iteration"]
    at = int(np.searchsorted(rows, iteration, "right"))
    return float(view.steps["time_s"][at]) - _JUST_BEFORE_S if at < len(rows) else view.time_s
