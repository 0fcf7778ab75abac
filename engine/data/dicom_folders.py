"""Which series the DICOM files of a folder are of. Their headers are read once, and anew where a file changed.

A volume of DICOM is named by the folder that holds it, or where that holds several by one of its files.
"""

import os
import re
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from engine.data.dicom import DICOM, begins_as_dicom
from engine.data.dicom_pixels import read_tags
from engine.data.dicom_slices import Held, Slice, kind_of_object, read_file
from engine.errors import counted

SLICES = (*DICOM, ".ima")
"""Endings of slices, in lower case; files without one, or with numbers in its place, are known by how they begin."""
NO_ENDING = re.compile(r"(\.\d*)?")
"""What stands in the place of an ending where a file has none: nothing, or a number."""
SAME_WAY = 1e-3  # difference of a direction cosine above which slices are turned to each other
_ASKED = 5  # files of a folder, of which one may be a report or a picture of the screen
_SHOWN = 5
_SAMPLED = 16  # files of a folder, of which a series of as many slices as another is missed in one of 30,000
_MOST_KEPT = 60_000  # files and slices whose headers are remembered, of less than 1 kB each
_SETTLED_NS = 2_000_000_000  # a file that changed so short ago may change again within the same tick of the clock


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """The files of one series in a folder, by name."""

    files: tuple[Held, ...]

    @property
    def slices(self) -> list[Slice]:
        """Those of the files that can be read."""
        return [each for held in self.files for each in held.slices]

    @property
    def number(self) -> str:
        """That of its headers, digits; "" without one."""
        return self.files[0].number

    @property
    def is_volume(self) -> bool:
        """Whether it may be one: its slices are several, and lie in one direction; those of a localizer do not."""
        slices = self.slices
        return len(slices) > 1 and all(np.abs(slices[0].axes - each.axes).max() <= SAME_WAY for each in slices)

    @property
    def shown(self) -> str:
        """How a message names it: nothing of a patient, of whom a description may tell."""
        first, count = self.files[0], max(len(self.files), len(self.slices))
        sizes = {each.shape for each in self.slices}
        size = f" of {min(sizes)[1]}x{min(sizes)[0]}" if len(sizes) == 1 else ""
        what = f"number {first.number}" if first.number else "no number"
        return f"{counted(count, 'slice')} of {what} ({first.modality}{size}, {first.path.name})".replace("( of ", "(")


def is_slice(path: Path) -> bool:
    """Whether ``path`` is a DICOM file by its ending, or where it has none by how it begins."""
    ending = path.suffix.lower()
    if ending in SLICES:
        return True
    return bool(NO_ENDING.fullmatch(ending)) and path.name.upper() != "DICOMDIR" and begins_as_dicom(path)


def is_series(folder: Path) -> bool:
    """Whether ``folder`` holds DICOM files."""
    try:
        return folder.is_dir() and any(_files(folder))
    except OSError:
        return False


def is_placed(path: Path) -> bool:
    """Whether a DICOM file, or one of the first in a folder, says where it lies: slices of volumes do."""
    for each in islice(_files(path), _ASKED) if path.is_dir() else [path]:
        with suppress(OSError):
            header = read_tags(each, ["ImagePositionPatient", "PerFrameFunctionalGroupsSequence"])
            if any(header.get(name) for name in ("ImagePositionPatient", "PerFrameFunctionalGroupsSequence")):
                return True
    return False


def series_of(path: Path) -> str:
    """The identifier of the series that the file ``path`` is of, which is never shown; "" where it cannot be read."""
    with suppress(OSError):
        return str(read_tags(path, ["SeriesInstanceUID"]).get("SeriesInstanceUID", ""))
    return ""


