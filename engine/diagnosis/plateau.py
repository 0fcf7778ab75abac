"""The rule on a progress that has ended: plateau."""

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from operator import mul
from statistics import median

from engine.diagnosis.facts import IN_A_ROW, Facts, Finding, brief, first_level, line, noise, series
from engine.diagnosis.quality import guesses
from engine.measures import default_monitor, find, spoken

_WAIT, _GOOD, _LEARNED, _LEARNED_EARLY = 5, 0.85, 0.3, 0.2
_STEADY, _BEFORE, _SURE, _RISES, _LATE, _KEPT = 5, 8, 7.0, 1.5, 0.6, 3
_LEFT = 0.05  # of the whole way, that may still come where a curve stands


def plateau(facts: Facts) -> Iterator[Finding]:
    """Neither the monitored metric nor the training loss gets better any more, though the learning rate is not yet
    small, and there is more to learn."""
    curve = series(facts.validations, facts.monitor)
    values = [value if facts.monitor_up else -value for _, value in curve]
    shares = {facts.monitor} if facts.monitor_up else set()
    shares |= {default_monitor(facts.task)} if facts.task else set()
    seen = [value for name in shares if find(name).kind == "share" for _, value in series(facts.validations, name)]
    if len(curve) <= _WAIT or max(seen, default=0.0) >= _GOOD or facts.warming:
        return
    if any(guesses(facts, validation) for validation in facts.validations[-IN_A_ROW:]):
        return
    ends = range(len(curve), max(_WAIT, len(curve) - _KEPT), -1)
    tried = ((rule, rule(facts, curve[:end], values[:end])) for end in ends for rule in (_flattens, _stops, _stands))
    rule, at = next((found for found in tried if found[1] is not None), (None, None))
    if at is None or _goes_on(values, at):
        return
    losses = [loss for epoch, loss in facts.train if epoch > curve[at][0]]
    losses = losses[-max(1, len(losses) // 3) :]
    first = first_level(facts.steps.loss)
    early = rule is not _stands and curve[at][0] <= _LATE * facts.epochs
    learned = _LEARNED_EARLY if early else _LEARNED
    if losses and median(losses) < learned * (first if math.isfinite(first) else facts.train[0][1]):
        return
    yield Finding(
        severity="note",
        code="plateau",
        message=f"{spoken(facts.monitor)} stands at {brief(curve[-1][1])}: "
        f"no better for {len(values) - 1 - at} validations",
        since_epoch=curve[at][0],
        evidence=f"best {brief(max(values) if facts.monitor_up else -max(values))}, and the training loss stands too",
        remedy="another learning rate or schedule, a larger network, or stop here",
        key="s",
    )


def _goes_on(values: Sequence[float], at: int) -> bool:
    """Whether the newest three rise, and to surely more than all since ``at`` before them."""
    before, newest = values[at:-IN_A_ROW], values[-IN_A_ROW:]
    least = max(2 * noise(values[-4 * _STEADY :]), 0.02 * (max(values) - min(values)))
    return bool(before) and newest == sorted(newest) and newest[-1] - max(before) > least


def _stands(facts: Facts, curve: Sequence[tuple[int, float]], values: Sequence[float]) -> int | None:
    """The validation since which nothing got better, where that is a tenth of those that are planned. What still rose
    at first after the best was reached, is left out."""
    wait = max(_WAIT, math.ceil(facts.epochs / _every(curve) / 10))
    tolerance = max(2 * noise(values), 0.01 * (max(values) - min(values)))
    reached = next(at for at, value in enumerate(values) if value >= max(values) - tolerance)
    while sum(max(curve[reached][0], facts.epochs / 10) < at <= facts.decayed for at, _ in curve) >= wait:
        if _rises(facts, curve, values, reached) <= _RISES and _left(facts, curve, values, reached) <= _LEFT:
            return reached
        reached += max(1, (len(curve) - reached) // 2)
    return None


def _rises(facts: Facts, curve: Sequence[tuple[int, float]], values: Sequence[float], at: int) -> float:
    """Standard errors by which metric and losses rise since ``at``, together."""
    rises = _rise_of(values, len(values) - at, 0.05)
    for losses in (facts.train, series(facts.validations, "loss")):
        found = [(epoch, -math.log(loss)) for epoch, loss in losses if loss > 0]
        rises += _rise_of([loss for _, loss in found], sum(epoch > curve[at][0] for epoch, _ in found), 0.1, 0.04)
    return rises


def _every(curve: Sequence[tuple[int, float]]) -> float:
    """Epochs from one validation to the next."""
    return max(1.0, median(after[0] - before[0] for before, after in pairwise(curve)))


def _left(facts: Facts, curve: Sequence[tuple[int, float]], values: Sequence[float], at: int) -> float:
    """The share of the whole way that the rest of the schedule, of a quarter of the run at least, would bring at the
    pace since ``at``, by a standard error: of metric and validation loss, each weighted by what is known of it."""
    rest = max(facts.epochs / 4, min(facts.decayed, facts.epochs) - curve[-1][0]) / _every(curve)
    losses = dict(series(facts.validations, "loss"))
    logs = [-math.log(losses[epoch]) for epoch, _ in curve if losses.get(epoch, 0.0) > 0]
    gains, weights = 0.0, 1e-12
    for seen in (values, logs):
        size, jump = len(seen) - at, noise(seen[-4 * _STEADY :])
        if len(seen) != len(values) or size < IN_A_ROW:
            continue
        scale = min(rest, _reach(seen[at:], jump)) / max(1e-12, max(seen) - min(seen))
        error = scale * jump * math.sqrt(12 / (size**3 - size)) + 1e-6
        gains, weights = gains + scale * line(seen[at:])[0] / error**2, weights + 1 / error**2
    return gains / weights + math.sqrt(1 / weights)


def _reach(values: Sequence[float], jump: float) -> float:
    """Validations at its mean pace that a rise still brings which slows down as surely as it does from the first half
    of ``values`` to the second; infinity where it does not."""
    half = len(values) // 2
    if half <= 1:
        return math.inf
    before, now = (line(part)[0] for part in (values[:half], values[-half:]))
    slower = now + 3 * jump * math.sqrt(12 / (half**3 - half))
    return half / (1 - max(0.0, slower) / before) if before > max(0.0, slower) else math.inf


def _rise_of(values: Sequence[float], newest: int, share: float, most: float = math.inf) -> float:
    """Standard errors by which the ``newest`` values rise, where that is more than ``share`` of the whole way or than
    ``most``; else 0."""
    if newest < IN_A_ROW:
        return 0.0
    slope = line(values[-newest:])[0]
    error = noise(values[-4 * _STEADY :]) * math.sqrt(12 / newest**3) + 1e-12
    return slope / error if slope * (newest - 1) > min(most, share * (max(values) - min(values))) else 0.0


def _flattens(facts: Facts, curve: Sequence[tuple[int, float]], values: Sequence[float]) -> int | None:
    """The validation since which metric and losses surely go at less than a tenth of their pace before, and by less
    than a fortieth of their way; none in the last two fifths of the run, where each curve flattens."""
    high = [epoch for epoch, _ in curve if epoch <= facts.decayed]
    losses = (dict(facts.train), dict(series(facts.validations, "loss")))
    trained, checked = ([-math.log(y[at]) if y.get(at, 0) > 0 else math.nan for at in high] for y in losses)
    level = [curve for curve in (values[: len(high)], checked) if not all(map(math.isnan, curve))]
    for at in range(1, len(high) - 2, max(1, len(high) // 40)):
        if high[at] > _LATE * facts.epochs:
            return None
        pace = 0.1 * (len(high) - 1 - at) / at
        share = min(0.03, pace)
        if all(_level(seen, at, share) for seen in level) and _level(trained, at, 2 * pace, 0):
            return at if _left(facts, curve, values, at) <= _LEFT else None
    return None


def _level(values: Sequence[float], at: int, share: float, sure: int = 1) -> bool:
    """Whether the line through the values since ``at`` moves by less than ``share`` of their whole way, by ``sure``
    standard errors."""
    newest = values[at:]
    slope, _, left = line(newest)
    size, jump = len(newest), noise(values[-4 * _STEADY :])
    if size > IN_A_ROW:
        jump = min(jump, 2 * left)
    error = jump * math.sqrt(12 / (size**3 - size))
    return (abs(slope) + sure * error) * (size - 1) < share * (max(values) - min(values))


def _stops(facts: Facts, curve: Sequence[tuple[int, float]], values: Sequence[float]) -> int | None:
    """The validation at which a steady progress ended at once: of the metric, the losses, of all that can be told."""
    epochs = [epoch for epoch, _ in curve]
    places = [bisect_right(facts.train, epoch, key=lambda row: row[0]) for epoch in (0, *epochs)]
    rows = [[-math.log(loss) for _, loss in facts.train[a:b] if loss > 0] for a, b in pairwise(places)]
    if not all(rows):
        return None
    trained = [sum(row) / len(row) for row in rows]
    losses = dict(series(facts.validations, "loss"))
    other = dict(series(facts.validations, default_monitor(facts.task))) if facts.task else {}
    logs = [-math.log(losses[epoch]) for epoch in epochs if losses.get(epoch, 0.0) > 0]
    metric = [other[epoch] for epoch in epochs if epoch in other] if facts.monitor == "loss" else values
    checked = [seen for seen in (logs, metric) if len(seen) == len(values)]
    high = sum(epoch <= facts.decayed for epoch in epochs)
    for after in range(max(2, len(values) + 2 - high), min(len(values) - _STEADY + 1, 4 * _STEADY)):
        training = _stopped(trained, after, 0.5)
        if training[0] <= (1.0 if after == 2 else -1.0):
            continue
        odds, rises = zip(training, *(_stopped(seen, after) for seen in checked), strict=True)
        moves = sum(max(0.0, rise) for rise in rises) > 2 * math.sqrt(len(rises))
        moves |= sum(min(0.0, rise) for rise in rises[1:]) < -2 * math.sqrt(len(checked))
        if not moves and sum(min(_SURE, x) for x in odds) > _SURE:
            return len(values) - 1 - after
    return None


def _stopped(values: Sequence[float], after: int, late: float = 0.0) -> tuple[float, float]:
    """Of a rise before the newest ``after`` values, logarithm of how much likelier it is that it ended there than that
    it went on, slowing down (minus infinity where there was none), and by how many standard errors they rise.

    Either is the best of `_shapes` by least squares; the noise is that of the curve and of what is left, together.
    Training losses are means since the validation before, and so come half a validation ``late``.
    """
    size = min(_BEFORE, len(values) - after)
    window = values[-size - after :]
    step, mean = (window[size - 1] - window[0]) / (size - 1), sum(window) / len(window)
    if step <= 0:
        return -math.inf, 0.0
    window = [value - mean for value in window]
    stopped, slowed = (
        max(0.0, *(sum(map(mul, shape, window)) for shape in _shapes(size, after, late, end))) ** 2
        for end in (True, False)
    )
    left = max(1e-18, sum(value * value for value in window) - stopped)
    variance = (left + 4 * noise(values[-4 * _STEADY :]) ** 2) / (size + after + 1) + (0.05 * step) ** 2
    stands = window[-after - (late == 0.0) :]
    slope, _, off = line(stands)
    sure = {2: math.inf, 3: 6.0}.get(len(stands), 2.0)  # of so few, what is left of a line may be small by chance
    jumps = min(variance, (sure * max(off, 0.01 * step)) ** 2)  # a rise that was no line before tells little of noise
    return (stopped - slowed) / 2 / variance, slope * math.sqrt((len(stands) ** 3 - len(stands)) / 12 / jumps)


@lru_cache(1024)
def _shapes(size: int, after: int, late: float, end: bool) -> list[list[float]]:
    """Rises of ``size`` values and ``after`` more, of mean 0 and norm 1, that go on at the same pace or slow down to as
    little as 0.4 of it at each step; ``end`` those that stop at the last of the ``size``."""
    places = [min(at - late, 0.0 if end else math.inf) for at in range(1 - size, after + 1)]
    found = []
    for slows in (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4):
        rise = [at if slows == 1.0 else (1 - slows**at) / (1 - slows) for at in places]
        mean = sum(rise) / len(rise)
        norm = math.sqrt(sum((value - mean) ** 2 for value in rise))
        found.append([(value - mean) / norm for value in rise])
    return found
