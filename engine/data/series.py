"""A series of DICOM slices, or one DICOM file of many frames, as one volume: the folder that holds it stands for it.

Of headers only geometry and the way in which values are stored are read: no names, dates or identifiers of patients.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.data.dicom import begins_as_dicom, read_mask
from engine.data.dicom_pixels import decoded_frames, faults_told, read_tags
from engine.data.headers import AFFINE_TOLERANCE, LPS, Affine, Header, affine_of, refuse_more
from engine.errors import counted
from engine.runfolder import most_unpacked, open_regular

Floats = npt.NDArray[np.float32]
SLICES = (".dcm", ".dicom", ".ima")
"""Endings of slices, in lower case; files without one, or with numbers in its place, are known by how they begin."""

_TAGS = [
    *("SOPClassUID", "SeriesInstanceUID", "SeriesNumber", "NumberOfFrames", "Rows", "Columns", "SamplesPerPixel"),
    *("PhotometricInterpretation", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
]
NO_ENDING = re.compile(r"(\.\d*)?")
"""What stands in the place of an ending where a file has none: nothing, or a number."""
_SAME_PLACE = 1e-3  # share of the usual distance between slices below which two of them lie at one place
_SAME_WAY = 1e-3  # difference of a direction cosine above which slices are turned to each other
_SHOWN = 5
_ELSEWISE = "take it out, or write the volume as NIfTI, for instance with 3D Slicer"
_ASKED = 5  # files of a folder, of which one may be a report or a picture of the screen


@dataclass(frozen=True, slots=True, eq=False)
class _Slice:
    """One slice as its header has it."""

    path: Path
    frame: int  # in its file, from 0
    series: tuple[str, str]  # identifier, which is never shown, and number
    shape: tuple[int, int]  # rows, columns
    place: npt.NDArray[np.float64]  # (3), of the first pixel, in mm to the left, the back, the top
    axes: npt.NDArray[np.float64]  # (2, 3), directions of a row and of a column
    sides: tuple[float, float]  # mm from row to row, and from column to column
    scale: tuple[float, float] | None = None  # slope and intercept of a frame; None: read with its file


def is_slice(path: Path) -> bool:
    """Whether ``path`` is a DICOM file by its ending, or where it has none by how it begins."""
    ending = path.suffix.lower()
    if ending in SLICES:
        return True
    return bool(NO_ENDING.fullmatch(ending)) and path.name.upper() != "DICOMDIR" and begins_as_dicom(path)


def is_series(folder: Path) -> bool:
    """Whether ``folder`` holds DICOM files."""
    try:
        return folder.is_dir() and any(is_slice(path) for path in sorted(folder.iterdir()) if path.name[0] != ".")
    except OSError:
        return False


def is_placed(folder: Path) -> bool:
    """Whether some of the first DICOM files in ``folder`` say where they lie: slices of volumes do, X-ray does not."""
    slices = (path for path in sorted(folder.iterdir()) if path.name[0] != "." and is_slice(path))
    for path in islice(slices, _ASKED):
        with suppress(OSError):
            header = read_tags(path, ["ImagePositionPatient", "PerFrameFunctionalGroupsSequence"])
            if any(header.get(name) for name in ("ImagePositionPatient", "PerFrameFunctionalGroupsSequence")):
                return True
    return False


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


def _slices(folder: Path) -> list[_Slice]:
    """The slices of the one series in ``folder``, along the normal of their planes.

    Raises:
        OSError, ValueError: as `read_series`.
    """
    paths = [path for path in sorted(folder.iterdir()) if path.name[0] != "." and is_slice(path)]
    found: list[_Slice] = []
    for path in paths:
        with _of(path):
            found += _read_geometry(path)
    if not found:
        inner = next((f": name {each.relative_to(folder)} in it" for each in folder.rglob("*") if is_series(each)), "")
        raise ValueError(f"it holds no DICOM slices{inner}")
    series: defaultdict[tuple[str, str], list[_Slice]] = defaultdict(list)
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


@faults_told()
def _read_geometry(path: Path) -> list[_Slice]:
    """What the header of ``path`` says of its slices; nothing for what has no pixels, such as a report."""
    header = read_tags(path, _TAGS)
    if "Rows" not in header or "Columns" not in header:
        return []
    if header.get("SamplesPerPixel", 1) != 1 or header.get("PhotometricInterpretation") != "MONOCHROME2":
        raise OSError(
            "it is in colours, or in grey of which 0 is white: a volume is in grey (MONOCHROME2); take it out"
        )
    groups = header.get("PerFrameFunctionalGroupsSequence")
    frames = int(header.get("NumberOfFrames") or 1)
    if groups is None and frames > 1:
        raise OSError(f"it holds {frames} frames, and not where each of them lies: {_ELSEWISE}")
    if groups is None:
        return [_slice(path, header, partial(_of_header, header))]
    if len(groups) != frames:
        raise OSError(f"it holds {frames} frames, and says where {len(groups)} of them lie")
    shared = [*(header.get("SharedFunctionalGroupsSequence") or [])]
    return [_slice(path, header, partial(_of_group, [own, *shared]), at) for at, own in enumerate(groups)]


def _of_header(header: Any, _group: str, name: str) -> Any:
    return header.get(name)


def _of_group(groups: Sequence[Any], group: str, name: str) -> Any:
    """What the first of the ``groups`` of a frame that has a ``group`` says of ``name``."""
    return next((each[group][0].get(name) for each in groups if each.get(group)), None)


def _slice(path: Path, header: Any, said: Any, frame: int | None = None) -> _Slice:
    place = said("PlanePositionSequence", "ImagePositionPatient")
    axes = said("PlaneOrientationSequence", "ImageOrientationPatient")
    sides = said("PixelMeasuresSequence", "PixelSpacing")
    if not place or not axes or not sides:
        lacks = "place" if not place else "orientation" if not axes else "size of a pixel"
        raise OSError(f"it does not say the {lacks} of its slice: {_ELSEWISE}")
    numbers = np.array([*map(float, (*place, *axes, *sides))])
    if len(numbers) != 11 or not np.isfinite(numbers).all() or min(numbers[9:]) <= 0:
        raise OSError("it says no possible place of its slice")
    scale = None
    if frame is not None:
        slope, intercept = (
            said("PixelValueTransformationSequence", name) for name in ("RescaleSlope", "RescaleIntercept")
        )
        scale = (1.0 if slope is None else float(slope), float(intercept or 0))
    return _Slice(
        path=path,
        frame=frame or 0,
        series=(str(header.get("SeriesInstanceUID", "")), _number(header)),
        shape=(int(header.Rows), int(header.Columns)),
        place=numbers[:3],
        axes=numbers[3:9].reshape(2, 3),
        sides=(float(numbers[9]), float(numbers[10])),
        scale=scale,
    )


def _number(header: Any) -> str:
    """The number of the series, which may be shown: nothing but digits."""
    text = str(header.get("SeriesNumber", ""))
    return f"number {text}" if re.fullmatch(r"\d{1,9}", text) else "no number"


def _refuse_unlike(found: Sequence[_Slice]) -> None:
    """Raises: ValueError: slices are of different size, or turned to each other."""
    if len(found) == 1:
        raise ValueError("it holds one slice, where a volume is wanted")
    if len(shapes := {each.shape for each in found}) > 1:
        raise ValueError(f"its slices have {len(shapes)} sizes: {_some(f'{s[1]}x{s[0]}' for s in sorted(shapes))}")
    ways: list[list[_Slice]] = []
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


def _refuse_uneven(ordered: Sequence[_Slice], normal: npt.NDArray[np.float64]) -> None:
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


def _affine(slices: Sequence[_Slice]) -> Affine:
    """From (column, row, slice) to mm in RAS+."""
    first, last = slices[0], slices[-1]
    step = (last.place - first.place) / (len(slices) - 1)
    axes = np.stack([first.axes[0] * first.sides[1], first.axes[1] * first.sides[0], step], axis=1)
    return affine_of(axes, first.place, LPS)


def _values(slices: Sequence[_Slice]) -> Floats:
    rows, columns = slices[0].shape
    volume = np.empty((columns, rows, len(slices)), np.float32, order="F")
    places = {(each.path, each.frame): (at, each.scale) for at, each in enumerate(slices)}
    for path, scale in {each.path: each.scale for each in slices}.items():
        with _of(path):
            frames = [read_mask(path)[0]] if scale is None else decoded_frames(path)
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


def _named(each: _Slice) -> str:
    return each.path.name if each.scale is None else f"frame {each.frame + 1} of {each.path.name}"


def _some(words: Iterable[str]) -> str:
    shown = [*words]
    return ", ".join(shown[:_SHOWN]) + (", ..." if len(shown) > _SHOWN else "")
