"""Rules on losses and gradients: diverging, gradient_exploding, overfitting; and where plateau is asked."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import median

from engine.diagnosis.facts import (
    IN_A_ROW,
    Facts,
    Finding,
    Window,
    brief,
    first_level,
    line,
    noise,
    series,
    since,
    windows,
)
from engine.diagnosis.plateau import plateau
from engine.diagnosis.quality import guesses
from engine.events import number

_ABSURD = 1e6  # no loss of classes or overlaps is as great, however bad the network
_ABOVE_START = 10.0
_COLLAPSE, _BACK, _ABOVE_GUESSES = 4.0, 0.75, 1.3  # of a classification the first loss is that of guesses: at_chance
_LOSS_STEPS = 10
_FOLLOWS = 0.5  # of the rise of the validation loss: a training loss that rises by more goes with it
_SURE = 3.5
_GRADIENT_STEPS = 9
_EXPLODED, _EXPLODED_EARLY, _STILL = 20.0, 100.0, 5.0


def learning(facts: Facts) -> Iterator[Finding]:
    """The findings on how the run learns."""
    yield from _diverging(facts)
    yield from _exploding(facts)
    yield from _overfitting(facts)
    yield from plateau(facts)


def _diverging(facts: Facts) -> Iterator[Finding]:
    """The loss is far above where it began, or back there after it had fallen to a fifth."""
    steps = facts.steps
    size = min(_LOSS_STEPS, max(IN_A_ROW, len(steps)))
    of_steps = [(int(steps.epoch[w.middle]), w.level) for w in windows(steps.loss, size, nan=math.inf)]
    if not facts.live and len(steps) and not math.isfinite(steps.loss[-1]):  # what ended the run
        of_steps.append((int(steps.epoch[-1]), float(steps.loss[-1])))
    checks = [(v.epoch, number(v.metrics["loss"])) for v in facts.validations if v.metrics.get("loss") is not None]
    begun = first_level(steps.loss)
    back = _BACK if facts.task != "classification" else _ABOVE_GUESSES
    blown = _blown_up("training", of_steps or facts.train, back=back, start=begun)
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


def _blown_up(
    name: str,
    levels: Sequence[tuple[int, float]],
    above: float = _ABOVE_START,
    collapse: float = _COLLAPSE,
    *,
    back: float = _BACK,
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
            blown |= level > above * start or (level >= back * start and level > collapse * low)
        flags.append(blown)
        if not blown:
            start, low = (level if start == math.inf else start), min(low, level)
    at = since(flags)
    return None if at is None else (name, levels[at][0], min(start, levels[0][1]), low, levels[-1][1])


def _exploding(facts: Facts) -> Iterator[Finding]:
    """The norm of the gradient is twenty times the greatest up to two epochs ago, in the newer half of them."""
    steps = facts.steps
    size = min(_GRADIENT_STEPS, max(IN_A_ROW, len(steps)))
    found = [window for window in windows(steps.grad_norm, size) if not math.isnan(window.level)]
    begun = first_level(steps.grad_norm)
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
        limit = _EXPLODED * max(older[len(older) // 2 :])  # norms fall while a network learns
        return limit if len(older) >= IN_A_ROW else max(limit, 1.0)
    early = [before.level for before in calm if before.stop <= window.stop - 2 * _GRADIENT_STEPS]
    times = _EXPLODED_EARLY if len(early) < IN_A_ROW else 2 * _EXPLODED
    return max(times * max(early), 1.0) if early else None


def _overfitting(facts: Facts) -> Iterator[Finding]:
    """The validation loss rises since its lowest, by more than it jumps, while the training loss does not."""
    curve = [(epoch, value) for epoch, value in series(facts.validations[-200:], "loss") if value > 0]
    least = 0.02 * max((value for _, value in curve[:IN_A_ROW]), default=0.0)  # what is as small is as good as none
    values = [math.log(max(value, least)) for _, value in curve]  # noise goes with a loss, and its fall is a line
    lowest = min(range(len(values)), key=values.__getitem__, default=0)
    after = len(values) - 1 - lowest
    if after < IN_A_ROW or (lowest == 0 and after < 2 * IN_A_ROW and curve[-IN_A_ROW][0] <= facts.grace):
        return
    if guesses(facts, facts.validations[-1]):  # which is told when it has lasted
        return
    monitored = [value if facts.monitor_up else -value for _, value in series(facts.validations, facts.monitor)]
    newest = monitored[-IN_A_ROW:]
    better = len(monitored) > IN_A_ROW and facts.monitor != "loss"
    if better:  # and not where three in a row fall: they have left the best behind
        best = max(monitored[:-IN_A_ROW])
        much = max(noise(monitored), (best - min(monitored)) / 15)
        better = median(newest) > best + much and newest != sorted(newest, reverse=True)
    epoch = curve[lowest][0]
    before = [loss for at, loss in facts.train if at <= epoch][-3:]
    since_then = [loss for at, loss in facts.train if at > epoch][-3:]
    rise = _rise(values, lowest, 0.3 if better else 0.1 if after < 8 else 0.05)
    if not (rise or better) and before and since_then and median(since_then) < 0.97 * median(before):
        rise = _rise(values, lowest, 0.02, 1.35) or _climbs(values, lowest)  # of a loss that hardly jumps
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


def _climbs(values: Sequence[float], lowest: int) -> float:
    """By how much the line through the newest four to six of ``values`` rises, where that is sure, and the newest three
    are above all since the lowest; else 0."""
    if min(values[-IN_A_ROW:]) <= max(values[lowest:-IN_A_ROW]):
        return 0.0
    jump = noise(values[-40:])
    for size in range(IN_A_ROW + 1, min(6, len(values) - lowest + 1) + 1):
        slope = line(values[-size:])[0]
        if slope * (size - 1) > 0.03 and slope > _SURE * jump * math.sqrt(12 / (size**3 - size)):
            return slope * (size - 1)
    return 0.0


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
        bottom, now, limit = values[lowest], values[-1], 5 * jump
        if len(values) < 12:  # of which a steep fall is the most: it is no noise
            limit = min(limit, 10 * sure * line(values[lowest:])[2])
    if now - bottom > max(math.log1p(share), limit):
        return now - bottom
    level, newest = values[max(0, lowest - 2) : -IN_A_ROW], values[-IN_A_ROW:]
    ramp = sum((at + 1) * (value - median(level)) for at, value in enumerate(newest)) / 6
    highest = min(newest[1:]) > max(level[-8:]) and newest[0] > median(level)
    return ramp if after >= 5 and highest and ramp > max(math.log1p(share), 3.7 * jump) else 0.0
