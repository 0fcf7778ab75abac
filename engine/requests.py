"""What a command asks of the engine: one frozen request each, sent as JSON to ``python -m engine COMMAND``.

A request is all that a command is told: what is not a field of it cannot be asked for, and a field that
is unknown or of the wrong type is refused. Its name on the command line is the class's in small letters
with dashes (``DataFetch``: ``data-fetch``), and the function that answers it is of that name in the file
of its first word (``engine.commands.data.data_fetch``).
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import msgspec

from engine.errors import UsageError

R = TypeVar("R", bound="Request")
Weights = Literal["best", "last"]


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The base of all requests. ``command`` is the name that ``python -m engine`` knows it by."""

    command: ClassVar[str] = ""
    studies: ClassVar[bool] = False  # whether its run may be a study

    def __init_subclass__(cls) -> None:
        cls.command = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", cls.__name__).lower()


class Train(Request, frozen=True):
    """Check everything, make a run folder, train, measure, draw, report.

    Attributes:
        recipe: its file.
        overrides: ``table.key=value`` texts, which win over the file.
        data: root of the data sets; default: $MEDTUI_DATA, else ``./data``.
        allow_outside: whether paths in the recipe may leave the data root.
        runs: the folder in which the run folder is made.
        name: of the run; default: the recipe's.
        nproc: processes that share each batch; default: those that torchrun or srun started, else one.
        on: ``slurm``: send it to SLURM, and come back when it is in the queue.
        nodes: of SLURM, which share out the processes.
        slurm: options of sbatch, ``key=value``.
        handshake: descriptor of a pipe that is told the run folder; without one it is printed.
        study: the run's place in the study that starts it, for its manifest.
    """

    recipe: Path
    overrides: tuple[str, ...] = ()
    data: Path | None = None
    allow_outside: bool = False
    runs: Path = Path("runs")
    name: str | None = None
    nproc: int | None = None
    on: Literal["local", "slurm"] = "local"
    nodes: int = 1
    slurm: tuple[str, ...] = ()
    handshake: int | None = None
    study: dict[str, Any] | None = None


class Sweep(Request, frozen=True):
    """A study: many runs of one recipe, with one result.

    Attributes:
        recipe: its file; with ``resume`` a study's folder, id or part of an id.
        overrides: as for `Train`, and so ``data``, ``allow_outside`` and ``runs``.
        data: root of the data sets.
        allow_outside: whether paths in the recipe may leave the data root.
        runs: the folder in which the folders of the study and of its runs are made.
        name: of the study; default: the recipe's.
        folds: of a cross-validation; 0: none.
        seeds: how many, from the recipe's own on.
        grid: ``table.key=A,B`` texts; every combination of their values is run.
        trials: of a search by Optuna.
        search: what it varies: ``table.key=low:high``, ``table.key=low:high:log`` or ``table.key=A,B``.
        jobs: runs at a time; they divide the cores. On SLURM: jobs at a time; default: all.
        on: ``slurm``: each member is a job there, and this process follows them.
        slurm: options of sbatch, ``key=value``.
        resume: go on with a study that was cut off.
    """

    recipe: Path
    overrides: tuple[str, ...] = ()
    data: Path | None = None
    allow_outside: bool = False
    runs: Path = Path("runs")
    name: str | None = None
    folds: int = 0
    seeds: int = 1
    grid: tuple[str, ...] = ()
    trials: int = 0
    search: tuple[str, ...] = ()
    jobs: int | None = None
    on: Literal["local", "slurm"] = "local"
    slurm: tuple[str, ...] = ()
    resume: bool = False


class Resume(Request, frozen=True):
    """Go on with a run from its last checkpoint.

    Attributes:
        run: the run folder.
        overrides: ``table.key=value`` texts; without ``fork`` only of keys that do not change what is learned.
        data: root of the data sets; default: where it was.
        fork: begin a new run at the checkpoint of this one.
        take: go on with it also where nobody can know whether its trainer still lives elsewhere.
        name: of the new run; default: the old one's.
        nproc: as for `Train`; default: as many as before.
        handshake: as for `Train`.
    """

    run: Path
    overrides: tuple[str, ...] = ()
    data: Path | None = None
    fork: bool = False
    take: bool = False
    name: str | None = None
    nproc: int | None = None
    handshake: int | None = None


