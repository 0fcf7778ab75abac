"""Formats that people have and that are not read: one line a format, with the way out, not one a file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from engine.data.pictures import PICTURES
from engine.errors import Problem

VOLUMES = (".nii.gz", ".nii", ".h5", ".hdf5")

_DICOM = ("DICOM is not read", "convert each series to NIfTI with dcm2niix")
_ITK = "convert to NIfTI (.nii.gz), for instance with SimpleITK or 3D Slicer"
_SLIDE = ("whole-slide images are not read", "export tiles as PNG")
_KNOWN = {
    **dict.fromkeys((".dcm", ".dicom", ".ima"), _DICOM),
    **dict.fromkeys((".nrrd", ".nhdr"), ("NRRD is not read", _ITK)),
    **dict.fromkeys((".mha", ".mhd"), ("MetaImage is not read", _ITK)),
    **dict.fromkeys((".npy", ".npz"), ("arrays of NumPy are not read", "write them as NIfTI with nibabel")),
    **dict.fromkeys((".svs", ".ndpi", ".mrxs", ".czi"), _SLIDE),
}


def unread(paths: Iterable[Path], spatial_dims: int) -> tuple[Problem, ...]:
    """What among ``paths`` is in a format that no reader takes, one problem a format.

    Args:
        paths: files of a data set, or of a command line.
        spatial_dims: 3 where volumes are read, else 2.
    """
    found: defaultdict[tuple[str, tuple[str, str]], list[Path]] = defaultdict(list)
    other = PICTURES if spatial_dims == 3 else VOLUMES
    for path in dict.fromkeys(paths):
        ending = path.suffix.lower()
        if ending in _KNOWN:
            found[f"*{path.suffix}", _KNOWN[ending]].append(path)
        elif not ending and _is_dicom(path):
            found["without an ending", _DICOM].append(path)
        elif path.name.lower().endswith(other):
            wanted = VOLUMES if spatial_dims == 3 else PICTURES
            kind = "pictures, where volumes are wanted" if spatial_dims == 3 else "volumes, where pictures are wanted"
            found[f"*{path.suffix}", (kind, " ".join(wanted))].append(path)
    return tuple(
        Problem(str(files[0]) if len(files) == 1 else f"{len(files)} files {name} ({files[0].name}, ...)", what, way)
        for (name, (what, way)), files in found.items()
    )


def _is_dicom(path: Path) -> bool:
    """Whether a file without an ending begins as DICOM does: 128 bytes, then ``DICM``."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False
