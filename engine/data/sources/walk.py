"""Which files and folders of a data set are looked at, and what they are called. No recipe: it goes into exports."""

import os
from collections.abc import Collection
from pathlib import Path

from engine.data.dicom_folders import NO_ENDING, is_slice
from engine.data.endings import PLACED
from engine.errors import DataError

_SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "validate", "dev", "development"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}


def files_below(place: Path) -> list[Path]:
    """Every file in ``place`` and its folders, by path; what is hidden, or below a hidden folder, left out.

    Raises:
        DataError: ``place`` is a link to a folder around it, such as ``/``.
    """
    if place.is_symlink() and place.parent.resolve().is_relative_to(place.resolve()):
        raise DataError(f"{place} is a link to a folder around itself", "remove it, or link the folder that is meant")
    found: list[Path] = []
    for at, folders, names in os.walk(place):
        folders[:] = [name for name in folders if not hidden(name)]
        links = [name for name in folders if Path(at, name).is_symlink()]
        found += [Path(at, name) for name in (*names, *links) if name[0] != "."]
    return sorted(path for path in found if path.is_symlink() or path.is_file())


def volumes_below(place: Path) -> list[Path]:
    """Every volume in ``place`` and its folders, a folder with slices of DICOM as one; of those with one name, the one
    that stands for all is the last."""
    files = files_below(place)
    rank = {ending: -at for at, ending in enumerate(PLACED)}
    found = [(rank[ending], path) for path in files if (ending := _ending(path))]
    series = dict.fromkeys(path.parent for path in files if not _ending(path) and is_slice(path))
    return [*series, *(path for _, path in sorted(found))]


def _ending(path: Path) -> str:
    """That of `PLACED` which the file has, or none."""
    name = path.name.lower()
    return next((ending for ending in PLACED if name.endswith(ending)), "")


def hidden(name: str) -> bool:
    """Whether a file or folder is no part of the data: what begins with a dot, or macOS and file servers add."""
    return name[0] == "." or name in {"__MACOSX", "@eaDir"}


def group_below(path: Path, place: Path) -> str | None:
    """The folder of a patient: the first below ``place`` in which ``path`` lies; None where there is none between."""
    parts = path.relative_to(place).parts
    return parts[0] if len(parts) > 1 else None


def stem(path: Path, endings: Collection[str] = (".nii.gz",)) -> str:
    """The file name without its ending, ``.nii.gz`` counting as one; that of a folder as it is, and so that of a file
    whose last part is a number: DICOM files are called by identifiers, such as ``1.2.840.7``."""
    name = path.name
    for ending in endings:
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return name if NO_ENDING.fullmatch(path.suffix) or path.is_dir() else path.stem


def split_named(text: str) -> str | None:
    """The split that a folder or a cell of a table means; None for any other text."""
    return _SPLIT_NAMES.get(text.strip().lower())
