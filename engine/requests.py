"""What a command asks of the engine: one frozen request each, sent as JSON to ``python -m engine COMMAND``.

A request is all that a command is told: what is not a field of it cannot be asked for, and a field that
is unknown or of the wrong type is refused. Its name on the command line is the class's in small letters
with dashes (``DataFetch``: ``data-fetch``), and the function that answers it is of that name in the file
of its first word (``engine.commands.data.data_fetch``). Its docstring is the help of the command, and what a field
means stands once too, as the help of its option.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar, get_args, get_type_hints

import msgspec

from engine.errors import UsageError, absent_dataset, absent_input

R = TypeVar("R", bound="Request")


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The base of all requests. ``command`` is the name that ``python -m engine`` knows it by."""

    command: ClassVar[str] = ""
    typed: ClassVar[str] = ""  # what a person types behind ``medtui``, where it is another word
    examples: ClassVar[tuple[str, ...]] = ()  # lines for the help
    studies: ClassVar[bool] = False  # whether its run may be a study

    def __init_subclass__(cls) -> None:
        cls.command = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", cls.__name__).lower()
        cls.typed = cls.__dict__.get("typed", cls.command.replace("-", " "))

    def refuse_absent(self) -> None:
        """Make sure that the files it names are there, before anything heavy is loaded. Raises: MedtuiError."""


@dataclass(frozen=True, slots=True)
class Option:
    """What a field is on the command line; `tui.arguments` makes the option of it."""

    words: str  # its help
    metavar: str | None = None  # stands for its value there
    low: int = 1  # least value of a whole number
    high: int = 1000  # its greatest value
    flag: tuple[str, ...] = ()  # where it is not ``--`` and the name of the field
    place: Literal["", "?", "+"] | None = ""  # it has no flag, and so many words as argparse means by this; None: one
    beside: tuple[str, Any] | None = None  # another field, and the value of it without which this one does nothing


Data = Annotated[Path | None, Option("root of the data sets ($MEDTUI_DATA, else ./data)", "DIR")]
Texts = tuple[str, ...]
A_RUN = "a folder, an id, a name, or a unique part of an id"  # how `engine.runfolder.find_run` is asked for a run
_SET = "TABLE.KEY=VALUE"
_SHARED = "processes that share each batch ({}; torchrun and srun say it themselves)"
_SLURM = ("on", "slurm")
_FAR = "[user@]host:RUN or user@host: on another machine, over ssh"
_RUN = Option(f"{A_RUN}; without it, the newest run", "RUN", place="?")


class _OfRecipe(Request, frozen=True):
    recipe: Annotated[Path, Option("a .toml file", "RECIPE", place=None)]
    overrides: Annotated[Texts, Option("override a key of the recipe; may be given often", _SET, flag=("--set",))] = ()
    data: Data = None
    allow_outside: Annotated[bool, Option("let paths in the recipe be absolute or climb up with ..")] = False
    start: Annotated[Path | None, Option(f"start with the weights of a run: {A_RUN}", "RUN", flag=("--from",))] = None
    runs: Annotated[Path, Option("folder of the runs (runs)", "DIR")] = Path("runs")


class _ToRun(_OfRecipe, frozen=True):
    on: Annotated[Literal["local", "slurm"], Option("here, or a job of SLURM (local)")] = "local"
    slurm: Annotated[Texts, Option("--on slurm: an option of sbatch; again for more", "KEY=VALUE", beside=_SLURM)] = ()


class Train(_ToRun, frozen=True):
    """Train, evaluate, draw and report a recipe.

    The dashboard opens when the output is a terminal; closing it does not touch the training. With --plain, Ctrl-C
    checkpoints and stops the run, a second one kills it.
    """

    typed = "run"
    examples = (
        "medtui run recipes/quickstart.toml",
        "medtui run recipes/seg_dice.toml --data ~/data --set train.epochs=10 --set optimizer.lr=1e-4",
        "medtui run recipes/cls_ce.toml --detach --name night",
        "medtui run clinic.toml --from seg_dice",
        "medtui run recipes/cls_ce.toml --on slurm --slurm partition=gpu --slurm gpus-per-task=1 --nproc 2",
    )

    name: Annotated[str | None, Option("name of the run (the recipe's)", "NAME")] = None
    nproc: Annotated[int | None, Option(_SHARED.format(1), "N", high=64)] = None
    nodes: Annotated[int, Option("--on slurm: nodes of the run (1)", "N", beside=_SLURM)] = 1
    handshake: int | None = None  # descriptor of a pipe that is told the run folder; without one it is printed
    study: dict[str, Any] | None = None  # the run's place in the study that starts it, for its manifest


