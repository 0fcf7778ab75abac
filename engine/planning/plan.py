"""What a plan is, and the choices that all tasks share: names, split, machine, evaluation."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from engine.errors import counted
from engine.planning.facts import Facts, percentiles, rounded
from engine.planning.machine import Machine, Pace

TEST_FRACTION, VALIDATION_FRACTION = 0.2, 0.1
FEW = 30  # training cases or groups: a tenth of fewer is one or two, by which nothing can be watched
_FEW_TESTED = 10  # test cases: below, `medtui check` says the same
_VALIDATIONS = 12  # in a run: points enough for a curve, as hippocampus.toml has
_WATCHED = 0.1  # of the minutes, at most, for all validations together: they choose nothing
SHORT_MEMORY, LONG_MEMORY = 100, 500  # steps that averaged weights reach back: those of hippocampus, and of seg_best
_LONG_RUN = 3000  # steps from which the long one is meant: between those recipes' 1,800 and 4,200
WARM_UP = 0.1  # of the steps, at most
_PADDED = 0.25  # share of empty voxels from which they are left out of the scale: nnU-Net's rule
_AIR = (-1100.0, -900.0)  # in Hounsfield units
_PADDING = -2000.0  # and below: what scanners fill the corners of a CT with
MARGIN = 0.97  # of the minutes that are steps, as `engine.training.pace` plans
UNMIRRORED = "nothing is mirrored: augment.flip names the axes along which sides are alike, which only you can tell"


@dataclass(frozen=True, slots=True)
class Line:
    """One key of a recipe."""

    key: str  # with its table
    value: Any
    why: str = ""  # its comment


LAST = Line("evaluate.checkpoint", "last", "the averaged weights of the end: nothing is chosen by validation")
Lines = Sequence[Line]
Measure = Callable[[Lines, bool], Pace | None]
"""How fast a recipe of these lines is on the machine, and whether its validation is timed too; None where it does not
fit into the memory."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A recipe with its reasons."""

    lines: tuple[Line, ...]
    said: tuple[str, ...]  # what was decided, for the terminal
    minutes: float  # of training; fewer than were wished where more would add little


@dataclass(frozen=True, slots=True)
class Wish:
    """What a plan is made for."""

    facts: Facts
    machine: Machine
    minutes: int


@dataclass(frozen=True, slots=True)
class Span:
    """How long is trained."""

    minutes: float
    steps: int
    epoch: int  # steps of one
    looks: int  # validations
    enough: str = ""  # why no more, where the minutes hold more; "" where they end it

    @property
    def epochs(self) -> int:
        return self.steps // self.epoch


def data_lines(facts: Facts) -> list[Line]:
    """How the data is found, read and split."""
    keys = {**facts.keys}
    lines = [Line("data.source", keys.pop("source")), Line("data.root", None)]
    classes, ignore = keys.pop("classes", None), keys.pop("ignore", None)
    lines += [Line(f"data.{key}", value) for key, value in keys.items()]
    if classes:
        values = ", for the mask values 1, 2, ..." if len(classes) > 1 else ""
        own = f"nothing names them: put in names of your own{values}"
        why = "" if facts.named else f"as {known.name} numbers them" if (known := facts.published) else own
        lines.append(Line("data.classes", list(classes), why))
    if ignore:
        why = "it stands beside classes in masks and is none of them: borders, or what nobody outlined"
        lines.append(Line("data.ignore", ignore, why))
    lines += _split_lines(facts)
    if facts.empty:
        why = f"{facts.empty} of {facts.read} masks that were read are empty, and stay; damaged cases are left out"
        lines.append(Line("data.unreadable", "skip", why))
    return lines