def seems_alone(folder: Path) -> bool:
    """Whether files that lie evenly among those of ``folder`` are of one series.

    It spares the headers of all the others, where data sets are large; a series that is missed is said when the volume
    is read.
    """
    paths = [*_files(folder)]
    return len({series_of(path) for path in paths[:: max(1, len(paths) // _SAMPLED)]}) == 1


def series_in(folder: Path) -> list[Series]:
    """The series in ``folder``, by number and name; files without pixels, such as reports, are of none.

    Raises:
        OSError, ValueError: it, or a file that may be of any of them, cannot be read.
    """
    found: dict[str, list[Held]] = {}
    for held in _headers(folder):
        if held.slices or held.fault:
            found.setdefault(held.series, []).append(held)
    series = [Series(tuple(files)) for files in found.values()]
    return sorted(series, key=lambda each: (int(each.number or 0), each.files[0].path.name))


def chosen_series(path: Path) -> Series:
    """The series that the file ``path`` is of, or the one in the folder ``path`` that may be a volume, or is alone.

    Raises:
        OSError, ValueError: there is none, or several, of which nothing says which is meant.
    """
    is_folder = path.is_dir()
    if not is_folder:
        path.stat()
    found = series_in(path if is_folder else path.parent)
    if not is_folder:
        own = [each for each in found if any(held.path.name == path.name for held in each.files)]
        return own[0] if own else _refuse_without([path], "")
    if not found:
        inner = next((f": name {each.relative_to(path)} in it" for each in path.rglob("*") if is_series(each)), "")
        return _refuse_without([*islice(_files(path), 1)], inner)
    volumes = [each for each in found if each.is_volume]
    if len(found) > 1 and len(volumes) != 1:
        known = [each.shown for each in volumes or found]
        shown = ", ".join(known[:_SHOWN]) + (", ..." if len(known) > _SHOWN else "")
        raise ValueError(
            f"it holds {len(known)} series ({shown}): put each into a folder of its own, or name a file of the one "
            "that is meant"
        )
    return volumes[0] if volumes else found[0]


def volumes_in(folder: Path) -> list[Path]:
    """What names each series in ``folder`` that may be a volume: the folder, or of several the first file of each.

    Where headers cannot be read it is the folder: to read it says why.
    """
    with suppress(OSError, ValueError):
        volumes = [each for each in series_in(folder) if each.is_volume]
        if len(volumes) > 1:
            return [each.files[0].path for each in volumes]
    return [folder]


def named_volumes(paths: Iterable[Path]) -> dict[Path, Path]:
    """What `volumes_in` calls the series that each of the files ``paths`` is of, which may be all files of a folder."""
    known: dict[Path, dict[str, Path]] = {}
    found: dict[Path, Path] = {}
    for path in paths:
        if path.parent not in known:
            known[path.parent] = _volumes_of_files(path.parent)
        found[path] = known[path.parent].get(path.name, path)
    return found


def _volumes_of_files(folder: Path) -> dict[str, Path]:
    """Name of each file in ``folder`` -> what `volumes_in` calls its series."""
    with suppress(OSError, ValueError):
        series = [(each, each.is_volume) for each in series_in(folder)]
        several = sum(is_volume for _, is_volume in series) > 1
        return {
            held.path.name: each.files[0].path if several or not is_volume else folder
            for each, is_volume in series
            for held in each.files
        }
    return {}


def series_name(path: Path) -> str:
    """What results of a series are called: as its folder, and where ``path`` is a file with the series' number.

    Where two have the same number, or one has none, it is the place among them.
    """
    if path.is_dir():
        return path.absolute().name
    label = path.stem
    with suppress(OSError, ValueError):
        found, own = series_in(path.parent), chosen_series(path)
        peers = [each for each in found if each.is_volume or not own.is_volume]
        numbers = {each.number for each in peers}
        unlike = "" not in numbers and len(numbers) == len(peers)
        place = next(at for at, each in enumerate(found, 1) if each.files[0].path == own.files[0].path)
        label = own.number if unlike else str(place)
    return f"{path.absolute().parent.name}__{label}"


def series_names(series: Sequence[tuple[Path, Path]]) -> dict[Path, str]:
    """`series_name` of each, with what was named for it; by all folders below that where two would be called alike."""
    names = {path: series_name(path) for path in dict(series)}
    counts = Counter(names.values())
    for path, named in series:
        folder = path if path.is_dir() else path.parent
        if counts[names[path]] > 1 and folder != named and folder.is_relative_to(named):
            names[path] = "__".join([*folder.relative_to(named).parts[:-1], names[path]])
    return names


def left_aside(path: Path) -> list[Series]:
    """The series beside that which ``path`` names that are no volume: localizers, pictures of a screen."""
    own, found = chosen_series(path), series_in(path if path.is_dir() else path.parent)
    return [each for each in found if not each.is_volume and each.files[0].path != own.files[0].path]


def _refuse_without(paths: list[Path], inner: str) -> Series:
    """Raises: ValueError: there are no slices."""
    with suppress(OSError, IndexError):
        inner = inner or f", but {kind_of_object(paths[0])}: not read; take it out, or write a mask of it as NIfTI"
    raise ValueError(f"it holds no DICOM slices{inner}")


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """What is wrong with a file, with its name before it."""
    try:
        yield
    except OSError as error:
        raise ValueError(f"{path.name}: {error.strerror or error}") from None


def _files(folder: Path) -> Iterator[Path]:
    """The DICOM files in ``folder``, by name."""
    return (path for path in sorted(folder.iterdir()) if path.name[0] != "." and is_slice(path))


_kept: OrderedDict[Path, tuple[int, int, tuple[Held, ...]]] = OrderedDict()
"""Folder -> `_state`, how much is kept, and what its files hold; what was asked for last stands last."""
_lock = threading.Lock()


def _unlocked() -> None:
    global _lock  # noqa: PLW0603  another thread may have held it when this process began as a copy
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):  # not on Windows, where no process begins as a copy
    os.register_at_fork(after_in_child=_unlocked)


def _headers(folder: Path) -> tuple[Held, ...]:
    """What each DICOM file in ``folder`` holds, by name.

    Raises:
        OSError, ValueError: the folder or a header cannot be read.
    """
    state = _state(folder)
    with _lock:
        known = _kept.get(folder)
        if known is not None and known[0] == state:
            _kept.move_to_end(folder)
            return known[2]
    found: list[Held] = []
    for path in _files(folder):
        with naming(path):
            found.append(read_file(path))
    held = tuple(found)
    if state is not None:
        with _lock:
            _kept[folder] = state, sum(max(1, len(each.slices)) for each in held), held
            _kept.move_to_end(folder)
            while len(_kept) > 1 and sum(weight for _, weight, _ in _kept.values()) > _MOST_KEPT:
                _kept.popitem(last=False)
    return held


def _state(folder: Path) -> int | None:
    """A hash of which files are in ``folder`` and when they changed last; None where that was just now."""
    found, newest = [], 0
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):  # a link to nothing: to read it says so
                state = entry.stat()
                newest = max(newest, state.st_mtime_ns, state.st_ctime_ns)
                found.append((entry.name, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns))
    return hash(tuple(sorted(found))) if newest + _SETTLED_NS < time.time_ns() else None
