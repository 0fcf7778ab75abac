"""The training phase: loader, step, handlers in their order, and the trainer over them."""

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ignite.engine import Engine, Events

from engine.checkpoint import Content
from engine.data.loaders import build_train_loader
from engine.data.mix import BatchChanges
from engine.device import memory_errors
from engine.distributed import broadcast, rank, world
from engine.errors import MedtuiError, RunError, counted
from engine.evaluation.evaluator import evaluate_split, open_evaluation
from engine.evaluation.previews import PreviewWriter
from engine.evaluation.protocol import SplitEvaluation
from engine.evaluation.tester import validation_job
from engine.events import Iteration, Phase, RunStarted
from engine.network import Network
from engine.recipe import memory_advice, recipe_toml
from engine.runfolder import read_manifest, update_manifest, write_text
from engine.training.engines import NotFiniteError, TrainStep, build_step, make_trainer, run_trainer
from engine.training.handlers.agreement import Agreement
from engine.training.handlers.checkpoints import BestCheckpoint, LastCheckpoint
from engine.training.handlers.early_stop import EarlyStop
from engine.training.handlers.epoch_metrics import EpochMetrics
from engine.training.handlers.first_minute import FirstMinute
from engine.training.handlers.iteration_events import IterationEvents
from engine.training.handlers.status import StatusUpdates
from engine.training.handlers.time_limit import TimeLimit
from engine.training.handlers.validation import Best, Validate
from engine.training.pace import measure_pace
from engine.training.pages import give_memory_back
from engine.training.session import Session
from engine.training.state import Stateful, TrainerState, evaluated_weights
from engine.training.stream import EpochStream

_TIDY = 200  # steps after which memory that is kept is given back: pictures grow, validations come between


@dataclass(slots=True)
class Training:
    """A trainer with everything attached, ready to run."""

    session: Session
    trainer: Engine
    stream: EpochStream
    step: TrainStep
    snapshot: TrainerState
    best: Best
    early: EarlyStop | None
    clock: TimeLimit
    last: LastCheckpoint
    done: int = 0  # iterations behind it
    epoch_open: bool = False  # the last of them still lacks what ends an epoch

    @property
    def epochs_done(self) -> int:
        return max(self.done, int(self.trainer.state.iteration)) // len(self.stream)

    def describe(self) -> str:
        counts = {name: len(self.session.dataset.split(name)) for name in ("train", "validation", "test")}
        cases = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        planned = self.session.recipe.train.planned
        return f"{cases} cases; {counted(planned, 'epoch')} of {counted(len(self.stream), 'step')}"

    @property
    def complete(self) -> bool:
        return not self.last.epoch_open and (self._stopped or self.epochs_done >= self.session.recipe.train.planned)

    def restore(self, content: Content) -> tuple[int, int]:
        """Go back to the moment of a checkpoint.

        Returns:
            The place in the stream that belongs to it: (``seq``, bytes).

        Raises:
            RunError: the checkpoint is damaged, or of another run.
        """
        try:
            seq, position = (int(number) for number in content["stream"])
            self.done, self.epoch_open = int(content["iteration"]), bool(content["epoch_open"])
            if content.get("forked"):
                self.done = _moved(content, len(self.stream))
            elif self.done > (planned := self.session.recipe.train.planned * len(self.stream)):
                raise ValueError(f"it is at iteration {self.done} of {planned}")
            self.snapshot.restore(content, self.done)
        except (LookupError, TypeError, ValueError, RuntimeError, AttributeError, AssertionError) as error:
            reason = (str(error).splitlines() or [""])[0] or type(error).__name__
            raise RunError(
                f"last.pt does not fit this run: {type(error).__name__}: {reason}",
                "it is damaged or of another run; best.pt, if there is one, still serves evaluate and predict",
            ) from error
        if seq < 0 or position < 0 or self.done < 0:
            raise RunError("last.pt is damaged: it names no place in the stream")
        return seq, position

    def ended(self) -> bool:
        over = self.done >= self.session.recipe.train.planned * len(self.stream)
        return not self.epoch_open and (over or self._stopped)

    @property
    def _stopped(self) -> bool:
        return self.clock.reached or (self.early is not None and self.early.stopped)

    def run(self) -> None:
        """Train to the end, or to where a stop was asked for (then ``session.desk.stop`` says so)."""
        recipe = self.session.recipe
        self.session.emit(Phase(phase="training", total=recipe.train.planned * len(self.stream)))
        try:
            with memory_errors(memory_advice(recipe)):
                run_trainer(self.trainer, self.stream, recipe.train.planned, self.done, epoch_open=self.epoch_open)
        except MedtuiError as error:
            with contextlib.suppress(RunError):  # the disk itself may be what failed
                if rank() == 0:
                    if isinstance(error, NotFiniteError):  # its step is not over, and belongs into the curve
                        at = self.trainer.state
                        self.session.emit(Iteration(iteration=at.iteration, epoch=at.epoch, loss=error.value))
                    self.last.write_best()
                    if self.stream.broken:  # between two iterations: nothing of what was learned is in doubt
                        self.last.save("stop")
            raise
        self.session.desk.detach()
        give_memory_back()  # the test needs other sizes


