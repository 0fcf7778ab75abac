#!/usr/bin/env python3
"""Predict new images with the network in this folder: neither PyTorch nor medtui is needed.

    pip install -r requirements.txt
    python predict.py IMAGE... -o OUT

An IMAGE is a file, or a folder of files: NIfTI of volumes, PNG, JPEG, TIFF, BMP or WebP of pictures, and DICOM files of
one picture each, where pydicom is there. Several files <case>_0000, <case>_0001, ... are the channels of one volume.
Masks have the geometry of their input; classes come as one table, OUT/predictions.csv. What the network expects stands
in model.json, and here is what is done with it. This is no medical device.
"""

import argparse
import csv
import gzip
import hashlib
import importlib
import io
import itertools
import json
import logging
import math
import os
import re
import signal
import sys
import tempfile
import threading
import unicodedata
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

try:
    import numpy as np
except ImportError as absent:
    print(f"error: {absent}: pip install -r {Path(__file__).with_name('requirements.txt')}", file=sys.stderr)
    sys.exit(2)
except KeyboardInterrupt:
    sys.exit(130)

Array = np.ndarray[Any, Any]
HERE = Path(__file__).resolve().parent
MADE_BY = "predicted by medtui"
FORMAT = 1  # of model.json
KEYS = {"format", "task", "classes", "label_values", "image", "output", "networks", "ranges"}
PICTURES = (".png", ".jpg", ".jpeg", ".jfif", ".tif", ".tiff", ".bmp", ".webp", ".dcm", ".dicom")
DICOM = (".dcm", ".dicom")
VOLUMES = (".nii.gz", ".nii")
OTHERS = (".nrrd", ".nhdr", ".mha", ".mhd", ".h5", ".hdf5")  # volumes that medtui reads, and this script does not
DEEP = {"I", "I;16", "I;16B", "I;16L", "I;16N", "F"}  # Pillow's names of pictures of more than 8 bits
GREY = {"1", "L", "LA", "La", *DEEP}
MOST_PACKED = 1100  # times the size of a file: deflate packs a byte of a thousand at best
LOW_BYTES = {f"{kind};16{own}": f"{kind};16{other}" for kind in ("RGB", "RGBA") for own, other in ("BL", "LB", "NB")}
COLOURS = (
    (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167),
)  # fmt: skip


class UnusableError(Exception):
    """What cannot be done, in a line for people."""


class EndedError(BaseException):
    """A signal came that says to end: the number of it."""


CAME: list[int] = []  # such signals


@dataclass
class Case:
    """One image as its files have it."""

    name: str
    files: list[Path]
    values: Array = field(default_factory=lambda: np.zeros(0))  # (C, *S)
    affine: Array | None = None  # (4, 4), from voxels to mm
    header: Any = None  # of the NIfTI file
    ends: tuple[float, float] | None = None  # black and white, where the file says them (DICOM)
    notes: list[str] = field(default_factory=list)  # what its reader should tell

    @property
    def spacing(self) -> tuple[float, ...] | None:
        """Size of a voxel along each axis in mm."""
        return None if self.affine is None else tuple(np.sqrt((self.affine[:3, :3] ** 2).sum(axis=0)).tolist())


@dataclass
class Seen:
    """One image on the network's grid, and what leads back to its own."""

    image: Array  # float32 (C, *N)
    inner: tuple[slice, ...]  # the part of N that is no padding
    turned: tuple[int, ...]  # shape of the file's grid with its axes in the network's order
    turn: Array | None  # how they were turned, as nibabel has it


# Reading


def find_cases(inputs: Sequence[Path], axes: int, channels: int) -> list[Case]:
    """The cases in files and folders, by name."""
    endings = VOLUMES if axes == 3 else PICTURES
    files: list[Path] = []
    for path in inputs:
        if path.is_dir():
            files += sorted(p for p in path.iterdir() if is_taken(p, axes) and p.name[0] != ".")
        elif not path.is_file():
            raise UnusableError(f"no input at {path}")
        elif not is_taken(path, axes):
            raise UnusableError(f"{path} is not read: convert it to one of {' '.join(endings)}")
        else:
            files.append(path)
    cases: dict[tuple[Path, str], dict[int, Path]] = {}
    for path in dict.fromkeys(files):
        stem = re.sub(r"(?i)(\.nii)?\.(?!\d*$)[^.]+$", "", path.name)  # a number ends an identifier, as DICOM has them
        part = re.match(r"^(.+)_(\d{4})$", stem) if axes == 3 and channels > 1 else None
        if part and int(part[2]) < channels:
            cases.setdefault((path.parent, part[1]), {})[int(part[2])] = path
        else:
            cases[path, stem] = dict.fromkeys(range(channels), path)
    names = [name for _, name in cases]
    if not names:
        other = f"; {others}" if (others := not_taken(inputs, axes)) else ""
        raise UnusableError(f"the inputs hold no files to predict: {' '.join(endings)}{other}")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UnusableError(
            f"several inputs are called {twice[0]}: predict them one after the other, each with its own -o"
        )
    if short := [name for (_, name), own in cases.items() if len(own) < channels]:
        raise UnusableError(f"{short[0]} lacks channels: a case is one file, or {channels} files {short[0]}_0000, ...")
    found = [Case(name, list(dict.fromkeys(own[n] for n in sorted(own)))) for (_, name), own in cases.items()]
    return sorted(found, key=lambda case: case.name)


