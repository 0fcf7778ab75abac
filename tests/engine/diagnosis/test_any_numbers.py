"""Whatever the numbers of a stream are, the rules come to an end: the trainer itself asks them."""

import random
from collections.abc import Callable, Iterator

import pytest
from msgspec import structs

from engine import events as ev
from engine.diagnosis import Facts, Steps, diagnose
from engine.diagnosis.learning import learning
from engine.diagnosis.pace import pace
from engine.diagnosis.quality import quality
from engine.readers.fold import fold
from engine.readers.health import facts_of
from engine.readers.run_view import EMPTY
from engine.runfolder import Status

SHAPES: list[Callable[[random.Random, float], ev.Number]] = [
    lambda r, last: r.choice([0.0, 0.25, 0.5, 0.75, 1.0]),
    lambda r, last: last if r.random() < 0.7 else round(r.random(), 1),
    lambda r, last: max(0.0, min(1.0, last + r.choice([-0.1, 0.0, 0.0, 0.1]))),
    lambda r, last: r.choice(["nan", "inf", "-inf", None, 0.0, -1.0, 1e-300, 1e300, last]),
    lambda r, last: 0.0,
    lambda r, last: r.random(),
    lambda r, last: min(1.0, last + 0.01),
]


class Numbers:
    """Each name has a shape of its own: steps of a few cases, levels, zeros, noise, and what no training gives."""

    def __init__(self, r: random.Random) -> None:
        self._random = r
        self._shapes: dict[str, Callable[[random.Random, float], ev.Number]] = {}
        self._last: dict[str, float] = {}

    def __call__(self, name: str) -> ev.Number:
        shape = self._shapes.setdefault(name, self._random.choice(SHAPES))
        found = shape(self._random, self._last.get(name, 0.5))
        if isinstance(found, float):
            self._last[name] = found
        return found

    def seconds(self, name: str) -> float:
        return abs(ev.number(self(name)))


def run(r: random.Random) -> Iterator[list[ev.Event]]:
    """The events of a run, an epoch at a time."""
    numbers = Numbers(r)
    task, labels = r.choice(["segmentation", "classification"]), ["a", "b", "c"][: r.choice([1, 2, 3])]
    epochs, steps, every = r.choice([1, 2, 20, 60]), r.choice([1, 2, 5, 30]), r.choice([1, 1, 2])
    monitor = r.choice(["dice", "loss", "accuracy", "balanced_accuracy", "auc"])
    cases = {"train": 4, "validation": r.choice([0, 1, 5, 50])}
    yield [
        ev.RunStarted(
            name="any", task=task, classes=labels, cases=cases, epochs=epochs, iterations_per_epoch=steps,
            monitor=monitor, monitor_split="validation",
        )
    ]  # fmt: skip
    for epoch in range(1, epochs + 1):
        found: list[ev.Event] = []
        for step in range(1, steps + 1):
            times = {name: numbers.seconds(name) for name in ("data_s", "step_s")}
            rate, norm = numbers.seconds("lr"), numbers("grad_norm")
            number = (epoch - 1) * steps + step
            found.append(
                ev.Iteration(iteration=number, epoch=epoch, loss=numbers("loss"), lr=rate, grad_norm=norm, **times)
            )
        if epoch % every == 0:
            per_class = {
                name: {"recall": numbers("r"), "dice": numbers("d"), "support": r.choice([0, 1, 30])} for name in labels
            }
            metrics = {name: numbers(name) for name in ("dice", "accuracy", "balanced_accuracy", "auc", "loss")}
            listed: list[ev.CaseEntry] = [{"id": str(case), "dice": numbers("case")} for case in range(4)]
            found.append(
                ev.Validation(epoch=epoch, iteration=epoch * steps, metrics=metrics, per_class=per_class, cases=listed)
            )
        whole, disk = r.choice([0.0, 1e4]), r.choice([0.0, 5.0])
        found.append(ev.Resources(cpu_percent=1.0, memory_mb=whole, memory_total_mb=whole, disk_free_gb=disk))
        yield found


@pytest.mark.parametrize("seed", range(8))
def test_the_rules_come_to_an_end_on_any_numbers(seed):
    for part in range(20):
        r = random.Random(20 * seed + part)
        view, seq, now = EMPTY, 0, 1e9
        for found in run(r):
            told = []
            for event in found:
                seq, now = seq + 1, now + r.choice([0.0, 1e-9, 0.1, 1.0, 50.0])
                told.append(structs.replace(event, seq=seq, time_s=now))
            view = fold(view, told)
            facts = facts_of(view, Status(state=r.choice(["running", "finished"])))
            for finding in (*learning(facts), *quality(facts), *pace(facts, now + r.choice([0.0, 100.0]))):
                assert finding.message


def test_numbers_beyond_all_arithmetic_tell_nothing():
    huge = Facts(live=True, epochs=9, train=tuple((epoch, 10**400) for epoch in range(1, 9)), steps=Steps())
    assert diagnose(huge, 0.0) == ()
