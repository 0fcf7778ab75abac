"""DICOM files of one picture each (X-ray, mammography, ultrasound) as arrays, and what is black and white in them."""

import math
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.data.dicom_pixels import GREY, PALETTE, Array, decoded, faults_told, read_header
from engine.runfolder.regular import open_regular

if TYPE_CHECKING:
    from pydicom import Dataset

Range = tuple[float, float]

DICOM = (".dcm", ".dicom")
"""Endings of DICOM files, in lower case."""
_LOSSY = {
    *("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"),  # JPEG
    *("1.2.840.10008.1.2.4.81", "1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.4.203"),  # JPEG-LS, JPEG 2000, HTJ2K
}


def begins_as_dicom(path: Path) -> bool:
    """Whether the regular file ``path`` begins as DICOM does: 128 bytes, then ``DICM``."""
    with suppress(OSError), open_regular(path) as stream:
        return stream.read(132)[128:] == b"DICM"
    return False


@faults_told()
def shape_of(path: Path) -> tuple[int, int, int]:
    """Height, width and channels (1 in grey, 3 in colour) of the picture in ``path``, from its header.

    Raises:
        OSError: it holds no picture, several, one of absurd size, or it is damaged.
    """
    header = read_header(path, pixels=False)
    return header.Rows, header.Columns, 1 if header.PhotometricInterpretation in GREY else 3


@faults_told()
def read_dicom(path: Path) -> tuple[Array, Range | None]:
    """The picture in ``path``, and the values of black and white where its header says them.

    (H, W) in grey, with dense bright: what is stored, rescaled as the header says (by a modality table, or slope and
    intercept), and turned about in MONOCHROME1; or (H, W, 3), red, green and blue. uint8 where 8 bits are stored, else
    uint16, int32 or float32. Black and white are the ends of the first window, else those of the bits that are stored;
    see `_names_its_range`. A table of values of interest, or a window that is a sigmoid, is applied.

    Raises:
        OSError: it holds no picture, several, one of absurd size, one that is packed in a way that is not read, or it
            is damaged.
    """
    header = read_header(path, pixels=True)
    values = decoded(header)
    if header.PhotometricInterpretation == PALETTE:
        return _coloured(values, header), None
    if values.ndim == 3:
        return (values, None) if values.dtype == np.uint8 else (_plain(values), _stored_ends(header))
    return _shown(values, header)


@faults_told()
def read_slice(path: Path) -> Array:
    """The values of a slice (H, W), rescaled as the header says; turned about where 0 is white.

    Raises: as `read_dicom`.
    """
    header = read_header(path, pixels=True)
    values, (low, high) = _rescaled(decoded(header), header)
    return low + high - values.astype(np.float64) if header.PhotometricInterpretation == "MONOCHROME1" else values


@faults_told()
def read_values(path: Path) -> tuple[Array, bool]:
    """The values of a mask (H, W), rescaled as the header says; and whether they were packed with losses.

    Raises:
        OSError: it has colours, or 0 is white in it. And as `read_dicom`.
    """
    header = read_header(path, pixels=True)
    if header.PhotometricInterpretation != "MONOCHROME2":
        how = "in which 0 is white" if header.PhotometricInterpretation == "MONOCHROME1" else "in colours"
        raise OSError(f"a mask {how}: save class indices in grey (MONOCHROME2), or as PNG")
    return _rescaled(decoded(header), header)[0], header.file_meta.TransferSyntaxUID in _LOSSY


def _coloured(indices: Array, header: "Dataset") -> Array:
    """The colours of a palette for ``indices`` (H, W): uint8 (H, W, 3)."""
    from pydicom.pixels.processing import apply_color_lut

    if "RedPaletteColorLookupTableDescriptor" not in header:
        raise OSError("its palette is not in its header")
    colours = apply_color_lut(indices, header)[..., :3]
    deep = colours.dtype != np.uint8 and colours.max() > 255
    return np.asarray((colours >> 8 if deep else colours).astype(np.uint8))


