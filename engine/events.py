"""The vocabulary of ``events.jsonl``: one frozen, tagged struct a kind.

A line is a JSON object with ``kind``, ``seq`` (1, 2, 3, ... without gaps) and ``time_s`` (seconds
since the epoch). JSON has no NaN and no infinity: such numbers are written as the strings
``"nan"``, ``"inf"`` and ``"-inf"``, so that a diverged loss stays visible. `number` reads both.
A reader skips kinds and fields that it does not know; a new meaning for an old name needs a new
`SCHEMA`.
"""

import math
from typing import Annotated, Any, TypeAlias

import msgspec

SCHEMA = 1

Seconds = Annotated[float, msgspec.Meta(ge=-1e11, le=1e11)]
"""A time since 1970 that has a date: a reader takes no other."""

Number: TypeAlias = float | str | None
"""A float; ``"nan"``, ``"inf"``, ``"-inf"``; or ``None`` for what could not be measured."""

Metrics: TypeAlias = dict[str, Number]
"""Metric name -> value, by the names of the run folder's contract (``loss``, ``dice``, ...)."""

CaseEntry: TypeAlias = dict[str, Any]
"""One case in the stream: ``id``, metrics; of a classification also ``true``, ``predicted``, ``probability``."""


def number(value: Number) -> float:
    """The float behind a `Number`; ``nan`` for ``None`` and for text that is no number."""
    try:
        return math.nan if value is None else float(value)
    except ValueError:
        return math.nan
    except OverflowError:  # a whole number of hundreds of digits
        return math.inf if isinstance(value, int | float) and value > 0 else -math.inf


def portable(value: Any) -> Any:
    """``value`` with every non-finite float, at any depth, replaced by its name."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {key: portable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [portable(item) for item in value]
    return value


class Event(msgspec.Struct, frozen=True, tag_field="kind", gc=False, omit_defaults=True, kw_only=True):
    """What every line has."""

    seq: int = 0
    time_s: Seconds = 0.0


class RunStarted(Event, frozen=True, tag="run_started", kw_only=True):
    """First line of a stream, and first line after each resume (``resumed`` true)."""

    name: str
    task: str
    schema: int = SCHEMA
    classes: list[str] = []
    cases: dict[str, int] = {}  # split -> number of cases
    epochs: int = 0
    iterations_per_epoch: int = 0
    first_iteration: int = 0  # 0, or the iteration after which a resumed run goes on
    first_epoch: int = 1
    device: str = "cpu"
    unit: str = "voxel"  # of the surface distances
    monitor: str = ""  # the metric that chooses best.pt
    monitor_split: str = "validation"
    monitor_up: bool = True  # whether more is better
    resumed: bool = False
    minutes: float = 0.0  # of which `epochs` were made; 0 where the recipe says the epochs
    full_size: int = 1  # first epoch with pictures of their full size: before it steps get slower by themselves


class Phase(Event, frozen=True, tag="phase", kw_only=True):
    """The run turns to something else: caching, measuring the speed, training, validation, test, figures, report."""

    phase: str
    total: int = 0  # steps of this phase, 0 where unknown
    detail: str = ""


class Progress(Event, frozen=True, tag="progress", kw_only=True):
    """How far a phase other than training is."""

    phase: str
    done: int
    total: int


class Iteration(Event, frozen=True, tag="iteration", kw_only=True):
    """One optimizer step. ``iteration`` counts from 1 over the whole run."""

    iteration: int
    epoch: int
    loss: Number
    lr: float = 0.0
    cases_per_s: float = 0.0
    grad_norm: Number = None
    data_s: float = 0.0  # waiting for the batch
    step_s: float = 0.0  # from the batch to the end of the step
    update_ratio: Number = None  # norm of the change of the weights by their norm; of one step in fifty


class EpochDone(Event, frozen=True, tag="epoch", kw_only=True):
    """Means over one epoch of training."""

    epoch: int
    iteration: int
    metrics: Metrics = {}
    per_class: dict[str, Metrics] = {}
    seconds: float = 0.0


class Validation(Event, frozen=True, tag="validation", kw_only=True):
    """One evaluation of the validation split during training."""

    epoch: int
    iteration: int
    metrics: Metrics = {}
    per_class: dict[str, Metrics] = {}  # class -> metrics; None where the class is absent
    per_region: dict[str, Metrics] = {}  # the same of unions of classes, where the recipe names any
    cases: list[CaseEntry] = []  # {"id": ..., "dice": ... or "loss": ...}, worst first
    best: bool = False
    seconds: float = 0.0
    confusion: list[list[int]] = []  # of a classification: rows true, columns predicted


class Result(Event, frozen=True, tag="result", kw_only=True):
    """A split was evaluated with the chosen checkpoint; the whole of it is in metrics.json."""

    split: str
    metrics: Metrics = {}
    per_class: dict[str, Metrics] = {}
    per_region: dict[str, Metrics] = {}
    cases: list[CaseEntry] = []
    confusion: list[list[int]] = []


class Resources(Event, frozen=True, tag="resources", kw_only=True):
    """What the trainer uses, sampled every few seconds. Percent of one core may exceed 100."""

    cpu_percent: float
    memory_mb: float
    memory_total_mb: float = 0.0
    gpu_percent: float | None = None
    gpu_memory_mb: float | None = None
    gpu_memory_total_mb: float | None = None
    disk_free_gb: float | None = None
    memory_free_mb: float | None = None  # what the host, or the job's limit, has left
    others_percent: float | None = None  # processor that others on the host use; percent of one core
    cores: int = 0  # of the host


class CheckpointSaved(Event, frozen=True, tag="checkpoint", kw_only=True):
    """A checkpoint is safely on disk. ``path`` is relative to the run folder."""

    path: str
    epoch: int
    iteration: int
    why: str = ""  # best, last, request
    metric: str = ""
    value: Number = None
    seconds: float = 0.0


class Log(Event, frozen=True, tag="log", kw_only=True):
    """A line for a person. ``level`` is debug, info, warning or error."""

    message: str
    level: str = "info"


class Control(Event, frozen=True, tag="control", kw_only=True):
    """The trainer's answer to a request in ``control/``."""

    request: str
    command: str
    state: str  # done, refused
    message: str = ""


