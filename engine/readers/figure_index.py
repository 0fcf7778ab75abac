"""``figures/index.json``: what became of each figure of a run."""

import stat
from pathlib import Path, PurePosixPath

import msgspec

from engine.runfolder import RunFolder
from engine.runfolder.careful import UNREADABLE, lenient, read_json

INDEX = "index.json"
FORMATS = frozenset({".png", ".gif", ".mp4", ".svg"})


class FigureResult(msgspec.Struct, frozen=True):
    """What became of one figure."""

    path: str  # file relative to the run folder (``figures/roc.png``)
    kind: str = ""  # a kind of `engine.figures`, or ``comparison``
    title: str = ""  # a few words, for a heading
    caption: str = ""  # sentences, for below the figure
    ok: bool = True  # whether the file was drawn
    message: str = ""  # why not, or what is missing in it
    vector: str = ""  # the SVG beside it, relative to the run folder, or empty

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


def read_index(folder: RunFolder) -> list[FigureResult]:
    """What the last drawing left; of what was drawn, only files that `is_figure` accepts."""
    try:
        entries = read_json(folder.figures / INDEX)
    except UNREADABLE:
        return []
    results = []
    for entry in entries if isinstance(entries, list) else []:
        try:
            result = lenient(entry, FigureResult)
        except (msgspec.ValidationError, TypeError):  # no object, or one without a path
            continue
        if not result.ok or is_figure(folder, result.path):
            lone = bool(result.vector) and not is_figure(folder, result.vector)
            results.append(msgspec.structs.replace(result, vector="") if lone else result)
    return results


def is_figure(folder: RunFolder, place: str) -> bool:
    """Whether ``place`` is a picture straight in ``figures/``: a regular file, no link to another place.

    An index that anyone may have written must not bring other files into a report.
    """
    inner = PurePosixPath(place)
    path = folder.root / place
    if inner.parent != PurePosixPath("figures") or inner.suffix.lower() not in FORMATS:
        return False
    try:
        return not folder.figures.is_symlink() and stat.S_ISREG(path.lstat().st_mode)
    except (OSError, ValueError):
        return False


def drawn_files(folder: RunFolder) -> list[Path]:
    """Every PNG in ``figures/``, sorted, whether the index names it or not."""
    try:
        paths = sorted(folder.figures.iterdir())
    except OSError:
        return []
    return [path for path in paths if path.suffix.lower() == ".png"]
