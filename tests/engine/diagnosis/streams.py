"""Streams of healthy runs of all kinds, and what can be made wrong in them from an epoch on."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from engine import events as ev

SKIN = ("MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC")
START_S = 1_790_000_000.0


@dataclass
class Moment:
    """What one step or epoch of a stream says; a fault changes it."""

    epoch: int
    age: int  # epochs since the onset, 0 in the first of them
    loss: float
    grad: float = 1.0
    data_s: float = 0.02
    step_s: float = 0.2
    val_loss: float = 0.5
    quality: float = 0.5  # Dice, or accuracy
    classes: dict[str, float] = field(default_factory=dict)
    cases: dict[str, float] = field(default_factory=dict)
    memory_mb: float = 4000.0
    disk_gb: float = 80.0


Fault = Callable[[Moment], None]


@dataclass(frozen=True)
class Plan:
    """A run: what it is like, and where a fault begins and ends."""

    task: str = "segmentation"
    classes: tuple[str, ...] = ("left atrium",)
    epochs: int = 30
    per_epoch: int = 12
    every: int = 1  # epochs between validations
    cases: int = 8
    top: float = 0.9
    noise: float = 0.02
    seed: int = 0
    fault: Fault | None = None
    onset: int = 12
    end: int = 10**6  # the first epoch without the fault again
    timed: bool = True  # the stream says data_s and step_s


def moment(plan: Plan, rng: random.Random, epoch: int, share: float) -> Moment:
    """A healthy moment ``share`` (0 to 1) into an epoch, or a faulty one."""
    passed = (epoch - 1 + share) / plan.epochs

    def jitter(by: float = 1.0) -> float:
        return math.exp(rng.gauss(0.0, by * plan.noise))

    now = Moment(epoch, epoch - plan.onset, 0.08 + math.exp(-6 * passed))
    now.quality = plan.top * (1 - math.exp(-7 * passed - 0.2)) * jitter(0.3)
    now.val_loss = (0.12 + math.exp(-5.5 * passed)) * jitter()
    now.loss *= jitter(4)
    now.grad = (0.2 + 2 * math.exp(-5 * passed)) * jitter(15)
    now.data_s, now.step_s = 0.01 * jitter(10), 0.2 * jitter(3)
    now.classes = {name: min(1.0, now.quality * jitter()) for name in plan.classes}
    now.cases = {f"case{n:02d}": min(1.0, now.quality * jitter(2)) for n in range(plan.cases)}
    if plan.fault is not None and plan.onset <= epoch < plan.end:
        plan.fault(now)
    return now


def stream(plan: Plan) -> Iterator[ev.Event]:
    """All events of a run up to the end of its training, without `RunEnded`."""
    rng = random.Random(plan.seed)
    monitor = "dice" if plan.task == "segmentation" else "balanced_accuracy"
    cases = {"train": 2 * plan.per_epoch, "validation": plan.cases}
    at, clock = 0, START_S

    def stamped(event: ev.Event) -> ev.Event:
        nonlocal at
        at += 1
        return type(event)(**{**{n: getattr(event, n) for n in event.__struct_fields__}, "seq": at, "time_s": clock})

    yield stamped(
        ev.RunStarted(
            name="run",
            task=plan.task,
            classes=list(plan.classes),
            cases=cases,
            epochs=plan.epochs,
            iterations_per_epoch=plan.per_epoch,
            monitor=monitor,
        )
    )
    yield stamped(ev.Phase(phase="training", total=plan.epochs * plan.per_epoch))
    for epoch in range(1, plan.epochs + 1):
        losses = []
        for step in range(1, plan.per_epoch + 1):
            now = moment(plan, rng, epoch, step / plan.per_epoch)
            clock += now.data_s + now.step_s
            losses.append(now.loss)
            timed = {"data_s": now.data_s, "step_s": now.step_s} if plan.timed else {}
            number = (epoch - 1) * plan.per_epoch + step
            yield stamped(
                ev.Iteration(iteration=number, epoch=epoch, loss=now.loss, lr=1e-3, grad_norm=now.grad, **timed)
            )
        now = moment(plan, rng, epoch, 1.0)
        yield stamped(_sample(now))
        yield stamped(ev.EpochDone(epoch=epoch, iteration=number, metrics={"loss": sum(losses) / len(losses)}))
        if plan.every and (epoch % plan.every == 0 or epoch == plan.epochs):
            yield stamped(ev.Phase(phase="validation", total=plan.cases))
            clock += 0.3 * plan.cases
            yield stamped(_validation(plan, now, epoch, number, monitor))
            yield stamped(ev.Phase(phase="training"))


def _sample(now: Moment) -> ev.Resources:
    return ev.Resources(
        cpu_percent=150.0, memory_mb=now.memory_mb, memory_total_mb=16000.0, disk_free_gb=now.disk_gb, cores=2
    )


def _validation(plan: Plan, now: Moment, epoch: int, iteration: int, monitor: str) -> ev.Validation:
    metrics: ev.Metrics = {"loss": now.val_loss, monitor: now.quality}
    if plan.task == "segmentation":
        per_class: dict[str, ev.Metrics] = {name: {"dice": value} for name, value in now.classes.items()}
        ordered = sorted(now.cases.items(), key=lambda item: item[1])
        metrics["dice"] = sum(now.cases.values()) / len(now.cases)
        cases: list[ev.CaseEntry] = [{"id": name, "dice": value} for name, value in ordered]
    else:
        metrics["accuracy"] = now.quality
        per_class = {
            name: {"precision": value or None, "recall": value, "f1": value, "support": 12.0}
            for name, value in now.classes.items()
        }
        cases = []
    return ev.Validation(
        epoch=epoch,
        iteration=iteration,
        metrics=metrics,
        per_class=per_class,
        cases=cases,
        seconds=0.3 * plan.cases,
    )


# --- faults --------------------------------------------------------------------------------------


def diverging(now: Moment) -> None:
    now.loss = 1e25


def doubling(now: Moment) -> None:
    """The loss doubles from epoch to epoch."""
    now.loss *= 3.0 ** (now.age + 2)


def collapsing(now: Moment) -> None:
    """The network predicts nothing any more, and its loss is that of the beginning."""
    now.loss = 1.1


def exploding(now: Moment) -> None:
    now.grad *= 10.0 ** (now.age + 1)


def overfitting(now: Moment) -> None:
    now.val_loss = 0.37 + 0.04 * (now.age + 1)
    now.loss *= 0.97**now.age


def slowly_overfitting(now: Moment) -> None:
    """From a long level, by a twelfth of it from one validation to the next; ``now.val_loss`` has its own noise."""
    now.val_loss *= 1 + 0.08 * (now.age + 1)


def steeply_overfitting(now: Moment) -> None:
    """From where the loss still falls steeply, and Dice still rises, it turns."""
    now.val_loss = 0.45 * 1.15 ** (now.age + 1)


def spiking(now: Moment) -> None:
    """One step in twenty or so has fifty times its gradient."""
    if str(now.loss)[-1] == "7" and str(now.loss)[-2] in "02468":
        now.grad *= 50.0


def missing_class(now: Moment) -> None:
    now.classes[next(iter(now.classes))] = 0.0


def guessing(now: Moment) -> None:
    chance = 1 / len(now.classes)
    now.quality = chance
    now.classes = dict.fromkeys(now.classes, chance)


def learned_by_heart(now: Moment) -> None:
    """Shuffled labels: the validation cases are guessed, and their loss rises while that of training falls."""
    guessing(now)
    now.val_loss, now.loss = 0.5 * 1.1 ** (now.age + 1), now.loss * 0.97**now.age


def not_a_number(now: Moment) -> None:
    """From there on the network is one of NaN, which predicts one class."""
    guessing(now)
    now.loss = now.grad = now.val_loss = math.nan


def bad_case(now: Moment) -> None:
    now.cases["case03"] = 0.0


def slow_loader(now: Moment) -> None:
    now.data_s *= 10.0
    now.data_s += 0.05


def slow_steps(now: Moment) -> None:
    now.step_s *= 2.0


def full_memory(now: Moment) -> None:
    now.memory_mb = 15_500.0


def full_disk(now: Moment) -> None:
    now.disk_gb = 1.2


def converged(now: Moment) -> None:
    """Nothing gets better any more, for the training cases are learned."""
    now.loss, now.val_loss, now.quality = 0.08 + 0.01 * now.loss, 0.2, 0.7
    now.cases = dict.fromkeys(now.cases, 0.7)


def standing(now: Moment) -> None:
    """Nothing gets better or worse any more."""
    now.loss, now.val_loss, now.quality = 0.5 + 0.01 * now.loss, 0.5, 0.6
    now.cases = dict.fromkeys(now.cases, 0.6)