def is_taken(path: Path, axes: int) -> bool:
    """Whether a file is read: by its ending, and DICOM of one picture without an ending by how it begins."""
    return path.name.lower().endswith(VOLUMES if axes == 3 else PICTURES) or (axes == 2 and begins_as_dicom(path))


def not_taken(inputs: Sequence[Path], axes: int) -> str:
    """What lies in folders that were named and is not read, though it looks like volumes, in words; "" for nothing."""
    if axes == 2:
        return ""
    files = [p for path in inputs if path.is_dir() for p in sorted(path.iterdir()) if p.name[0] != "."]
    files = [p for p in files if p.name.lower().endswith((*OTHERS, *DICOM)) or begins_as_dicom(p) or holds_dicom(p)]
    some = ", ".join(p.name for p in files[:3]) + (", ..." if len(files) > 3 else "")
    return f"not read, convert to NIfTI: {len(files)} of the inputs ({some})" if files else ""


def holds_dicom(folder: Path) -> bool:
    """Whether a folder holds files of DICOM."""
    return folder.is_dir() and any(p.name.lower().endswith(DICOM) or begins_as_dicom(p) for p in folder.iterdir())


def begins_as_dicom(path: Path) -> bool:
    """Whether a file without an ending, or with a number for one, begins as DICOM does."""
    if not re.fullmatch(r"(\.\d*)?", path.suffix) or path.name.upper() == "DICOMDIR" or not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def read_volume(case: Case, expected: dict[str, Any]) -> None:
    """Fill ``case`` from its NIfTI files."""
    parts: list[Array] = []
    for path in case.files:
        values, affine, header = read_nifti(path)
        if parts and values.shape[1:] != parts[0].shape[1:]:
            raise UnusableError(f"{path.name} has another shape than {case.files[0].name}")
        if case.affine is None:
            case.affine, case.header = affine, header
        ends = np.array([*itertools.product(*((0, side - 1) for side in values.shape[1:]))])
        apart = np.abs((affine - case.affine)[:3] @ np.c_[ends, np.ones(len(ends))].T).max()
        if apart > 0.1 * min(case.spacing or (math.inf,)):
            raise UnusableError(f"{path.name} lies up to {apart:.3g} mm from {case.files[0].name}")
        parts.append(values)
    image = np.concatenate(parts)
    if len(image) != expected["channels"]:
        raise UnusableError(f"{len(image)} channels; the network takes {expected['channels']}")
    order, case.notes = channel_order(case.files[0].absolute().parent, expected["channel_names"])
    image = image[order] if order else image
    case.values = np.ascontiguousarray(image, dtype=np.float32)


def read_nifti(path: Path) -> tuple[Array, Array, Any]:
    """Values (C, *S), affine in mm, and header."""
    import nibabel

    kinds = [kind for kind in (nibabel.Nifti1Image, nibabel.Nifti2Image) if kind.path_maybe_image(path)[0]]
    if not kinds:
        raise UnusableError(f"{path.name} is no NIfTI file")
    with gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb") as stream:
        file = kinds[0].from_stream(stream)
        if math.prod(file.shape) * file.get_data_dtype().itemsize > MOST_PACKED * path.stat().st_size:
            raise UnusableError(f"the header of {path.name} asks for {file.shape} voxels, far more than it holds")
        values = np.asanyarray(file.dataobj)
        read_to_the_end(stream)
    if values.dtype.kind not in "biuf":
        raise UnusableError(f"{path.name} holds {values.dtype}, in place of integers or real numbers")
    affine = np.array(file.affine, dtype=np.float64)
    affine[:3] *= {1: 1e3, 3: 1e-3}.get(int(file.header["xyzt_units"]) & 7, 1.0)  # from metres, from micrometres
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) <= 1e-12:
        raise UnusableError(f"{path.name} has an affine that is not invertible")
    if values.ndim == 5 and values.shape[3] == 1:
        values = values[:, :, :, 0]
    if values.ndim not in {3, 4} or not values.size:
        raise UnusableError(f"{path.name} has the shape {'x'.join(map(str, values.shape))}")
    return values[None] if values.ndim == 3 else np.moveaxis(values, -1, 0), affine, file.header


def read_to_the_end(stream: Any) -> None:
    """To where gzip keeps its check sum; other bytes behind what is packed do not matter, as to gzip itself."""
    try:
        while stream.read(1 << 20):
            pass
    except gzip.BadGzipFile as error:
        if "gzipped" not in str(error):
            raise


def channel_order(folder: Path, wanted: Sequence[str]) -> tuple[list[int], list[str]]:
    """Which channel of the files stands first, second, ..., by a dataset.json beside or above them; and what to tell.

    An empty order: as they are.
    """
    found = channel_names(folder) or channel_names(folder.parent)
    own, known = [folded(name) for name in found], [folded(name) for name in wanted]
    if not own or not known or own == known:
        return [], []
    names, trained = ", ".join(found), ", ".join(wanted)
    if len(own) == len(known) == 1:  # nothing can be in another order: MR, MRI and T1 may be the same
        return [], [f"dataset.json calls the channel {names}; in training it was {trained}"]
    if set(own) != set(known):
        raise UnusableError(f"dataset.json names the channels {names}; the network takes {trained}")
    order = [own.index(name) for name in known]
    return order, [f"its channels lie in another order ({names}) than in training: put in order by their names"]