def intensity_lines(facts: Facts) -> list[Line]:
    """How the values of an image are put on a scale."""
    if facts.dataset.colour:
        return [Line("data.intensity", "imagenet", "colours by fixed means, so that light and tint stay what they are")]
    means = sorted(each.mean for each in facts.seen)
    blank = sorted(each.blank for each in facts.seen)[len(means) // 2]
    if window := _window_lines(facts):
        return window
    if blank >= _PADDED:
        return [Line("data.intensity", "body", f"{blank:.0%} of an image is empty, which must not set the scale")]
    return [Line("data.intensity", "zscore", f"each image by itself: means run from {means[0]:.3g} to {means[-1]:.3g}")]


def _window_lines(facts: Facts) -> list[Line]:
    """The window of a CT; none where it is no CT."""
    air = sum(_AIR[0] <= each.low <= _AIR[1] or each.low <= _PADDING for each in facts.seen)
    named = any(name.strip().lower() == "ct" for name in facts.dataset.channel_names)
    shown = any(each.foreground for each in facts.seen)
    if not (named or 2 * air > len(facts.seen)) or facts.dataset.channels > 1 or not shown:
        return []
    low, high = map(rounded, percentiles(facts))
    if high <= low:
        return []
    least = sorted(each.low for each in facts.seen)[len(facts.seen) // 2]
    why = "CT: " + ("the data set says so" if named else f"values begin at {least:.5g}, as air or a scanner's padding")
    return [
        Line("data.intensity", "window", why),
        Line("data.window", [low, high], "99 % of the voxels of the classes lie between: nnU-Net's rule"),
    ]


def _split_lines(facts: Facts) -> list[Line]:
    parts = {split: facts.count(split) for split in ("train", "validation", "test")}
    train, validation, test = parts.values()
    if facts.given:
        why = "the data set's own: " + ", ".join(f"{count} {split}" for split, count in parts.items() if count)
        lines = [Line("data.split", "given", why if test else f"{why}; it has no test part")]
    else:
        groups = {case.group for case in facts.dataset.cases if case.group}
        by = f"by group ({len(groups)} known), which is never cut" if groups else "case by case: no patients are known"
        why = f"{counted(test, 'case')} for the test" if test else "one case or group alone: nothing can be tested"
        if 0 < test < _FEW_TESTED:
            why += ', which say little; split = "kfold" tests every case once, in a run for each fold'
        lines = [
            Line("data.split", "fraction", f"the data set has none; drawn {by}"),
            Line("data.test_fraction", TEST_FRACTION if test else 0.0, why),
        ]
    if not facts.dataset.own_validation and train + validation > 1:
        why = f"{train + validation} cases: each is needed for training"
        if validation:
            why = f"{counted(validation, 'case')} to watch the training by; nothing is chosen by them"
        lines.append(Line("data.validation_fraction", VALIDATION_FRACTION if validation else 0.0, why))
    return lines


def span(wish: Wish, pace: Pace | None, epoch: int, most: int, why: str) -> Span:
    """The minutes of ``wish``, or as many epochs as have ``most`` steps where those end before.

    Args:
        pace: None: it is not known yet.
        epoch: steps of one.
        why: what speaks against more steps.
    """
    most = -(-most // epoch) * epoch
    steps = planned_steps(wish, pace) if pace else most
    if pace is None or steps <= most:
        return Span(wish.minutes, steps, epoch, _looks(wish.minutes, pace) if pace else _VALIDATIONS)
    minutes = most * pace.step_s / 60
    looks = _looks(minutes, pace)
    return Span(minutes + looks * pace.validation_s / 60, most, epoch, looks, why)


def time_lines(wish: Wish, pace: Pace | None, time: Span, *, batch: Line) -> list[Line]:
    """[train], for as long as ``time``."""
    steps, epoch = time.steps, time.epoch
    reach = LONG_MEMORY if steps >= _LONG_RUN else SHORT_MEMORY
    every = max(1, round(steps / epoch / time.looks))
    cost = f", of {pace.validation_s:.2g} s each" if pace and pace.validation_s else ""
    seen = Line(
        "train.validate_every", every, f"about {counted(max(1, round(steps / epoch / every)), 'look')} in a run{cost}"
    )
    minutes = f"about {about(steps)} steps here; the schedule ends with them, the test comes after"
    if steps < epoch:
        minutes = f"{about(steps)} steps here, and a pass over the cases takes {about(epoch)}: give it more"
    length = Line("train.minutes", wish.minutes, minutes)
    if time.enough:
        length = Line("train.epochs", time.epochs, f"{span_words(wish, time)}: {time.enough}")
    return [
        length,
        batch,
        Line("train.clip_norm", 5.0, "a rare steep gradient does not throw the weights off"),
        Line("train.amp", "auto", "half precision where a short trial finds it faster"),
        Line("train.ema", 1 - 1 / reach, f"the weights that are tested are averages, over about {reach} steps"),
        *([seen] if wish.facts.count("validation") and every > 1 else []),
    ]


def span_words(wish: Wish, time: Span) -> str:
    """``2,400 steps, about 9 of the 60 minutes``."""
    return f"{about(time.steps)} steps, about {about(time.minutes)} of the {counted(wish.minutes, 'minute')}"


def said(wish: Wish, time: Span) -> tuple[str, ...]:
    """For the terminal, that the minutes are not all needed."""
    return (f"trains for {span_words(wish, time)}: {time.enough}",) if time.enough else ()


def warmup_lines(steps: int, epoch: int) -> list[Line]:
    """[schedule], its warm-up: an epoch, but at most a tenth of the steps."""
    epochs = min(1.0, rounded(WARM_UP * steps / epoch, 2))
    return [Line("schedule.warmup_epochs", epochs)] if epochs * epoch >= 2 else []


def about(number: float) -> str:
    """``2,400`` for 2,437: as many figures as a short measurement is worth."""
    return f"{rounded(number, 2):,g}"


def planned_steps(wish: Wish, pace: Pace) -> int:
    """How many steps end within the minutes, beside the validations."""
    room = wish.minutes * 60 * MARGIN - _looks(wish.minutes, pace) * pace.validation_s
    return max(1, math.floor(room / pace.step_s))


def _looks(minutes: float, pace: Pace) -> int:
    """How many validations a run of so many minutes has."""
    most = _WATCHED * minutes * 60 / pace.validation_s if pace.validation_s else _VALIDATIONS
    return max(1, min(_VALIDATIONS, math.floor(most)))


def watched(wish: Wish, pace: Pace, lines: Lines, measure: Measure) -> Pace:
    """``pace`` of the recipe of ``lines``, with what its validations cost."""
    return (measure(lines, True) if wish.facts.count("validation") else None) or pace


def nested(lines: Iterable[Line]) -> dict[str, Any]:
    """The tables of a recipe."""
    tables: dict[str, Any] = {}
    for line in lines:
        table, _, key = line.key.rpartition(".")
        (tables.setdefault(table, {}) if table else tables)[key] = line.value
    return tables


def pace_words(pace: Pace, machine: Machine) -> str:
    """``0.42 s a step, measured here; 1.4 of 24 GB of the GPU``."""
    memory = f"; {pace.memory / 2**30:.1f} of {machine.gpu_memory / 2**30:.0f} GB of the GPU" if pace.memory else ""
    return f"{pace.step_s:.2g} s a step, measured here{memory}"
