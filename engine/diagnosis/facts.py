"""What the rules look at, what they give, and what they share. No NumPy: a column is any sequence of numbers."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from statistics import median
from typing import Any, Literal, TypeAlias, get_args

import msgspec

from engine.events import Validation, number

Code: TypeAlias = Literal[
    "stalled",
    "diverging",
    "gradient_exploding",
    "memory_low",
    "disk_low",
    "at_chance",
    "class_never_predicted",
    "overfitting",
    "case_always_bad",
    "plateau",
    "loader_bound",
    "slowed_down",
]
CODES: tuple[Code, ...] = get_args(Code)
"""In the order of their weight, among findings of one severity."""
Severity: TypeAlias = Literal["error", "warning", "note"]
IN_A_ROW = 3
"""Validations that have to agree: the first may be chance, and the third is the second after the onset."""
AFTER_GOOD = 2
"""Validations that have to agree where as many as `IN_A_ROW` before them surely said otherwise."""
MOST_WINDOWS = 60
"""Windows that are looked at over a whole session, however long it is."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong."""

    severity: Severity  # error: the run is lost or in danger; warning: its result suffers; note: worth knowing
    code: Code  # what kind of thing; a name for scripts
    message: str  # one sentence
    since_epoch: int = 0  # the first epoch in which it was so, without a break since; 0 before the first
    evidence: str = ""  # the numbers behind it
    remedy: str = ""  # what to do
    key: str = ""  # of the dashboard, that shows it or does something about it


