"""Folders of images beside folders of masks, paired by the names of their files: pictures (PNG, JPEG, ...), or volumes.

A split is given by subfolders ``train``, ``validation`` and ``test``: in both folders
(``images/train``, ``masks/train``), or above them (``train/images``, ``train/masks``). Other subfolders are those of
patients (``images/p1/a``, ``masks/p1/a``). Images ``a_0000``, ``a_0001``, ... beside a mask ``a`` are its channels.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.data.cases import Case, DatasetIndex
from engine.data.dicom_folders import is_slice
from engine.data.endings import PLACED
from engine.data.pictures import PICTURES
from engine.data.sources import index, walk
from engine.data.sources.dataset_json import FILE, labels_of, read_json
from engine.data.unread import unread
from engine.errors import DataError, Problem, counted
from engine.recipe import DataTable
from engine.recipe.sources import ImagePairsTable, NiftiPairsTable

SUFFIXES = ("_segmentation", "_mask", "_masks", "_label", "_seg", ".seg", "_gt")
"""What a mask's name may have after that of its image, as in ISIC's ``ISIC_0000000_segmentation.png``."""
_CHANNEL = re.compile(r"(.+)_\d{4}")


@index.read_index.register
def image_pairs(table: ImagePairsTable, folder: Path, task: str) -> DatasetIndex:  # noqa: ARG001  (one signature for all sources)
    """Pictures, each with its mask; see `paired`."""
    return paired(folder, table, PICTURES, channels=0, spatial_dims=2, spacing_unit="pixel")


@index.read_index.register
def nifti_pairs(table: NiftiPairsTable, folder: Path, task: str) -> DatasetIndex:  # noqa: ARG001  (one signature for all sources)
    """Volumes, each with its mask; see `paired`."""
    found = paired(folder, table, PLACED, channels=0)
    files = max((len(case.images) for case in found.cases), default=0)
    return replace(found, channels=files if files > 1 else 0)


def paired(
    folder: Path, table: ImagePairsTable | NiftiPairsTable, endings: Sequence[str], **facts: Any
) -> DatasetIndex:
    """The index of two folders, of which the files are paired by their names; ``facts`` say what images they are.

    Raises:
        DataError: a folder is not there, no names fit together, or nothing names the classes.
    """
    classes, values = named_classes(folder, table)
    cases = tuple(paired_cases(folder, table.images, table.labels, endings))
    places = {
        path
        for name in (table.images, table.labels)
        for below in (False, True)
        for path in _called(folder, name, below)
    }
    notes = index.left_over(folder, sorted(places), cases)
    return DatasetIndex(name=folder.name, cases=cases, classes=classes, label_values=values, notes=notes, **facts)


def paired_cases(folder: Path, images: str, labels: str, endings: Sequence[str]) -> list[Case]:
    """A case for each image with its mask, and for each that has no other: the missing file is found when it is read.

    Args:
        images: folder of the images, below ``folder``.
        labels: folder of the masks, below ``folder``; may be that of the images, where masks have a suffix.
        endings: of the files, in lower case.

    Raises:
        DataError: a folder is not there, or no mask has the name of an image.
    """
    cases: list[Case] = []
    for image_folder, label_folder, split in _parts(folder, images, labels):
        cases += _pairs(folder, image_folder, label_folder, split, endings)
    firsts = [case.images[0] for case in cases]
    joined = [
        path.with_name(Path(case.id).name + _ending(path, endings)) for path, case in zip(firsts, cases, strict=True)
    ]
    names = index.identities(joined, folder, endings)
    return [replace(case, id=name) for name, case in zip(names, cases, strict=True)]


def named_classes(folder: Path, table: DataTable) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Classes and mask values: the recipe's, or those of a ``dataset.json`` with ``labels`` in ``folder``.

    Raises:
        DataError: neither names them.
    """
    present = (folder / FILE).exists()
    if table.classes is None and not present:
        raise DataError(
            f"nothing names the classes of {folder}",
            f'name them in the recipe: data.classes = ["liver"] for the mask value 1; or add {FILE} with "labels": '
            '{"liver": 1}, which may name any value',
        )
    problems: list[Problem] = []
    said = labels_of(read_json(folder).get("labels"), problems, table.classes) if present else {}
    index.refuse(folder, problems)
    return index.foreground(table, said)


def _parts(folder: Path, images: str, labels: str) -> list[tuple[str, str, str]]:
    """(folder of images, folder of masks, split) of each part; one part without a split where there are none."""
    for above in (False, True):
        found = _called(folder, images, above)
        named = [(path, walk.split_named("".join(path.relative_to(folder).parts[:1])) or "") for path in found]
        parts = [(path, split) for path, split in named if split or not above]
        if parts:
            break
    else:
        raise index.absent(folder / images, folder, "name the folder of the images in data.images")
    found_parts: list[tuple[str, str, str]] = []
    for path, split in parts:
        beside = (folder / path.relative_to(folder).parts[0] if above else folder) / labels
        if not beside.is_dir():
            raise index.absent(beside, folder, "name the folder of the masks in data.labels")
        inner = [
            (sub.name, own) for sub in sorted(path.iterdir()) if sub.is_dir() and (own := walk.split_named(sub.name))
        ]
        for name, own in ([] if above else inner) or [("", split)]:
            pair = [(place / name).relative_to(folder).as_posix() for place in (path, beside)]
            found_parts.append((pair[0], pair[1], own))
    return found_parts


