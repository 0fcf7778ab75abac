"""The composition root: hands each builder its own table, and owns the outcome of a run."""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.data import Cohort, check_cohort, data_root, fingerprint, open_cohort
from engine.errors import DataError, MedtuiError, Problem, RecipeError, RunError
from engine.events import Log, Note, RunEnded
from engine.manifest import command_line, first_manifest, read_manifest, update_manifest
from engine.progress import show_progress
from engine.recipe import Recipe, load_recipe, recipe_toml
from engine.runfolder import ENDED, RunFolder, create, read_status, write_text

if TYPE_CHECKING:
    from engine.build import Network
    from engine.session import Session

EXIT_CODES = {"finished": 0, "failed": 1, "stopped": 3}
Handshake = Callable[[RunFolder], None]


@dataclass(frozen=True, slots=True)
class Request:
    """What the command line asked for.

    Attributes:
        overrides: ``table.key=value`` texts.
        data: ``--data``, or None.
        outside: whether paths in the recipe may leave the data root.
    """

    recipe: Path
    overrides: tuple[str, ...] = ()
    data: Path | None = None
    runs: Path = Path("runs")
    name: str | None = None
    outside: bool = False


def train(request: Request, handshake: Handshake) -> int:
    """Check everything, make the run folder, train, measure, draw, report.

    ``handshake`` is called when the folder is there; nothing is left behind by what fails before.

    Raises:
        RecipeError, DataError: the recipe or the data cannot be used.
    """
    recipe = load_recipe(request.recipe, request.overrides, outside=request.outside)
    if request.name:
        recipe = load_recipe(request.recipe, (*request.overrides, f'name="{request.name}"'), outside=request.outside)
    root = data_root(request.data)
    cohort = open_checked(recipe, root)
    network = _network(recipe, cohort, root)
    folder = create(request.runs, recipe.name)
    write_text(folder.recipe, recipe_toml(recipe))
    manifest = first_manifest(recipe, cohort, command_line())
    update_manifest(folder, **manifest)
    update_manifest(folder, **_network_facts(network, recipe, root))
    return _work(folder, recipe, cohort, network, handshake, resume=False)


def resume(folder: RunFolder, data: Path | None, overrides: Sequence[str], handshake: Handshake) -> int:
    """Go on with a run that stopped, failed or was lost, from its last checkpoint.

    Raises:
        RunError: it is alive, or finished, or has no checkpoint.
        RecipeError: ``overrides`` would make it another run.
        DataError: the data is not what the run was trained on.
    """
    status = read_status(folder)
    if status.state not in ENDED:
        raise RunError(f"{folder.id} is {status.state}", f"watch it with: medtui attach {folder.id}")
    if status.state == "finished":
        raise RunError(f"{folder.id} is finished", "a longer training is a new run: change train.epochs in the recipe")
    recipe = _resumed_recipe(folder, overrides)
    manifest = read_manifest(folder)
    root = data_root(data or _remembered_root(manifest))
    cohort = open_checked(recipe, root)
    known = manifest.get("data", {}).get("fingerprint")
    if known and known != fingerprint(cohort):
        raise DataError(
            f"the data in {root / recipe.data.root} is not what {folder.id} was trained on (its fingerprint differs)",
            "bring the old data back, name it with --data, or start a new run",
        )
    network = _network(recipe, cohort, root)
    update_manifest(folder, sessions=int(manifest.get("sessions", 1)) + 1)
    return _work(folder, recipe, cohort, network, handshake, resume=True)


def open_checked(recipe: Recipe, root: Path) -> Cohort:
    """The cohort of a recipe, every case of it read once; progress goes to stderr.

    Raises:
        DataError: with all that is wrong in the data.
    """
    cohort = open_cohort(recipe.data, recipe.task, root)
    return check_cohort(cohort, recipe.data, progress=show_progress("checking the data"))


def _network(recipe: Recipe, cohort: Cohort, root: Path) -> Network:
    from engine.build import build_network, memory_advice
    from engine.device import memory_errors

    with memory_errors(memory_advice(recipe)):
        return build_network(recipe, cohort, root)


def _network_facts(network: Network, recipe: Recipe, root: Path) -> dict[str, Any]:
    device = network.device
    gpu = device.name.partition(" ")[2] if device.device.type == "cuda" else None
    return {
        "model": {"name": recipe.model.name, "parameters": network.parameters, "output": network.kind},
        "device": device.name,
        "hardware": {"gpu": gpu},
        "data_root": str(root.resolve()),  # for resume and evaluate; reports leave it out
    }


def _remembered_root(manifest: dict[str, Any]) -> Path | None:
    known = manifest.get("data_root")
    return Path(known) if isinstance(known, str) and not os.environ.get("MEDTUI_DATA") else None


_FREE = ("runtime.", "figures.", "train.checkpoint_", "name", "description")
"""Keys that may change when a run goes on: none of them changes what is learned."""


