"""How long a run has taken and how long it will still take, from its `RunView`. Pure."""

import math

import numpy as np

from engine.readers.run_view import RunView

RECENT_EPOCHS = 7
RECENT_STEPS = 300
NEWEST_STEPS = 20


def elapsed_s(view: RunView, now_s: float) -> float:
    """Seconds that the sessions of the run took, until ``now_s`` or its end. Gaps between them do not count."""
    if view.session_s == 0.0:
        return 0.0
    return view.active_s + (0.0 if view.ended else max(0.0, now_s - view.time_s))


def left_s(view: RunView, now_s: float) -> float | None:
    """Seconds until training ends (later: until the present phase does); ``None`` where unknown.

    An epoch costs its steps at the pace of the newest ones, so that a machine that others crowd is noticed, and what
    lies between the steps of two epochs (validation, checkpoints) by the median of the last epochs, so that one pause
    does not bend the estimate. Before the second epoch has ended, the mean time between iterations stands in. Between
    two events the estimate counts down.
    """
    if view.ended or view.started is None:
        return None
    progress, phase = view.progress, view.phase
    over = view.iteration >= view.iterations
    beside = progress is not None and progress.total > 0 and phase is not None and not _training(view)
    if beside and (over or phase is None or phase.phase != "validation"):
        return _phase_left(view, now_s)
    step_s = _step_s(view)
    if view.iterations <= 0 or over or step_s is None:
        return None
    epoch_s = _epoch_s(view) or step_s * view.iterations_per_epoch
    epochs_after = view.epochs - view.epoch
    if beside:  # a validation between two epochs
        return (_phase_left(view, now_s) or 0.0) + epochs_after * epoch_s
    here = view.iterations_per_epoch - view.iteration_in_epoch
    rest_of_epoch = here / view.iterations_per_epoch * epoch_s
    since = min(max(0.0, now_s - float(view.steps["time_s"][-1])), max(step_s, epoch_s))
    return max(0.0, rest_of_epoch + epochs_after * epoch_s - since)


def done_share(view: RunView) -> float | None:
    """Share of the planned iterations that is done, 0 to 1; ``None`` where unknown."""
    if view.ended is not None and view.ended.state == "finished":
        return 1.0
    return min(1.0, view.iteration / view.iterations) if view.iterations > 0 else None


def _training(view: RunView) -> bool:
    return view.phase is not None and view.phase.phase.startswith("train")


def _step_s(view: RunView) -> float | None:
    times = view.steps["time_s"][-RECENT_STEPS:]
    here = times[times >= view.session_s]  # a session before may have been on another machine
    times = here if len(here) > 2 else times
    gaps = np.diff(times)
    gaps = gaps[gaps > 0]
    if len(gaps) < 2:
        return None
    # a mean without the slowest tenth: the median of gaps that are rounded to milliseconds may be 0
    kept = np.sort(gaps)[: max(2, math.ceil(len(gaps) * 0.9))]
    return float(kept.mean()) * (len(gaps) / max(1, len(times) - 1))


def _epoch_s(view: RunView) -> float | None:
    table = view.epochs_done
    recent = np.flatnonzero(table["time_s"] >= view.session_s)[-RECENT_EPOCHS - 1 :]
    if len(recent) < 2:
        return None
    whole, numbers = np.diff(table["time_s"][recent]), table["epoch"][recent][1:]
    first = int(np.searchsorted(view.steps["epoch"], numbers[0]))
    epochs, times = view.steps["epoch"][first:], view.steps["time_s"][first:]
    within = np.diff(epochs) == 0
    gaps = np.diff(times)[within]
    sums = np.bincount(epochs[1:][within] - numbers[0], gaps, int(numbers[-1] - numbers[0]) + 1)[numbers - numbers[0]]
    if len(gaps) < NEWEST_STEPS // 2 or not (sums > 0).all():
        return float(np.median(whole))
    newest = np.sort(gaps[-NEWEST_STEPS:])[:-2]
    return float(np.median(whole - sums) + (view.iterations_per_epoch - 1) * newest.mean())


def _phase_left(view: RunView, now_s: float) -> float | None:
    progress, phase = view.progress, view.phase
    if progress is None or phase is None or progress.done <= 0:
        return None
    each = (view.time_s - phase.time_s) / progress.done
    return max(0.0, each * (progress.total - progress.done) - max(0.0, now_s - view.time_s))