def _shown(stored: Array, header: "Dataset") -> tuple[Array, Range | None]:
    """The grey values (H, W) with dense bright, and what is black and white there; see `read_dicom`."""
    values, (low, high) = _rescaled(stored, header)
    values = _plain(values) if values.dtype == np.float64 else values
    ends = (low, high) if _names_its_range(header) else None
    if header.get("VOILUTSequence"):
        values, high = _looked_up(values, header, "VOILUTSequence")
        low, ends = 0.0, (0.0, high)
    elif (window := _window(header)) is not None:
        centre, width, bent = window
        if bent:
            values = (1 / (1 + np.exp(-4 * (values.astype(np.float64) - centre) / width))).astype(np.float32)
            low, high = ends = 0.0, 1.0
        elif centre - width / 2 < values.max() and centre + width / 2 > values.min():  # others show nothing
            ends = centre - width / 2, centre + width / 2
    if header.PhotometricInterpretation == "MONOCHROME1":
        ends = ends and (low + high - ends[1], low + high - ends[0])
        values = _plain(low + high - values.astype(np.float64)) if values.dtype != np.uint8 else 255 - values
    if values.dtype == np.uint8 and ends is not None and abs(ends[0]) <= 1 and abs(ends[1] - 255) <= 1:
        ends = None  # all that 8 bits hold
    return values, ends


def _rescaled(stored: Array, header: "Dataset") -> tuple[Array, Range]:
    """The values that ``stored`` stands for, float64 where they are rescaled; the least and the greatest possible."""
    if header.get("ModalityLUTSequence"):
        values, high = _looked_up(stored, header, "ModalityLUTSequence")
        return values, (0.0, high)
    ends = _stored_ends(header)
    slope, intercept = (
        float(default if header.get(name) is None else header[name].value)
        for name, default in (("RescaleSlope", 1), ("RescaleIntercept", 0))
    )
    if not slope or not math.isfinite(slope) or not math.isfinite(intercept):
        raise OSError(f"its header is damaged: values are rescaled by {slope:g} and {intercept:g}")
    if (slope, intercept) == (1, 0):
        return (stored.astype(np.uint8, copy=False) if ends == (0, 255) else _plain(stored)), ends
    low, high = sorted(end * slope + intercept for end in ends)
    return stored.astype(np.float64) * slope + intercept, (low, high)


def _stored_ends(header: "Dataset") -> Range:
    """The least and the greatest value that the bits of the file can hold."""
    bits = int(header.BitsStored)
    return (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1) if header.get("PixelRepresentation") else (0.0, 2.0**bits - 1)


def _names_its_range(header: "Dataset") -> bool:
    """Whether black and white are the ends of the bits that are stored: 1 or 8, or fewer than there is room for.

    Not of signed values, of which neither end has a meaning, and not where all of 16 bits are stored: so it is written
    too where less is meant, and the file knows no more than a PNG.
    """
    bits = int(header.BitsStored)
    if header.get("ModalityLUTSequence"):
        return True
    return not header.get("PixelRepresentation") and (bits in {1, 8} or bits < int(header.BitsAllocated))


def _window(header: "Dataset") -> tuple[float, float, bool] | None:
    """Centre and width of the first window, between whose ends lies a line, or if the last is true a sigmoid."""
    found = []
    for name in ("WindowCenter", "WindowWidth"):
        value = header.get(name)
        each = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        with suppress(TypeError, ValueError):
            found += [float(first) for first in each[:1]]
    if len(found) < 2 or not all(map(math.isfinite, found)) or found[1] <= 0:
        return None
    function = str(header.get("VOILUTFunction") or "LINEAR").upper()
    if function != "LINEAR":
        return found[0], found[1], function == "SIGMOID"
    return (found[0] - 0.5, found[1] - 1, False) if found[1] > 1 else None  # PS3.3, C.11.2.1.2.1


def _looked_up(values: Array, header: "Dataset", name: str) -> tuple[Array, float]:
    """What the first table ``name`` has for ``values``, uint16; and the greatest value of the bits that it needs."""
    item = header[name].value[0]
    entries, order = item.LUTData, "<u2" if header.original_encoding[1] else ">u2"
    table = np.frombuffer(entries, order) if isinstance(entries, bytes) else np.asarray(entries, np.uint16)
    first = int(item.LUTDescriptor[1])
    if not table.size:
        raise OSError("its table of values is empty")
    found = table[np.clip(np.rint(values.astype(np.float64)).astype(np.int64) - first, 0, table.size - 1)]
    return found.astype(np.uint16), 2.0 ** max(8, int(table.max()).bit_length()) - 1


def _plain(values: Array) -> Array:
    """``values`` as other pictures have them: uint16, int32, or float32."""
    low, high = values.min(), values.max()
    if values.dtype.kind == "f" and (values != np.rint(values)).any():
        return values.astype(np.float32)
    if low >= 0 and high < 2**16:
        return values.astype(np.uint16)
    return values.astype(np.int32 if low >= -(2**31) and high < 2**31 else np.float32)
