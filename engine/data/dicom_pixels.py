"""The pixels of DICOM files of one picture each, and what their headers say of them; all others are refused, in words.

Of a header only what says how pixels are meant is read: no names, identifiers or dates.
"""

import logging
import math
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt

from engine.data.signs import kind_in
from engine.runfolder.regular import most_unpacked, open_regular

if TYPE_CHECKING:
    from pydicom import Dataset

Array = npt.NDArray[np.generic]

MOST_PIXELS = 178_956_970  # of a picture, as Pillow has it for other files
_TAGS = [
    *("SOPClassUID", "NumberOfFrames", "Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation"),
    *("PlanarConfiguration", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelData"),
    *("ExtendedOffsetTable", "ExtendedOffsetTableLengths", "RescaleSlope", "RescaleIntercept", "ModalityLUTSequence"),
    *("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence"),
    *(
        f"{colour}PaletteColorLookupTable{part}"
        for colour in ("Red", "Green", "Blue")
        for part in ("Descriptor", "Data")
    ),
    *(f"Segmented{colour}PaletteColorLookupTableData" for colour in ("Red", "Green", "Blue")),
]
GREY, PALETTE = ("MONOCHROME1", "MONOCHROME2"), "PALETTE COLOR"
_OWN = "own"
_RUN_LENGTHS = "1.2.840.10008.1.2.5"
_JPEG_12 = "1.2.840.10008.1.2.4.51"  # of which the decoders take 8 bits
_PLUGINS = {  # not GDCM, which ends the process over damaged files
    **dict.fromkeys(("1.2.840.10008.1.2.4.50", _JPEG_12, "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"), "pillow"),
    _RUN_LENGTHS: "pydicom",
    **dict.fromkeys(("1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"), _OWN),  # JPEG without losses
    **dict.fromkeys(("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"), "pyjpegls"),
}
_FRAMES = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}  # markers of JPEG and JPEG-LS with the size behind them
_FAULTS = (
    *(AttributeError, AssertionError, ValueError, TypeError, LookupError, OverflowError, EOFError, RuntimeError),
    struct.error,
)
_DEFLATED = "1.2.840.10008.1.2.1.99"  # all of the file: unpacked before anything of it is known


@cache
def _library() -> Any:
    """pydicom, which says nothing on the screen: faults are raised."""
    import pydicom

    warnings.filterwarnings("ignore", module=r"pydicom(\.|$)")
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    return pydicom


@contextmanager
def faults_told() -> Iterator[None]:
    """What pydicom raises over damaged headers as OSError."""
    from pydicom.errors import BytesLengthException, InvalidDicomError

    try:
        yield
    except (*_FAULTS, BytesLengthException, InvalidDicomError):  # their words may hold bytes of the file, and so names
        raise OSError("its header is damaged") from None


def read_header(path: Path, *, pixels: bool, frames: bool = False) -> "Dataset":
    """The part of the file ``path`` that says what its picture is, with the picture if ``pixels``.

    ``frames``: there may be several pictures of one size, which `decoded_frames` gives.

    Raises:
        OSError: it holds no picture, several, or one of absurd size. And what `faults_told` tells.
    """
    with open_regular(path) as stream:
        header = _parsed(stream, _TAGS, pixels=pixels)
        _refuse_unfit(header, most_unpacked(stream), frames=frames)
    return header


@faults_told()
def read_tags(path: Path, tags: list[str]) -> "Dataset":
    """The ``tags`` that the file ``path`` has, without its pixels.

    Raises:
        OSError: it is no DICOM file, or damaged.
    """
    with open_regular(path) as stream:
        return _parsed(stream, tags, pixels=False)


def _parsed(stream: BinaryIO, tags: list[str], *, pixels: bool) -> "Dataset":
    library = _library()
    if stream.read(132)[128:] != b"DICM":
        kind = kind_in(stream) or ", or an old one without its first 132 bytes: dcmconv of DCMTK writes them"
        raise OSError(f"it is no DICOM file{kind}")
    meta = library.filereader.read_dataset(stream, False, True, stop_when=lambda tag, _kind, _length: tag >> 16 != 2)
    if not meta.get("TransferSyntaxUID"):
        raise OSError("its header does not say how it is written (TransferSyntaxUID)")
    if meta.TransferSyntaxUID == _DEFLATED:
        raise OSError("the whole file is deflated: unpack it, for instance with dcmconv of DCMTK")
    stream.seek(0)
    try:
        header: Dataset = library.dcmread(stream, specific_tags=tags, stop_before_pixels=not pixels)
    except OSError:
        raise OSError("its header is damaged or cut off") from None
    if pixels and "PixelData" not in header:
        what = header.get("SOPClassUID") or meta.get("MediaStorageSOPClassUID")
        raise OSError("it holds no picture" + (f": it is {what.name}" if what and what.name != what else ""))
    return header