@dataclass(frozen=True, slots=True)
class Steps:
    """Columns of all optimizer steps of the run, each (n,); nan where nothing was measured."""

    epoch: Sequence[int] = ()
    time_s: Sequence[float] = ()
    loss: Sequence[float] = ()
    grad_norm: Sequence[float] = ()
    data_s: Sequence[float] = ()
    step_s: Sequence[float] = ()

    def __len__(self) -> int:
        return len(self.epoch)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a run. `engine.readers.health.facts_of` makes it."""

    live: bool = False  # a process works on it
    paused: bool = False  # and was asked to wait
    halted: bool = False  # and was halted by a signal (SIGSTOP)
    task: str = ""
    classes: Sequence[str] = ()
    monitor: str = ""
    monitor_up: bool = True
    cases: int = 0  # of the validation split; 0 where unknown
    epochs: int = 0  # planned
    iterations_per_epoch: int = 0
    steps: Steps = field(default_factory=Steps)  # all steps
    # number of the first step of the last session: speeds of another machine say nothing about this one
    session: int = 0
    # number of the first step on pictures of their full size; before it steps get slower by themselves
    full_size: int = 0
    train: Sequence[tuple[int, float]] = ()  # (epoch, mean training loss) of each epoch
    decayed: int = 10**9  # the last epoch with a learning rate of a quarter of its greatest or more
    warming: bool = False  # the learning rate still rises
    validations: Sequence[Validation] = ()  # the last ones, the newest last
    # columns of the samples, each (m,), named as in the stream
    resources: Mapping[str, Sequence[float]] = field(default_factory=dict)
    phase: str = ""  # what the run does now; "" before the first
    sign_s: float = 0.0  # time of the newest step, measurement, or progress; samples of resources are no sign of work
    piece_s: float = 0.0  # seconds that one piece of the phase takes (a case of a validation, a step); 0 where unknown

    @property
    def epoch(self) -> int:
        """Of the newest step or validation."""
        newest = [self.steps.epoch[-1]] if len(self.steps) else []
        return int(max([*newest, *(v.epoch for v in self.validations[-1:])], default=0))

    def sampled(self, name: str, at: int = -1) -> float:
        """A value of the resources; nan where it was not measured."""
        column = self.resources.get(name, ())
        return float(column[at]) if len(column) >= max(1, -at) else math.nan

    @property
    def warm(self) -> float:
        """Epochs of the first twenty steps, as long as the running averages of a batch normalisation need."""
        return min(20 / max(1, self.iterations_per_epoch), self.epochs / 3)

    @property
    def grace(self) -> float:
        """Epochs at the beginning in which a network may know nothing yet: a tenth of those that are planned, of sixty
        steps at most; and those of `warm`."""
        return max(min(self.epochs / 10, 60 / max(1, self.iterations_per_epoch)), self.warm)


@dataclass(frozen=True, slots=True)
class Window:
    """Some steps in a row, ``start`` to ``stop``."""

    start: int
    stop: int
    level: float

    @property
    def middle(self) -> int:
        """The step at which a change is, that has just become the median."""
        return (self.start + self.stop) // 2


def windows(values: Sequence[float], size: int, first: int = 0, *, nan: float = math.nan) -> list[Window]:
    """Medians over ``size`` steps in a row from step ``first`` on: `MOST_WINDOWS` of them at most, the last ones side
    by side, those before them evenly spread; and over the newest steps.

    They stay where they are while the run grows, so that what was found of them is found again. A value that is not a
    number is left out, or counts as ``nan``; nothing but such values gives nan.
    """
    count = max(0, len(values) - first) // size
    dense = count - MOST_WINDOWS // 2
    stride = 2 ** math.ceil(math.log2(max(1.0, 2 * dense / MOST_WINDOWS)))
    stops = [first + (at + 1) * size for at in [*range(0, max(0, dense), stride), *range(max(0, dense), count)]]
    if stops and stops[-1] < len(values):
        stops.append(len(values))
    return [Window(stop - size, stop, _level(values[stop - size : stop], nan)) for stop in stops]


def _level(values: Sequence[float], nan: float) -> float:
    found = [nan if math.isnan(value) else float(value) for value in values]
    return median([value for value in found if not math.isnan(value)] or [math.nan])


def since(flags: Sequence[bool]) -> int | None:
    """The first place of the unbroken row of True at the end; None where the last is False."""
    if not flags or not flags[-1]:
        return None
    return next((at + 1 for at in range(len(flags) - 1, -1, -1) if not flags[at]), 0)


def series(validations: Sequence[Validation], metric: str) -> list[tuple[int, float]]:
    """(epoch, value) of the finite values of a metric."""
    found = ((v.epoch, number(v.metrics.get(metric))) for v in validations)
    return [(epoch, value) for epoch, value in found if math.isfinite(value)]


def noise(values: Sequence[float]) -> float:
    """Standard deviation of what jumps to and fro in a curve, from its third differences, which a smooth fall or turn
    hardly has: the mean of the lower four fifths of them, 0.559 standard deviations of a normal one; the more careful
    the fewer they are, and 0 where there is none."""
    return _noise(tuple(values))


@lru_cache(256)  # the rule on a plateau asks for that of the same curves at each place where it may begin
def _noise(values: tuple[float, ...]) -> float:
    four = zip(values, values[1:], values[2:], values[3:], strict=False)
    jumps = sorted(abs(a - 3 * b + 3 * c - d) / math.sqrt(20) for a, b, c, d in four)
    kept = jumps[: math.ceil(0.8 * len(jumps))]
    return sum(kept) / len(kept) / 0.559 * (1 + 1.5 / len(jumps)) if jumps else 0.0


def line(values: Sequence[float]) -> tuple[float, float, float]:
    """(slope, value at the end, root mean square of what is left) of the line through ``values``."""
    middle, mean = (len(values) - 1) / 2, sum(values) / len(values)
    spread = sum((at - middle) ** 2 for at in range(len(values)))
    slope = sum((at - middle) * value for at, value in enumerate(values)) / spread
    left = [value - mean - slope * (at - middle) for at, value in enumerate(values)]
    return slope, mean + slope * middle, math.sqrt(sum(x * x for x in left) / max(1, len(left) - 2))


def known(row: Mapping[str, Any], *names: str) -> Iterator[float]:
    """The finite values of ``names`` in ``row``; what a stranger's stream has in place of a number is left out."""
    for name in names:
        value = row.get(name)
        if isinstance(value, int | float | str) and math.isfinite(found := number(value)):
            yield found


def brief(value: float) -> str:
    """A number for a sentence: three digits."""
    return f"{value:.3g}"


def first_level(values: Sequence[float]) -> float:
    """Of the first three steps, which a fault of the fourth has not touched; inf where they are not all known."""
    first = values[:IN_A_ROW]
    return median(first) if len(first) == IN_A_ROW and all(map(math.isfinite, first)) else math.inf