def channel_names(folder: Path) -> list[str]:
    """What the dataset.json of a folder calls the channels; nothing where it does not say so, or says it twice."""
    try:
        table = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
        names = table.get("channel_names") or table.get("modality")
        if isinstance(names, dict):
            places = {float(place): name for place, name in names.items()}
            names = [places.get(place) for place in range(len(names))]
    except (OSError, ValueError, AttributeError):
        return []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return []
    return names if len({*map(folded, names)}) == len(names) else []


def folded(name: str) -> str:
    """``name`` without what people write now so, now so."""
    return unicodedata.normalize("NFC", " ".join(name.split()).casefold())


def read_dicom(path: Path) -> tuple[Array, tuple[float, float] | None]:
    """The picture in a DICOM file, dense bright, (H, W) or (H, W, 3); and its black and white where it says them."""
    try:
        import pydicom
        from pydicom.pixels.processing import apply_color_lut, apply_modality_lut
        from pydicom.pixels.utils import pixel_array
    except ImportError:
        raise UnusableError("DICOM is read by pydicom 3: pip install pydicom pylibjpeg[all]") from None
    warnings.filterwarnings("ignore", module=r"pydicom(\.|$)")
    held = pydicom.dcmread(path)
    if int(held.get("NumberOfFrames") or 1) > 1:
        raise UnusableError("it holds several frames: save each as a file of its own")
    values, bits, kind = pixel_array(held), int(held.BitsStored), str(held.PhotometricInterpretation)
    if kind == "PALETTE COLOR":
        values = apply_color_lut(values, held)[..., :3]
        return (values >> 8 if values.max() > 255 else values).astype(np.uint8), None
    signed, whole = bool(held.get("PixelRepresentation")), bits == 8 or bits < held.BitsAllocated
    low, high = (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1) if signed else (0.0, 2.0**bits - 1)
    if values.ndim == 3:
        return values, None if values.dtype == np.uint8 else (low, high)
    values = values.astype(np.float64)
    if table := held.get("ModalityLUTSequence"):
        (values, high), low, signed, whole = looked_up(values, table[0], held), 0.0, False, True
    else:
        values = apply_modality_lut(values, held)
        slope, shift = float(held.get("RescaleSlope") or 1), float(held.get("RescaleIntercept") or 0)
        low, high = sorted((low * slope + shift, high * slope + shift))
    ends = (low, high) if whole and not signed else None
    window = [np.ravel(held.get(name) or 0)[0] for name in ("WindowCenter", "WindowWidth")]
    centre, width = map(float, window)
    function = str(held.get("VOILUTFunction") or "LINEAR").upper()
    if function == "LINEAR":
        centre, width = centre - 0.5, width - 1
    if table := held.get("VOILUTSequence"):
        (values, high), low = looked_up(values, table[0], held), 0.0
        ends = 0.0, high
    elif width > 0 and function == "SIGMOID":
        values, low, high, ends = 1 / (1 + np.exp(-4 * (values - centre) / width)), 0.0, 1.0, (0.0, 1.0)
    elif width > 0 and centre - width / 2 < values.max() and centre + width / 2 > values.min():
        ends = centre - width / 2, centre + width / 2
    if kind == "MONOCHROME1":
        values, ends = low + high - values, ends and (low + high - ends[1], low + high - ends[0])
    if ends and values.min() >= 0 and (high, bits) == (255, 8) and abs(ends[0]) <= 1 and abs(ends[1] - 255) <= 1:
        return values.astype(np.uint8), None
    return values.astype(np.float32), ends


def looked_up(values: Array, item: Any, held: Any) -> tuple[Array, float]:
    """What a table of a DICOM file has for ``values``, and the greatest value of the bits that it needs."""
    entries = item.LUTData
    order = "<u2" if held.original_encoding[1] else ">u2"
    table = np.frombuffer(entries, order) if isinstance(entries, bytes) else np.asarray(entries, np.uint16)
    places = np.clip(np.rint(values).astype(np.int64) - int(item.LUTDescriptor[1]), 0, table.size - 1)
    return table[places].astype(np.float64), 2.0 ** max(8, int(table.max()).bit_length()) - 1


def read_picture(path: Path, channels: int) -> tuple[Array, tuple[float, float] | None]:
    """A picture upright, at the depth of its file, (channels, H, W); and its own black and white where it says them."""
    if path.name.lower().endswith(DICOM) or begins_as_dicom(path):
        values, ends = read_dicom(path)
        return in_channels(values, channels), ends
    return in_channels(read_plain(path), channels), None


def read_plain(path: Path) -> Array:
    """A picture that is not DICOM, (H, W) or (H, W, 3)."""
    from PIL import ImageOps

    with open_picture(path) as file:
        # Of colours of 16 bits Pillow gives the high bytes. Read in the other order of bytes, it gives the low ones.
        low = [tile for tile in getattr(file, "tile", []) if raw_mode(tile) in LOW_BYTES]
        ImageOps.exif_transpose(file, in_place=True)
        if file.mode in DEEP:
            values: Array = np.asarray(file)
            values = values.astype(values.dtype.newbyteorder("="), copy=False)
        else:
            values = np.asarray(file.convert("L" if file.mode in GREY else "RGB"))
    if low:
        with open_picture(path) as file:
            setattr(file, "tile", [tile._replace(args=low_bytes(tile.args)) for tile in low])  # noqa: B010
            ImageOps.exif_transpose(file, in_place=True)
            values = values.astype(np.uint16) << 8 | np.asarray(file.convert("RGB"))
    return values


