"""What the header of a DICOM file says of its slices: where they lie, and how their values are stored."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.data.dicom_pixels import GREY, faults_told, read_tags

_TAGS = [
    *("SOPClassUID", "SeriesInstanceUID", "SeriesNumber", "Modality", "NumberOfFrames", "Rows", "Columns"),
    *("SamplesPerPixel", "PhotometricInterpretation", "BitsStored", "PixelRepresentation"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
]
_ELSEWISE = "take it out, or write the volume as NIfTI, for instance with 3D Slicer"
_MASKS = {"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"}  # Segmentation, Label Map Segmentation


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """One slice as its header has it."""

    path: Path
    frame: int  # in its file, from 0
    shape: tuple[int, int]  # rows, columns
    place: npt.NDArray[np.float64]  # (3), of the first pixel, in mm to the left, the back, the top
    axes: npt.NDArray[np.float64]  # (2, 3), directions of a row and of a column
    sides: tuple[float, float]  # mm from row to row, and from column to column
    scale: tuple[float, float] | None = None  # slope and intercept of a frame; None: read with its file
    white: int | None = None  # where 0 is white: from which stored values are taken, so that dense is bright


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """What a DICOM file holds, as its header has it."""

    path: Path
    series: str  # identifier, which is never shown
    number: str  # of the series: digits; "" without one
    modality: str  # such as "CT"; "" where it says none
    slices: tuple[Slice, ...]  # none of what has no pixels, such as a report
    fault: str = ""  # why its slices cannot be read


@faults_told()
def read_file(path: Path) -> Held:
    """What the header of ``path`` says of its slices.

    Raises:
        OSError: it is no DICOM, or damaged.
    """
    header = read_tags(path, _TAGS)
    slices: list[Slice] = []
    fault = ""
    if "Rows" in header and "Columns" in header:
        try:
            slices = _slices(path, header)
        except OSError as error:
            fault = str(error)
    series, modality = str(header.get("SeriesInstanceUID", "")), str(header.get("Modality", ""))
    known = modality if re.fullmatch(r"[A-Z]{2,8}", modality) else ""
    return Held(path, series, _number(header), known, tuple(slices), fault)


@faults_told()
def _slices(path: Path, header: Any) -> list[Slice]:
    """Raises: OSError: it holds what is no slice of a volume."""
    if header.get("SOPClassUID") in _MASKS:  # of frames that hold nothing many are left out
        raise OSError("it is a DICOM Segmentation, which is not read: take it out, or write it as NIfTI in 3D Slicer")
    if header.get("SamplesPerPixel", 1) != 1 or header.get("PhotometricInterpretation") not in GREY:
        raise OSError("it is in colours: a volume is in grey; take it out")
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


@faults_told()
def kind_of_object(path: Path) -> str:
    """What the DICOM file ``path`` holds, in the words of the standard: "RT Structure Set Storage"."""
    return str(read_tags(path, ["SOPClassUID"]).SOPClassUID.name)


def _of_header(header: Any, _group: str, name: str) -> Any:
    return header.get(name)


def _of_group(groups: Sequence[Any], group: str, name: str) -> Any:
    """What the first of the ``groups`` of a frame that has a ``group`` says of ``name``."""
    return next((each[group][0].get(name) for each in groups if each.get(group)), None)


def _slice(path: Path, header: Any, said: Any, frame: int | None = None) -> Slice:
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
    return Slice(
        path=path,
        frame=frame or 0,
        shape=(int(header.Rows), int(header.Columns)),
        place=numbers[:3],
        axes=numbers[3:9].reshape(2, 3),
        sides=(float(numbers[9]), float(numbers[10])),
        scale=scale,
        white=_white(header) if header.PhotometricInterpretation == "MONOCHROME1" else None,
    )


def _white(header: Any) -> int:
    """The sum of the least and the greatest value that the bits of a file hold."""
    return -1 if header.get("PixelRepresentation") else 2 ** int(header.BitsStored) - 1


def _number(header: Any) -> str:
    """The number of the series, which may be shown: nothing but digits."""
    text = str(header.get("SeriesNumber", ""))
    return text if re.fullmatch(r"\d{1,9}", text) else ""
