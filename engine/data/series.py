"""A series of DICOM slices, or one DICOM file of many frames, as one volume: the folder that holds it stands for it,
or where that holds several one of its files.

Of headers only geometry and the way in which values are stored are read: no names, dates or identifiers of patients.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engine.data.dicom import read_slice
from engine.data.dicom_folders import SAME_WAY, chosen_series, naming
from engine.data.dicom_pixels import Array, decoded_frames
from engine.data.dicom_slices import Slice
from engine.data.headers import AFFINE_TOLERANCE, LPS, Affine, Header, affine_of, refuse_more
from engine.data.planes import volume_of
from engine.errors import counted
from engine.runfolder.regular import most_unpacked, open_regular

Floats = npt.NDArray[np.float32]
_SAME_PLACE = 1e-3  # share of the usual distance between slices below which two of them lie at one place
_SHOWN = 5


def series_header(path: Path) -> Header:
    """What the headers of the series ``path`` say of its volume. Raises as `read_series`."""
    slices = _slices(path)
    rows, columns = slices[0].shape
    return Header((columns, rows, len(slices)), 1, np.dtype(np.float32), _affine(slices))


def slices_of(path: Path) -> list[tuple[Path, int]]:
    """File, and frame in it from 0, of each slice of the series ``path``, as its volume has them.

    Raises: as `read_series`.
    """
    return [(each.path, each.frame) for each in _slices(path)]


def read_series(path: Path, key: str = "image") -> tuple[Floats, Affine]:
    """The volume (columns, rows, slices) that ``path`` names, and its affine.

    Values are rescaled as the headers say (CT: to HU); where 0 is white (MONOCHROME1) they are turned about before.

    Args:
        path: the folder of a series, or one of its files where there are several; see `chosen_series`.
        key: "image" or "label".

    Raises:
        OSError, ValueError: there are several series, slices lack, do not fit together or are damaged.
    """
    slices = _slices(path)
    if key == "label" and (white := next((each for each in slices if each.white is not None), None)):
        raise ValueError(f"{white.path.name}: a mask in which 0 is white: save it as MONOCHROME2")
    rows, columns = slices[0].shape
    most = 0
    for file in {each.path: None for each in slices}:
        with open_regular(file) as stream:
            most += most_unpacked(stream)
    refuse_more((columns, rows, len(slices)), np.dtype(np.float32), key, most)
    return volume_of((columns, rows, len(slices)), _planes(slices)), _affine(slices)


def _slices(path: Path) -> list[Slice]:
    """The slices of the series ``path``, along the normal of their planes.

    Raises:
        OSError, ValueError: as `read_series`.
    """
    series = chosen_series(path)
    if wrong := next((held for held in series.files if held.fault), None):
        raise ValueError(f"{wrong.path.name}: {wrong.fault}")
    found = series.slices
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
        own = next((way for way in ways if np.abs(way[0].axes - each.axes).max() <= SAME_WAY), None)
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
    if abs(first[0] @ first[1]) > SAME_WAY or np.abs((first**2).sum(axis=1) - 1).max() > SAME_WAY:
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


def _planes(slices: Sequence[Slice]) -> Iterator[tuple[int, Array]]:
    """Place and values (rows, columns) of each slice."""
    places = {(each.path, each.frame): (at, each) for at, each in enumerate(slices)}
    for path, scale in {each.path: each.scale for each in slices}.items():
        with naming(path):
            if scale is None:
                yield places[path, 0][0], read_slice(path)
                continue
            for frame, stored in enumerate(decoded_frames(path)):
                at, each = places[path, frame]
                slope, intercept = each.scale or (1.0, 0.0)
                values = stored.astype(np.float64)
                yield at, (values if each.white is None else each.white - values) * slope + intercept


def _named(each: Slice) -> str:
    return each.path.name if each.scale is None else f"frame {each.frame + 1} of {each.path.name}"


def _some(words: Iterable[str]) -> str:
    shown = [*words]
    return ", ".join(shown[:_SHOWN]) + (", ..." if len(shown) > _SHOWN else "")