def in_channels(values: Array, channels: int) -> Array:
    """A picture (H, W) or (H, W, 3) as (channels, H, W)."""
    from PIL import Image

    if values.ndim == 2:
        return np.repeat(values[None], channels, axis=0)
    if channels == 3:
        return np.ascontiguousarray(np.moveaxis(values, -1, 0))
    if values.dtype != np.uint8:
        return np.asarray((values @ np.array([0.299, 0.587, 0.114], np.float32))[None])
    return np.asarray(Image.fromarray(values).convert("L"))[None]


def open_picture(path: Path) -> Any:
    """A picture, of which the header is read; Pillow also knows formats that run programs (PostScript)."""
    from PIL import Image

    return Image.open(path, formats=("PNG", "JPEG", "TIFF", "BMP", "WEBP"))


def is_deep(path: Path) -> bool:
    """Whether a picture has more than 8 bits, or may have them, by its header."""
    if path.name.lower().endswith(DICOM) or begins_as_dicom(path):
        return True
    try:
        with open_picture(path) as file:
            return file.mode in DEEP or any(raw_mode(tile) in LOW_BYTES for tile in getattr(file, "tile", []))
    except Exception:  # noqa: BLE001  (`unreadable` says what)
        return False


def raw_mode(tile: Any) -> str:
    """How the values of a tile lie in the file."""
    return str(tile.args if isinstance(tile.args, str) else (tile.args or ("",))[0])


def low_bytes(args: Any) -> Any:
    """The arguments of a decoder that takes the low bytes."""
    return LOW_BYTES[args] if isinstance(args, str) else (LOW_BYTES[args[0]], *args[1:])


def read(case: Case, expected: dict[str, Any]) -> None:
    """Fill ``case`` from its files; a picture keeps the values of its file."""
    if expected["axes"] == 3:
        read_volume(case, expected)
    else:
        case.values, case.ends = read_picture(case.files[0], expected["channels"])
        if case.values.dtype != np.uint8 or case.ends:
            case.values = case.values.astype(np.float32)
    flat = case.values.reshape(len(case.values), -1)
    constant = flat.min(axis=1) == flat.max(axis=1)
    if not np.isfinite(flat).all():
        raise UnusableError("it has NaN or infinite values")
    if constant.all() if flat.dtype == np.uint8 else constant.any():
        raise UnusableError("a channel of it has one value throughout")


# To the network's grid and intensities


