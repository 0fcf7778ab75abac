"""Rules on time and room: stalled, loader_bound, slowed_down, memory_low, disk_low."""

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from statistics import median

from engine.diagnosis.facts import Facts, Finding, Steps, Window, brief, since, windows

_PACE_STEPS = 20
_LEAST_STEP_S = 0.005  # below it a stream without durations was not written by steps
_BOUND, _STILL_BOUND, _GROWN_SHARE, _GROWN = 0.5, 0.4, 0.2, 4.0
_SLOWER, _ALL_SLOWER, _STILL = 1.7, 1.5, 1.35
_TO_THE_END = 0.1  # of a session: a run that is over was slow to its end, not only in its last steps
_PIECES, _STEPS = 10, 15
_LEAST_S = {"train": 5.0, "validation": 10.0}
_LEAST_OF_PHASE_S, _UNKNOWN_S = 30.0, 300.0
_FULL, _FULL_GPU, _FREE = 0.9, 0.96, 0.08
_DISK_GB, _DISK_GONE_GB = 2.0, 0.5
_SAMPLES = 1000  # that are looked through for the begin of a shortage


def pace(facts: Facts, now_s: float) -> Iterator[Finding]:
    """The findings on how fast the run is and what it still has."""
    yield from _stalled(facts, now_s)
    yield from _memory(facts)
    yield from _disk(facts)
    yield from _loader(facts)
    yield from _slower(facts)


def _stalled(facts: Facts, now_s: float) -> Iterator[Finding]:
    """Nothing has happened for fifteen times what a step, or ten times what a case of a validation, takes.

    Below some seconds a reader cannot tell; where the run has no rhythm yet, it is given minutes.
    """
    if not facts.live or facts.paused or not facts.sign_s:
        return
    least = next((s for name, s in _LEAST_S.items() if facts.phase.startswith(name)), _LEAST_OF_PHASE_S)
    pieces = _STEPS if facts.phase.startswith("train") else _PIECES
    allowed = max(least, pieces * facts.piece_s) if facts.piece_s else _UNKNOWN_S
    silent = now_s - facts.sign_s
    if not facts.halted and silent <= allowed:
        return
    usual = f"; one piece of the work takes {_duration(facts.piece_s)}" if facts.piece_s else ""
    usual += _crowd(facts)
    yield Finding(
        severity="error",
        code="stalled",
        message="the process was halted by a signal (SIGSTOP)"
        if facts.halted
        else f"nothing has happened for {_duration(silent)}",
        since_epoch=facts.epoch,
        evidence=f"last sign of work {_duration(silent)} ago, in {facts.phase or 'the beginning'}{usual}",
        remedy="kill -CONT lets it go on"
        if facts.halted
        else "look at train.log, the disk of the data, other work (top); if it stays so: stop it, then medtui resume",
        key="6",
    )


def _loader(facts: Facts) -> Iterator[Finding]:
    """Steps wait for data half of their time, or a fifth of it and four times as long as they did."""
    steps = facts.steps
    if not any(value > 0 for value in steps.data_s[-_PACE_STEPS:]):
        return
    waits = _means(steps, steps.data_s, facts.session)
    works = _means(steps, steps.step_s, facts.session)
    usual: list[float] = []
    flags: list[bool] = []
    for wait, work in zip(waits, works, strict=True):
        part = wait.level / max(wait.level + work.level, 1e-9)
        grown = bool(usual) and part >= _GROWN_SHARE and wait.level >= _GROWN * median(usual)
        flags.append(part >= _BOUND or grown or (flags[-1:] == [True] and part >= _STILL_BOUND))
        if not flags[-1]:
            usual.append(wait.level)
    at = _at(facts, waits, flags)
    if at is None:
        return
    waited, worked = waits[-1].level, works[-1].level
    share = waited / (waited + worked)
    yield Finding(
        severity="warning",
        code="loader_bound",
        message=f"steps wait for data: loader {100 * share:.0f} %, step {100 - 100 * share:.0f} %",
        since_epoch=int(steps.epoch[waits[at].middle]),
        evidence=f"{_duration(waited)} a step"
        + (f", {_duration(median(usual))} before" if usual else "")
        + f"; the step itself takes {_duration(worked)}",
        remedy='more runtime.workers, data.cache = "memory", a faster disk, or less augmentation',
        key="5",
    )


