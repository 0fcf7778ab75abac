"""Which images the inputs of a command line are: files, files of a channel each, and folders with slices of DICOM."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from engine.data.dicom import begins_as_dicom
from engine.data.dicom_folders import is_slice, named_volumes, series_names, volumes_in
from engine.data.endings import HDF5, PLACED
from engine.data.sources.alike import cases_alike
from engine.data.sources.walk import volumes_below
from engine.errors import some
from engine.export.program.faults import UnusableError

Array = np.ndarray[Any, Any]


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
    in_order: bool = False  # whether its files are known to be the channels in the order of the network

    @property
    def spacing(self) -> tuple[float, ...] | None:
        """Size of a voxel along each axis in mm."""
        return None if self.affine is None else tuple(np.sqrt((self.affine[:3, :3] ** 2).sum(axis=0)).tolist())


def find_cases(inputs: Sequence[Path], axes: int, channels: int, alike: Sequence[str] = ()) -> list[Case]:
    """The cases in files and folders, by name.

    Args:
        inputs: as they were typed.
        axes: 3 where volumes are read, else 2.
        channels: of an image.
        alike: what the files of the channels are called in each folder of a case, where training had such folders.

    Raises:
        UnusableError: there are none, some lack channels, or two would give results of one name.
    """
    if alike and all(path.is_dir() for path in inputs):
        found = [each for path in inputs for each in cases_alike(path, alike)]
        if found:
            return _unlike(Case(each.name, [*each.files], in_order=True) for each in found)
    files, series = _found(inputs, axes)
    called = series_names([*series.items()])
    cases: dict[tuple[Path, str], dict[int, Path]] = {}
    for path in dict.fromkeys([*files, *series]):
        # a number ends an identifier, as DICOM has them
        stem = called.get(path) or re.sub(r"(?i)(\.nii)?\.(?!\d*$)[^.]+$", "", path.name)
        part = re.match(r"^(.+)_(\d{4})$", stem) if axes == 3 and channels > 1 else None
        if part and int(part[2]) < channels:
            cases.setdefault((path.parent, part[1]), {})[int(part[2])] = path
        else:
            cases[path, stem] = dict.fromkeys(range(channels), path)
    names = [name for _, name in cases]
    if not names:
        other = ", or folders with slices of DICOM" if axes == 3 else ""
        other += f"; {others}" if (others := not_taken(inputs, axes)) else ""
        raise UnusableError(f"the inputs hold no files to predict: {' '.join(_endings(axes))}{other}")
    if short := [name for (_, name), own in cases.items() if len(own) < channels]:
        raise UnusableError(f"{short[0]} lacks channels: a case is one file, or {channels} files {short[0]}_0000, ...")
    return _unlike(Case(name, list(dict.fromkeys(own[n] for n in sorted(own)))) for (_, name), own in cases.items())


def _unlike(cases: Iterable[Case]) -> list[Case]:
    """The cases, by name, if each has one of its own."""
    found = sorted(cases, key=lambda case: case.name)
    if twice := [a.name for a, b in pairwise(found) if a.name == b.name]:
        raise UnusableError(
            f"several inputs are called {twice[0]}: predict them one after the other, each with its own -o"
        )
    return found


def _found(inputs: Sequence[Path], axes: int) -> tuple[list[Path], dict[Path, Path]]:
    """Files, and series of DICOM, each a folder or of several in one its first file, with what was named for it."""
    files: list[Path] = []
    series: dict[Path, Path] = {}
    if slices := [path for path in inputs if axes == 3 and path.is_file() and is_slice(path)]:
        refuse_without_pydicom()
    named = named_volumes(slices)
    for path in inputs:
        if path.is_dir():
            files += sorted(p for p in path.iterdir() if _is_taken(p, axes) and p.name[0] != "." and not p.is_dir())
            held = [p for p in volumes_below(path) if p.is_dir()] if axes == 3 else []
            if held:
                refuse_without_pydicom()
            series |= {volume: path for folder in held for volume in volumes_in(folder)}
        elif not path.is_file():
            raise UnusableError(f"no input at {path}")
        elif _is_taken(path, axes) or (axes == 2 and begins_as_dicom(path)):
            files.append(path)
        elif path in named:
            series[named[path]] = path
        else:
            raise UnusableError(f"{path} is not read: convert it to one of {' '.join(_endings(axes))}")
    return files, series


def _endings(axes: int) -> tuple[str, ...]:
    if axes == 3:
        return PLACED
    from engine.data.pictures import PICTURES

    return PICTURES


def _is_taken(path: Path, axes: int) -> bool:
    """Whether a file is read: by its ending, and DICOM of one picture without an ending by how it begins."""
    return path.name.lower().endswith(_endings(axes)) or (axes == 2 and is_slice(path))


def not_taken(inputs: Sequence[Path], axes: int) -> str:
    """Volumes that lie in folders that were named and are not read, in words; "" for none."""
    files = [p for path in inputs if path.is_dir() for p in sorted(path.iterdir()) if p.name[0] != "."]
    names = [p.name for p in files if axes == 3 and p.name.lower().endswith(HDF5)]
    return f"not read, convert to NIfTI: {len(names)} of the inputs ({some(names)})" if names else ""


def refuse_without_pydicom() -> None:
    """Raises: UnusableError: what reads DICOM is not installed, or too old."""
    try:
        for name in ("pydicom", "pydicom.pixels.utils"):
            import_module(name)
    except ImportError:
        raise UnusableError("DICOM is read by pydicom 3: pip install 'pydicom>=3'") from None
