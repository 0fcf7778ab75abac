"""What an evaluation is asked for, and what every task gives back: the words of this room."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Generic, Literal, Protocol, TypeVar

import psutil
import torch
from ignite.engine import Engine, Events
from torch import Tensor

from engine.data.cases import Case, Dataset
from engine.evaluation.inference import Predictor
from engine.evaluation.previews import ExampleWriter, PreviewWriter
from engine.evaluation.results import Table
from engine.events import CaseEntry
from engine.metrics.calibration import Fitted
from engine.recipe import DataTable, EvaluateTable
from engine.runfolder import SplitSummary
from engine.runfolder.manifest import InferenceFacts

Criterion = Callable[[Tensor, Tensor], Tensor]
Progress = Callable[[int, int], None]
Purpose = Literal["validation", "test", "predict"]
Heard = TypeVar("Heard")

WORST = 50  # so many of the worst cases are named in the stream
MOST_CLASSES = 50  # of more classes the stream has no confusion matrix, which grows with their square


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalJob:
    """The cases of one split, and how they are evaluated."""

    dataset: Dataset  # where the cases are from
    split: str  # which of its cases
    voters: tuple[Predictor, ...]  # the network; of several, their mean probability counts
    criterion: Criterion | None  # the recipe's loss; needed unless ``purpose`` is predict
    data: DataTable  # the recipe's [data]
    table: EvaluateTable  # the recipe's [evaluate]
    # predict: no case has a truth, so nothing is measured. validation: as ``table`` says of the validations during
    # training. test: in full
    purpose: Purpose
    checkpoint: str = "current"  # name of the weights, for the description
    bootstrap: int = 0  # resamples of the confidence intervals; 0 for none
    seed: int = 0  # of the resamples
    # whether this split decides temperature and threshold: the validation split of a finished training
    fits: bool = False
    fitted: Fitted | None = None  # what it decided, for every other split

    @property
    def predictor(self) -> Predictor:
        return self.voters[0]

    @property
    def cases(self) -> tuple[Case, ...]:
        return self.dataset.split(self.split)


class Handler(Protocol):
    """One behaviour on an evaluator, as everywhere in Ignite."""

    def attach(self, evaluator: Engine) -> None:
        """Listen to the evaluator's events; `SplitEvaluation.step` leaves its output in its state."""


@dataclass(frozen=True, slots=True)
class Listener(Generic[Heard]):
    """Calls ``each`` with every output, and ``end`` when all are through and the results are there."""

    each: Callable[[Heard], None] | None = None
    end: Callable[[], None] | None = None

    def attach(self, evaluator: Engine) -> None:
        if (each := self.each) is not None:
            evaluator.add_event_handler(Events.ITERATION_COMPLETED, lambda: each(evaluator.state.output))
        if self.end is not None:
            evaluator.add_event_handler(Events.COMPLETED, self.end)


Item = TypeVar("Item")
Output = TypeVar("Output")


class SplitEvaluation(ABC, Generic[Item, Output]):
    """How one task evaluates a split, and what came of it: made for one job and run over it once.

    The evaluator takes every item of `items` through `step`, and every output to `keep`. When all are
    through, `complete` is called, and then the results can be asked for.
    """

    file_per_case: ClassVar[bool]
    """Whether a prediction is a file of its own, which no cell of cases.csv can hold."""

    def __init__(self, job: EvalJob) -> None:
        self.job = job
        self.done = 0  # cases that this process has kept
        self.seconds = 0.0  # what their prediction took, without reading and measuring
        self.memory_mb = 0.0  # the most that this process held then; on a GPU, that of its tensors

    @contextmanager
    def predicting(self) -> Iterator[None]:
        """What is done inside counts as prediction."""
        start = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - start
        gpu = self.job.predictor.device.device.type == "cuda"
        used = torch.cuda.max_memory_allocated() if gpu else psutil.Process().memory_info().rss
        self.memory_mb = max(self.memory_mb, used / 1e6)

    @property
    def cost(self) -> InferenceFacts:
        """What the prediction of a case took."""
        seconds = round(self.seconds / self.done, 5) if self.done else None
        memory, device = round(self.memory_mb, 1), self.job.predictor.device.name
        return InferenceFacts(s_a_case=seconds, memory_mb=memory, device=device)

    @abstractmethod
    def __len__(self) -> int:
        """How many items this process evaluates."""

    @abstractmethod
    def items(self) -> Iterator[Item]:
        """The cases, read and prepared, one by one or in batches; processes share them out."""

    @abstractmethod
    def step(self, evaluator: Engine, item: Item) -> Output:
        """Predict an item and measure it."""

    @abstractmethod
    def keep(self, output: Output) -> None:
        """Remember what is small of an output."""

    @abstractmethod
    def complete(self) -> None:
        """Bring together what all processes kept."""

    @abstractmethod
    def describe(self) -> str:
        """How the split was measured, as metrics.json names it."""

    @abstractmethod
    def summary(self) -> SplitSummary:
        """The split's part of metrics.json."""

    @abstractmethod
    def table(self, name: str) -> Table:
        """The split's rows of cases.csv, under ``name``."""

    @abstractmethod
    def cases(self) -> list[CaseEntry]:
        """The cases as the stream names them, the worst first."""

    @abstractmethod
    def previews(self, writer: PreviewWriter) -> Handler:
        """Writes small images of the worst cases for the dashboard."""

    @abstractmethod
    def examples(self, writer: ExampleWriter) -> Handler:
        """Writes the arrays of the cases that figures show."""

    @abstractmethod
    def predictions(self, folder: Path, name_of: Callable[[str], str], announce: Callable[[Path], None]) -> Handler:
        """Writes what was predicted, a case under the name (without ending) that its id has by ``name_of``."""


def streamed(confusion: list[list[int]] | None) -> list[list[int]]:
    """A confusion matrix as the stream has it; empty where there is none, or too many classes."""
    return confusion if confusion is not None and len(confusion) <= MOST_CLASSES else []