def _slower(facts: Facts) -> Iterator[Finding]:
    """Steps take 1.7 times as long as they did in this session, and four in five half as long again."""
    first = max(facts.session, facts.full_size)
    found, times = _pace(facts.steps, first)
    begun = sorted(t for t in times[first + 1 : first + 6] if t > 0)  # the very first may compile
    usual = [median(begun)] if len(begun) == 5 else []
    flags: list[bool] = []
    for window in found:
        limit = median(usual) if usual else math.inf
        known = sorted(t for t in times[window.start : window.stop] if not math.isnan(t))
        slow = bool(known) and window.level > _SLOWER * limit and known[len(known) // 5] > _ALL_SLOWER * limit
        flags.append(slow or (flags[-1:] == [True] and window.level > _STILL * limit))
        if 0 < window.level <= _STILL * limit:  # half slow is not usual
            usual.append(window.level)
    at = _at(facts, found, flags)
    if at is None or not (facts.live or found[-1].level > _SLOWER * median(usual)):
        return
    yield Finding(
        severity="warning",
        code="slowed_down",
        message=f"steps take {brief(found[-1].level / median(usual))} times as long as before{_crowd(facts)}",
        since_epoch=int(facts.steps.epoch[found[at].middle]),
        evidence=f"{_duration(median(usual))} → {_duration(found[-1].level)} a step",
        remedy="see who else uses this machine (top), and whether the processor is hot or the memory swaps",
        key="5",
    )


def _crowd(facts: Facts) -> str:
    """What others use of this machine, where that is worth a word."""
    others = facts.sampled("others_percent")
    return f"; others use {others:.0f} % of a core" if math.isfinite(others) and others >= 25 else ""


def _pace(steps: Steps, first: int) -> tuple[list[Window], Sequence[float]]:
    """Windows over what the work of a step takes, and these times; where the stream does not say them, the times from
    one step to the next of its epoch, and nan at the first of an epoch."""
    times: Sequence[float] = steps.step_s
    if not any(value > 0 for value in times[-_PACE_STEPS:]):
        first = max(first, len(steps) - 5_000)  # old streams that are long
        ends = [math.nan] * (first + 1)
        for at in range(first + 1, len(steps)):
            took = steps.time_s[at] - steps.time_s[at - 1]
            ends.append(took if took > _LEAST_STEP_S and steps.epoch[at] == steps.epoch[at - 1] else math.nan)
        times = ends[: len(steps)]
    return windows(times, _PACE_STEPS, first), times


def _means(steps: Steps, values: Sequence[float], first: int) -> list[Window]:
    """Windows by their mean without the two largest values, or as many as epochs are in it: of four workers one wait in
    four is the long one, and a new epoch begins with a wait."""
    found = []
    for window in windows(values, _PACE_STEPS, first):
        epochs = int(steps.epoch[window.stop - 1] - steps.epoch[window.start]) + 1
        length = window.stop - window.start
        kept = sorted(float(value) for value in values[window.start : window.stop])[: -min(max(2, epochs), length // 2)]
        found.append(Window(window.start, window.stop, sum(kept) / len(kept)))
    return found


def _at(facts: Facts, found: Sequence[Window], flags: Sequence[bool]) -> int | None:
    at = since(flags)
    long = at is not None and found[-1].stop - found[at].start >= _TO_THE_END * (found[-1].stop - found[0].start)
    return at if facts.live or long else None


def _memory(facts: Facts) -> Iterator[Finding]:
    """Less than a twelfth of the memory is free, or the run holds nine tenths; of a GPU all but a twenty-fifth."""
    samples = len(facts.resources.get("time_s", ()))
    lasts = min(2, samples)
    if not samples or not (_tight(facts, -1, 1.5) or all(_tight(facts, -1 - at) for at in range(lasts))):
        return
    gpu = _share(facts, "gpu_memory_mb", "gpu_memory_total_mb") > _FULL_GPU
    name = "gpu_memory" if gpu else "memory"
    used, total, free = (facts.sampled(f"{name}_{end}") / 1024 for end in ("mb", "total_mb", "free_mb"))
    yield Finding(
        severity="error",
        code="memory_low",
        message=f"only {free:.1f} of {total:.1f} GB of memory are free; this run holds {used:.1f}"
        if math.isfinite(free) and not gpu
        else f"{'GPU ' if gpu else ''}memory is nearly full: {used:.1f} of {total:.1f} GB",
        since_epoch=_epoch_of_sample(facts, [_tight(facts, -1 - at) for at in range(min(samples, _SAMPLES))]),
        evidence="the next allocation may fail" if gpu else "the kernel ends a process that takes what is not there",
        remedy='a smaller train.batch_size or data.size, train.accumulate, fewer runtime.workers, data.cache = "none"',
        key="5",
    )


def _epoch_of_sample(facts: Facts, flags: Sequence[bool]) -> int:
    """The epoch since which ``flags``, one a sample, the newest first, are True."""
    count = next((at for at, flag in enumerate(flags) if not flag), len(flags))
    at = bisect_left(facts.steps.time_s, facts.sampled("time_s", -count))
    return int(facts.steps.epoch[min(at, len(facts.steps) - 1)]) if len(facts.steps) else 0


def _tight(facts: Facts, at: int, times: float = 1.0) -> bool:
    """Whether a sample is short of memory; ``times`` as short."""
    if _share(facts, "gpu_memory_mb", "gpu_memory_total_mb", at) > 1 - (1 - _FULL_GPU) / times:
        return True
    free = _share(facts, "memory_free_mb", "memory_total_mb", at)
    held = _share(facts, "memory_mb", "memory_total_mb", at)
    return free < _FREE / times if math.isfinite(free) else held > 1 - (1 - _FULL) / times


def _share(facts: Facts, part: str, whole: str, at: int = -1) -> float:
    total = facts.sampled(whole, at)
    return facts.sampled(part, at) / total if total > 0 else math.nan


def _disk(facts: Facts) -> Iterator[Finding]:
    """Checkpoints, predictions and figures of the rest of the run may not fit any more."""
    column = facts.resources.get("disk_free_gb", ())
    if not len(column) or not column[-1] < _DISK_GB:
        return
    yield Finding(
        severity="error" if column[-1] < _DISK_GONE_GB else "warning",
        code="disk_low",
        message=f"the disk of the run folder is nearly full: {brief(column[-1])} GB are left",
        since_epoch=_epoch_of_sample(facts, [free < _DISK_GB for free in column[: -_SAMPLES - 1 : -1]]),
        evidence="a checkpoint that does not fit ends the run; the one before it is kept",
        remedy="make room: old runs, predictions/ and checkpoints/ of runs that are done",
        key="5",
    )


def _duration(seconds: float) -> str:
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