class Diagnosed(Event, frozen=True, tag="finding", kw_only=True):
    """A finding on the run (docs/findings.md) that came, or went (``over``)."""

    code: str
    severity: str = "warning"
    message: str = ""
    since_epoch: int = 0
    remedy: str = ""
    over: bool = False


class Note(Event, frozen=True, tag="note", kw_only=True):
    """A person's line of text."""

    text: str


class Preview(Event, frozen=True, tag="preview", kw_only=True):
    """Small images for the dashboard; ``path`` is an ``.npz`` relative to the run folder.

    Arrays: ``image`` uint8 (S, H, W) or (S, H, W, 3); ``slices`` int (S,). Segmentation adds
    ``truth`` and ``prediction`` uint8 (S, H', W'), finer than the image where it is large; classification
    adds ``true``, ``predicted`` and ``probability``.
    """

    path: str
    epoch: int
    case: str
    split: str = "validation"
    value: Number = None


class Figure(Event, frozen=True, tag="figure", kw_only=True):
    """A figure was drawn, or could not be: then ``message`` says why."""

    path: str
    ok: bool = True
    message: str = ""


class RunEnded(Event, frozen=True, tag="run_ended", kw_only=True):
    """Last line: ``state`` is finished, stopped or failed."""

    state: str
    message: str = ""
    hint: str = ""


_OfWork: TypeAlias = RunStarted | Phase | Progress | Iteration | EpochDone | Validation | Result | Resources
_Told: TypeAlias = CheckpointSaved | Log | Control | Diagnosed | Note | Figure | RunEnded
AnyEvent: TypeAlias = _OfWork | _Told | Preview
JournalEvent: TypeAlias = RunStarted | Phase | Result | _Told
