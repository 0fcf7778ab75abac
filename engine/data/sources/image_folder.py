"""Folders of images, one a class; below ``train``, ``validation`` and ``test`` where a split is given.

Folders in that of a class are those of patients, or of other groups that must stay together, where it has several.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from engine.data.cases import Case, DatasetIndex
from engine.data.dicom_folders import is_placed, is_slice, seems_alone, series_name, volumes_in
from engine.data.endings import PLACED
from engine.data.pictures import PICTURES
from engine.data.sources import index, walk
from engine.errors import DataError, Problem
from engine.recipe.sources import ImageFolderTable


@index.read_index.register
def image_folder(table: ImageFolderTable, folder: Path, task: str) -> DatasetIndex:  # noqa: ARG001  (one signature for all sources)
    """Read the names of folders and files below ``folder``.

    Raises:
        DataError: no class folders, a class that the recipe does not name, a class without images.
    """
    parts = [(path, split) for path in _folders(folder) if (split := walk.split_named(path.name))] or [(folder, "")]
    if parts[0][1] and not any(split == "train" for _, split in parts):
        raise DataError(f"{folder} has no folder train beside {parts[0][0].name}", "a split needs a training part")
    found = {path.name for part, _ in parts for path in _folders(part)}
    if not found:
        raise DataError(f"{folder} has no folders of images", "put the images of each class in a folder of its name")
    classes = table.classes or tuple(sorted(found))
    targets = {name: index.class_of(name, classes) for name in found}
    images, volumes = _images([path for part, _ in parts for path in _folders(part)], wanted=len(table.size) == 3)
    endings = PLACED if volumes else PICTURES
    problems = [
        Problem(name, "a folder of no class", f"{', '.join(classes)}, as data.classes says")
        for name, target in sorted(targets.items())
        if target is None
    ]
    cases: list[Case] = []
    for part, split in parts:
        for path in _folders(part):
            if (target := targets[path.name]) is not None:
                cases += _cases(path, images[path], target, split)
                if not images[path]:
                    where, allowed = path.relative_to(folder).as_posix(), f"files that end with {', '.join(endings)}"
                    allowed += ", or folders of DICOM series" if volumes else ""
                    problems.append(Problem(where, "no images in it", allowed))
    index.refuse(folder, problems)
    series = {file: series_name(file) for case in cases if volumes and is_slice(file := case.images[0])}
    names = index.identities([case.images[0] for case in cases], folder, endings, series)
    return DatasetIndex(
        name=folder.name,
        cases=tuple(replace(case, id=name) for name, case in zip(names, cases, strict=True)),
        classes=classes,
        channels=0 if volumes else 3,  # a classifier of pictures sees colours, also where these are grey
        spatial_dims=3 if volumes else 2,
        spacing_unit="mm" if volumes else "pixel",
        notes=index.left_over(folder, [folder], cases, [file.parent for file in series]),
    )


def _images(places: Sequence[Path], *, wanted: bool) -> tuple[dict[Path, list[Path]], bool]:
    """The images in each of ``places``, and whether they are volumes: as the files are, or as ``wanted`` where both
    kinds are there, or neither. Slices of DICOM are pictures too, and a series only where volumes are wanted.
    """
    pictures = {place: index.pictures_below(place) for place in places}
    volumes = {place: _volumes(place, series=wanted) for place in places}
    any_pictures, any_volumes = (any(found.values()) for found in (pictures, volumes))
    is_volumes = wanted if any_pictures == any_volumes else any_volumes
    return (volumes if is_volumes else pictures), is_volumes


def _volumes(place: Path, *, series: bool) -> list[Path]:
    """The volumes in ``place`` and its folders, of those with one name one; with ``series`` those of DICOM too.

    In ``place`` itself nothing says whether slices are meant, or volumes.
    """
    named = {path.with_name(walk.stem(path, PLACED)): path for path in walk.volumes_below(place)}
    folders = [path for path in named.values() if path.is_dir()]
    held = [path for path in folders if series and path != place and is_placed(path)]
    files = [path for path in named.values() if path not in folders]
    return sorted(
        [*files, *(volume for path in held for volume in ([path] if seems_alone(path) else volumes_in(path)))]
    )


def _cases(path: Path, files: list[Path], target: int, split: str) -> list[Case]:
    groups = {file: walk.group_below(file, path) for file in files}
    groups = groups if len({*groups.values()}) > 1 else dict.fromkeys(files)
    return [Case(file.name, (file,), target=target, group=groups[file], split=split) for file in files]


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not walk.hidden(path.name))
