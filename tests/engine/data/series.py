"""Writers of series of DICOM slices, as pydicom makes them, with a patient whose name nobody may see."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import SimpleITK
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage, RLELossless, generate_uid
from scipy.spatial.transform import Rotation

PATIENT = {"PatientName": "Secret^Person", "PatientID": "hospital-4711", "PatientBirthDate": "19700102"}


def scan(seed: int = 0, shape: tuple[int, int, int] = (6, 7, 8), *, mirrored: bool = False) -> SimpleITK.Image:
    """An image of random whole values whose axes lie anyhow; ``mirrored``: slices run against the normal."""
    rng = np.random.default_rng(seed)
    image = SimpleITK.GetImageFromArray(rng.integers(-1000, 2000, shape).astype(np.int16))
    axes = Rotation.random(random_state=seed).as_matrix()
    image.SetDirection((axes * (1, 1, -1 if mirrored else 1)).ravel().tolist())
    image.SetSpacing(np.round(rng.uniform(0.5, 3, 3), 3).tolist())
    image.SetOrigin(np.round(rng.uniform(-200, 200, 3), 2).tolist())
    return image


def slices(image: SimpleITK.Image, slope: float = 1.0, intercept: float = -1024.0) -> list[Dataset]:
    """A data set a slice of ``image``, in its order."""
    values = np.rint((SimpleITK.GetArrayFromImage(image) - intercept) / slope).astype(np.uint16)
    uid, made = generate_uid(), []
    for at, plane in enumerate(values):
        one = _plain(plane, MRImageStorage)
        one.SeriesInstanceUID, one.SeriesNumber, one.InstanceNumber = uid, 3, at + 1
        one.SeriesDescription = "Secret words"
        one.RescaleSlope, one.RescaleIntercept = slope, intercept
        one.ImagePositionPatient = _numbers(image.TransformIndexToPhysicalPoint((0, 0, at)))
        axes = np.reshape(image.GetDirection(), (3, 3))
        one.ImageOrientationPatient = _numbers([*axes[:, 0], *axes[:, 1]])
        one.PixelSpacing = _numbers([image.GetSpacing()[1], image.GetSpacing()[0]])
        made.append(one)
    return made


def save(folder: Path, made: list[Dataset], name: str = "IM{:04d}.dcm", *, seed: int = 0, packed: bool = False) -> Path:
    """Write the slices to ``folder``, under names that are in no order."""
    folder.mkdir(parents=True, exist_ok=True)
    order = np.random.default_rng(seed).permutation(len(made))
    for at, one in zip(order.tolist(), made, strict=True):
        if packed:
            one.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
        one.save_as(folder / name.format(at), enforce_file_format=True)
    return folder


def enhanced(path: Path, image: SimpleITK.Image, order: list[int], slope: float = 2.0, *, packed: bool = False) -> Path:
    """One file of many frames, in ``order``, as newer scanners write it."""
    made = slices(image, slope, 0.0 if slope == 1 else -1024.0)
    planes = [made[at] for at in order]
    whole = _plain(np.concatenate([one.pixel_array for one in planes]), EnhancedMRImageStorage)
    whole.Rows, whole.NumberOfFrames = planes[0].Rows, len(planes)
    whole.SeriesInstanceUID, whole.SeriesNumber = generate_uid(), 3
    shared, frames = Dataset(), []
    shared.PlaneOrientationSequence = [_only(planes[0], "ImageOrientationPatient")]
    shared.PixelMeasuresSequence = [_only(planes[0], "PixelSpacing")]
    for one in planes:
        own = Dataset()
        own.PlanePositionSequence = [_only(one, "ImagePositionPatient")]
        own.PixelValueTransformationSequence = [_only(one, "RescaleSlope", "RescaleIntercept")]
        frames.append(own)
    whole.SharedFunctionalGroupsSequence, whole.PerFrameFunctionalGroupsSequence = [shared], frames
    path.parent.mkdir(parents=True, exist_ok=True)
    if packed:
        whole.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    whole.save_as(path, enforce_file_format=True)
    return path


def _plain(pixels: np.ndarray, kind: str) -> Dataset:
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = kind
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    for name, value in PATIENT.items():
        setattr(made, name, value)
    made.StudyInstanceUID, made.Modality = generate_uid(), "MR"
    made.Rows, made.Columns = pixels.shape
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 0
    made.PixelData = np.ascontiguousarray(pixels).tobytes()
    made["PixelData"].VR = "OW"
    return made


def _only(made: Dataset, *names: str) -> Dataset:
    item = Dataset()
    for name in names:
        setattr(item, name, made[name].value)
    return item


def _numbers(values: Any) -> list[pydicom.valuerep.DSfloat]:
    return [pydicom.valuerep.DSfloat(float(value), auto_format=True) for value in values]