def normalised(volume: Array, how: dict[str, Any]) -> Array:
    """One channel of a volume as the network sees it."""
    values = volume.astype(np.float32)
    if how["intensity"] == "none":
        return values
    if how["intensity"] == "window":
        low, high = how["window"]
        return np.asarray((np.clip(values, low, high) - np.float32(low)) / np.float32(high - low))
    if how["intensity"] == "minmax":
        low, high = float(values.min()), float(values.max())
        return np.asarray((values - np.float32(low)) / np.float32(max(high - low, 1e-12)))
    part = np.asarray(body(values, how), np.float32)
    step = max(1, part.size // 1_000_000)
    low, high = np.percentile(part.ravel()[::step], how["percentiles"])
    if high > low:
        values = np.clip(values, low, high)
        part = values if how["intensity"] == "zscore" else np.clip(part, low, high)
    mean, deviation = float(part.mean(dtype=np.float64)), float(part.std(dtype=np.float64))
    return np.asarray((values - np.float32(mean)) / np.float32(max(deviation, 1e-12)))


def body(values: Array, how: dict[str, Any]) -> Array:
    """The values that statistics are of: all; with "body" those that are neither 0 nor the least."""
    if how["intensity"] != "body":
        return values
    found = values[(values != 0) & (values != values.min())]
    return found if found.size else values


def shaded(image: Array, part: Array, how: dict[str, Any]) -> Array:
    """A picture (C, H, W) of shades from 0 to 255 as the network sees it; ``part``: what of it statistics are of."""
    scale, shift = np.ones(len(image)), np.zeros(len(image))
    if how["intensity"] == "imagenet":
        scale = 1 / np.array(how["std"])
        shift = -np.array(how["mean"]) * scale
    elif how["intensity"] in {"zscore", "body"}:
        found = body(part, how)
        deviation = max(float(found.std(dtype=np.float64)) / 255, 1e-6)
        scale, shift = scale / deviation, shift - float(found.mean(dtype=np.float64)) / 255 / deviation
    elif how["intensity"] == "minmax":
        low, high = float(part.min()), float(part.max())
        extent = max(high - low, 1 if part.dtype == np.uint8 else 1e-6)
        scale, shift = scale * 255 / extent, shift - low / extent
    elif how["intensity"] == "window":
        low, high = how["window"]
        scale, shift = scale * 255 / (high - low), shift - low / (high - low)
    factor, offset = (each.astype(np.float32)[:, None, None] for each in (scale, shift))
    values = image.astype(np.float32) / np.float32(255) * factor + offset
    return np.asarray(np.clip(values, 0, 1) if how["intensity"] == "window" else values)


def to_shades(picture: Array, ends: Sequence[float] | None) -> Array:
    """``picture`` from 0 (black) to 255 (white), with all its depth."""
    if picture.dtype == np.uint8 or ends is None:
        return picture
    low, high = ends
    return np.asarray(np.clip((picture - np.float32(low)) * np.float32(255 / max(high - low, 1e-12)), 0, 255))


def range_of(pictures: Iterable[Array]) -> tuple[float, float] | None:
    """Black and white of pictures of more than 8 bits, where those of training had 8."""
    low, high, whole = math.inf, -math.inf, True
    for picture in pictures:
        if picture.dtype != np.uint8:
            low, high = min(low, float(picture.min())), max(high, float(picture.max()))
            whole = whole and bool((picture == np.rint(picture)).all())
    if low > high:
        return None
    if whole and low >= 0:
        return 0.0, float(next((2**bits - 1 for bits in (8, 10, 12, 14, 16) if high < 2**bits), high))
    return (0.0, 1.0) if low >= 0 and high <= 1 else (low, high)


def shrunk(image: Array, how: dict[str, Any]) -> Array:
    """A picture (C, H, W) at the network's size: stretched, or its centre."""
    (rows, columns), (height, width) = image.shape[1:], how["size"]
    if (rows, columns) == (height, width):
        return image
    left, top, right, bottom = 0.0, 0.0, float(columns), float(rows)
    if how["resize"] == "crop":
        scale = min(rows / height, columns / width)
        top, left = (rows - height * scale) / 2, (columns - width * scale) / 2
        right, bottom = left + width * scale, top + height * scale
    return np.stack([resized(channel, (height, width), (left, top, right, bottom)) for channel in image])


def seen_whole(case: Case, how: dict[str, Any]) -> Array:
    """An image as a network of classes sees it, (C, *size): all of it, or its centre."""
    if how["axes"] == 2:
        image = shrunk(case.values, how)
        return shaded(image, image, how)
    image = prepared(case, how, how["size"] if how["resize"] == "stretch" else None).image
    starts = [(a - b) // 2 for a, b in zip(image.shape[1:], how["size"], strict=True)]
    return image[(slice(None), *(slice(a, a + b) for a, b in zip(starts, how["size"], strict=True)))]


def resized(channel: Array, shape: Sequence[int], box: tuple[float, float, float, float] | None = None) -> Array:
    """One channel of a picture (H, W) on a grid of ``shape``: each new pixel the mean of what it covers."""
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(channel))
    return np.asarray(picture.resize((shape[1], shape[0]), Image.Resampling.BILINEAR, box=box))


def resampled(volume: Array, shape: Sequence[int]) -> Array:
    """``volume`` on a grid of ``shape`` over the same extent: linear, of a coarser one smoothed before."""
    from scipy import ndimage

    if volume.shape == tuple(shape):
        return volume
    factors = [new / old for old, new in zip(volume.shape, shape, strict=True)]
    deviations = [math.sqrt(max(factor**-2 - 1, 0) / (8 * math.log(2))) for factor in factors]
    if any(deviations):
        volume = ndimage.gaussian_filter(volume, deviations, mode="nearest", truncate=4.0)
    return np.asarray(ndimage.zoom(volume, factors, order=1, mode="nearest", grid_mode=True))


def prepared(case: Case, how: dict[str, Any], stretched: Sequence[int] | None = None) -> Seen:
    """An image on the network's grid: turned to RAS+, at the network's spacing or ``stretched``, normalised, padded."""
    image, turn, spacing, size = case.values, None, case.spacing, how["size"]
    if case.affine is not None:
        from nibabel.orientations import apply_orientation, io_orientation

        turn = io_orientation(case.affine)
        image = np.stack([apply_orientation(channel, turn) for channel in image])
        spacing = tuple(np.array(case.spacing)[np.argsort(turn[:, 0])].tolist())
    turned = image.shape[1:]
    shape = turned
    spacing = (1.0, 1.0) if how["axes"] == 2 else spacing
    if how["spacing"] and spacing:
        shape = tuple(max(1, round(n * a / b)) for n, a, b in zip(turned, spacing, how["spacing"], strict=True))
    shape = shape if stretched is None else tuple(stretched)
    if how["axes"] == 3:
        image = np.stack([resampled(normalised(channel, how), shape) for channel in image]).astype(np.float32)
    elif shape != turned:
        image = np.stack([resized(channel.astype(np.float32), shape) for channel in image])
    outer = tuple(max(side, least) for side, least in zip(shape, size, strict=True))
    inner = tuple(slice((a - b) // 2, (a - b) // 2 + b) for a, b in zip(outer, shape, strict=True))
    padded = np.zeros((len(image), *outer), image.dtype)
    padded[(slice(None), *inner)] = image
    if how["axes"] == 2:
        padded = shaded(padded, image, how)
    return Seen(padded, inner, turned, turn)


# The network


def read_facts(path: Path) -> dict[str, Any]:
    """What ``model.json`` says."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UnusableError(f"{path} is damaged, copy the folder again: {error}") from error
    if not isinstance(facts, dict) or KEYS - facts.keys() or not facts["networks"]:
        raise UnusableError(f"{path} is damaged, copy the folder again: it lacks what a network needs")
    if facts["format"] != FORMAT:
        raise UnusableError(f"{path} is of another version than this predict.py: take both from one folder")
    return facts


class Network:
    """The networks of this folder, which vote by their mean probability."""

    def __init__(self, folder: Path = HERE, *, threads: int = 0, cpu: bool = False) -> None:
        import onnxruntime

        self.facts = read_facts(folder / "model.json")
        self.expected, self.output = self.facts["image"], self.facts["output"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        own = [name for name in onnxruntime.get_available_providers() if name.startswith(("CUDA", "CPU"))]
        self.sessions = []
        for member in self.facts["networks"]:
            content = (folder / member["file"]).read_bytes()
            if hashlib.sha256(content).hexdigest() != member["sha256"]:
                raise UnusableError(f"{member['file']} is not the file that was exported: copy the folder again")
            providers = ["CPUExecutionProvider"] if cpu else own
            try:
                self.sessions.append(onnxruntime.InferenceSession(content, options, providers=providers))
            except Exception as error:
                why = f"{member['file']} cannot be used by onnxruntime {onnxruntime.__version__}: {first_line(error)}"
                raise UnusableError(why) from error
            if self.sessions[-1].get_inputs()[0].shape != [1, self.expected["channels"], *self.expected["size"]]:
                raise UnusableError(f"{folder / 'model.json'} does not fit {member['file']}: copy the folder again")

    def logits(self, session: Any, image: Array) -> Array:
        """Of an image (C, *size), without a batch: the mean over mirrored inputs."""
        axes, total = self.output["mirror_axes"], 0
        flips = [each for n in range(len(axes) + 1) for each in itertools.combinations(axes, n)]
        for each in flips:
            turned = tuple(axis + 1 for axis in each)
            try:
                (found,) = session.run(None, {"image": np.ascontiguousarray(np.flip(image, turned))[None]})
            except Exception as error:
                raise UnusableError(f"the network cannot be run: {first_line(error)}") from error
            total = total + (np.flip(found[0], turned) if found[0].ndim == image.ndim else found[0])
        return np.asarray(total / np.float32(len(flips)), np.float32)

    def windows(self, session: Any, image: Array) -> Array:
        """Logits (O, *N) of an image (C, *N): the mean of overlapping windows, weighted by Gaussians."""
        size, shape = tuple(self.expected["size"]), image.shape[1:]
        if shape == size:
            return self.logits(session, image)
        steps = [
            side if side == length else max(1, int(side * (1 - self.output["overlap"])))
            for length, side in zip(shape, size, strict=True)
        ]
        starts = [
            [min(i * step, length - side) for i in range(math.ceil((length - side) / step) + 1)]
            for length, side, step in zip(shape, size, steps, strict=True)
        ]
        gaussian = np.ones((), np.float32)
        for side in size:
            axis = np.arange(side, dtype=np.float32) - (side - 1) / 2
            gaussian = gaussian[..., None] * np.exp(axis**2 / (-2 * (0.125 * side) ** 2)).astype(np.float32)
        gaussian = np.maximum(gaussian, max(float(gaussian.min()), 1e-3))
        total, weight = np.zeros((0, *shape), np.float32), np.zeros(shape, np.float32)
        for corner in itertools.product(*starts):
            refuse_ended()
            box = tuple(slice(start, start + side) for start, side in zip(corner, size, strict=True))
            found = self.logits(session, image[(slice(None), *box)])
            total = total if len(total) else np.zeros((len(found), *shape), np.float32)
            total[(slice(None), *box)] += found * gaussian
            weight[box] += gaussian
        total /= weight
        return total

    def probabilities(self, logits: Array) -> Array:
        """Of logits whose first axis is that of the classes."""
        if self.output["activation"] == "sigmoid":
            return np.asarray(1 / (1 + np.exp(-logits)))
        powers = np.exp(logits - logits.max(axis=0))
        return np.asarray(powers / powers.sum(axis=0))

    def mask(self, seen: Seen) -> Array:
        """Class indices (*S) of an image, on the grid of its file."""
        alone, same = len(self.sessions) == 1, tuple(s.stop - s.start for s in seen.inner) == seen.turned
        scores: Array | None = None
        for session in self.sessions:
            found = self.windows(session, seen.image)[(slice(None), *seen.inner)]
            if not (alone and same and self.output["activation"] == "softmax"):  # there the greatest logit decides
                found = self.probabilities(found)
            scores = found if scores is None else scores + found
        assert scores is not None  # noqa: S101  (a folder has a network)
        scores /= np.float32(len(self.sessions))
        mask = self.decided(resampled(channel, seen.turned) for channel in scores)
        if seen.turn is not None:
            from nibabel.orientations import apply_orientation

            back = np.zeros_like(seen.turn)
            for axis, (place, sign) in enumerate(seen.turn):
                back[int(place)] = (axis, sign)
            mask = np.ascontiguousarray(apply_orientation(mask, back))
        return self.cleaned(mask) if self.output["largest_component"] else mask

    def decided(self, channels: Iterator[Array]) -> Array:
        """Class indices of the scores of each channel, of which the greatest so far is kept."""
        best = next(channels)
        if self.output["activation"] == "sigmoid":
            return np.asarray(best >= self.output["threshold"], np.uint8)
        mask = np.zeros(best.shape, np.uint8 if len(self.facts["classes"]) <= 255 else np.int32)
        for index, scores in enumerate(channels, 1):
            mask[scores > best] = index
            best = np.maximum(best, scores)
        return mask

    def cleaned(self, mask: Array) -> Array:
        """``mask`` with only the largest connected component of each class."""
        from scipy import ndimage

        kept = np.zeros_like(mask)
        touching = ndimage.generate_binary_structure(mask.ndim, 1 if self.output["connectivity"] == 6 else mask.ndim)
        for value, box in enumerate(ndimage.find_objects(mask, len(self.facts["classes"])), 1):
            if box is not None:
                labels, _ = ndimage.label(mask[box] == value, touching)
                sizes = np.bincount(labels.ravel())
                sizes[0] = 0
                kept[box][labels == sizes.argmax()] = value
        return kept

    def shares(self, image: Array) -> Array:
        """Probabilities of the classes of a picture (C, H, W)."""
        logits = [self.logits(session, image).astype(np.float64) for session in self.sessions]
        return np.asarray(np.mean([self.probabilities(own) for own in logits], axis=0))


# Writing


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A file beside ``path``, which takes its place when all of it is written."""
    beside = path.with_name(f".writing.{path.name}")
    try:
        yield beside
        beside.replace(path)
    except OSError as error:
        why = f"cannot write {path}: {error.strerror or error}; other results are whole: name another folder with -o"
        raise UnusableError(why) from error
    finally:
        beside.unlink(missing_ok=True)


def make_folder(path: Path) -> None:
    """A folder that can be written to: to be told before hours of work."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path).close()
    except OSError as error:
        why = f"cannot write into {path}: {error.strerror or error}; name another folder with -o"
        raise UnusableError(why) from error


def write_mask(path: Path, mask: Array, case: Case, values: Sequence[int]) -> None:
    """Class indices as a file with the label values of training, in the geometry of the input."""
    data = np.array([0, *values], np.uint16 if max(values, default=1) > 255 else np.uint8)[mask]
    with whole(path) as beside:
        if path.suffix == ".png":
            from PIL import Image
            from PIL.PngImagePlugin import PngInfo

            note, picture = PngInfo(), Image.fromarray(data)
            note.add_text("Description", MADE_BY)
            if data.dtype == np.uint8:
                palette = np.zeros((256, 3), np.uint8)
                palette[list(values)] = [COLOURS[index % len(COLOURS)] for index in range(len(values))]
                picture.putpalette(palette.ravel().tolist())
            picture.save(beside, format="PNG", pnginfo=note)
        else:
            import nibabel

            image = nibabel.Nifti1Image(data, None, case.header.copy())
            image.set_data_dtype(data.dtype)
            image.header.set_slope_inter(1, 0)
            image.header["descrip"] = MADE_BY
            nibabel.save(image, beside)


def write_table(path: Path, rows: Sequence[Sequence[str]]) -> None:
    """A CSV file; a name that a spreadsheet would take for a formula gets an apostrophe before it."""
    text = io.StringIO()
    for row in rows:
        odd = any("\r" in cell for cell in row)
        csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL if odd else csv.QUOTE_MINIMAL).writerow(
            [escaped(cell) for cell in row]
        )
    with whole(path) as beside:  # names that are no Unicode are spelt out
        beside.write_text(text.getvalue(), encoding="utf-8", errors="backslashreplace", newline="")


def escaped(cell: str) -> str:
    """``cell`` as text for a spreadsheet."""
    try:
        float(cell)
    except ValueError:
        return f"'{cell}" if re.match(r"'*[=+\-@\t\r]", cell) else cell
    return cell


def warned(case: Case, known: dict[str, Sequence[float]]) -> Iterator[str]:
    """In what an image is unlike those that the network was trained on."""
    yield from case.notes
    image = case.values
    if not {"low", "high", "blank"} <= known.keys():
        return
    low, high, extent = float(image.min()), float(image.max()), known["high"][1] - known["low"][0]
    narrow = high - low < (known["high"][0] - known["low"][1]) / 10
    if image.ndim == 4 and (narrow or low < known["low"][0] - extent or high > known["high"][1] + extent):
        yield f"values from {low:g} to {high:g}; trained on values from {known['low'][0]:g} to {known['high'][1]:g}"
    rows = image[:, :: max(1, image.shape[1] // 16)]
    blank = np.count_nonzero((rows == 0) | (rows == image.dtype.type(low)) if low else rows == 0) / rows.size
    if blank > known["blank"][1] + 0.2:
        yield f"{blank:.0%} of it is 0 or its least value; in training at most {known['blank'][1]:.0%}"
    for axis, side in enumerate(case.spacing or ()):
        least, most = known.get(f"spacing {axis}", (side, side))
        if not least / 1.1 <= side <= most * 1.1:
            yield f"voxels of {side:.4g} mm along axis {axis}; trained on {least:.4g} to {most:.4g} mm"


# The command


def predict(network: Network, cases: Sequence[Case], output: Path, *, overwrite: bool) -> int:
    """Predict ``cases``, tell where the results are, and how many cases could not be read."""
    how, masks = network.expected, network.facts["task"] == "segmentation"
    ending = ".nii.gz" if how["axes"] == 3 else ".png"
    targets = [output / f"{case.name}{ending}" for case in cases] if masks else [output / "predictions.csv"]
    sources = {os.path.realpath(path) for case in cases for path in case.files}
    if over := [path for path in targets if os.path.realpath(path) in sources]:
        raise UnusableError(f"{over[0]} is an input: the result would be written over it; name another folder with -o")
    if there := [path for path in targets if path.exists() and not overwrite]:
        raise UnusableError(f"{there[0]} is there already: name another folder with -o, or add --overwrite")
    left, ends, rows = 0, how["value_range"], []
    if how["axes"] == 2 and ends is None:
        ends = range_of(deep_pictures(cases, how))
    for case in cases:
        refuse_ended()
        if problem := unreadable(case, how):
            say(f"left out: case {case.name}: {problem}", sys.stderr)
            left += 1
            continue
        for note in warned(case, network.facts["ranges"]):
            say(f"case {case.name}: {note}", sys.stderr)
        make_folder(output)
        if how["axes"] == 2:
            case.values = to_shades(case.values, case.ends or ends)
        if masks:
            mask = network.mask(prepared(case, how))
            write_mask(output / f"{case.name}{ending}", mask, case, network.facts["label_values"])
            say(output / f"{case.name}{ending}")
        else:
            shares = network.shares(seen_whole(case, how))
            if not np.isfinite(shares).all():
                raise UnusableError(f"the network gives values that are not finite for {case.name}")
            rows.append([case.name, network.facts["classes"][int(shares.argmax())], *map(repr, shares.tolist())])
        case.values = np.zeros(0)
    if rows:
        write_table(targets[0], [["id", "predicted", *(f"prob:{name}" for name in network.facts["classes"])], *rows])
        say(targets[0])
    return left


def deep_pictures(cases: Iterable[Case], how: dict[str, Any]) -> Iterator[Array]:
    """The values of each picture of more than 8 bits; one at a time is held."""
    for case in cases:
        if is_deep(case.files[0]) and not unreadable(case, how) and not case.ends:
            yield case.values
            case.values = np.zeros(0)


def unreadable(case: Case, how: dict[str, Any]) -> str:
    """Read a case; what keeps it from being predicted, or nothing."""
    try:
        read(case, how)
    except Exception as error:  # noqa: BLE001  (damaged files raise anything, and cost no other case)
        return first_line(error)
    return ""


def first_line(error: Exception) -> str:
    """What an error says."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def say(text: object, stream: TextIO | None = None) -> None:
    """Print a line, with what could move the cursor of a terminal, or cannot be printed, spelt out."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))
    print(shown, file=stream, flush=True)


def be_quiet() -> None:
    """Let libraries tell no details of a header or of rounding, and let no name be one that cannot be printed."""
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    logging.getLogger("nibabel.global").setLevel(logging.CRITICAL)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def main(words: Sequence[str] | None = None) -> int:
    """Exit code: 0 done, 1 some inputs could not be read and were left out, 2 something is wrong and the rest was not
    predicted, 130 interrupted, 143 terminated."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", nargs="+", type=Path, metavar="IMAGE", help="files, or folders of files")
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="OUT", help="folder of the results")
    parser.add_argument("--overwrite", action="store_true", help="replace results that are there")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="threads of the network (all cores)")
    parser.add_argument("--cpu", action="store_true", help="use no GPU, also where onnxruntime-gpu is installed")
    asked = parser.parse_args(words)
    be_quiet()
    try:
        with told_to_end():
            return run(asked)
    except ImportError as error:
        say(f"error: {error}: pip install -r {HERE / 'requirements.txt'}", sys.stderr)
        return 2
    except (UnusableError, OSError) as error:
        say(f"error: {error}", sys.stderr)
        return 2
    except EndedError as told:
        word = "interrupted" if told.args[0] == signal.SIGINT else "terminated"
        say(f"{word}: results that are there are whole", sys.stderr)
        return 128 + int(told.args[0])
    except Exception as error:  # noqa: BLE001  (the boundary: nobody sees a traceback)
        say(f"error: {error!r}: copy the folder again, or tell those who make medtui", sys.stderr)
        return 2


