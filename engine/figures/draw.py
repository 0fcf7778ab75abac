"""Draws every figure of a run, each by itself: one that fails costs no other."""

import importlib
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import msgspec

from engine.errors import UsageError
from engine.events import Event, Figure
from engine.figures import style
from engine.readers.figure_index import INDEX, FigureResult, read_index
from engine.readers.run import Drawn, FigureError, Job, RunData
from engine.runfolder import RunFolder, refuse_links, write_bytes

_KINDS = {
    "classification": ("curves", "roc", "precision_recall", "confusion", "reliability", "gradcam"),
    "segmentation": ("curves", "slices", "surface", "distributions", "gradcam"),
}
_OF_STUDY = {  # what needs no network and no image: a study has the cases of its members, and no examples of them
    "classification": ("members", "roc", "precision_recall", "confusion", "reliability"),
    "segmentation": ("members", "distributions"),
}
_MODULES = {("segmentation", "gradcam"): "gradcam_volume"}  # the module of a kind where it has another name
KINDS: tuple[str, ...] = ("members", *dict.fromkeys(kind for kinds in _KINDS.values() for kind in kinds))
"""The kinds of figures, in the order in which they are drawn and reported."""


def draw_all(
    folder: RunFolder, *, only: Collection[str] | None = None, emit: Callable[[Event], object] | None = None
) -> list[FigureResult]:
    """Draw the figures of a run or of a study into ``figures/``, from the run folder alone.

    Args:
        folder: the run; what it does not hold yet is not drawn. Of a study the folders of its members are read too.
        only: kinds to draw (`KINDS`); the others stay as they are.
        emit: called with a `Figure` event as soon as each figure is drawn or has failed.

    Raises:
        UsageError: ``only`` names a kind that does not exist.
        RunError: ``figures`` is a link to another place.
    """
    unknown = sorted(set(only or ()) - set(KINDS))
    if unknown:
        raise UsageError(f"no figures of the kind {', '.join(unknown)}", "kinds: " + ", ".join(KINDS))
    refuse_links(folder)
    run = RunData(folder)
    results = []
    for job in _plan(run, only):
        result = draw_job(job, folder.figures, folder.root)
        results.append(result)
        _keep_index(folder, results, only, ended=False)  # who interrupts the drawing keeps what was drawn
        if emit is not None:
            emit(Figure(path=result.path, ok=result.ok, message=result.message))
    _keep_index(folder, results, only, ended=True)
    return results


def draw_job(job: Job, out: Path, root: Path) -> FigureResult:
    """Draw one figure into ``out``; whatever goes wrong becomes its message. Paths relative to ``root``."""
    path = out / f"{job.stem}.png"
    place = _relative(path, root)
    for old in _files(path):
        old.unlink(missing_ok=True)
    try:
        with style.styled():
            drawn = job.draw(path)
    except FigureError as error:
        return FigureResult(place, job.kind, job.title, ok=False, message=str(error))
    except MemoryError:
        return FigureResult(place, job.kind, job.title, ok=False, message="out of memory")
    except Exception as error:  # noqa: BLE001  the boundary: no fault of one figure may cost another
        message = f"{type(error).__name__}: {error}".splitlines()[0]
        return FigureResult(place, job.kind, job.title, ok=False, message=message)
    if not path.exists():
        path = next((file for file in _files(path) if file.suffix in {".gif", ".mp4"}), path)
    vector = path.with_suffix(".svg")
    shown = _relative(vector, root) if vector.exists() else ""
    return FigureResult(_relative(path, root), job.kind, job.title, drawn.caption, True, drawn.message, shown)


def _plan(run: RunData, only: Collection[str] | None) -> Iterator[Job]:
    kinds = _OF_STUDY if run.folder.is_study else _KINDS
    for kind in kinds.get(run.task, ("curves",)):
        if only is None or kind in only:
            yield from _jobs(run, kind)


def _jobs(run: RunData, kind: str) -> list[Job]:
    module = _MODULES.get((run.task, kind), kind)
    try:
        return list(importlib.import_module(f"engine.figures.{module}").plan(run))
    except Exception as error:  # noqa: BLE001  as in draw_job: one kind that cannot even begin costs no other
        message = f"{type(error).__name__}: {error}".splitlines()[0]

        def fail(_: Path) -> Drawn:
            raise FigureError(message)

        return [Job(kind, kind, kind, fail)]


def _keep_index(folder: RunFolder, results: list[FigureResult], only: Collection[str] | None, *, ended: bool) -> None:
    """Write the index in the order of `KINDS`; at the end remove what an earlier drawing left of these kinds."""
    drawn = set(KINDS) if only is None else set(only)
    now = {result.path for result in results}
    kept = []
    for old in read_index(folder):
        if old.path in now:
            continue
        if old.kind not in drawn or not ended:
            kept.append(old)
        else:
            for file in _files(folder.figures / Path(old.path).name):
                file.unlink(missing_ok=True)
    merged = sorted([*kept, *results], key=lambda result: KINDS.index(result.kind) if result.kind in KINDS else 99)
    folder.figures.mkdir(exist_ok=True)
    write_bytes(folder.figures / INDEX, msgspec.json.format(msgspec.json.encode(merged), indent=1) + b"\n")


def _files(path: Path) -> list[Path]:
    files = (path.with_suffix(suffix) for suffix in (".png", ".svg", ".gif", ".mp4"))
    return [file for file in files if file.exists()]


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
