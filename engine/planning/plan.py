"""What a plan is, and the choices that all tasks share: names, split, machine, evaluation."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from engine.errors import counted
from engine.planning.facts import Facts
from engine.planning.machine import Machine, Pace

TEST_FRACTION, VALIDATION_FRACTION = 0.2, 0.1
FEW = 30  # training cases or groups: of fewer, a tenth shows nothing
VALIDATIONS = 12  # in a run
MARGIN = 0.97  # of the minutes that are steps, as `engine.training.pace` plans


@dataclass(frozen=True, slots=True)
class Line:
    """One key of a recipe."""

    key: str  # with its table
    value: Any
    why: str = ""  # its comment


Lines = Sequence[Line]
Measure = Callable[[Lines], Pace | None]
"""How fast a recipe of these lines is on the machine; None where it does not fit into the memory."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A recipe with its reasons."""

    lines: tuple[Line, ...]
    said: tuple[str, ...]  # what was decided, for the terminal


@dataclass(frozen=True, slots=True)
class Wish:
    """What a plan is made for."""

    facts: Facts
    machine: Machine
    minutes: int


def data_lines(facts: Facts) -> list[Line]:
    """How the data is found, read and split."""
    dataset, keys = facts.dataset, {**facts.keys}
    lines = [Line("data.source", keys.pop("source")), Line("data.root", None)]
    classes = keys.pop("classes", None)
    lines += [Line(f"data.{key}", value) for key, value in keys.items()]
    if classes:
        why = "" if facts.named else "nothing names them: put in names of your own, for the mask values 1, 2, ..."
        lines.append(Line("data.classes", list(classes), why))
    train, validation, test = (facts.count(split) for split in ("train", "validation", "test"))
    groups = {case.group for case in dataset.cases if case.group}
    by = f"by group ({len(groups)} known), which is never cut" if groups else "case by case: no patients are known"
    if facts.given:
        parts = ", ".join(
            f"{n} {name}" for name, n in (("train", train), ("validation", validation), ("test", test)) if n
        )
        lines.append(Line("data.split", "given", f"the data set's own: {parts}"))
        if not test:
            lines[-1] = Line("data.split", "given", f"the data set's own: {parts}; it has no test part")
    else:
        lines.append(Line("data.split", "fraction", f"the data set has none; drawn {by}"))
        why = f"{counted(test, 'case')} for the test" if test else "one case alone: nothing can be tested"
        lines.append(Line("data.test_fraction", TEST_FRACTION if test else 0.0, why))
    if not dataset.own_validation and train + validation > 1:
        few = not validation
        why = (
            f"{train + validation} cases: each is needed for training"
            if few
            else f"{counted(validation, 'case')} to watch the training by; nothing is chosen by them"
        )
        lines.append(Line("data.validation_fraction", 0.0 if few else VALIDATION_FRACTION, why))
    if facts.empty:
        lines.append(
            Line(
                "data.unreadable",
                "skip",
                f"{facts.empty} of {len(facts.seen)} masks are empty, and stay; damaged cases are left out",
            )
        )
    return lines


def time_lines(wish: Wish, steps: int, epoch: int, *, batch: Line) -> list[Line]:
    """[train], for about so many ``steps`` of which ``epoch`` make one."""
    slow = steps >= 4500
    lines = [
        Line(
            "train.minutes",
            wish.minutes,
            f"about {steps:,} steps here; the schedule ends with them, the test comes after",
        ),
        batch,
        Line("train.clip_norm", 5.0, "a rare steep gradient does not throw the weights off"),
        Line("train.amp", "auto", "half precision where this machine is faster with it"),
        Line(
            "train.ema",
            0.998 if slow else 0.99,
            f"averaged weights, over the last {500 if slow else 100} steps, are tested",
        ),
    ]
    validated = wish.facts.count("validation") > 0
    every = max(1, round(steps / epoch / VALIDATIONS))
    return [
        *lines,
        *([Line("train.validate_every", every, f"about {VALIDATIONS} looks in a run")] if validated else []),
    ]


def planned_steps(wish: Wish, pace: Pace) -> int:
    """How many steps end within the minutes."""
    return max(1, math.floor(wish.minutes * 60 * MARGIN / pace.step_s))


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