def run(asked: argparse.Namespace) -> int:
    """Predict what a command line asks for; the exit code."""
    network = Network(threads=asked.threads, cpu=asked.cpu)
    importlib.import_module("nibabel" if network.expected["axes"] == 3 else "PIL")  # once, not for every case
    cases = find_cases(asked.inputs, network.expected["axes"], network.expected["channels"])
    if others := not_taken(asked.inputs, network.expected["axes"]):
        say(others, sys.stderr)
    left = predict(network, cases, asked.output, overwrite=asked.overwrite)
    return 0 if not left else 1 if left < len(cases) else 2


@contextmanager
def told_to_end() -> Iterator[None]:
    """Ctrl-C, and SIGTERM as a batch system sends it, raise `EndedError`: what is half written is cleared away."""

    def end(number: int, _frame: Any) -> None:
        CAME.append(number)
        if len(CAME) == 1:  # others may not cut off what clears away
            raise EndedError(number)

    def unraised(what: Any) -> None:
        if not isinstance(what.exc_value, EndedError):
            sys.__unraisablehook__(what)

    CAME.clear()
    if threading.current_thread() is not threading.main_thread():  # others may set no handlers
        yield
        return
    numbers = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) != signal.SIG_IGN]  # nohup, "&"
    before = {number: signal.signal(number, end) for number in numbers}
    sys.unraisablehook, hook = unraised, sys.unraisablehook
    try:
        yield
    finally:
        sys.unraisablehook = hook
        for number, own in before.items():
            signal.signal(number, own)


def refuse_ended() -> None:
    """Raise `EndedError` once more: what is raised where Python destroys an object is lost."""
    if CAME:
        raise EndedError(CAME[0])


if __name__ == "__main__":
    sys.exit(main())