def _called(folder: Path, name: str, below: bool) -> list[Path]:
    """The folders ``name`` in ``folder``, or ``below`` in its folders. A name is none of a pattern."""
    above = sorted(path for path in folder.iterdir() if not walk.hidden(path.name)) if below else [folder]
    return [path / name for path in above if (path / name).is_dir()]


def _pairs(folder: Path, images: str, labels: str, split: str, endings: Sequence[str]) -> list[Case]:
    files, masks = _by_name(folder, images, endings), _by_name(folder, labels, endings)
    scans = _joined(files, masks) if images != labels else {name: (path,) for name, path in files.items()}
    if images == labels:
        masks = {name: path for name, path in masks.items() if _image_of(name, scans, shared=True)}
        scans = {name: path for name, path in scans.items() if name not in masks}
    owners: dict[str | None, Path] = {}
    for name, path in masks.items():
        first = owners.setdefault(owner := _image_of(name, scans, shared=images == labels), path)
        if owner is not None and first is not path:
            found = f"{first.name} and {path.name}, both in {path.parent}"
            raise DataError(f"two masks of the image {owner}: {found}", "leave one of them there; nothing says which")
    if masks and not scans:
        foreign = unread(walk.files_below(folder / images), 3 if endings == PLACED else 2)
        if not foreign and any(map(is_slice, walk.files_below(folder / images))):
            way = "each series in a folder of its own, which is called as its mask"
            foreign = (Problem(images, "slices of DICOM side by side", way),)
        raise DataError(
            f"no image that can be read in {folder / images}, beside {counted(len(masks), 'mask')}", problems=foreign
        )
    if scans and masks and not {*owners} & {*scans}:
        raise DataError(
            f"no mask in {folder / labels} has the name of an image",
            f"found {min(masks)} beside {min(scans)}; a mask is called as its image, or with one of "
            f"{', '.join(SUFFIXES)} after it, and the channels of an image a_0000, a_0001, ... beside a mask a",
        )
    orphans = [name for name in masks if _image_of(name, scans, shared=images == labels) is None]
    groups = {name: walk.group_below(paths[0], folder / images) for name, paths in scans.items()}
    several = len({*groups.values()}) > 1
    cases = []
    for name, paths in scans.items():
        mask = owners.get(name, folder / labels / f"{name}{_ending(paths[0], endings)}")
        cases.append(Case(name, paths, mask, group=groups[name] if several else None, split=split))
    for name in orphans:
        image = folder / images / f"{name}{_ending(masks[name], endings)}"
        cases.append(Case(name, (image,), masks[name], split=split))
    return sorted(cases, key=lambda case: case.id)


def _by_name(folder: Path, name: str, endings: Sequence[str]) -> dict[str, Path]:
    place = folder / name
    if endings == PLACED:
        files = [path for path in walk.volumes_below(place) if path != place]
    else:
        files = index.pictures_below(place)
    return {path.with_name(walk.stem(path, endings)).relative_to(place).as_posix(): path for path in files}


def _ending(path: Path, endings: Sequence[str]) -> str:
    return path.name[len(walk.stem(path, endings)) :] or endings[0]  # none of a folder


def _joined(files: dict[str, Path], masks: dict[str, Path]) -> dict[str, tuple[Path, ...]]:
    """The images by their names: those ``a_0000``, ``a_0001``, ... beside a mask of ``a`` alone make one."""
    bases = {*masks, *(name for mask in masks for name in _shorter(mask))}
    scans: dict[str, tuple[Path, ...]] = {}
    for name, path in files.items():
        channel = _CHANNEL.fullmatch(name)
        base = channel[1] if channel and channel[1] in bases and name not in bases else name
        scans[base] = (*scans.get(base, ()), path)
    return scans


def _image_of(mask: str, images: Collection[str], *, shared: bool) -> str | None:
    """The image that a mask called ``mask``, without its ending, belongs to; None if there is none.

    ``shared``: images and masks lie in one folder, so that a suffix tells them apart.
    """
    equal = [] if shared else [mask]
    return next((name for name in (*equal, *_shorter(mask)) if name in images), None)


def _shorter(mask: str) -> list[str]:
    """``mask`` without each suffix that it has, whatever its case."""
    return [mask[: -len(suffix)] for suffix in SUFFIXES if mask.lower().endswith(suffix)]
