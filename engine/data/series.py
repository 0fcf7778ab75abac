"""A series of DICOM slices, or one DICOM file of many frames, as one volume: the folder that holds it stands for it.

Of headers only geometry and the way in which values are stored are read: no names, dates or identifiers of patients.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engine.data.dicom import DICOM, begins_as_dicom, read_values
from engine.data.dicom_pixels import decoded_frames, read_tags
from engine.data.dicom_slices import Slice, kind_of_object, read_slices
from engine.data.headers import AFFINE_TOLERANCE, LPS, Affine, Header, affine_of, refuse_more
from engine.errors import counted
from engine.runfolder import most_unpacked, open_regular

Floats = npt.NDArray[np.float32]
SLICES = (*DICOM, ".ima")
"""Endings of slices, in lower case; files without one, or with numbers in its place, are known by how they begin."""
NO_ENDING = re.compile(r"(\.\d*)?")
"""What stands in the place of an ending where a file has none: nothing, or a number."""
_SAME_PLACE = 1e-3  # share of the usual distance between slices below which two of them lie at one place
_SAME_WAY = 1e-3  # difference of a direction cosine above which slices are turned to each other
_SHOWN = 5
_ASKED = 5  # files of a folder, of which one may be a report or a picture of the screen


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


def is_placed(folder: Path) -> bool:
    """Whether some of the first DICOM files in ``folder`` say where they lie: slices of volumes do, X-ray does not."""
    for path in islice(_files(folder), _ASKED):
        with suppress(OSError):
            header = read_tags(path, ["ImagePositionPatient", "PerFrameFunctionalGroupsSequence"])
            if any(header.get(name) for name in ("ImagePositionPatient", "PerFrameFunctionalGroupsSequence")):
                return True
    return False


def _files(folder: Path) -> Iterator[Path]:
    """The DICOM files in ``folder``, by name."""
    return (path for path in sorted(folder.iterdir()) if path.name[0] != "." and is_slice(path))


def series_header(folder: Path) -> Header:
    """What the headers of the series in ``folder`` say of its volume. Raises as `read_series`."""
    slices = _slices(folder)
    rows, columns = slices[0].shape
    return Header((columns, rows, len(slices)), 1, np.dtype(np.float32), _affine(slices))


def slices_of(folder: Path) -> list[tuple[Path, int]]:
    """File, and frame in it from 0, of each slice of the series in ``folder``, as its volume has them.

    Raises: as `read_series`.
    """
    return [(each.path, each.frame) for each in _slices(folder)]


def read_series(folder: Path, key: str = "image") -> tuple[Floats, Affine]:
    """The volume (columns, rows, slices) in ``folder``, rescaled as its headers say (CT: to HU), and its affine.

    Args:
        folder: of one series; its other files are none of DICOM.
        key: "image" or "label".

    Raises:
        OSError, ValueError: it holds several series, slices lack, do not fit together or are damaged.
    """
    slices = _slices(folder)
    rows, columns = slices[0].shape
    most = 0
    for path in {each.path: None for each in slices}:
        with open_regular(path) as stream:
            most += most_unpacked(stream)
    refuse_more((columns, rows, len(slices)), np.dtype(np.float32), key, most)
    return _values(slices), _affine(slices)


def _slices(folder: Path) -> list[Slice]:
    """The slices of the one series in ``folder``, along the normal of their planes.

    Raises:
        OSError, ValueError: as `read_series`.
    """
    paths = [*_files(folder)]
    found: list[Slice] = []
    for path in paths:
        with _of(path):
            found += read_slices(path)
    if not found:
        inner = next((f": name {each.relative_to(folder)} in it" for each in folder.rglob("*") if is_series(each)), "")
        with suppress(OSError, IndexError):
            inner = inner or f", but {kind_of_object(paths[0])}: not read; take it out, or write a mask of it as NIfTI"
        raise ValueError(f"it holds no DICOM slices{inner}")
    series: defaultdict[tuple[str, str], list[Slice]] = defaultdict(list)
    for each in found:
        series[each.series].append(each)
    if len(series) > 1:
        known = [f"{counted(len(own), 'slice')} of {key[1]}" for key, own in series.items()]
        raise ValueError(f"it holds {len(series)} series ({_some(known)}): put each into a folder of its own")
    _refuse_unlike(found)
    normal = np.cross(*found[0].axes)
    ordered = sorted(found, key=lambda each: float(each.place @ normal))
    _refuse_uneven(ordered, normal)
    return ordered


def _refuse_unlike(found: Sequence[Slice]) -> None:
    """Raises: ValueError: slices are of different size, or turned to each other."""
    if len(found) == 1:
        raise ValueError("it holds one slice, where a volume is wanted")
    if len(shapes := {each.shape for each in found}) > 1:
        raise ValueError(f"its slices have {len(shapes)} sizes: {_some(f'{s[1]}x{s[0]}' for s in sorted(shapes))}")
    ways: list[list[Slice]] = []
    for each in found:
        own = next((way for way in ways if np.abs(way[0].axes - each.axes).max() <= _SAME_WAY), None)
        ways.append([each]) if own is None else own.append(each)
    if len(ways) > 1:
        sizes = _some(f"{len(way)} as {way[0].path.name}" for way in ways)
        raise ValueError(
            f"its slices lie in {len(ways)} directions, as those of a localizer do ({sizes}): take them out"
        )
    sides = np.array([each.sides for each in found])
    if (np.ptp(sides, axis=0) * max(found[0].shape) > AFFINE_TOLERANCE * sides.min()).any():  # apart at the far corner
        least, most = sides[np.lexsort(sides.T)][[0, -1]]
        raise ValueError(
            f"its slices have pixels of different size: {least[1]:g}x{least[0]:g} to {most[1]:g}x{most[0]:g} mm"
        )
    first = found[0].axes
    if abs(first[0] @ first[1]) > _SAME_WAY or np.abs((first**2).sum(axis=1) - 1).max() > _SAME_WAY:
        raise ValueError("the directions of its rows and columns are not at right angles, or of another length than 1")


def _refuse_uneven(ordered: Sequence[Slice], normal: npt.NDArray[np.float64]) -> None:
    """Raises: ValueError: slices lack, lie at one place, or not in one line."""
    gaps = np.diff([float(each.place @ normal) for each in ordered])
    usual = float(np.median(gaps))
    if (gaps <= _SAME_PLACE * max(usual, _SAME_PLACE)).any():
        at = int(np.argmin(gaps))
        names = f"{_named(ordered[at])} and {_named(ordered[at + 1])}"
        raise ValueError(
            f"slices lie at one place ({names}): put time points, echoes or reconstructions each into a folder of its "
            "own; of copies leave one"
        )
    if (gaps > (1 + AFFINE_TOLERANCE) * usual).any() or (gaps < (1 - AFFINE_TOLERANCE) * usual).any():
        at = int(np.argmax(gaps))
        more = int((gaps > (1 + AFFINE_TOLERANCE) * usual).sum()) - 1
        where = f"{_named(ordered[at])} and {_named(ordered[at + 1])}"
        also = f", and so in {counted(more, 'more place')}" if more > 0 else ""
        raise ValueError(
            f"slices are missing: {gaps[at]:.4g} mm lie between {where}, where {usual:.4g} mm are usual, so that "
            f"{gaps[at] - usual:.4g} mm lack{also}"
        )
    places = np.stack([each.place for each in ordered])
    line = np.linspace(places[0], places[-1], len(places))
    if np.abs(places - line).max() > AFFINE_TOLERANCE * min(usual, *ordered[0].sides):
        raise ValueError("its slices are not in one line, or not at even distances")


def _affine(slices: Sequence[Slice]) -> Affine:
    """From (column, row, slice) to mm in RAS+."""
    first, last = slices[0], slices[-1]
    step = (last.place - first.place) / (len(slices) - 1)
    axes = np.stack([first.axes[0] * first.sides[1], first.axes[1] * first.sides[0], step], axis=1)
    return affine_of(axes, first.place, LPS)


def _values(slices: Sequence[Slice]) -> Floats:
    rows, columns = slices[0].shape
    volume = np.empty((columns, rows, len(slices)), np.float32, order="F")
    places = {(each.path, each.frame): (at, each.scale) for at, each in enumerate(slices)}
    for path, scale in {each.path: each.scale for each in slices}.items():
        with _of(path):
            frames = [read_values(path)[0]] if scale is None else decoded_frames(path)
            for frame, stored in enumerate(frames):
                at, own = places[path, frame]
                values = stored if own is None else stored.astype(np.float64) * own[0] + own[1]
                volume[:, :, at] = values.T
    return volume


@contextmanager
def _of(path: Path) -> Iterator[None]:
    """What is wrong with a file, with its name before it."""
    try:
        yield
    except OSError as error:
        raise ValueError(f"{path.name}: {error.strerror or error}") from None


def _named(each: Slice) -> str:
    return each.path.name if each.scale is None else f"frame {each.frame + 1} of {each.path.name}"


def _some(words: Iterable[str]) -> str:
    shown = [*words]
    return ", ".join(shown[:_SHOWN]) + (", ..." if len(shown) > _SHOWN else "")
