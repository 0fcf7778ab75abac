"""From a recipe's data table to a `Dataset`: layout read, splits assigned, leaks refused."""

import itertools
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from engine.data.cases import Case, Dataset, DatasetIndex
from engine.data.read import channels_in
from engine.data.sources import open_source
from engine.data.sources.dataset_json import FILE, channel_names, ignored_by, labels_of, regions_of, said
from engine.data.sources.index import absent, spelled
from engine.data.splits import assign, gives_folds, refuse_duplicates
from engine.data.traits import with_traits
from engine.data.unread import unread
from engine.errors import DataError, Problem, RecipeError, absent_dataset
from engine.recipe import DataTable
from engine.recipe.names import folded

_LOOKED_AT = 10_000
MARKER = "PHANTOM"  # a file of this name in a data folder says that its cases are made


def data_root(argument: Path | None) -> Path:
    """The folder that holds data sets: ``--data``, or what a manifest remembers, else $MEDTUI_DATA, else ``./data``."""
    known = argument is not None and "\0" not in str(argument)  # a manifest may be a stranger's
    return argument if argument and known else Path(os.environ.get("MEDTUI_DATA") or "data")


def open_dataset(table: DataTable, task: str, root: Path) -> Dataset:
    """Read the layout below ``root / table.root``, assign splits, apply limits. No image is read.

    Args:
        task: "segmentation" or "classification".
        root: the data root, see `data_root`.

    Raises:
        DataError: the folder is not there or not in that layout; an id twice; a group in two given
            splits; nothing left to train on.
        RecipeError: ``data.size`` or ``data.intensity`` is for another kind of image.
    """
    folder = root / table.root
    if not folder.is_dir():
        raise _absent(folder, table)
    layout = open_source(table, folder, task)
    if not layout.cases:
        raise _no_cases(folder, layout.spatial_dims, table)
    cases = assign(layout.cases, table)
    own = table.split == "given" and any(case.split == "validation" for case in layout.cases)
    published = None if (folder / MARKER).is_file() else _published(layout, cases, table)
    notes = (*layout.notes, *_split_notes(cases, layout.classes), *_fold_notes(cases, table))
    layout = replace(layout, published_split=published, notes=notes)
    return replace(_dataset(layout, cases, task, table, folder), own_validation=own)


def _fold_notes(cases: Sequence[Case], table: DataTable) -> list[str]:
    """What becomes of folds that the data set gives."""
    pool = [case for case in cases if case.split != "test"]
    count = 1 + max((case.fold for case in pool if case.fold is not None), default=-1)
    if not count:
        return []
    if gives_folds(pool, table.validation_folds):
        return [f"validation folds: the {count} of the data set"]
    if not gives_folds(pool, count):
        return ["folds of the data set are not used: not every case that is no test case is in one, or one is empty"]
    return [
        f"the {count} folds of the data set are not used: data.validation_folds = {count} (sweep --folds) takes them"
    ]


def open_elsewhere(table: DataTable, task: str, folder: Path, *, classes: tuple[str, ...] | None = None) -> Dataset:
    """All cases of the same kind of data in another place, with the splits that its layout gives.

    Args:
        table: the recipe's [data], of which the layout and the classes are used.
        task: "segmentation" or "classification".
        folder: a data root that holds ``table.root``, or the data set's own folder.
        classes: those of the trained network, which the data must have too: a class that is absent
            there must not shift the others.

    Raises:
        DataError: it is neither, an id stands for two cases, or its classes are others.
    """
    place = folder / table.root if (folder / table.root).is_dir() else folder
    if not place.is_dir():
        raise absent_dataset(place)
    if classes is not None and task == "classification":
        table = table.model_copy(update={"classes": classes})
    layout = open_source(table, place, task)
    if not layout.cases:
        raise _no_cases(place, layout.spatial_dims, table)
    if classes is not None and layout.classes != classes:
        found, allowed = ", ".join(layout.classes), f"{', '.join(classes)}: what the network was trained for"
        raise DataError(f"{place} has other classes:", problems=(Problem("classes", found, allowed),))
    refuse_duplicates(layout.cases)
    any_colours = table.model_copy(update={"intensity": "none"})  # `as_trained` gives grey ones those of training
    return _dataset(replace(layout, published_split=None), layout.cases, task, any_colours, place)


