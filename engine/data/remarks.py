"""What is odd in a file, though it can be read: for the notes of a data set."""

import math
from pathlib import Path

import numpy as np
from nibabel import Nifti1Image
from nibabel.openers import ImageOpener
from PIL import ExifTags

from engine.data.dicom import DICOM
from engine.data.dicom_folders import is_slice, left_aside
from engine.data.endings import ITK, NIFTI
from engine.data.headed import open_headed
from engine.data.headers import AFFINE_TOLERANCE, Affine
from engine.data.pictures import PICTURES, open_picture
from engine.data.read import UNREADABLE
from engine.data.volumes import corners_apart, invertible, open_nifti, read_header, spacing_of
from engine.errors import some

_BLURRED = (
    "a mask as JPEG, which blurs values: black and white are told apart, and a class that is grey in areas under 8 by "
    "8 pixels would not be noticed; PNG keeps what was drawn"
)
_SHEARED = 0.01
"""Cosine between two axes, about half a degree off, from which a grid counts as sheared: ITK refuses such from 1e-4."""


def remarks(path: Path, *, masks: bool = True, mask: bool = False, volumes: bool = True) -> tuple[str, ...]:
    """What to say of the picture or volume ``path``, from its header and its size; nothing where that fails.

    ``masks``: whether there are masks, which lie elsewhere than a turned picture. Without, what hardly ever has pages
    is not opened: of small pictures that takes a quarter of the time of reading them. ``mask``: whether this is one.
    ``volumes``: whether a file of DICOM stands for its series.
    """
    lossy = mask and path.suffix.lower() in {".jpg", ".jpeg", ".jfif"}
    pictures = PICTURES if masks else (".tif", ".tiff", ".webp")
    try:
        found = _of_series(path) if path.is_dir() or (volumes and is_slice(path)) else _found(path, pictures)
        return (*([_BLURRED] if lossy else []), *found)
    except UNREADABLE:  # such as a second page that is damaged: what is used has been read
        return ()


def _found(path: Path, pictures: tuple[str, ...]) -> list[str]:
    name = path.name.lower()
    if name.endswith(NIFTI):
        return _of_nifti(path, open_nifti(path))
    if name.endswith(ITK):
        return _of_itk(path)
    if not name.endswith(pictures) or name.endswith(DICOM):
        return []
    found = []
    with open_picture(path) as picture:
        if (pages := getattr(picture, "n_frames", 1)) > 1:
            found.append(f"{pages} pages, of which the first is read")
        if picture.getexif().get(ExifTags.Base.Orientation, 1) != 1:
            found.append("turned upright, as its EXIF data says; a mask without such data must be upright itself")
    return found


def _of_nifti(path: Path, file: Nifti1Image) -> list[str]:
    header = file.header
    found = []
    with ImageOpener(path) as stream:  # nibabel has mended the header of `file`
        stored = type(header)(stream.read(header.template_dtype.itemsize), check=False)
    if not np.all(stored["pixdim"][1 : 1 + min(3, len(file.shape))]):
        place = "the sform's voxel size is used" if stored["sform_code"] else "1 is taken in its place"
        found.append(f"pixdim 0 in the header: {place}")
    if header["qform_code"] == header["sform_code"] == 0:
        found.append("its header says nothing of its orientation: x is taken to run to the left, as older programs do")
    if header["qform_code"] > 0 and header["sform_code"] > 0 and len(file.shape) >= 3:
        qform, sform = file.get_qform(), file.get_sform()
        apart = corners_apart(qform, sform, file.shape[:3])
        if invertible(sform) and apart > AFFINE_TOLERANCE * min(spacing_of(sform)):
            found.append("qform and sform disagree: the sform is used")
    found += _sheared(file.affine)
    wanted = int(stored["vox_offset"]) + math.prod(file.shape) * header.get_data_dtype().itemsize
    if 0 < wanted < _unpacked(path):
        found.append("holds more values than its header says: the rest is not read")
    return found


def _of_series(path: Path) -> list[str]:
    affine = read_header(path).affine
    found = [] if affine is None else _sheared(affine)
    if aside := left_aside(path):
        found.append(f"in its folder lie series of no volume, which are not read: {some([s.shown for s in aside], 5)}")
    return found


def _of_itk(path: Path) -> list[str]:
    header = open_headed(path)
    found = _sheared(header.affine)
    if not header.turned:
        found.append("its header says nothing of its orientation: x is taken to run to the left and y to the back")
    return found


def _sheared(affine: Affine) -> list[str]:
    axes = affine[:3, :3] / spacing_of(affine)
    odd = np.abs(axes.T @ axes - np.eye(3)).max() > _SHEARED
    return ["its axes are not at right angles: distances are measured as if they were"] if odd else []


def _unpacked(path: Path) -> int:
    """Bytes of the file; of one that gzip packed, as its last four bytes say (RFC 1952), which holds below 4 GiB."""
    if not path.name.lower().endswith(".gz"):
        return path.stat().st_size
    with path.open("rb") as stream:
        stream.seek(-4, 2)
        return int.from_bytes(stream.read(4), "little")
