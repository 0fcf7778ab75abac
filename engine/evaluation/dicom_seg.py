"""Masks of DICOM series as DICOM Segmentation objects, for viewers and archives that take nothing else."""

import importlib.util
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import engine
from engine.data import Dataset
from engine.data.cases import Case
from engine.data.dicom_folders import is_series, is_slice
from engine.data.read import Masks, why
from engine.data.series import slices_of
from engine.errors import DataError, UsageError, counted
from engine.evaluation.results import read_mask
from engine.runfolder import write_with

MADE_BY = "medtui"
_MAY_BE_EMPTY = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID"),
    *("AccessionNumber", "ReferringPhysicianName", "PositionReferenceIndicator"),
)
_NEEDED = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID")
_KEPT = "its NIfTI mask is written"
_GONE = "cannot be read any more"
_LONGEST = 64  # letters of a label or a description
_NUMBER = 900  # of the series: behind those of scanners


def refuse_unfit(dataset: Dataset, output: Path, *, overwrite: bool) -> None:
    """Refuse what no DICOM Segmentations can be written for, before anything is predicted.

    Raises:
        UsageError: classes are predicted in place of masks, an input is no DICOM series, highdicom is not there, or a
            file is there that it would replace.
    """
    if not dataset.dense or dataset.spatial_dims == 2:
        raise UsageError("--dicom-seg is for masks of volumes", "predict without it")
    images = [case.images[0] for case in dataset.cases]  # the mask lies on the slices of the first channel
    if other := [image for image in images if not is_series(image) and not is_slice(image)]:
        raise UsageError(f"--dicom-seg: {other[0]} is no DICOM series", "predict others without it")
    if importlib.util.find_spec("highdicom") is None:
        raise UsageError("--dicom-seg needs highdicom, which is not installed", "pip install 'medtui[dicom]'")
    inputs = [image for case in dataset.cases for image in case.images]
    if output.resolve() in {(image if image.is_dir() else image.parent).resolve() for image in inputs}:
        raise UsageError(f"{output} is an input", "name another folder with -o DIR")
    paths = [output / f"{case.id}.dcm" for case in dataset.cases]
    there = [path for path in paths if path.exists() and not is_segmentation(path)]
    if there and not overwrite:
        hint = "name another folder with -o DIR, or add --overwrite"
        raise UsageError(f"{there[0]} is there already, and not written by medtui", hint)


def segmentation_of(mask: Path, case: Case, dataset: Dataset, run: str) -> Path:
    """Write the DICOM Segmentation of ``case`` beside the file ``mask``; its path.

    Raises:
        DataError: as `write_segmentation`; or the series changed or is gone since it was read.
    """
    path = mask.with_name(f"{case.id}.dcm")
    try:
        slices = slices_of(case.images[0])
    except (OSError, ValueError) as error:
        raise DataError(f"no DICOM Segmentation of {path.stem}: its series {_GONE}: {why(error)}", _KEPT) from None
    write_segmentation(path, read_mask(mask, dataset), slices, dataset.classes, run)
    return path


def is_segmentation(path: Path) -> bool:
    """Whether the file at ``path`` is one that `write_segmentation` wrote, so that a newer may take its place."""
    import pydicom

    try:
        return bool(
            pydicom.dcmread(path, specific_tags=["Manufacturer"], stop_before_pixels=True).Manufacturer == MADE_BY
        )
    except (OSError, ValueError, AttributeError, pydicom.errors.InvalidDicomError):
        return False