def _dataset(layout: DatasetIndex, cases: tuple[Case, ...], task: str, table: DataTable, folder: Path) -> Dataset:
    known = vars(layout) | {
        "cases": with_traits(cases, folder),
        "channels": layout.channels or channels_in([case.images[0] for case in cases], layout.spatial_dims),
        "channel_names": channel_names(folder) or layout.channel_names,
        "regions": regions_of(folder),
        "notes": (*layout.notes, *_renamed(layout, folder)),
    }
    dataset = Dataset(**known, task=task, source=table.source, phantom=(folder / MARKER).is_file(), root=folder)
    if dataset.dense:
        dataset = replace(dataset, ignore=table.ignore or ignored_by(said(folder).get("labels")))
    _refuse_misfit(dataset, table)
    return dataset


def _renamed(layout: DatasetIndex, folder: Path) -> list[str]:
    """A note for each class that the ``dataset.json`` of ``folder`` calls by another name."""
    theirs = labels_of(said(folder).get("labels"), [])
    return [
        f'the mask value {value} is "{name}" in data.classes, and "{theirs[value]}" in {FILE}'
        for name, value in zip(layout.classes, layout.label_values, strict=False)
        if folded(theirs.get(value, name)) != folded(name)
    ]


def _refuse_misfit(dataset: Dataset, table: DataTable) -> None:
    """Raises: RecipeError: [data] asks for another kind of image than the data set has."""
    problems = []
    kind, axes = ("pictures", "height and width") if dataset.spatial_dims == 2 else ("volumes", "one an axis")
    if len(table.size) != dataset.spatial_dims:
        allowed = f"{dataset.spatial_dims} numbers, {axes}: {dataset.name} holds {kind}"
        problems.append(Problem("recipe", f"found {list(table.size)}", allowed, "data.size"))
    if table.intensity == "imagenet" and not dataset.colour:
        allowed = '"zscore", "body", "minmax", "window" or "none": ImageNet has means of colour images only'
        problems.append(Problem("recipe", f'found "imagenet" for {kind} without colours', allowed, "data.intensity"))
    if dataset.ignore in dataset.label_values:
        name = dataset.classes[dataset.label_values.index(dataset.ignore)]
        allowed = f'a mask value that is no class: {dataset.ignore} is "{name}"'
        problems.append(Problem("recipe", f"found {dataset.ignore}", allowed, "data.ignore"))
    if problems:
        raise RecipeError("the recipe does not fit its data:", problems=tuple(problems))


def _absent(folder: Path, table: DataTable) -> DataError:
    ways = "data.root names it in the folder that --data or $MEDTUI_DATA gives"
    if table.root.endswith("-phantom") or table.source in {"left_atrium", "decathlon", "isic2018"}:
        ways += ", or make a phantom in its place: medtui data list names them"
    if folder.exists():
        return DataError(f"{folder} is not a folder", ways)
    return DataError(f"no data set at {folder}", absent(folder, folder.parent, ways).hint)


def _no_cases(folder: Path, spatial_dims: int, table: DataTable) -> DataError:
    files = itertools.islice((path for path in folder.rglob("*") if path.is_file()), _LOOKED_AT)
    return DataError(f"{folder} holds no cases in the layout {table.source}", problems=unread(files, spatial_dims))


def _published(layout: DatasetIndex, cases: tuple[Case, ...], table: DataTable) -> bool | None:
    """True only for the given split, the test of which is whole; None for data of which no split is published."""
    tests = [sum(case.split == "test" for case in found) for found in (layout.cases, cases)]
    if layout.published_split and (table.split != "given" or tests[0] != tests[1]):
        return False
    return layout.published_split


def _split_notes(cases: tuple[Case, ...], classes: tuple[str, ...]) -> list[str]:
    present = {case.split for case in cases}
    trained = {case.target for case in cases if case.split == "train"}
    notes = []
    if None not in trained:
        notes += [f"class {name} has no training case" for index, name in enumerate(classes) if index not in trained]
    for what, names in (("classes", classes), ("groups", {case.group for case in cases if case.group})):
        alike = Counter(map(spelled, names))
        same = sorted(name for name in names if alike[spelled(name)] > 1)
        notes += [f"{what} that differ by case, spaces or zeros only: {', '.join(same[:10])}"] if same else []
    ungrouped = [case.group is None for case in cases if case.split == "train"]
    if any(ungrouped) and not all(ungrouped):
        notes.append(f"{sum(ungrouped)} of {len(ungrouped)} training cases have no group: each is one of its own")
    if "validation" not in present:
        notes.append("no validation split: the last checkpoint is tested, and nothing is chosen by its metric")
    if "test" not in present:
        notes.append("no test split")
    return notes
