"""Picture files (PNG, JPEG, TIFF, BMP, WebP, DICOM) as arrays, at the full depth of the file, turned upright."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from engine.data.dicom import DICOM, begins_as_dicom, read_dicom, read_values, shape_of
from engine.data.signs import kind_in
from engine.runfolder.regular import most_unpacked, open_regular

warnings.filterwarnings("ignore", module=r"PIL\.")  # its remarks on headers; faults are raised

Array = npt.NDArray[np.generic]
Range = tuple[float, float]

PICTURES = (".png", ".jpg", ".jpeg", ".jfif", ".tif", ".tiff", ".bmp", ".webp", *DICOM)
"""Endings of picture files, in lower case."""
FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP")
"""What Pillow opens, whatever a file is called: it also knows formats that run programs (PostScript)."""

_GREY = {"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N", "F"}
_DEEP = {"I", "I;16", "I;16B", "I;16L", "I;16N", "F"}
_LOW_BYTES = {f"{kind};16{own}": f"{kind};16{other}" for kind in ("RGB", "RGBA") for own, other in ("BL", "LB", "NB")}
_TURNED = {5, 6, 7, 8}  # values of EXIF's tag of orientation that exchange height and width
_BITS = (8, 10, 12, 14, 16)
_NOISE = 8  # what the coarsest JPEG takes from white, and adds to black
_NOT_BLACK = 48  # a grey that no JPEG makes of an even black


@contextmanager
def open_picture(path: Path) -> Iterator[Image.Image]:
    """A picture file, to be read inside the ``with``.

    Raises:
        OSError: it is no regular file, none of `FORMATS`, or asks for far more memory than it takes disk.
    """
    with open_regular(path) as stream:
        try:
            opened = Image.open(stream, formats=FORMATS)
        except Image.DecompressionBombError:
            raise OSError(f"it has more than {2 * (Image.MAX_IMAGE_PIXELS or 0):,} pixels: cut it into tiles") from None
        except UnidentifiedImageError:
            raise OSError(f"it is no {', '.join(FORMATS)}{kind_in(stream)}") from None
        with opened as file:
            # Turned and with its colours resolved it is held up to three times.
            if 3 * file.width * file.height * max(3, len(file.getbands())) > most_unpacked(stream):
                raise OSError(f"its header asks for {file.width} x {file.height} pixels")
            yield file


def is_picture(path: Path) -> bool:
    """Whether ``path`` is called as pictures are, or under any other name begins as DICOM does."""
    return path.name.lower().endswith(PICTURES) or is_dicom(path)


def is_dicom(path: Path) -> bool:
    """Whether ``path`` is called as DICOM is, or as no picture and begins as DICOM does."""
    name = path.name.lower()
    return name.endswith(DICOM) or (not name.endswith(PICTURES) and begins_as_dicom(path))


def read_picture(path: Path) -> Array:
    """The values of the picture in ``path``, see `read_with_range`."""
    return read_with_range(path)[0]


def read_with_range(path: Path) -> tuple[Array, Range | None]:
    """The picture in ``path``, and its values of black and white where the file says them, as DICOM may.

    See `_read_plain`, and `engine.data.dicom.read_dicom`.
    """
    return read_dicom(path) if is_dicom(path) else (_read_plain(path), None)


def _read_plain(path: Path) -> Array:
    """The picture in ``path``, (H, W) in grey or (H, W, 3) in colour, turned as its EXIF data says.

    uint8, or what the file holds where that is deeper: uint16 (colours too), int32 or float32. Transparency is
    dropped, palettes are resolved. Of a file with several pages the first is read.

    Raises:
        OSError, ValueError and others that a damaged file causes.
    """
    with open_picture(path) as file:
        low = _low_bytes(file)
        ImageOps.exif_transpose(file, in_place=True)  # another picture would be a copy, also of one that is upright
        if file.mode in _DEEP:
            return _native(file)
        mode = "L" if file.mode in _GREY else "RGB"
        shades = np.asarray(file if file.mode == mode else file.convert(mode))
    if not low:
        return shades
    with open_picture(path) as file:  # once more, for the other byte of each value
        setattr(file, "tile", low)  # noqa: B010  (only files have it, says its type)
        ImageOps.exif_transpose(file, in_place=True)
        below = np.asarray(file.convert("RGB"))
    return np.asarray(shades.astype(np.uint16) << 8 | below)


def _low_bytes(file: Any) -> list[Any]:
    """How to decode the low bytes of colours of 16 bits, of which Pillow gives the high ones; nothing for others.

    Its unpackers for the two orders of bytes take one byte each: the other's is the low one.
    """
    tiles, low = getattr(file, "tile", []), []
    for tile in tiles:
        name, *rest = (tile.args,) if isinstance(tile.args, str) else tile.args or ("",)
        if name not in _LOW_BYTES:
            return []
        low.append(tile._replace(args=(_LOW_BYTES[name], *rest) if rest else _LOW_BYTES[name]))
    return low


def is_deep(path: Path) -> bool:
    """Whether a picture has more than 8 bits, or being DICOM may have them, from its header.

    Raises: as `open_picture`.
    """
    if is_dicom(path):
        return True
    with open_picture(path) as file:
        return file.mode in _DEEP or bool(_low_bytes(file))


def picture_channels(path: Path) -> int:
    """1 for a grey picture, 3 for one in colour, from its header."""
    if is_dicom(path):
        return shape_of(path)[2]
    with open_picture(path) as file:
        return 1 if file.mode in _GREY else 3


def picture_size(path: Path) -> tuple[int, int]:
    """Height and width of the upright picture, from its header."""
    if is_dicom(path):
        return shape_of(path)[:2]
    with open_picture(path) as file:
        turned = file.getexif().get(ExifTags.Base.Orientation) in _TURNED
        return (file.width, file.height) if turned else (file.height, file.width)


def read_mask_picture(path: Path) -> Array:
    """The values of a mask, (H, W): grey values, or the indices of a palette.

    JPEG blurs values, so that only a mask of two can be told from it: 0 below 128, and 255; one with other greys than
    near black and one white is refused.

    Raises:
        ValueError: the mask has colours, of which nothing says the classes; or what it shows is not in its values.
    """
    values, lossy = read_values(path) if is_dicom(path) else _mask_values(path)
    if not lossy:
        return values
    if values.max() > 255:
        raise ValueError("a mask that was packed with losses, which blurs class indices: save it as PNG")
    shades = np.asarray(values, np.uint8)
    if 0 < shades.max() < 128:
        raise ValueError(f"a JPEG mask with values up to {shades.max()}: JPEG blurs class indices; save it as PNG")
    greys = _greys(shades)
    dark = [grey for grey in greys if grey < 128]
    third = _even_blocks(shades)
    if third or len(dark) > 1 or len(greys) > len(dark) + 1 or any(grey >= _NOT_BLACK for grey in dark):
        found = ", ".join(map(str, sorted({*greys, *third})))
        raise ValueError(f"a JPEG mask of the greys {found}, in place of black and white: save class indices as PNG")
    return np.where(shades < 128, 0, 255).astype(np.uint8)


def _mask_values(path: Path) -> tuple[Array, bool]:
    """The values of a mask, (H, W), and whether they were packed with losses."""
    with open_picture(path) as file:
        lossy = file.format in {"JPEG", "MPO"}
        ImageOps.exif_transpose(file, in_place=True)
        if file.mode in {"1", "L", "P"} | _DEEP:
            values = np.asarray(file).astype(np.uint8) if file.mode == "1" else _native(file)
            if file.mode == "P" and _white_first(file, values):
                raise ValueError(
                    "a palette in which white stands before black: nothing says which of the two is the "
                    "background; save the mask in grey"
                )
        else:
            pixels = np.asarray(file.convert("RGB"))
            if not np.ptp(pixels) and np.ptp(np.asarray(file.convert("RGBA"))[..., 3]):
                raise ValueError("a mask that is drawn in its transparency: save class indices in grey")
            if (pixels != pixels[..., :1]).any():
                raise ValueError("a mask in colours: save class indices, in grey or with a palette")
            values = pixels[..., 0]
    return values, lossy


def _even_blocks(shades: npt.NDArray[np.uint8]) -> list[int]:
    """The greys of blocks, as JPEG codes 8 by 8 pixels, that are even and neither black nor white.

    Edges between black and white leave no such block, whatever the quality.
    """
    high, wide = (side // 8 for side in shades.shape)
    blocks = shades[: 8 * high, : 8 * wide].reshape(high, 8, wide, 8)
    low, most = blocks.min(axis=(1, 3)), blocks.max(axis=(1, 3))
    even = (most - low <= 1) & (low > _NOISE) & (most < 255 - _NOISE)
    return [int(grey) for grey in np.unique(low[even])]


def _greys(shades: npt.NDArray[np.uint8]) -> list[int]:
    """The greys of even areas: of the levels that fill 3 by 3 pixels, to 8, those that 16 empty levels part."""
    values = shades.astype(np.int16)
    high, wide = (max(0, side - 2) for side in values.shape)
    around = [values[row : row + high, column : column + wide] for row in range(3) for column in range(3)]
    even = np.maximum.reduce(around) - np.minimum.reduce(around) <= 8
    counts = np.bincount(around[4][even], minlength=256)
    levels = np.flatnonzero(counts)
    groups = np.split(levels, np.flatnonzero(np.diff(levels) > 16) + 1)
    return [int(np.average(group, weights=counts[group])) for group in groups if counts[group].sum() >= 16]


def _white_first(picture: Image.Image, indices: Array) -> bool:
    """Whether the palette's colours that are used are black and white, in another order than their indices."""
    colours = np.asarray(picture.getpalette() or [0, 0, 0]).reshape(-1, 3)
    used = colours[[index for index in np.unique(indices).tolist() if index < len(colours)]]
    greys = used[:, 0].tolist()
    return bool((used == used[:, :1]).all()) and set(greys) <= {0, 255} and greys not in ([0], [0, 255], [255])


