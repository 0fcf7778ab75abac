"""Names and places in ``runs/<id>/``. Everything that knows a file name of a run is here."""

import os
import re
import shlex
import time
from dataclasses import dataclass
from pathlib import Path

from engine.errors import WRONG_PATH, RunError, UsageError
from engine.runfolder.careful import read_object

STUDY = ".study"  # how the folder of a study ends
ID_PATTERN = re.compile(r"^\d{8}-\d{6}-[A-Za-z0-9][A-Za-z0-9._-]*$")


class _Place:
    """A file or folder of a run, as an attribute of its `RunFolder`."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, folder: "RunFolder", _kind: type) -> Path:
        return folder.root / self._name


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The paths of one run. Making a `RunFolder` touches no disk; `create` does."""

    root: Path

    @property
    def id(self) -> str:
        return self.root.name

    @property
    def name(self) -> str:
        """The name behind the day and the time of the id."""
        return self.id.split("-", 2)[-1].removesuffix(STUDY)

    @property
    def is_study(self) -> bool:
        """Whether this is the folder of a study, whose members are runs beside it (`engine.runfolder.study`)."""
        return self.id.endswith(STUDY)

    @property
    def stamp_s(self) -> float:
        """When the run began by its id, in seconds since the epoch; 0 where the id names no time."""
        try:
            return time.mktime(time.strptime(self.id[:15], "%Y%m%d-%H%M%S"))
        except (ValueError, OverflowError):
            return 0.0

    @property
    def address(self) -> str:
        """How a command names this run from here, as a shell takes it: by its id in ``runs/``, else by its path."""
        known = os.path.abspath(self.root.parent) == os.path.abspath("runs")
        return shlex.quote(self.id if known else str(self.root))

    def holds(self, path: Path) -> bool:
        """Whether ``path``, links followed, lies in this folder. What is no path at all does not."""
        try:
            return path.resolve().is_relative_to(self.root.resolve())
        except (OSError, ValueError, RuntimeError):  # a null byte, a name too long, links in a circle
            return False

    recipe = _Place("recipe.toml")
    manifest = _Place("manifest.json")
    events = _Place("events.jsonl")
    status = _Place("status.json")
    label = _Place("label.json")
    log = _Place("train.log")
    webhook = _Place("webhook")
    lock = _Place(".lock")
    control = _Place("control")
    checkpoints = _Place("checkpoints")
    last = _Place("checkpoints/last.pt")
    best = _Place("checkpoints/best.pt")
    start = _Place("start")
    """Weights that the training started from."""
    metrics = _Place("metrics.json")
    cases = _Place("cases.csv")
    splits = _Place("splits.csv")
    predictions = _Place("predictions")
    examples = _Place("examples")
    """Arrays of the cases that figures show: a figure is drawn from the run folder alone."""
    previews = _Place("previews")
    figures = _Place("figures")
    report_html = _Place("report.html")
    report_md = _Place("report.md")


def create(runs: Path, name: str, *, now_s: float | None = None, study: bool = False) -> RunFolder:
    """Make ``runs/<YYYYmmdd-HHMMSS>-<name>/``, readable by its owner only; with ``study`` that of a study.

    Two runs of one name in one second get ``-2``, ``-3``, ... behind the name.

    Raises:
        UsageError: ``runs`` is no folder, or not one that may be written to.
        RunError: the disk is full or broken.
    """
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(time.time() if now_s is None else now_s))
    try:
        runs.mkdir(parents=True, exist_ok=True)
        for attempt in range(1, 1000):
            root = runs / f"{stamp}-{name}{'' if attempt == 1 else f'-{attempt}'}{STUDY if study else ''}"
            try:
                root.mkdir(mode=0o700)
            except FileExistsError:
                continue
            folder = RunFolder(root)
            if not study:
                make_parts(folder)
            return folder
    except OSError as error:
        kind = UsageError if error.errno in WRONG_PATH else RunError
        hint = "choose a folder that you may write to with --runs DIR"
        raise kind(f"cannot make a run folder in {runs}: {error.strerror or error}", hint) from error
    raise RunError(f"more than 1000 runs named {name} in one second in {runs}", "choose another --name")


def make_parts(folder: RunFolder) -> None:
    """Make what of a run's own folders is not there: tools that copy leave empty ones out."""
    for part in (folder.control, folder.checkpoints, folder.previews, folder.figures):
        part.mkdir(mode=0o700, exist_ok=True)


def refuse_links(folder: RunFolder) -> None:
    """Make sure that what a run writes or removes lies in its own folder.

    Raises:
        RunError: a folder in it is a link to another place, a file where a folder belongs, or may not be written to.
    """
    parts = (folder.control, folder.checkpoints, folder.previews, folder.figures, folder.examples, folder.predictions)
    for part in parts:
        if part.is_symlink() or (part.exists() and not part.is_dir()):
            raise RunError(
                f"{part} is {'a link' if part.is_symlink() else 'no folder'}: a run writes into its own folder only",
                "put the folder itself there; to keep runs on another disk, link or name the folder of all runs",
            )
    for part in (folder.root, *parts):
        if part.exists() and not os.access(part, os.W_OK):
            raise RunError(
                f"{part} cannot be written to: it is another's, or on a disk that is only read",
                "copy the run folder to a place of your own, and name the copy",
            )


