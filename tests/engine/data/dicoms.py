"""DICOM files of one picture each, as pydicom and GDCM write them, with a patient whose name nobody may see."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import gdcm
import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

PATIENT = {"PatientName": "Secret^Person", "PatientID": "hospital-4711", "StudyDate": "19991231"}
DX = "1.2.840.10008.5.1.4.1.1.1.1"


def dicom(path: Path, pixels: np.ndarray, *, bits: int = 0, packed: str = "", **tags: Any) -> Path:
    """Write ``pixels``, (H, W) or (H, W, 3), in so many ``bits`` (else all of their type) to ``path``.

    ``packed``: "rle", "lossless" (JPEG), "jls", "j2k", "jpeg"; "" as they are. ``tags`` are set last.
    """
    held = Dataset()
    held.file_meta = FileMetaDataset()
    held.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    held.SOPClassUID = held.file_meta.MediaStorageSOPClassUID = DX
    held.SOPInstanceUID = held.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    for name, value in PATIENT.items():
        setattr(held, name, value)
    held.Rows, held.Columns = pixels.shape[:2]
    held.SamplesPerPixel = 1 if pixels.ndim == 2 else 3
    held.PhotometricInterpretation = "MONOCHROME2" if pixels.ndim == 2 else "RGB"
    if pixels.ndim == 3:
        held.PlanarConfiguration = 0
    held.BitsAllocated = 8 * pixels.dtype.itemsize
    held.BitsStored = bits or held.BitsAllocated
    held.HighBit = held.BitsStored - 1
    held.PixelRepresentation = int(pixels.dtype.kind == "i")
    planar = tags.get("PlanarConfiguration") == 1
    raw = np.ascontiguousarray(np.moveaxis(pixels, -1, 0) if planar else pixels).tobytes()
    held.PixelData = raw + b"\0" * (len(raw) % 2)
    held["PixelData"].VR = "OB" if held.BitsAllocated == 8 else "OW"
    for name, value in tags.items():
        setattr(held, name, value)
    if packed in {"j2k", "jpeg"}:
        _encoded(held, pixels, packed)
    if packed == "rle":
        held.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    held.save_as(path, enforce_file_format=True)
    if packed in {"lossless", "jls"}:
        _changed(path, {"lossless": JPEGLosslessSV1, "jls": JPEGLSLossless}[packed])
    return path


def again(path: Path, **tags: Any) -> Path:
    """The file with other tags; None takes one away."""
    held = pydicom.dcmread(path)
    for name, value in tags.items():
        if value is None:
            delattr(held, name)
        else:
            setattr(held, name, value)
    held.save_as(path, enforce_file_format=True)
    return path


def table(entries: np.ndarray, first: int, bits: int) -> Dataset:
    """An item of a sequence of tables: what stands for the values from ``first``."""
    item = Dataset()
    item.LUTDescriptor = [len(entries), first, bits]
    item["LUTDescriptor"].VR = "US"
    item.LUTData = entries.astype("<u2").tobytes()
    item["LUTData"].VR = "OW"
    return item


def _encoded(held: Dataset, pixels: np.ndarray, packed: str) -> None:
    coded = io.BytesIO()
    if packed == "j2k":
        Image.fromarray(pixels).save(coded, "JPEG2000", no_jp2=True, irreversible=False, mct=int(pixels.ndim == 3))
        held.file_meta.TransferSyntaxUID = JPEG2000Lossless
        held.PhotometricInterpretation = "MONOCHROME2" if pixels.ndim == 2 else "YBR_RCT"
    else:
        Image.fromarray(pixels).save(coded, "JPEG", quality=95, subsampling=1)
        held.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
        held.PhotometricInterpretation = "MONOCHROME2" if pixels.ndim == 2 else "YBR_FULL_422"
    held.PixelData = encapsulate([coded.getvalue()])
    held["PixelData"].VR = "OB"


def _changed(path: Path, syntax: str) -> None:
    """The file ``path`` packed in another way, by GDCM."""
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(syntax)))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(path))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
