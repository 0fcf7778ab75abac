"""Rules on losses and gradients: diverging, gradient_exploding, overfitting, plateau."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import median

from engine.diagnosis.facts import IN_A_ROW, Facts, Finding, Window, brief, noise, series, since, windows
from engine.diagnosis.quality import guesses
from engine.events import number
from engine.measures import default_monitor, find

_ABSURD = 1e6  # no loss of classes or overlaps is as great, however bad the network
_ABOVE_START = 10.0
_COLLAPSE, _BACK = 4.0, 0.75
_LOSS_STEPS = 10
_WAIT, _GOOD, _LEARNED, _LEARNED_AT_ONCE = 5, 0.85, 0.3, 0.25
_STEADY, _SURE, _RISES = 5, 8.0, 1.5
_FOLLOWS = 0.5  # of the rise of the validation loss: a training loss that rises by more goes with it
_GRADIENT_STEPS = 9
_EXPLODED, _EXPLODED_EARLY, _STILL = 20.0, 100.0, 5.0


def learning(facts: Facts) -> Iterator[Finding]:
    """The findings on how the run learns."""
    yield from _diverging(facts)
    yield from _exploding(facts)
    yield from _overfitting(facts)
    yield from _plateau(facts)


def _diverging(facts: Facts) -> Iterator[Finding]:
    """The loss is far above where it began, or back there after it had fallen to a fifth."""
    steps = facts.steps
    size = min(_LOSS_STEPS, max(IN_A_ROW, len(steps)))
    of_steps = [(int(steps.epoch[w.middle]), w.level) for w in windows(steps.loss, size, nan=math.inf)]
    if not facts.live and len(steps) and not math.isfinite(steps.loss[-1]):  # what ended the run
        of_steps.append((int(steps.epoch[-1]), float(steps.loss[-1])))
    checks = [(v.epoch, number(v.metrics["loss"])) for v in facts.validations if v.metrics.get("loss") is not None]
    begun = _first_level(steps.loss)
    blown = _blown_up("training", of_steps or facts.train, start=begun)
    blown = blown or _blown_up("validation", checks, 100.0, math.inf)
    if blown is None:
        return
    name, epoch, first, low, now = blown
    grows = f"grows beyond all bounds: {brief(low)} → {brief(now)}"
    yield Finding(
        severity="error",
        code="diverging",
        message=f"the {name} loss {grows if math.isfinite(low) else f'is {brief(now)}: nothing is learned'}",
        since_epoch=epoch,
        evidence=f"{name} loss {brief(first)} at the beginning, {brief(low)} at its lowest, {brief(now)} now",
        remedy="stop, lower optimizer.lr, or set train.clip_norm = 1.0; go on from best.pt, which is kept",
        key="s",
    )


def _first_level(values: Sequence[float]) -> float:
    """Of the first three steps, which a fault of the fourth has not touched; inf where they are not all known."""
    first = values[:IN_A_ROW]
    return median(first) if len(first) == IN_A_ROW and all(map(math.isfinite, first)) else math.inf


def _blown_up(
    name: str,
    levels: Sequence[tuple[int, float]],
    above: float = _ABOVE_START,
    collapse: float = _COLLAPSE,
    start: float = math.inf,
) -> tuple[str, int, float, float, float] | None:
    """(name, epoch since which, first, lowest, newest level) where the levels have blown up, and are so now.

    ``start`` is the level before them, inf where the first of them is all that is known.
    """
    flags: list[bool] = []
    low = math.inf
    for _, level in levels:
        blown = not math.isfinite(level) or level > _ABSURD
        if 0 < start < math.inf:
            blown |= level > above * start or (level >= _BACK * start and level > collapse * low)
        flags.append(blown)
        if not blown:
            start, low = (level if start == math.inf else start), min(low, level)
    at = since(flags)
    return None if at is None else (name, levels[at][0], min(start, levels[0][1]), low, levels[-1][1])


def _exploding(facts: Facts) -> Iterator[Finding]:
    """The norm of the gradient is twenty times what it ever was up to two epochs ago."""
    steps = facts.steps
    size = min(_GRADIENT_STEPS, max(IN_A_ROW, len(steps)))
    found = [window for window in windows(steps.grad_norm, size) if not math.isnan(window.level)]
    begun = _first_level(steps.grad_norm)
    calm = [Window(0, IN_A_ROW, begun)] if math.isfinite(begun) else []
    flags: list[bool] = []
    for window in found:
        usual = _calm(calm, window, steps.epoch)
        still = flags[-1:] == [True] and window.level > _STILL * max(before.level for before in calm)
        flags.append(still or (usual is not None and window.level > usual))
        known = max((before.level for before in calm), default=window.level)
        if not flags[-1] and window.level < min(math.inf, _STILL * known):  # half exploded is not calm
            calm.append(window)
    at = since(flags)
    if at is None or not calm:
        return
    before, now = max(window.level for window in calm), found[-1].level
    yield Finding(
        severity="error",
        code="gradient_exploding",
        message=f"the gradient grows: its norm is {brief(now)}, and was {brief(calm[0].level)}",
        since_epoch=int(steps.epoch[found[at].middle]),
        evidence=f"medians over {size} steps: {brief(before)} at most before it, {brief(now)} now",
        remedy="set train.clip_norm = 1.0, or lower optimizer.lr",
        key="s",
    )


def _calm(calm: Sequence[Window], window: Window, epochs: Sequence[int]) -> float | None:
    """The limit for ``window`` by the calm ones before it; None while nothing can be compared.

    Two epochs are left out of the comparison, so that a slow growth does not become its own measure.
    """
    epoch = epochs[window.stop - 1]
    older = [before.level for before in calm if epochs[before.stop - 1] <= epoch - 2]
    if older:
        limit = _EXPLODED * max(older)
        return limit if len(older) >= IN_A_ROW else max(limit, 1.0)
    early = [before.level for before in calm if before.stop <= window.stop - 2 * _GRADIENT_STEPS]
    times = _EXPLODED_EARLY if len(early) < IN_A_ROW else 2 * _EXPLODED
    return max(times * max(early), 1.0) if early else None


def _overfitting(facts: Facts) -> Iterator[Finding]:
    """The validation loss rises since its lowest, by more than it jumps, while the training loss does not."""
    curve = [(epoch, value) for epoch, value in series(facts.validations[-200:], "loss") if value > 0]
    values = [math.log(value) for _, value in curve]  # noise of a loss goes with it, and its fall becomes a line
    lowest = min(range(len(values)), key=values.__getitem__, default=0)
    after = len(values) - 1 - lowest
    if after < IN_A_ROW or (lowest == 0 and after < 2 * IN_A_ROW and curve[-IN_A_ROW][0] <= facts.grace):
        return
    monitored = [value if facts.monitor_up else -value for _, value in series(facts.validations, facts.monitor)]
    newest = monitored[-IN_A_ROW:]
    better = len(monitored) > IN_A_ROW and median(newest) > max(monitored[:-IN_A_ROW])
    better = better and newest != sorted(newest, reverse=True)  # three in a row that fall have left the best behind
    better = better and facts.monitor != "loss"
    epoch = curve[lowest][0]
    before = [loss for at, loss in facts.train if at <= epoch][-3:]
    since_then = [loss for at, loss in facts.train if at > epoch][-3:]
    rise = _rise(values, lowest, 0.3 if better else 0.1 if after < 8 else 0.05)
    if not (rise or better) and before and since_then and median(since_then) < 0.97 * median(before):
        rise = _rise(values, lowest, 0.03, 1.8)  # of a loss that hardly jumps
    follows = before and since_then and median(since_then) > median(before) * math.exp(_FOLLOWS * rise)
    if not rise or follows:
        return
    falls = f", that of training is {brief(median(since_then))}" if since_then else ""
    yield Finding(
        severity="warning",
        code="overfitting",
        message=f"validation loss {brief(curve[lowest][1])} → {brief(curve[-1][1])}{falls}, "
        f"no better for {after} validations",
        since_epoch=curve[lowest + 1][0],
        evidence=f"lowest at epoch {epoch}; it jumps by {100 * noise(values[-40:]):.0f} % between validations",
        remedy="stop: the best is kept. Next time: more augmentation, weight decay or data, or train.early_stop",
        key="s",
    )


def _rise(values: Sequence[float], lowest: int, share: float, sure: float = 1.0) -> float:
    """By how much the newest of ``values`` (logarithms) stand above their lowest; 0 where that is below ``share``, or
    no more than they jump.

    The longer ago the lowest is, the more values make a level; after three of which each is higher, the last one is.
    After a long level, the newest three, weighted as a rise would be, are compared with all of it.
    """
    after = len(values) - 1 - lowest
    half = min(4, max(1, after // 4))
    around = values[max(0, lowest - half) : lowest + half + 1]
    bottom, now = min(median(around), median(around[-half - 1 :])), median(values[-2 * half - 1 :])
    jump = sure * noise(values[-40:])
    limit = (4.2 if half == 1 else 6.5) * jump / math.sqrt(half)
    if half == 1 and all(a < b for a, b in pairwise(values[-IN_A_ROW - 1 :])):
        now, limit = values[-1], 4.5 * jump
        if len(values) < 12:  # of which a steep fall is the most: it is no noise
            limit = min(limit, 4.5 * sure * noise(values[lowest:]))
    if now - bottom > max(math.log1p(share), limit):
        return now - bottom
    level, newest = values[max(0, lowest - 2) : -IN_A_ROW], values[-IN_A_ROW:]
    ramp = sum((at + 1) * (value - median(level)) for at, value in enumerate(newest)) / 6
    highest = min(newest[1:]) > max(level[-8:]) and newest[0] > median(level)
    return ramp if after >= 5 and highest and ramp > max(math.log1p(share), 3.7 * jump) else 0.0


def _plateau(facts: Facts) -> Iterator[Finding]:
    """Neither the monitored metric nor the training loss gets better any more, though the learning rate is not yet
    small, and there is more to learn."""
    curve = series(facts.validations, facts.monitor)
    values = [value if facts.monitor_up else -value for _, value in curve]
    shares = {facts.monitor} if facts.monitor_up else set()
    shares |= {default_monitor(facts.task)} if facts.task else set()
    seen = [value for name in shares if find(name).kind == "share" for _, value in series(facts.validations, name)]
    if len(curve) <= _WAIT or max(seen, default=0.0) >= _GOOD:
        return
    if any(guesses(facts, validation) for validation in facts.validations[-IN_A_ROW:]):
        return
    stands, stops = _stands(facts, curve, values), _stops(facts, curve, values)
    at = stops if stands is None else stands
    if at is None:
        return
    losses = [loss for epoch, loss in facts.train if epoch > curve[at][0]]
    losses = losses[-max(1, len(losses) // 3) :]
    first = _first_level(facts.steps.loss)
    learned = _LEARNED if stops is None else _LEARNED_AT_ONCE
    if losses and median(losses) < learned * (first if math.isfinite(first) else facts.train[0][1]):
        return
    yield Finding(
        severity="note",
        code="plateau",
        message=f"{facts.monitor} stands at {brief(curve[-1][1])}: no better for {len(values) - 1 - at} validations",
        since_epoch=curve[at][0],
        evidence=f"best {brief(max(values) if facts.monitor_up else -max(values))}, and the training loss stands too",
        remedy="another learning rate or schedule, a larger network, or stop here",
        key="s",
    )


def _stands(facts: Facts, curve: Sequence[tuple[int, float]], values: Sequence[float]) -> int | None:
    """The validation since which nothing got better, where that is a tenth of those that are planned."""
    every = max(1.0, median(b[0] - a[0] for a, b in pairwise(curve)))
    wait = max(_WAIT, math.ceil(facts.epochs / every / 10))
    tolerance = max(2 * noise(values), 0.01 * (max(values) - min(values)))
    reached = next(at for at, value in enumerate(values) if value >= max(values) - tolerance)
    epoch = curve[reached][0]
    stood = sum(max(epoch, facts.epochs / 10) < at <= facts.decayed for at, _ in curve)
    rises = 0.0
    for losses in (facts.train, series(facts.validations, "loss")):
        found = [(at, -math.log(loss)) for at, loss in losses if loss > 0]
        rises += _rise_of([loss for _, loss in found], sum(at > epoch for at, _ in found), 0.04)
    rises += _rise_of(values, len(values) - reached, 0.05 * (max(values) - min(values)))
    return None if stood < wait or rises > _RISES else reached


def _rise_of(values: Sequence[float], newest: int, share: float) -> float:
    """Standard errors by which the ``newest`` values rise, of which they rise by more than ``share``; else 0."""
    if newest < IN_A_ROW:
        return 0.0
    slope = _line(values[-newest:])[0]
    error = noise(values[-4 * _STEADY :]) * math.sqrt(12 / newest**3) + 1e-12
    return slope / error if slope * (newest - 1) > share else 0.0


def _stops(facts: Facts, curve: Sequence[tuple[int, float]], values: Sequence[float]) -> int | None:
    """The validation at which a steady progress ended at once: of the metric, the losses, of all that can be told."""
    epochs = [epoch for epoch, _ in curve]
    trained = [-math.log(loss) for epoch, loss in facts.train if epoch in set(epochs) and loss > 0]
    checked = [-math.log(loss) for _, loss in series(facts.validations, "loss") if loss > 0]
    if len(trained) != len(values):
        return None
    others = [checked] if len(checked) == len(values) and facts.monitor != "loss" else []
    high = sum(epoch <= facts.decayed for epoch in epochs)
    for after in range(2, len(values) - _STEADY):
        odds = [_stopped(trained, after, 0.5), *(_stopped(seen, after) for seen in (values, *others))]
        if len(values) - after + 1 < high and sum(min(_SURE, x) for x in odds) > _SURE and (after > 2 or odds[0] > 1.0):
            return len(values) - 1 - after
    return None


def _line(values: Sequence[float]) -> tuple[float, float, float]:
    """(slope, value at the end, root mean square of what is left) of the line through ``values``."""
    middle, mean = (len(values) - 1) / 2, sum(values) / len(values)
    spread = sum((at - middle) ** 2 for at in range(len(values)))
    slope = sum((at - middle) * value for at, value in enumerate(values)) / spread
    left = [value - mean - slope * (at - middle) for at, value in enumerate(values)]
    return slope, mean + slope * middle, math.sqrt(sum(x * x for x in left) / max(1, len(left) - 2))


def _stopped(values: Sequence[float], after: int, late: float = 0.0) -> float:
    """Logarithm of how much likelier the newest ``after`` values are if the steady rise before them ended than if it
    went on, slowing down as it did; minus infinity where they do neither.

    The mean of an epoch comes half an epoch ``late``: the rise goes on in it for as long.
    """
    end = len(values) - after
    size = min(_STEADY + 3, max(_STEADY, end // 2))
    last, before = values[end - size : end], values[max(0, end - 2 * size + 1) : end - size + 1]
    jump = noise(values[-4 * _STEADY :])
    slope, level, left = _line(last)
    earlier = _line(before)[0] if len(before) > 1 else 2 * slope
    slows = max(0.0, min(1.0, slope / earlier)) if earlier > 0 else 1.0
    far = (after + 1) / 2
    promised = slope * far * slows ** ((size - 1 + after) / 2 / (size - 1))
    seen = sum(values[end:]) / after - level - late * slope
    steady = slope > 0 and earlier > 0.25 * slope and left < max(2 * jump, 0.3 * slope)

    def error(distance: float) -> float:
        of_line = 1 / size + ((size - 1) / 2 + distance) ** 2 * 12 / (size**3 - size)
        return math.hypot(jump * math.sqrt(1 / after + of_line), 0.25 * slope) + 1e-9

    flat = seen / error(0.0)
    if not -1.5 < flat < 2.5 or (steady and seen + late * slope > (0.4 + 0.3 * late) * promised + jump):
        return -math.inf
    return (max(0.0, promised - late * slope - seen) / error(far)) ** 2 / 2 - flat**2 / 2 if steady else 0.0
