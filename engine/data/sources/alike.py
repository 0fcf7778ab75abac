"""Folders in which the files are called alike, one a case. No recipe: it goes into exports."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.data.endings import PLACED
from engine.data.sources.walk import group_below, split_named, stem, volumes_below

_BETWEEN = "_-. "


@dataclass(frozen=True, slots=True)
class Alike:
    """A folder that has some of the files."""

    name: str  # of the case
    files: tuple[Path, ...]  # one for each that was asked for, there or not
    split: str  # that a folder above says, or ""
    group: str | None  # the folder of a patient


def cases_alike(folder: Path, names: Sequence[str]) -> Iterator[Alike]:
    """The folders in and below ``folder`` with a file that is called as one of ``names``, whatever its case."""
    wanted = [name.lower() for name in names]
    found = [(place, kinds) for place, kinds in called_alike(folder) if any(name in kinds for name in wanted)]
    counts = Counter(place.name for place, _ in found)
    several = len({group_below(place, folder) for place, _ in found}) > 1
    for place, kinds in found:
        endings = [path.name[len(stem(path, PLACED)) :] for path in sorted(kinds.values())]
        ending = next(filter(None, endings), PLACED[0])
        files = tuple(kinds.get(name, place / f"{place.name}_{name}{ending}") for name in wanted)
        inner = place.relative_to(folder).parts
        split = split_named(inner[0]) if inner else None
        inner = inner[1:] if split else inner
        name = place.name if counts[place.name] == 1 else "__".join(inner)
        yield Alike(name, files, split or "", inner[0] if several and len(inner) > 1 else None)


def called_alike(folder: Path) -> Iterator[tuple[Path, dict[str, Path]]]:
    """Each folder with volumes, ``folder`` too, and these by what they are called beside its name, in lower case."""
    places: dict[Path, dict[str, Path]] = {}
    for path in volumes_below(folder):
        if path == folder:
            continue
        name, before = stem(path, PLACED).lower(), path.absolute().parent.name.lower()
        kind = name.removeprefix(before).lstrip(_BETWEEN) or name
        places.setdefault(path.parent, {})[kind] = path
    yield from sorted(places.items())