def with_channels(picture: Array, channels: int) -> Array:
    """``picture`` (H, W) or (H, W, 3) as (channels, H, W): grey repeated, or colours as their brightness."""
    if picture.ndim == 2:
        return np.repeat(picture[None], channels, axis=0)
    if channels == 3:
        return np.ascontiguousarray(np.moveaxis(picture, -1, 0))
    if picture.dtype != np.uint8:
        return (picture @ np.array([0.299, 0.587, 0.114], np.float32))[None]  # as Pillow weighs them
    return np.asarray(Image.fromarray(picture).convert("L"))[None]


def full_range(low: float, high: float, *, whole: bool) -> Range:
    """The values that stand for black and white in data whose values lie between ``low`` and ``high``.

    Whole numbers from 0: all of the least common depth (8, 10, 12, 14 or 16 bits) that holds them. Real
    numbers from 0 to 1: 0 and 1. Else the data's own ends.
    """
    if whole and low >= 0:
        return 0.0, float(next((2**bits - 1 for bits in _BITS if high < 2**bits), high))
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    return low, high


def to_shades(picture: Array, ends: Range | None) -> Array:
    """``picture`` from 0 (black) to 255 (white): uint8 as it is, deeper ones as float32, with all their depth.

    Args:
        picture: of any shape.
        ends: the values of black and white, the same for every picture of a data set; None: as in the file.
    """
    if picture.dtype == np.uint8:
        return picture
    values = picture.astype(np.float32)
    if ends is None:
        return values
    low, high = ends
    shades: Array = np.clip((values - np.float32(low)) * np.float32(255 / max(high - low, 1e-12)), 0, 255)
    return shades


def displayable(shades: Array) -> npt.NDArray[np.uint8]:
    """Shades from 0 to 255 as uint8, for a screen."""
    return np.rint(np.clip(np.asarray(shades, np.float32), 0, 255)).astype(np.uint8)


def _native(picture: Image.Image) -> Array:
    """Grey values in the machine's own byte order: uint8, uint16, int32 or float32."""
    values: Array = np.asarray(picture)
    native: np.dtype[np.generic] = values.dtype.newbyteorder("=")
    return values.astype(native, copy=False)