class Sweep(_ToRun, frozen=True):
    """Run a recipe in every fold, with several seeds, over a grid of settings, or in a search, as one study with one
    result. Each member is a run of its own. Ctrl-C, or medtui stop STUDY, stops them with a checkpoint; medtui resume
    goes on.
    """

    examples = (
        "medtui sweep recipes/seg_best.toml --folds 5 --seeds 2 --jobs 2",
        "medtui sweep recipes/cls_best.toml --grid optimizer.lr=1e-3,3e-4 --grid loss.name=cross_entropy,focal",
        "medtui sweep recipes/seg_best.toml --folds 3 --trials 20 --search optimizer.lr=1e-4:1e-2:log",
        "medtui sweep --resume seg_best",
    )

    name: Annotated[str | None, Option("name of the study (the recipe's)", "NAME")] = None
    folds: Annotated[int, Option("folds of a cross-validation (none)", "N", 2, 100)] = 0
    seeds: Annotated[int, Option("seeds, from the recipe's own on (1)", "N")] = 1
    grid: Annotated[Texts, Option("values of a key; several keys: every combination", "KEY=A,B")] = ()
    trials: Annotated[int, Option("trials of a search by Optuna", "N")] = 0
    search: Annotated[Texts, Option("what trials vary; also LOW:HIGH:log and A,B", "KEY=LOW:HIGH")] = ()
    jobs: Annotated[int | None, Option("runs at a time, dividing the cores (1; on SLURM all)", "N")] = None
    resume: Annotated[bool, Option("go on with a study, named in place of the recipe")] = False
    handshake: int | None = None  # as for `Train`


class Resume(Request, frozen=True):
    """Go on with a paused run, with a stopped, failed or lost one from its last checkpoint, or with a study."""

    examples = ("medtui resume", "medtui resume seg_dice --fork --set train.epochs=200 --name longer")

    run: Annotated[Path, Option(f"{A_RUN}; without it, the newest that can go on. {_FAR}", "RUN", place="?")]
    overrides: Annotated[
        Texts,
        Option(
            "a key that does not change what is learned (runtime.*, figures.*); with --fork any", _SET, flag=("--set",)
        ),
    ] = ()
    fork: Annotated[bool, Option("begin a new run at this one's last checkpoint")] = False
    take: Annotated[bool, Option("go on with a silent run: its trainer elsewhere is gone")] = False
    name: Annotated[
        str | None, Option("--fork: name of the new run (the old one's)", "NAME", beside=("fork", True))
    ] = None
    nproc: Annotated[int | None, Option(_SHARED.format("as before"), "N", high=64)] = None
    data: Annotated[Path | None, Option("root of the data sets (where it was)", "DIR")] = None
    handshake: int | None = None  # as for `Train`


class Check(_OfRecipe, frozen=True):
    """Do everything but training: recipe, data, one batch through the model, memory."""

    examples = (
        "medtui check recipes/seg_dice.toml --data ~/data",
        "medtui check recipes/cls_ce.toml --json",
        "medtui check recipes/seg_best.toml --profile",
    )

    nproc: Annotated[int | None, Option(_SHARED.format(1), "N", high=64)] = None
    json: Annotated[bool, Option("what is known of the data as JSON, without the batch")] = False
    profile: Annotated[
        bool, Option("where the time of a step goes, and what in the recipe would change it", beside=("json", False))
    ] = False


class New(Request, frozen=True, kw_only=True):
    """Write a recipe for a data set. It looks at the data and at this machine, and says why beside each key.

    DATA is a folder, or a name below the data root; how it is laid out is found out.
    """

    examples = (
        "medtui new my_data",
        "medtui new ~/scans/livers -o liver.toml --minutes 240",
        "medtui new clinic --source csv",
    )

    folder: Annotated[Path, Option("folder of the data set", "DATA", place=None)]
    output: Annotated[Path | None, Option("the file (DATA.toml, here)", "RECIPE", flag=("-o", "--output"))] = None
    minutes: Annotated[int, Option("minutes of training that it is for (60)", "N", high=100_000)] = 60
    source: Annotated[str | None, Option("layout of the folder, by its name in docs/data.md (found out)", "LAYOUT")] = (
        None
    )
    data: Data = None
    force: Annotated[bool, Option("write over a file that is there")] = False


_Weights = Annotated[Literal["best", "last"] | None, Option("which weights (as the recipe says)")]


class _OfWeights(Request, frozen=True):
    studies = True

    checkpoint: _Weights = None
    device: Annotated[str | None, Option("auto, cpu, cuda, cuda:1 (as the recipe says)", "D")] = None


_Split = Literal["train", "validation", "test", "all"]


class Evaluate(_OfWeights, frozen=True, kw_only=True):
    """Measure a checkpoint of a run on any split, or on a folder.

    The result stands in metrics.json under a name of its own.
    """

    examples = (
        "medtui evaluate seg_dice --split validation",
        "medtui evaluate seg_dice --data ~/other --name other",
    )

    run: Annotated[Path, _RUN]
    split: Annotated[_Split | None, Option("train, validation, test or all (test; with --data: all)", "S")] = None
    data: Annotated[Path | None, Option("another folder with the same kind of data (the run's own)", "DIR")] = None
    name: Annotated[str | None, Option("name of the result in metrics.json", "NAME")] = None

    def refuse_absent(self) -> None:
        if self.data and not self.data.is_dir():
            raise absent_dataset(self.data)