def _refuse_unfit(header: "Dataset", most: int, *, frames: bool) -> None:
    """Raise OSError for a file of which the header describes no single picture, or one of more than ``most`` bytes."""
    count = _whole(header, "NumberOfFrames") if header.get("NumberOfFrames") else 1
    if count > 1 and not frames:
        way = "save each as a file of its own; where they are slices of a volume, name the folder that holds the file"
        raise OSError(f"it holds {count} frames, and one picture is read: {way}")
    rows, columns, samples, bits = (
        _whole(header, name) for name in ("Rows", "Columns", "SamplesPerPixel", "BitsStored")
    )
    kind = header.get("PhotometricInterpretation")
    grey = kind in GREY
    if not (grey or kind in {PALETTE, "RGB"} or str(kind).startswith("YBR_")):
        raise OSError("its colours are of a rare kind (PhotometricInterpretation): save it as RGB or in grey")
    if samples != (1 if grey or kind == PALETTE else 3):
        raise OSError(f"its header is damaged: {samples} values a pixel in {kind}")
    if not 0 < bits <= 32:
        raise OSError(f"its header is damaged: {bits} bits a value")
    if rows * columns > MOST_PIXELS:
        raise OSError(f"it has more than {MOST_PIXELS:,} pixels: cut it into tiles")
    # Decoded, rescaled and as shades it is held up to three times.
    if rows * columns < 1 or 3 * rows * columns * samples * math.ceil(bits / 8) > most:
        raise OSError(f"its header asks for {columns} x {rows} pixels")


def _whole(header: "Dataset", name: str) -> int:
    """A whole number that every picture has in its header."""
    try:
        return int(header[name].value)
    except (KeyError, TypeError, ValueError):
        raise OSError(f"its header says no {name}: it is no picture, or damaged") from None


def decoded(header: "Dataset") -> Array:
    """The values that are stored, (H, W), or (H, W, 3) as red, green and blue; in the machine's own order of bytes.

    Raises:
        OSError: they are damaged, or packed in a way that is not read.
    """
    from pydicom.pixels.utils import pixel_array

    packed, plugin = header.file_meta.TransferSyntaxUID, ""
    if packed.is_compressed:
        if packed not in _PLUGINS or (packed == _JPEG_12 and header.BitsStored != 8):
            raise OSError(f"its pixels are packed as {packed.name}, which is not read: unpack it with gdcmconv --raw")
        plugin = _plugin(packed)
        _refuse_another_size(header)
    elif (held := len(header.PixelData)) < (wanted := _least_bytes(header)):
        raise OSError(f"it is cut off: {held:,} of {wanted:,} bytes of pixels")
    try:
        values: Array = _lossless(header) if plugin == _OWN else pixel_array(header, decoding_plugin=plugin)
    except (AttributeError, LookupError, RuntimeError, ValueError, struct.error) as error:
        what = f"packed as {packed.name}, and damaged or cut off" if packed.is_compressed else _first_line(error)
        raise OSError(f"its pixels cannot be read: {what}") from None
    if values.shape[:2] != (header.Rows, header.Columns) or values.ndim > 3:
        raise OSError(f"its pixels are {'x'.join(map(str, values.shape))}, and its header says otherwise")
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _plugin(packed: Any) -> str:
    """What unpacks pixels: our own choice, or where that is not installed, as beside an exported network, pylibjpeg.

    Raises:
        OSError: neither is there.
    """
    from pydicom.pixels.decoders.base import get_decoder

    own = _PLUGINS[packed]
    there = get_decoder(packed).available_plugins
    if own in there or (own == _OWN and find_spec("numba")):
        return own
    if "pylibjpeg" not in there:
        raise OSError(f"its pixels are packed as {packed.name}: pip install 'pylibjpeg[all]'")
    return "pylibjpeg"


