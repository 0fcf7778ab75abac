"""What is wrong with a run, from its folder: facts for `engine.diagnosis` out of the one fold of the stream."""

import socket
import time
from typing import Any

import numpy as np

from engine.diagnosis import Facts, Finding, Steps, diagnose
from engine.measures import find, leading
from engine.readers.fold import GrowingView
from engine.readers.run_view import RESOURCE_COLUMNS, RunView
from engine.runfolder import ENDED, RunFolder, Status, read_status

_RECENT = 200
_EARLY_S, _SLOW_S = 2.0, 20.0  # a piece where the rhythm is hardly known: of steps at least, of anything at most
_PARTS = 6  # of a validation: the pieces of one that tells of none
_HALTED = "SIGSTOP"


def findings_of(view: RunView, status: Status, now_s: float | None = None) -> tuple[Finding, ...]:
    """The findings on a run of which ``view`` and ``status`` are known.

    Where its process is on another host, the time is that of its heartbeat: clocks differ.
    """
    now_s = time.time() if now_s is None else now_s
    if status.host and status.host != socket.gethostname():
        now_s = status.heartbeat_s
    return diagnose(facts_of(view, status), now_s)


def read_findings(folder: RunFolder, status: Status | None = None) -> tuple[Finding, ...]:
    """The findings on a run as it is now; ``status`` where it is known already."""
    return Health(folder).look(status)


