"""Draws every figure of a run, each by itself: one that fails costs no other."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from engine.errors import UsageError
from engine.events import Event, Figure
from engine.figures import style
from engine.readers.run import Drawn, FigureError, Job, RunData
from engine.runfolder import RunFolder, write_text

INDEX = "index.json"
_MODULES = {
    "classification": {
        "curves": "curves",
        "roc": "roc",
        "precision_recall": "precision_recall",
        "confusion": "confusion",
        "reliability": "reliability",
        "gradcam": "gradcam",
    },
    "segmentation": {
        "curves": "curves",
        "slices": "slices",
        "surface": "surface",
        "distributions": "distributions",
        "gradcam": "gradcam_volume",
    },
}
KINDS: tuple[str, ...] = tuple(dict.fromkeys(kind for kinds in _MODULES.values() for kind in kinds))
"""The kinds of figures, in the order in which they are drawn and reported."""


@dataclass(frozen=True, slots=True)
class FigureResult:
    """What became of one figure.

    Attributes:
        path: file relative to the run folder (``figures/roc.png``).
        kind: one of `KINDS`, or ``comparison``.
        title: a few words, for a heading.
        caption: sentences, for below the figure.
        ok: whether the file was drawn.
        message: why not, or what is missing in it.
        vector: the SVG beside it, relative to the run folder, or empty.
    """

    path: str
    kind: str
    title: str
    caption: str = ""
    ok: bool = True
    message: str = ""
    vector: str = ""


def draw_all(
    folder: RunFolder,
    *,
    only: Collection[str] | None = None,
    emit: Callable[[Event], object] | None = None,
) -> list[FigureResult]:
    """Draw the figures of a run into ``figures/``, from the run folder alone.

    Args:
        folder: the run; what it does not hold yet is not drawn.
        only: kinds to draw (`KINDS`); the others stay as they are.
        emit: called with a `Figure` event as soon as each figure is drawn or has failed.

    Raises:
        UsageError: ``only`` names a kind that does not exist.
    """
    unknown = sorted(set(only or ()) - set(KINDS))
    if unknown:
        raise UsageError(f"no figures of the kind {', '.join(unknown)}", "kinds: " + ", ".join(KINDS))
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


def read_index(folder: RunFolder) -> list[FigureResult]:
    """What the last drawing left in ``figures/``; files that are gone are left out."""
    try:
        entries = json.loads((folder.figures / INDEX).read_text(encoding="utf-8"))
        results = [FigureResult(**entry) for entry in entries]
    except (OSError, ValueError, TypeError):
        return []
    return [result for result in results if not result.ok or (folder.root / result.path).is_file()]


def _plan(run: RunData, only: Collection[str] | None) -> Iterator[Job]:
    for kind, module in _MODULES.get(run.task, {"curves": "curves"}).items():
        if only is None or kind in only:
            yield from _jobs(run, kind, module)


def _jobs(run: RunData, kind: str, module: str) -> list[Job]:
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
    write_text(folder.figures / INDEX, json.dumps([asdict(result) for result in merged], indent=1) + "\n")


def _files(path: Path) -> list[Path]:
    return [
        path.with_suffix(suffix) for suffix in (".png", ".svg", ".gif", ".mp4") if path.with_suffix(suffix).exists()
    ]


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