def _resumed_recipe(folder: RunFolder, overrides: Sequence[str]) -> Recipe:
    recipe = load_recipe(folder.recipe, outside=True)
    if not overrides:
        return recipe
    changed = load_recipe(folder.recipe, overrides, outside=True)
    before, after = _flat(recipe.model_dump()), _flat(changed.model_dump())
    differing = [key for key in after if after[key] != before.get(key) and not key.startswith(_FREE)]
    if differing:
        problems = tuple(
            Problem("--set", f"{after[key]!r} in place of {before.get(key)!r}", "as it was", key) for key in differing
        )
        hint = f"a changed recipe is a new run: medtui run {folder.recipe} --set ..."
        raise RecipeError(f"{folder.id} cannot go on with another recipe:", hint, problems)
    write_text(folder.recipe, recipe_toml(changed))
    return changed


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def _work(
    folder: RunFolder, recipe: Recipe, cohort: Cohort, network: Network, handshake: Handshake, *, resume: bool
) -> int:
    """Do the run and give its outcome a state, an event and an exit code. Here broad catching ends."""
    from engine.handlers.control import StopRequested
    from engine.session import open_session, take_lock

    lock = take_lock(folder)
    session = open_session(folder, recipe, cohort, lock)
    handshake(folder)
    session.desk.listen()
    start = time.time()
    try:
        state, message, hint = _phases(session, network, resume=resume)
    except StopRequested:
        state, message, hint = "stopped", session.desk.reason, f"go on with: medtui resume {folder.id}"
    except KeyboardInterrupt:
        state, message, hint = "stopped", "stopped at once, asked twice", f"go on with: medtui resume {folder.id}"
    except MedtuiError as error:
        state, message, hint = "failed", error.message, error.hint
        traceback.print_exc()
    except Exception as error:  # noqa: BLE001  the boundary of the process: a user sees text, the log the rest
        traceback.print_exc()
        state, message = "failed", f"unexpected {type(error).__name__}: {error}"
        hint = f"the traceback is in {folder.id}/train.log; please report it"
    _conclude(session, state, message, hint, start)
    return EXIT_CODES[state]


def _conclude(session: Session, state: str, message: str, hint: str, start: float) -> None:
    """Write the end of a run wherever the disk still takes it."""
    try:
        spent = read_manifest(session.folder).get("duration_s", 0.0) + time.time() - start
        update_manifest(
            session.folder, ended_s=round(time.time(), 3), duration_s=round(spent, 1), stopped=state == "stopped"
        )
        if state == "failed":
            session.emit(Log(level="error", message=message))
        session.emit(RunEnded(state=state, message=message, hint=hint))
    except (OSError, RunError) as error:
        print(f"the end of the run could not be written: {error}", file=sys.stderr)
    try:
        session.board.set(state=state, message=message, hint=hint, durable=True)
    except OSError as error:
        print(f"the status could not be written: {error}", file=sys.stderr)
    session.close()


def _phases(session: Session, network: Network, *, resume: bool) -> tuple[str, str, str]:
    from engine.finish import draw_and_report, finish
    from engine.handlers.resources import ResourceSampler
    from engine.training import build_training, started

    training = build_training(session, network)
    if resume:
        _restore(session, training)
    session.emit(started(training, network, resumed=resume))
    sampler = ResourceSampler(session.emit, session.folder.root, network.device.device)
    sampler.start()
    try:
        if not training.ended():
            training.run()
        early = training.early is not None and training.early.stopped
        update_manifest(session.folder, epochs_done=training.epochs_done, early_stopped=early)
        if session.desk.stop:
            return "stopped", session.desk.reason, f"go on with: medtui resume {session.folder.id}"
        training.stream.loader.close()
        finish(session, network)
        if session.recipe.figures.enabled:
            draw_and_report(session.folder, session.emit)
    finally:
        sampler.close()
    return "finished", "", ""


def _restore(session: Session, training: Any) -> None:
    """Go back to ``last.pt``, in the stream too; without one the run starts from its beginning."""
    from engine.checkpoint import load_checkpoint

    if not session.folder.last.exists():
        session.writer.cut(0, 0)
        session.log("there was no checkpoint yet: the run starts again from its beginning", "warning")
        return
    content = load_checkpoint(session.folder.last)
    training.restore(content)
    seq, position = content["stream"]
    notes = [event for event in session.writer.tail(position) if isinstance(event, Note)]
    session.writer.cut(seq, position)
    for note in notes:
        session.emit(Note(text=note.text))


def write_handshake(descriptor: int | None) -> Handshake:
    """A handshake that tells the launcher's pipe the folder, and turns stdout and stderr to train.log."""

    def handshake(folder: RunFolder) -> None:
        if descriptor is None:
            print(folder.root, flush=True)
            return
        log = os.open(folder.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
        with os.fdopen(descriptor, "w") as pipe:
            pipe.write(json.dumps({"run": str(folder.root)}) + "\n")

    return handshake