def build_training(session: Session, network: Network) -> Training:
    """Wire the training of a run. The handlers act in the order in which they are attached here."""
    start = time.monotonic()
    stream = EpochStream(_loader(session), session.recipe.train.accumulate)
    _decide_epochs(session, network, stream, start)
    recipe, dataset = session.recipe, session.dataset
    step = build_step(recipe, network, dataset.labels, len(stream))
    trainer = make_trainer(step, stream)
    if network.start:
        session.log(f"weights: {network.start}")
    for doubt in network.doubts:
        session.log(doubt, "warning")
    best = Best(recipe.monitor, up=recipe.monitor_up)
    epoch_metrics = EpochMetrics(session.emit, recipe.task, dataset.classes)
    clock = TimeLimit(session.emit, recipe.train.max_minutes, read_manifest(session.folder).minutes)
    early = EarlyStop(session.emit, recipe.train.early_stop) if recipe.train.early_stop else None
    parts: dict[str, Stateful] = {"best": best, "epoch": epoch_metrics, "clock": clock}
    if early:
        parts["early"] = early
    text = "" if rank() else session.folder.recipe.read_text("utf-8")
    snapshot = TrainerState(step, parts, {"task": recipe.task, "classes": list(dataset.classes), "recipe": text})

    IterationEvents(session.emit).attach(trainer)
    if rank() == 0:
        FirstMinute(session.folder, session.emit, dataset.classes, recipe.figures).attach(trainer)
    epoch_metrics.attach(trainer)
    keeper = _attach_validation(session, network, trainer, snapshot, best) if dataset.split("validation") else None
    if early and keeper:
        early.attach(trainer)
    clock.attach(trainer)
    last = _attach_last(session, trainer, snapshot, keeper, best)
    session.desk.attach(trainer, last.save)
    Agreement(recipe.seed).attach(trainer)
    trainer.add_event_handler(Events.ITERATION_COMPLETED(every=_TIDY), give_memory_back)
    return Training(session, trainer, stream, step, snapshot, best, early, clock, last)


def _attach_validation(
    session: Session, network: Network, trainer: Engine, snapshot: TrainerState, best: Best
) -> BestCheckpoint:
    measure, train = _validation(session, network, snapshot.step), session.recipe.train
    total = len(session.dataset.split("validation"))
    Validate(session.emit, measure, best, every=train.validate_every, epochs=train.planned, total=total).attach(trainer)
    keeper = BestCheckpoint(session.folder, session.emit, snapshot, best)
    if rank() == 0:
        keeper.attach(trainer)
    return keeper