class Health:
    """Follows a run: each `look` reads what is new in its stream."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder, self._stream = folder, GrowingView(folder.events)

    @property
    def view(self) -> RunView:
        return self._stream.view

    def look(self, status: Status | None = None) -> tuple[Finding, ...]:
        """The findings now; ``status`` where it is known already."""
        return findings_of(self._stream.read(), status or read_status(self._folder))


def facts_of(view: RunView, status: Status) -> Facts:
    """What the rules of `engine.diagnosis` look at."""
    steps, started = view.steps, view.started
    columns: dict[str, Any] = {name: memoryview(steps[name].data) for name in Steps.__slots__}
    samples: dict[str, Any] = {name: memoryview(view.resources[name].data) for name in RESOURCE_COLUMNS}
    live = status.state not in ENDED and status.state != "silent" and view.ended is None
    high = np.flatnonzero(steps["lr"] >= 0.25 * np.max(steps["lr"], initial=0.0))
    monitor, monitor_up = _monitored(view)
    resuming = 0.0 < view.time_s < status.started_s  # a new process, which has written nothing yet
    return Facts(
        live=live,
        paused=status.state == "paused",
        halted=live and _HALTED in status.message,
        task=started.task if started else status.task,
        classes=view.classes,
        monitor=monitor,
        monitor_up=monitor_up,
        cases=started.cases.get("validation", 0) if started else 0,
        epochs=view.epochs,
        iterations_per_epoch=view.iterations_per_epoch or int(np.sum(steps["epoch"] == 1)),
        steps=Steps(**columns),
        session=int(np.searchsorted(steps["time_s"], view.session_s)),
        full_size=int(np.searchsorted(steps["epoch"], started.full_size)) if started else 0,
        train=_trained(view),
        decayed=int(steps["epoch"][high[-1]]) if len(high) else 10**9,
        warming=len(steps) > 1
        and bool(steps["lr"][-1] > 1.01 * steps["lr"][-min(len(steps), view.iterations_per_epoch)]),
        validations=view.validations,
        resources=samples,
        phase="" if resuming else _phase(view),
        sign_s=status.started_s if resuming else _sign_s(view),
        piece_s=0.0 if resuming else _piece_s(view),
    )


def _monitored(view: RunView) -> tuple[str, bool]:
    """The monitored metric, or the leading one of those that are there; and whether more of it is better."""
    metrics = view.validations[-1].metrics if view.validations else {}
    if view.monitor in metrics or not metrics:
        return view.monitor, view.monitor_up
    name = next(iter([*leading(metrics), *metrics]))
    return name, find(name).up is not False


def _trained(view: RunView) -> tuple[tuple[int, float], ...]:
    """(epoch, mean training loss), that of the steps where no epoch was summed up before its validation."""
    losses = view.train.get("loss")
    found = {} if losses is None else dict(zip(losses["epoch"].tolist(), losses["value"].tolist(), strict=True))
    newest = view.validations[-1].epoch if view.validations else 0
    if newest and newest not in found:
        seen = view.steps["epoch"] <= newest
        epochs, counts = np.unique(view.steps["epoch"][seen], return_counts=True)
        sums = np.bincount(view.steps["epoch"][seen], view.steps["loss"][seen])[epochs]
        found = dict(zip(epochs.tolist(), (sums / counts).tolist(), strict=True)) | found
    return tuple(sorted(found.items()))


def _sign_s(view: RunView) -> float:
    """The newest event that is a sign of work: samples of resources come from a thread of their own."""
    newest = (view.phase, view.progress, *view.figures[-1:], *view.controls[-1:], *view.previews[-1:])
    return max(view.worked_s, view.session_s, *(event.time_s for event in newest if event is not None), 0.0)


def _phase(view: RunView) -> str:
    name = view.phase.phase if view.phase else ""
    whole = view.iteration_in_epoch == view.iterations_per_epoch > 0
    if whole and name.startswith("train"):
        return "the end of an epoch"  # checkpoints are written, loaders begin
    return name


def _piece_s(view: RunView) -> float:
    """Seconds that a piece of the present phase takes; 0 where that is not known yet."""
    phase, progress = view.phase, view.progress
    if phase is None:
        return 0.0
    if phase.phase.startswith("train"):
        return _step_s(view, phase.time_s)
    cases = view.started.cases.get("validation", 0) if view.started else 0
    before = [v.seconds for v in view.validations[-3:] if cases]
    known = []
    if progress is not None and progress.done > 0:
        known.append((progress.time_s - phase.time_s) / progress.done)
    if phase.phase == "validation":  # one that has not told of its progress may never do so
        known += [seconds / (min(cases, _PARTS) if progress is None else cases) for seconds in before]
    slow = max([_step_s(view, phase.time_s), *(seconds / cases for seconds in before)])
    return max(known, default=slow if slow > _SLOW_S else 0.0)  # where steps are long, the unknown is too


def _step_s(view: RunView, begun_s: float) -> float:
    """What a step takes at its usual, and a fifth of what two have lately taken: one alone may have been a pause."""
    first = int(np.searchsorted(view.steps["time_s"], view.session_s))
    at, of = (view.steps[name][first:][-_RECENT:] for name in ("time_s", "iteration"))
    measured = {v.iteration: v.seconds for v in view.validations[-_RECENT:]}
    gaps = np.diff(at) - [measured.get(int(number), 0.0) for number in of[:-1]]
    if len(gaps) < 5:
        return max(_EARLY_S, min(_SLOW_S, at[0] - begun_s), *gaps) if len(at) else 0.0
    same = np.diff(view.steps["epoch"][first:][-_RECENT:]) == 0
    last_of_epoch = view.iterations_per_epoch > 0 and view.iteration_in_epoch == view.iterations_per_epoch
    counted = gaps[same] if same.any() and not last_of_epoch else gaps
    return max(float(np.median(gaps)), float(np.sort(counted)[-2:][0]) / 5)


def time_shares(view: RunView) -> dict[str, float]:
    """Where the time of the last session's training goes: part -> share of 1; empty where the stream does not say.

    ``loader`` is waiting for batches, ``step`` the work on them.
    """
    timed = view.steps["time_s"] >= view.session_s
    seconds = {
        "loader": float(np.nansum(view.steps["data_s"][timed], dtype=float)),
        "step": float(np.nansum(view.steps["step_s"][timed], dtype=float)),
        "validation": sum(v.seconds for v in view.validations if v.time_s >= view.session_s),
        "checkpoints": sum(c.seconds for c in view.checkpoints if c.time_s >= view.session_s),
    }
    whole = sum(seconds.values())
    return {name: part / whole for name, part in seconds.items()} if seconds["step"] > 0 else {}


def time_words(view: RunView) -> str:
    """``loader 62 %, step 30 %``: the parts of `time_shares` that are at least a hundredth, the first two always."""
    shares = enumerate(time_shares(view).items())
    return ", ".join(f"{name} {100 * share:.0f} %" for at, (name, share) in shares if at < 2 or share >= 0.01)
