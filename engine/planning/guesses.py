"""How a folder could be meant: keys of [data] by the names of its folders and files."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.data.sources.alike import called_alike
from engine.data.sources.walk import hidden, split_named
from engine.planning.tables import table_keys
from engine.recipe.base import Values

_MASKS = re.compile(r"mask|label|seg|truth|annot|target|(^|[-_ ])gt($|[-_ ])", re.IGNORECASE)
MASK_WORDS = re.compile(
    r"(?<![a-z])(masks?|labels?|seg|segmentations?|gt|ground.?truth|annotations?|laendo)(?![a-z])", re.IGNORECASE
)
"""Of which a name alone says that a file is a mask: no word that a class could be called by. The masks of the
left-atrium challenge are called laendo."""
_ALIKE = 0.9  # of the folders of cases have what makes a channel or the mask
_MOST_FOLDERS = 24


def guesses(fields: Any, folder: Path, task: str) -> Iterator[Values]:
    """Keys of [data] with which the folder could be meant, beside the defaults of a source that has ``fields``."""
    if "path_column" in fields:
        yield from table_keys(folder, task)
        return
    if {"channels", "mask"} <= {*fields}:
        yield from _case_folders(folder)
        return
    yield {}
    if {"images", "labels"} <= {*fields}:
        names = _folders(folder)
        masks = [name for name in names if _MASKS.search(name)]
        yield from ({"images": name, "labels": mask} for mask in masks for name in names if name not in masks)
        yield from ({"images": name, "labels": name} for name in names)
        if any(_MASKS.search(path.stem) and path.is_file() for path in folder.iterdir()):
            yield {"images": ".", "labels": "."}


def _case_folders(folder: Path) -> Iterator[Values]:
    """Channels and a mask by what files are called in nine of ten of the folders that hold volumes."""
    places = [kinds for place, kinds in called_alike(folder) if place != folder]
    counts = Counter(kind for kinds in places for kind in kinds)
    alike = sorted(kind for kind, count in counts.items() if len(places) > 1 and count >= _ALIKE * len(places))
    masks = [kind for kind in alike if MASK_WORDS.search(kind)]
    if channels := [kind for kind in alike if kind not in masks]:
        yield from ({"channels": tuple(channels), "mask": mask} for mask in masks)


def _folders(folder: Path) -> list[str]:
    """Names of the folders that may hold images or masks: those in ``folder``, or in its parts of a split."""
    above = [path for path in sorted(folder.iterdir()) if path.is_dir() and not hidden(path.name)]
    inner = [
        sub.name
        for path in above
        if split_named(path.name)
        for sub in sorted(path.iterdir())
        if sub.is_dir() and not hidden(sub.name)
    ]
    return list(dict.fromkeys([*(path.name for path in above if not split_named(path.name)), *inner]))[:_MOST_FOLDERS]
