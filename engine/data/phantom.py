"""Phantoms: made data sets in the layouts of real ones, for demonstrations and tests.

A phantom is drawn from a seed and comes out byte for byte the same for the same seed and versions.
It is hard enough that a broken trainer shows: objects of the same brightness stand beside those
that are asked for, so no threshold finds them, and a network that learns shape and place does.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from engine.data.dataset import MARKER
from engine.data.phantom_skin import write_isic2018, write_lesions
from engine.data.phantom_volumes import write_hippocampus, write_left_atrium, write_nodules
from engine.errors import UsageError, raised_as
from engine.recipe import DataTable


@dataclass(frozen=True, slots=True)
class Phantom:
    """A data set that can be made."""

    name: str  # as in ``medtui data phantom NAME``
    task: str  # "segmentation" or "classification"
    source: str  # the layout in which it is written, as in DataTable.source
    cases: int  # how many there are by default
    title: str  # what it shows
    write: Callable[[Path, int, int], None]  # (folder, seed, cases) -> None


PHANTOMS: dict[str, Phantom] = {
    phantom.name: phantom
    for phantom in (
        Phantom(
            "left_atrium", "segmentation", "left_atrium", 24,
            "a chamber with veins among vessels of the same brightness", write_left_atrium,
        ),
        Phantom(
            "hippocampus", "segmentation", "decathlon", 40,
            "two touching parts of a bent body; intensities differ by orders of magnitude", write_hippocampus,
        ),
        Phantom(
            "isic2018", "classification", "isic2018", 280,
            "skin lesions of seven unequal classes, under hair and noise", write_isic2018,
        ),
        Phantom(
            "lesions", "segmentation", "image_pairs", 120,
            "skin lesions with masks; corners as dark as they are", write_lesions,
        ),
        Phantom(
            "nodules", "classification", "image_folder", 200,
            "volumes of a lung with a smooth or a ragged nodule among vessels as dense", write_nodules,
        ),
    )
}  # fmt: skip


def make_phantom(name: str, folder: Path, *, seed: int = 0, cases: int | None = None) -> Path:
    """Write the phantom ``name`` to ``folder`` and return ``folder``.

    The folder appears at once and whole. One that holds this very phantom is left as it is.

    Args:
        name: a key of `PHANTOMS`.
        folder: where the layout begins; its parents are made.
        seed: of all that is drawn, 0 or more.
        cases: how many, 4 or more; default: `Phantom.cases`.

    Raises:
        UsageError: no such phantom, a bad number, or a folder that holds something else.
    """
    phantom = PHANTOMS.get(name)
    if phantom is None:
        raise UsageError(f'no phantom "{name}"', f"there are {', '.join(PHANTOMS)}")
    count = phantom.cases if cases is None else cases
    if not 4 <= count <= 100_000 or seed < 0:
        raise UsageError(f"cases {count}, seed {seed}", "cases from 4 to 100000, seed 0 or more")
    text = "This data set is a phantom: made by medtui, of no patient.\n"
    text += f"name = {name}\nseed = {seed}\ncases = {count}\n"
    place = folder.resolve()
    with raised_as(UsageError, f"cannot write the phantom to {folder}"):
        if _present(place, text):
            return folder
        place.parent.mkdir(parents=True, exist_ok=True)
        part = place.with_name(f".{place.name}.part-{os.getpid()}")
        try:
            part.mkdir()
            phantom.write(part, seed, count)
            (part / MARKER).write_text(text, encoding="utf-8")
            part.rename(place)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return folder


def ensure_phantom(table: DataTable, root: Path) -> Path | None:
    """Make the phantom that a recipe asks for by the name of its folder, ``<name>-phantom``, if it is not there.

    Returns:
        its folder; None where nothing was to be made.

    Raises:
        UsageError: it cannot be written.
    """
    folder = root / table.root
    phantom = PHANTOMS.get(folder.name.removesuffix("-phantom"))
    if phantom is None or not folder.name.endswith("-phantom") or phantom.source != table.source or folder.exists():
        return None
    return make_phantom(phantom.name, folder)


def _present(place: Path, text: str) -> bool:
    """Whether ``place`` holds this phantom; refuses a folder that holds anything else."""
    if not place.exists():
        return False
    if not place.is_dir():
        raise UsageError(f"{place} is not a folder", "choose another place")
    if not any(place.iterdir()):
        return False
    marker = place / MARKER
    if marker.is_file() and marker.read_text(encoding="utf-8", errors="replace") == text:
        return True
    raise UsageError(f"{place} holds something else", "delete it or choose another place")
