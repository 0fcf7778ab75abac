"""Formats that people have and that are not read: one line a format, with the way out, not one a file."""

import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from engine.data.dicom_folders import is_slice
from engine.data.endings import VOLUMES
from engine.data.pictures import PICTURES, is_picture
from engine.errors import Problem

_ITK = "convert to NIfTI (.nii.gz), for instance with SimpleITK or 3D Slicer"
_PICTURE = ("pictures of this kind are not read", "convert them to PNG, for instance with ImageMagick")
_SLIDE = ("whole-slide images are not read", "export tiles as PNG")
_KNOWN = {
    **dict.fromkeys((".mgz", ".mgh", ".img", ".hdr", ".mnc"), ("volumes of this kind are not read", _ITK)),
    **dict.fromkeys((".gif", ".heic", ".heif", ".avif", ".jp2", ".j2k", ".jxl", ".psd", ".ppm", ".pgm"), _PICTURE),
    **dict.fromkeys((".npy", ".npz"), ("arrays of NumPy are not read", "write them as NIfTI with nibabel")),
    **dict.fromkeys((".zip", ".7z", ".rar", ".tar", ".tgz"), ("archives are not read", "unpack them")),
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
    for path in dict.fromkeys(map(_stand_in, paths)):
        ending = path.suffix.lower()
        if is_slice(path) if spatial_dims == 3 else is_picture(path):  # a slice stands for its series
            continue
        if ending in _KNOWN:
            found[f"*{path.suffix}", _KNOWN[ending]].append(path)
        elif path.name.lower().endswith(other):
            wanted = VOLUMES if spatial_dims == 3 else PICTURES
            kind = "pictures, where volumes are wanted" if spatial_dims == 3 else "volumes, where pictures are wanted"
            found[f"*{path.suffix}", (kind, " ".join(wanted))].append(path)
    return tuple(
        Problem(str(files[0]) if len(files) == 1 else f"{len(files)} files {name} ({files[0].name}, ...)", what, way)
        for (name, (what, way)), files in found.items()
    )


def namesake(path: Path) -> Path | None:
    """A file beside ``path`` that is called the same but for its ending, upper case or how accents are written."""
    same = _by_stem(path.parent).get(_plain(path.name))
    return None if same is None or same == path.name else path.with_name(same)


def _stand_in(path: Path) -> Path:
    return path if os.path.lexists(path) else namesake(path) or path  # False of a name too long, too


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold().removesuffix(".gz").rpartition(".")[0] or name


@lru_cache(maxsize=16)
def _by_stem(folder: Path) -> dict[str, str]:
    with suppress(OSError):
        return {_plain(name): name for name in sorted(path.name for path in folder.iterdir())}
    return {}