class Predict(_OfWeights, frozen=True, kw_only=True):
    """Apply a run to new files. Masks have the geometry of their input; classes come as a table."""

    examples = (
        "medtui predict seg_dice scans/*.nii.gz -o masks",
        "medtui predict cls_ce images -o classes",
        "medtui predict liver ct/patient1 -o masks --dicom-seg",
    )

    run: Annotated[Path, Option(A_RUN, "RUN", place=None)]
    inputs: Annotated[tuple[Path, ...], Option("files or folders", "INPUT", place="+")]
    output: Annotated[Path, Option("where the results go", "DIR", flag=("-o", "--output"))]
    overwrite: Annotated[bool, Option("replace masks that medtui did not write")] = False
    dicom_seg: Annotated[bool, Option("DICOM series: write DICOM Segmentations too ([dicom])")] = False

    def refuse_absent(self) -> None:
        if missing := [path for path in self.inputs if not path.exists()]:
            raise absent_input(missing[0])


class Export(Request, frozen=True, kw_only=True):
    """Write a folder that predicts with ONNX Runtime: neither PyTorch nor medtui is needed there.

    It holds the networks, a readable program, what they expect, and a README with the results of the test.
    """

    studies = True
    examples = ("medtui export seg_dice -o seg_dice_onnx", "python seg_dice_onnx/predict.py scans/*.nii.gz -o masks")

    run: Annotated[Path, Option(A_RUN, "RUN", place=None)]
    output: Annotated[Path, Option("the folder to be made", "DIR", flag=("-o", "--output"))]
    checkpoint: _Weights = None
    force: Annotated[bool, Option("replace an export that is there")] = False


class Figures(Request, frozen=True):
    """Draw the figures of a run or of a study again, from its folder alone."""

    studies = True
    examples = ("medtui figures --only roc",)

    run: Annotated[Path, _RUN]
    only: Annotated[Texts, Option("draw this kind only; may be given often", "KIND")] = ()


class Report(Request, frozen=True):
    """Write the report of a run or of a study, or compare several runs."""

    examples = ("medtui report", "medtui report seg_bce seg_dice -o comparison")

    runs: tuple[Path, ...]  # the run folders
    output: Annotated[Path | None, Option("where the report goes (the run folder)", "DIR", flag=("-o", "--output"))] = (
        None
    )


class DataList(Request, frozen=True):
    """List the data sets that medtui knows, and which of them are there."""

    data: Data = None
    json: Annotated[bool, Option("a JSON array, for scripts")] = False


_NAMED = Option("see: medtui data list", "NAME", place=None)


class DataFetch(Request, frozen=True):
    """Download a data set and check its sum."""

    name: Annotated[str, _NAMED]
    data: Data = None


class DataPhantom(Request, frozen=True):
    """Write an artificial data set in the layout of a real one."""

    name: Annotated[str, _NAMED]
    data: Data = None
    cases: Annotated[int | None, Option("how many cases (a number that suits the recipe)", "N", high=100_000)] = None
    seed: Annotated[int, Option("seed of the draw (0)", "N", 0, 2**32 - 1)] = 0


def _kinds(base: type[Request]) -> Iterator[type[Request]]:
    for kind in base.__subclasses__():
        yield from _kinds(kind) if kind.__name__.startswith("_") else [kind]


REQUESTS: dict[str, type[Request]] = {request.command: request for request in _kinds(Request)}
"""Every request by the name of its command."""


def options_of(kind: type[Request]) -> Iterator[tuple[str, Any, Any, Option]]:
    """(name, type, default, option) of each field that can be given on the command line."""
    hints = get_type_hints(kind, include_extras=True)
    for field in msgspec.structs.fields(kind):
        for option in getattr(hints[field.name], "__metadata__", ()):
            yield field.name, get_args(hints[field.name])[0], field.default, option


def make(kind: type[R], values: dict[str, Any]) -> R:
    """A request of plain values: lists for tuples, texts or `Path` for paths.

    Raises:
        UsageError: a field is missing, unknown, of the wrong type, or would do nothing beside the others.
    """
    try:
        request = msgspec.convert(values, kind, dec_hook=_path)
    except msgspec.ValidationError as error:
        fields = ", ".join(kind.__struct_fields__)
        raise UsageError(f"{kind.command}: {error}", f"fields of the request: {fields}") from None
    for name, _, default, option in options_of(kind):
        key, needed = option.beside or (name, getattr(request, name))
        if getattr(request, name) != default and getattr(request, key) != needed:
            flag = f"--{key}" + ("" if isinstance(needed, bool) else f" {needed}")
            way_out = "leave one of them out" if needed is False else f"leave it out, or add {flag}"
            raise UsageError(f"--{name} does nothing with{'' if needed is False else 'out'} {flag}", way_out)
    return request


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