def write_segmentation(
    path: Path, mask: Masks, slices: Sequence[tuple[Path, int]], classes: Sequence[str], run: str
) -> None:
    """Write ``mask`` (columns, rows, slices), of indices of ``classes`` from 1, as a binary DICOM Segmentation.

    Each class is a segment of its name and number; frames without any are left out. It lies on the series' own slices
    and refers to them; patient and study are those of the series.

    Args:
        slices: file, and frame in it, of each slice, in the order of the mask's last axis.
        run: id of the run, which stands beside the name and version of the program.

    Raises:
        DataError: the headers of the series lack what such an object must say, or cannot be read; or the file cannot
            be written.
    """
    import pydicom
    from highdicom.seg import Segmentation, SegmentationTypeValues

    if len(slices) != mask.shape[2]:
        found = f"its series has {counted(len(slices), 'slice')} now, and its mask {mask.shape[2]}"
        raise DataError(f"no DICOM Segmentation of {path.stem}: {found}", _KEPT)
    files = list(dict.fromkeys(file for file, _ in slices))
    order = np.argsort([frame for _, frame in slices]) if len(files) == 1 else np.arange(len(files))
    if len(order) != mask.shape[2]:
        raise DataError(f"no DICOM Segmentation of {path.stem}: its slices are in several files of many frames")
    frames = np.ascontiguousarray(mask.transpose(2, 1, 0)[order])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            made = Segmentation(
                source_images=_sources(files, path.stem),
                pixel_array=frames.astype(np.uint8 if len(classes) < 256 else np.uint16),
                segmentation_type=SegmentationTypeValues.BINARY,
                segment_descriptions=[_segment(number, name, run) for number, name in enumerate(classes, 1)],
                series_instance_uid=pydicom.uid.generate_uid(),
                series_number=_NUMBER,
                sop_instance_uid=pydicom.uid.generate_uid(),
                instance_number=1,
                manufacturer=MADE_BY,
                manufacturer_model_name=MADE_BY,
                software_versions=engine.__version__,
                device_serial_number=run[:_LONGEST],
                content_label="SEGMENTATION",
                content_description=f"predicted by medtui, run {run}"[:_LONGEST],
                series_description=f"medtui {run}"[:_LONGEST],
            )
            write_with(path, lambda temporary: made.save_as(temporary, enforce_file_format=True))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise DataError(f"no DICOM Segmentation of {path.stem}: {_words(error)}", _KEPT) from None
        except OSError as error:
            raise DataError(f"no DICOM Segmentation of {path.stem}: {error.strerror or error}", _KEPT) from None


def _sources(files: Sequence[Path], name: str) -> list[Any]:
    """The headers of a series. What may be empty, and was taken out to make it anonymous, is; a thickness is given.

    Raises:
        DataError: one lacks what is in every image of a study, or cannot be read.
    """
    import pydicom

    try:
        headers = [pydicom.dcmread(each, stop_before_pixels=True) for each in files]
    except (OSError, ValueError, pydicom.errors.InvalidDicomError) as error:
        raise DataError(f"no DICOM Segmentation of {name}: its series {_GONE}: {why(error)}", _KEPT) from None
    for path, header in zip(files, headers, strict=True):
        if lacking := [tag for tag in _NEEDED if not header.get(tag)]:
            raise DataError(f"no DICOM Segmentation of {name}: {path.name} lacks {', '.join(lacking)}", _KEPT)
        for tag in _MAY_BE_EMPTY:
            if tag not in header:
                setattr(header, tag, None)
        if len(headers) > 1 and not header.get("SliceThickness"):
            apart = np.subtract(headers[-1].ImagePositionPatient, headers[0].ImagePositionPatient)
            header.SliceThickness = f"{np.linalg.norm(apart) / (len(headers) - 1):.6g}"
    return headers


def _segment(number: int, name: str, run: str) -> Any:
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.seg import SegmentAlgorithmTypeValues, SegmentDescription
    from pydicom.sr.coding import Code

    return SegmentDescription(
        segment_number=number,
        segment_label=name[:_LONGEST],
        segmented_property_category=Code("85756007", "SCT", "Tissue"),
        segmented_property_type=Code(f"class-{number}", "99MEDTUI", name[:_LONGEST]),  # of a scheme of our own
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=AlgorithmIdentificationSequence(
            name=MADE_BY,
            version=engine.__version__,
            family=Code("123110", "DCM", "Artificial Intelligence"),
            parameters={"run": run},
        ),
    )


def _words(error: Exception) -> str:
    """What a library said, without values of headers: the names of what lacks."""
    text = str(error).partition("\n")[0]
    return text if isinstance(error, AttributeError) else "the series does not say what such an object must"