def _attach_last(
    session: Session, trainer: Engine, snapshot: TrainerState, keeper: BestCheckpoint | None, best: Best
) -> LastCheckpoint:
    """What process 0 does when an epoch is over: findings, status, checkpoint."""
    train = session.recipe.train
    last = LastCheckpoint(session.folder, session.emit, session.writer, snapshot, keeper, train)
    if rank() == 0:
        trainer.add_event_handler(Events.EPOCH_COMPLETED, session.diagnose)
        StatusUpdates(session.board, best).attach(trainer)
        last.attach(trainer)
    return last


def _decide_epochs(session: Session, network: Network, stream: EpochStream, start: float) -> None:
    """Turn train.minutes, counted from ``start``, into epochs: from now on the run's recipe is one of so many.

    A run that ends before this is done decides anew when it is resumed.
    """
    recipe, folder = session.recipe, session.folder
    minutes = recipe.train.minutes
    if minutes is None:
        return
    session.emit(Phase(phase="measuring the speed"))
    pace = measure_pace(recipe, network, session.dataset, stream, minutes)
    epochs = broadcast(pace.epochs(minutes, time.monotonic() - start))
    session.log(pace.words(minutes, epochs))
    train = recipe.train.model_copy(update={"epochs": epochs, "minutes": None})
    session.recipe = recipe.model_copy(update={"train": train})
    if rank():
        return
    update_manifest(folder, minutes=minutes, epochs_planned=epochs)
    write_text(folder.recipe, recipe_toml(session.recipe, network.facts))
    session.board.set(epochs=epochs)


def _validation(session: Session, network: Network, step: TrainStep) -> Callable[[int], SplitEvaluation[Any, Any]]:
    """What measures the validation split at the end of an epoch, with the weights as they are then."""
    recipe, dataset = session.recipe, session.dataset
    job = validation_job(recipe, network, dataset, evaluated_weights(step))
    writer = PreviewWriter(session.folder, session.emit, recipe.figures, dataset, recipe.train.planned)

    def measure(epoch: int) -> SplitEvaluation[Any, Any]:
        evaluation = open_evaluation(job)
        previews = recipe.figures.previews and writer.begin(epoch)
        handlers = [evaluation.previews(writer)] if previews else []
        evaluate_split(evaluation, lambda done, total: session.progress("validation", done, total), handlers)
        return evaluation

    return measure


def _moved(content: Content, length: int) -> int:
    """Iterations behind a fork whose epochs are ``length`` iterations long."""
    done, before = int(content["iteration"]), int(content["length"])
    if length != before and done % before:
        raise RunError(
            f"an epoch was {counted(before, 'iteration')} long and is {length} now, and last.pt lies inside one",
            "keep what gives an epoch its length (batch_size, accumulate, data), or fork at the end of an epoch",
        )
    return done // before * length + done % before


def _loader(session: Session) -> Any:
    recipe = session.recipe
    session.emit(Phase(phase="caching", total=len(session.dataset.split("train"))))
    return build_train_loader(
        session.dataset,
        recipe.data,
        recipe.augment,
        recipe.runtime,
        batch_size=recipe.train.batch_size,
        seed=recipe.seed,
        rank=rank(),
        world=world(),
        notify=lambda done, total: session.progress("caching", done, total),
        warn=lambda text: session.log(text, "warning"),
    )


def started(training: Training, network: Network, *, resumed: bool) -> RunStarted:
    """The event that opens a session's part of the stream."""
    session = training.session
    recipe, dataset = session.recipe, session.dataset
    length = len(training.stream)
    return RunStarted(
        name=recipe.name,
        task=recipe.task,
        classes=list(dataset.classes),
        cases={name: len(dataset.split(name)) for name in ("train", "validation", "test")},
        epochs=recipe.train.planned,
        iterations_per_epoch=length,
        first_iteration=training.done,
        first_epoch=math.floor(training.done / length) + 1,
        device=network.device.name,
        unit=dataset.spacing_unit,
        monitor=recipe.monitor,
        monitor_split="validation" if dataset.split("validation") else "train",
        monitor_up=recipe.monitor_up,
        resumed=resumed,
        minutes=read_manifest(session.folder).minutes or 0.0,
        full_size=BatchChanges(recipe.augment, recipe.seed).full_size(recipe.train.planned),
    )
