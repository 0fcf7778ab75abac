"""The work of a run in its folder, and its outcome: a state, an event and an exit code."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from engine.console import tell
from engine.data import Dataset
from engine.errors import MedtuiError, RunError, millions
from engine.events import Log, Note, Result, RunEnded
from engine.hardware import JOB
from engine.recipe import Recipe, memory_advice
from engine.runfolder import RunFolder, read_manifest, update_manifest

if TYPE_CHECKING:
    from engine.checkpoint import Content
    from engine.network import Network
    from engine.training.loop import Training
    from engine.training.session import Session

EXIT_CODES = {"finished": 0, "failed": 1, "stopped": 3}
Handshake = Callable[[RunFolder], None]


def work(
    folder: RunFolder,
    recipe: Recipe,
    dataset: Dataset,
    network: Network,
    handshake: Handshake,
    *,
    lock: int,
    resume: bool,
) -> int:
    """Do the run in a folder that is locked, and give its outcome a state, an event and an exit code."""
    from engine.device import memory_errors
    from engine.training.session import open_session

    session = open_session(folder, recipe, dataset, lock)
    session.desk.install_signals()
    handshake(folder)
    start = time.monotonic()
    try:
        with memory_errors(memory_advice(recipe)):
            outcome = _phases(session, network, resume=resume)
    except BaseException as error:  # noqa: BLE001  the boundary: whatever it was, the run gets an end
        session.desk.ignore_signals()
        outcome = _outcome(session, error)
        if moved := session.follow():
            go_on = f"go on with: medtui resume {moved.address}"
            outcome = Outcome("failed", f"the run folder was moved to {moved.root} while the run was at work", go_on)
    session.desk.ignore_signals()
    _conclude(session, outcome, time.monotonic() - start)
    return EXIT_CODES[outcome.state]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: its state, and what a user reads."""

    state: Literal["finished", "stopped", "failed"]
    message: str = ""
    hint: str = ""


def _outcome(session: Session, error: BaseException) -> Outcome:
    """What an exception means for the run: text for the user, the traceback for train.log."""
    from engine.distributed import cause_of
    from engine.training.handlers.control import StopRequested

    name = session.folder.id
    go_on = f"go on with: medtui resume {name}"
    if isinstance(error, StopRequested):
        return Outcome("stopped", session.desk.reason, _how_to_go_on(session.folder, session.desk.reason))
    if isinstance(error, KeyboardInterrupt):
        return Outcome("stopped", "stopped at once, asked twice", go_on)
    error = cause_of(error)
    tell("".join(traceback.format_exception(error)))
    if isinstance(error, MedtuiError):
        return Outcome("failed", error.text, error.hint)
    if isinstance(error, OSError):
        place = error.filename or session.folder.root
        return Outcome(
            "failed",
            f"the disk failed: {error.strerror or error}: {place}",
            f"bring it back or make room, then {go_on}",
        )
    hint = f"the traceback is in {name}/train.log; please report it"
    return Outcome("failed", f"unexpected {type(error).__name__}: {error}", hint)


def _conclude(session: Session, outcome: Outcome, seconds: float) -> None:
    state, message, hint = outcome.state, outcome.message, outcome.hint

    def manifest() -> None:
        spent = round((read_manifest(session.folder).duration_s or 0.0) + seconds, 1)
        update_manifest(session.folder, ended_s=round(time.time(), 3), duration_s=spent, stopped=state == "stopped")

    def log() -> None:
        if state == "failed":
            session.emit(Log(level="error", message=message))

    def webhook() -> None:
        if session.webhook is None:
            return
        if state != "stopped":  # by whom it is told knows it
            session.webhook.say(state, message)
        session.webhook.end()

    for what, write in (
        ("manifest", manifest),
        ("stream", lambda: session.diagnose(state=outcome.state)),
        ("stream", log),
        ("stream", webhook),
        ("stream", lambda: session.emit(RunEnded(state=state, message=message, hint=hint))),
        ("status", lambda: session.board.set(state=state, message=message, hint=hint, durable=True)),
    ):
        try:
            write()
        except (OSError, RunError, MemoryError) as error:
            tell(f"the end of the run could not be written into its {what}: {error}")
    session.close()


def _phases(session: Session, network: Network, *, resume: bool) -> Outcome:
    from engine.commands.figures import draw_and_report
    from engine.distributed import broadcast
    from engine.training.doubts import doubts
    from engine.training.follower import share
    from engine.training.handlers.resources import ResourceSampler
    from engine.training.loop import build_training, started
    from engine.training.testing import test

    share(session, network)
    training = build_training(session, network)
    broadcast(_restore(session, training) if resume else None)
    session.desk.drop_old()
    session.emit(started(training, network, resumed=resume))
    model = session.recipe.model.name
    session.log(f"{model}, {millions(network.parameters)} weights, on {network.device.name}; {training.describe()}")
    if network.device.reason:
        session.log(network.device.reason)
    for note in doubts(session.recipe, len(session.dataset.split("train"))):
        session.log(note, "warning")
    sampler = ResourceSampler(session.emit, session.folder.root, network.device.device)
    sampler.start()
    try:
        if training.ended():  # it was cut off in what comes after, and no epoch will write its place
            session.board.set(state="running", epoch=training.epochs_done, best=training.best.known)
        else:
            training.run()
        early = training.early is not None and training.early.stopped
        cut = session.desk.stop != "" and not training.complete
        update_manifest(session.folder, epochs_done=training.epochs_done, early_stopped=early, stopped=cut)
        outcome = Outcome("finished", _early(training))
        if cut:
            outcome = Outcome("stopped", session.desk.reason, _how_to_go_on(session.folder, session.desk.reason))
        if not broadcast(not (cut and session.desk.stop == "now")):
            return outcome
        session.desk.detach()
        training.stream.loader.close()  # its memory is needed now
        test(session, network)
        if session.recipe.figures.enabled:
            draw_and_report(session.folder, session.emit_and_answer)
    finally:
        training.stream.loader.close()
        sampler.close()
    return outcome


def _how_to_go_on(folder: RunFolder, reason: str) -> str:
    """The command; of a job that got a signal first that it may be in the queue again, where nobody must be faster."""
    command, job = f"medtui resume {folder.id}", os.environ.get(JOB)
    if job and "by SIG" in reason:
        return f"job {job} goes on with it by itself where squeue shows it; else go on with: {command}"
    return f"go on with: {command}"


def _early(training: Training) -> str:
    """Why training ended before its last epoch, for whoever looks at the end of the run; else nothing."""
    if training.early is not None and training.early.stopped:
        return f"early stop after epoch {training.epochs_done}: {training.early.words}"
    return f"train.max_minutes reached after epoch {training.epochs_done}" if training.clock.reached else ""


def _restore(session: Session, training: Training) -> Content | None:
    """Go back to ``last.pt``, in the stream too; without one the run starts from its beginning.

    What people noted, and what was evaluated after the end of the session before, stays in the stream.
    """
    from engine.checkpoint import load_checkpoint

    if not session.folder.last.exists():
        session.writer.cut(0, 0)
        session.log("there was no checkpoint yet: the run starts again from its beginning", "warning")
        return None
    content = load_checkpoint(session.folder.last)
    seq, position = training.restore(content)
    tail = session.writer.tail(position)
    ended = max((i for i, event in enumerate(tail) if isinstance(event, RunEnded)), default=len(tail))
    session.writer.cut(seq, position)
    for i, event in enumerate(tail):
        if isinstance(event, Note) or (i > ended and isinstance(event, Log | Result)):  # of people, and of evaluations
            session.writer.write(event)
    return content