class Check(Request, frozen=True):
    """Everything but training: recipe, data, one batch through the model, memory.

    Attributes:
        recipe: its file.
        overrides: as for `Train`, and so ``data`` and ``allow_outside``.
        data: root of the data sets.
        allow_outside: whether paths in the recipe may leave the data root.
        nproc: processes that would share each batch; the batch that is tried is the share of one.
        json: print what is known of the data as JSON, and leave the batch out.
        profile: measure where the time of a step goes.
    """

    recipe: Path
    overrides: tuple[str, ...] = ()
    data: Path | None = None
    allow_outside: bool = False
    nproc: int | None = None
    json: bool = False
    profile: bool = False


class Evaluate(Request, frozen=True):
    """Measure a checkpoint of a run.

    Attributes:
        run: the run folder.
        split: train, validation, test or all; default: test, or all of ``data``.
        data: the same kind of data elsewhere: a data root, or the data set's own folder.
        name: of the result in metrics.json; default: the split, or the name of the folder.
        checkpoint: which weights; default: as the recipe says.
        device: default: as the recipe says.
    """

    studies = True

    run: Path
    split: str | None = None
    data: Path | None = None
    name: str | None = None
    checkpoint: Weights | None = None
    device: str | None = None


class Predict(Request, frozen=True):
    """Masks or class tables for new files.

    Attributes:
        run: the run folder.
        inputs: files, or folders of files.
        output: folder of the results; made where it is missing.
        checkpoint: which weights; default: as the recipe says.
        device: default: as the recipe says.
        overwrite: whether masks may take the place of files that medtui did not write.
    """

    studies = True

    run: Path
    inputs: tuple[Path, ...]
    output: Path
    checkpoint: Weights | None = None
    device: str | None = None
    overwrite: bool = False


class Figures(Request, frozen=True):
    """Draw the figures of a run again.

    Attributes:
        run: the run folder.
        only: kinds of figure; default: all.
    """

    run: Path
    only: tuple[str, ...] = ()


class Report(Request, frozen=True):
    """The report of one run, or a comparison of several.

    Attributes:
        runs: the run folders.
        output: where the report goes; default: the run folder, or ``comparison`` beside the runs.
    """

    runs: tuple[Path, ...]
    output: Path | None = None


class DataList(Request, frozen=True):
    """The data sets that are known, and which of them are there.

    Attributes:
        data: root of the data sets.
        json: print a JSON array.
    """

    data: Path | None = None
    json: bool = False


class DataFetch(Request, frozen=True):
    """Download a data set and check its sum.

    Attributes:
        name: of the data set.
        data: root of the data sets.
    """

    name: str
    data: Path | None = None


class DataPhantom(Request, frozen=True):
    """Write an artificial data set in the layout of a real one.

    Attributes:
        name: of the data set that it stands for.
        data: root of the data sets.
        cases: how many; default: a number that suits the recipes.
        seed: of the draw.
    """

    name: str
    data: Path | None = None
    cases: int | None = None
    seed: int = 0


REQUESTS: dict[str, type[Request]] = {request.command: request for request in Request.__subclasses__()}
"""Every request by the name of its command."""


def make(kind: type[R], values: dict[str, Any]) -> R:
    """A request of plain values: lists for tuples, texts or `Path` for paths.

    Raises:
        UsageError: a field is missing, unknown, or of the wrong type.
    """
    try:
        return msgspec.convert(values, kind, dec_hook=_path)
    except msgspec.ValidationError as error:
        fields = ", ".join(kind.__struct_fields__)
        raise UsageError(f"{kind.command}: {error}", f"fields of the request: {fields}") from None


def encode(request: Request) -> str:
    """A request as JSON in ASCII: also names that are no UTF-8 arrive as they are."""
    return json.dumps(msgspec.to_builtins(request, enc_hook=str))


def decode(command: str, text: str) -> Request:
    """The request of ``command`` that `encode` wrote, or that somebody typed.

    Raises:
        UsageError: there is no such command, or ``text`` is no request of it.
    """
    if command not in REQUESTS:
        raise UsageError(f'"{command}" is no command of the engine', f"one of: {', '.join(REQUESTS)}")
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{command}: the request is no JSON: {error}", 'for instance \'{"name": "value"}\'') from None
    return make(REQUESTS[command], values)


def _path(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, str | Path):
        return Path(value)
    raise TypeError(f"Expected `{kind.__name__}`, got `{type(value).__name__}`")