def sweep(folder: RunFolder) -> None:
    """Remove what a killed trainer left half-written, after `make_parts`. For who holds the run's lock.

    Others may be writing requests, and results of an evaluation; those places are left alone.
    """
    make_parts(folder)
    patterns = [(part, ".*.tmp") for part in (folder.checkpoints, folder.previews, folder.figures)]
    patterns += [(part, ".writing.*") for part in (folder.previews, folder.figures)]
    patterns += [(folder.root, f".{own.name}.*.tmp") for own in (folder.status, folder.manifest, folder.recipe)]
    for part, pattern in patterns:
        for path in part.glob(pattern):
            path.unlink(missing_ok=True)


def list_runs(runs: Path, *, studies: bool = False) -> list[RunFolder]:
    """All run folders in ``runs`` that may be read, in the order of their ids; a renamed one is known by its stream.

    With ``studies`` those of studies too.

    A folder that is not there holds no runs.

    Raises:
        UsageError: ``runs`` is no folder, or cannot be read.
    """
    try:
        names = sorted(entry.name for entry in os.scandir(runs) if _is_run(entry, studies))
    except FileNotFoundError:
        return []
    except OSError as error:
        hint = "name another folder with --runs DIR"
        raise UsageError(f"cannot read {runs}: {error.strerror or error}", hint) from error
    return [RunFolder(runs / name) for name in names]


def _is_run(entry: os.DirEntry[str], studies: bool) -> bool:
    if entry.name.endswith(STUDY):
        return studies and os.path.exists(os.path.join(entry.path, "study.toml"))
    renamed = entry.name[0] != "." and os.path.exists(os.path.join(entry.path, "events.jsonl"))
    return bool(ID_PATTERN.match(entry.name) or renamed) and entry.is_dir() and _readable(entry.path)


def _readable(run: str | Path) -> bool:
    """Whether the folder ``run`` is not another user's own: of such nothing is known, also not that it is lost."""
    return os.access(run, os.R_OK | os.X_OK)


def began_s(folder: RunFolder) -> tuple[float, str]:
    """When a run began by its status, else by its id, which is in the time zone of whoever started it."""
    said = read_object(folder.status).get("started_s")
    return (said if isinstance(said, float) else 0.0) or folder.stamp_s, folder.id


def find_run(runs: Path, run: str | None, *, studies: bool = False) -> RunFolder:
    """The run folder meant by ``run``: a folder, an id, a name, a unique part of an id, or None for the newest run.

    What is part of no id may be the whole title of a run (`engine.runfolder.label`).

    With ``studies`` it may be a study too; the name of a study means it, and not its members.

    Raises:
        UsageError: there is none, more than one, or a study where none can be.
    """
    begins = run and os.path.isdir(run) and ID_PATTERN.match(os.path.basename(os.path.normpath(run)))  # no stream yet
    if run and (begins or any(os.path.exists(os.path.join(run, file)) for file in ("events.jsonl", "study.toml"))):
        named = Path(run)
        return _refuse_study(RunFolder(named if named.name not in {"", ".."} else Path(os.path.abspath(run))), studies)
    if run and any(os.path.isdir(place) and not _readable(place) for place in (run, runs / run)):
        raise UsageError(f"{run} is another user's, and may not be read", "its owner can open it: chmod -R a+rX")
    known = list_runs(runs, studies=run is not None)
    if not known:
        start = "start one with: medtui run recipes/quickstart.toml (or name the folder with --runs DIR)"
        raise UsageError(f"no runs in {runs}", start)
    if run is None:
        return max(known, key=began_s)
    # a variable of the shell that is empty names no run, nor does the "." that a path makes of it
    matches = [folder for folder in known if run in folder.id] if run.strip(".") else []
    matches = matches or [folder for folder in known if read_object(folder.label).get("title") == run != ""]
    # "seg_dice" is no part of an id where a run has that very name
    matches = [folder for folder in matches if folder.name == run] or matches
    matches = [folder for folder in matches if folder.id == run] or matches
    if not studies and len(matches) > 1:
        matches = [folder for folder in matches if not folder.is_study]
    if len(matches) == 1:
        return _refuse_study(matches[0], studies)
    if not matches:
        raise UsageError(
            f'no run in {runs} is called "{run}"', "see them with: medtui runs; on another machine it is HOST:RUN"
        )
    some = "\n".join(f"  {folder.id}" for folder in matches[-8:])
    raise UsageError(f'"{run}" means {len(matches)} runs:\n{some}', "name one of them by a longer part of its id")


def _refuse_study(folder: RunFolder, studies: bool) -> RunFolder:
    if folder.is_study and not studies:
        raise UsageError(f"{folder.id} is a study", "name one of its members: medtui runs lists them")
    return folder


def size_of(path: Path) -> int:
    """Bytes of a file; 0 where there is none."""
    try:
        return path.stat().st_size
    except (OSError, ValueError):  # a null byte in its name
        return 0