def decoded_frames(path: Path) -> Iterator[Array]:
    """The values that are stored in each frame (H, W) of the file ``path``. Raises as `read_header` and `decoded`."""
    from pydicom.encaps import encapsulate, generate_frames

    with faults_told():
        header = read_header(path, pixels=True, frames=True)
        count, packed = int(header.get("NumberOfFrames") or 1), header.file_meta.TransferSyntaxUID.is_compressed
        content, size, header.NumberOfFrames = header.PixelData, _least_bytes(header), 1
        for name in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
            header.pop(name, None)
        coded = generate_frames(content, number_of_frames=count) if packed else iter(())
    if header.BitsAllocated == 1 and not packed:  # frames begin within a byte
        yield from _bits(header, content, count)
        return
    for at in range(count):
        with faults_told():
            header.PixelData = encapsulate([next(coded)]) if packed else content[at * size : (at + 1) * size]
        yield decoded(header)


def _bits(header: "Dataset", content: bytes, count: int) -> Iterator[Array]:
    """Frames (H, W) of one bit a value, the first of each byte last."""
    size = header.Rows * header.Columns
    bits = np.unpackbits(np.frombuffer(content, np.uint8), bitorder="little")
    if len(bits) < count * size:
        raise OSError(f"it is cut off: {len(content):,} of {-(-count * size // 8):,} bytes of pixels")
    for at in range(count):
        yield bits[at * size : (at + 1) * size].reshape(header.Rows, header.Columns)


def _lossless(header: "Dataset") -> Array:
    """`decoded` of JPEG without losses."""
    from pydicom.encaps import get_frame
    from pydicom.pixels.processing import convert_color_space

    from engine.data.lossless_jpeg import unpack

    values = unpack(get_frame(header.PixelData, 0, number_of_frames=1))
    bits = int(header.BitsStored)
    if not bits <= header.BitsAllocated <= 16 or values.shape[-1] != header.SamplesPerPixel:
        raise ValueError("its header is damaged")
    unused = 16 - bits  # of 16 bits: they may hold anything, or the sign
    kind = "i2" if header.get("PixelRepresentation") else "u2"
    meant: Array = (values << unused).view(kind) >> unused
    meant = meant.astype(f"{kind[0]}1") if header.BitsAllocated == 8 else meant
    colour = header.PhotometricInterpretation
    if meant.shape[-1] == 1:
        return meant[..., 0]
    return convert_color_space(meant, colour, "RGB") if colour.startswith("YBR_F") else meant


def _least_bytes(header: "Dataset") -> int:
    """Bytes of pixels that are not packed; where colours are shared by neighbours two thirds of them."""
    bits = header.Rows * header.Columns * header.SamplesPerPixel * _whole(header, "BitsAllocated")
    return int(bits // 8 * 2 // 3 if str(header.PhotometricInterpretation).endswith("_422") else bits // 8)


def _refuse_another_size(header: "Dataset") -> None:
    """Raise OSError where packed pixels say another size than the header: they could unpack to far more."""
    from pydicom.encaps import get_frame

    try:
        size = _coded_size(get_frame(header.PixelData, 0, number_of_frames=1))
    except (IndexError, RuntimeError, ValueError, struct.error) as error:
        raise OSError(f"its pixels cannot be read: {_first_line(error)}") from None
    if size is None and header.file_meta.TransferSyntaxUID != _RUN_LENGTHS:
        raise OSError("its pixels cannot be read: damaged or cut off")
    if size is not None and size != (header.Columns, header.Rows):
        raise OSError(f"its header says {header.Columns} x {header.Rows} pixels, and there are {size[0]} x {size[1]}")


def _coded_size(frame: bytes) -> tuple[int, int] | None:
    """Columns and rows as JPEG, JPEG-LS or JPEG 2000 have them; None of another coding."""
    if (at := frame.find(b"\xff\x4f\xff\x51")) >= 0:
        right, below, left, above = struct.unpack_from(">4I", frame, at + 8)
        return right - left, below - above
    at = 2 if frame.startswith(b"\xff\xd8") else len(frame)
    while at + 9 <= len(frame):
        marker, length = frame[at + 1], int.from_bytes(frame[at + 2 : at + 4])
        if marker in _FRAMES:
            rows, columns = struct.unpack_from(">2H", frame, at + 5)
            return columns, rows
        at += 1 if marker == 0xFF else 2 + length
    return None


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
