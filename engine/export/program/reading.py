"""From the files of a case to its values, by medtui's own readers."""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from engine.data.channels import names_in, order_of
from engine.errors import some
from engine.export.program.cases import Array, Case
from engine.export.program.faults import UnusableError, first_line, named
from engine.recipe.names import folded
from engine.runfolder.regular import read_small


def unreadable(case: Case, expected: dict[str, Any]) -> str:
    """Read a case; what keeps it from being predicted, or nothing."""
    try:
        _read(case, expected)
    except ImportError:  # of what all cases need
        raise
    except Exception as error:  # noqa: BLE001  (damaged files raise anything, and cost no other case)
        return first_line(error)
    return ""


def is_dicom(path: Path) -> bool:
    """Whether a picture is read by pydicom."""
    from engine.data.pictures import is_dicom as of_dicom

    return of_dicom(path)


def take_shades(case: Case, ends: Sequence[float] | None) -> None:
    """Make shades from 0 to 255 of a picture: black and white are what its file says, else ``ends``."""
    from engine.data.pictures import to_shades

    own = case.ends or ends
    case.values = to_shades(case.values, (own[0], own[1]) if own else None)


def _read(case: Case, expected: dict[str, Any]) -> None:
    """Fill ``case`` from its files; a picture keeps the values of its file."""
    if expected["axes"] == 3:
        _read_volume(case, expected)
    else:
        _read_picture(case, expected["channels"])
    flat = case.values.reshape(len(case.values), -1)
    constant = flat.min(axis=1) == flat.max(axis=1)
    if not np.isfinite(flat).all():
        raise UnusableError("it has NaN or infinite values")
    if constant.all() if flat.dtype == np.uint8 else constant.any():
        raise UnusableError("a channel of it has one value throughout")


def _read_volume(case: Case, expected: dict[str, Any]) -> None:
    from engine.data.headers import AFFINE_TOLERANCE
    from engine.data.volumes import corners_apart

    parts: list[Array] = []
    for path in case.files:
        values, affine = _volume(case, path)
        if parts and values.shape[1:] != parts[0].shape[1:]:
            raise UnusableError(f"{path.name} has another shape than {case.files[0].name}")
        case.affine = affine if case.affine is None else case.affine
        apart = corners_apart(affine, case.affine, values.shape[1:])
        if apart > AFFINE_TOLERANCE * min(case.spacing or (math.inf,)):
            raise UnusableError(f"{path.name} lies up to {apart:.3g} mm from {case.files[0].name}")
        parts.append(values)
    image = np.concatenate(parts) if len(parts) > 1 else parts[0]
    if len(image) != expected["channels"]:
        raise UnusableError(f"{len(image)} channels; the network takes {expected['channels']}")
    order = () if case.in_order else _channel_order(case, expected["channel_names"])
    case.values = np.ascontiguousarray(image[list(order)] if order else image, dtype=np.float32)


def _volume(case: Case, path: Path) -> tuple[Array, Array]:
    """Values (C, *S) and affine in mm of a file, or of the series in a folder; the header of NIfTI goes to ``case``."""
    from engine.data.dicom_folders import is_slice, left_aside
    from engine.data.endings import ITK, NIFTI
    from engine.data.headed import open_headed
    from engine.data.volumes import channels_first, invertible, open_nifti, read_volume

    with named(path):
        stored, affine = read_volume(path)
        if (path.is_dir() or is_slice(path)) and (aside := left_aside(path)):
            told = some([each.shown for each in aside], 5)
            case.notes.append(f"in its folder lie series of no volume, which are not read: {told}")
        if path.name.lower().endswith(NIFTI):
            case.header = case.header or open_nifti(path).header
        elif path.name.lower().endswith(ITK) and not open_headed(path).turned:
            case.notes.append(f"{path.name} says nothing of its orientation: x is taken to run to the left")
        if stored.dtype.kind not in "biuf":
            raise UnusableError(f"it holds {stored.dtype}, in place of integers or real numbers")
        values = channels_first(stored)
        if values is None or not values.size:
            raise UnusableError(f"it has the shape {'x'.join(map(str, stored.shape))}")
        if affine is None or not invertible(affine):
            raise UnusableError("it has an affine that is not invertible")
    return values, affine


def _channel_order(case: Case, wanted: Sequence[str]) -> tuple[int, ...]:
    """Which channel of the files stands first, second, ..., by a dataset.json beside or above them; what to tell goes
    to ``case``. Nothing: as they are."""
    folder = case.files[0].absolute().parent
    found = _names(folder) or _names(folder.parent)
    order, names, trained = order_of(found, wanted), ", ".join(found), ", ".join(wanted)
    if order is None:
        raise UnusableError(f"dataset.json names the channels {names}; the network takes {trained}")
    if order:
        told = f"its channels lie in another order ({names}) than in training: put in order by their names"
        case.notes.append(told)
    elif found and wanted and [*map(folded, found)] != [*map(folded, wanted)]:  # of the only channel
        case.notes.append(f"dataset.json calls the channel {names}; in training it was {trained}")
    return order


def _names(folder: Path) -> tuple[str, ...]:
    try:
        return names_in(json.loads(read_small(folder / "dataset.json")))
    except (OSError, ValueError, RecursionError):
        return ()


def _read_picture(case: Case, channels: int) -> None:
    """A picture upright, at the depth of its file, and its own black and white where it says them."""
    from engine.data.pictures import read_with_range, with_channels

    path = case.files[0]
    with named(path):
        picture, case.ends = read_with_range(path)
    case.values = with_channels(picture, channels)
    if case.values.dtype != np.uint8 or case.ends:
        case.values = case.values.astype(np.float32)


def range_of(cases: Iterable[Case], expected: dict[str, Any]) -> tuple[float, float] | None:
    """Black and white of pictures of more than 8 bits, where those of training had 8; one at a time is held."""
    from engine.data.pictures import full_range

    low, high, whole = math.inf, -math.inf, True
    for picture in _deep(cases, expected):
        low, high = min(low, float(picture.min())), max(high, float(picture.max()))
        whole = whole and bool((picture == np.rint(picture)).all())
    return None if low > high else full_range(low, high, whole=whole)


def _deep(cases: Iterable[Case], expected: dict[str, Any]) -> Iterator[Array]:
    """The values of each picture of more than 8 bits that does not say itself what is black and white."""
    from engine.data.pictures import is_deep

    for case in cases:
        deep = False
        with suppress(Exception):  # of a damaged file anything: `unreadable` says what, when its turn comes
            deep = is_deep(case.files[0])
        if deep and not unreadable(case, expected) and not case.ends and case.values.dtype != np.uint8:
            yield case.values
        case.values = np.zeros(0)
