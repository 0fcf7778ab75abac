"""``medtui predict``: masks or class tables for new files, in their own geometry."""

import os
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from engine.console import show_progress
from engine.data import Dataset, check_dataset
from engine.data.cases import Case
from engine.data.dicom_folders import is_slice, named_volumes, series_names, volumes_in
from engine.data.endings import VOLUMES
from engine.data.familiar import unfamiliar
from engine.data.pictures import PICTURES
from engine.data.sources.case_folders import cases_below
from engine.data.sources.dataset_json import channel_names
from engine.data.sources.index import is_picture_file
from engine.data.sources.walk import files_below, stem, volumes_below
from engine.data.unread import unread
from engine.device import ELSEWHERE, memory_errors
from engine.errors import DataError, UsageError, absent_input, counted, printable, raised_as, some
from engine.evaluation import dicom_seg
from engine.evaluation.evaluator import evaluate_split, open_evaluation
from engine.evaluation.protocol import EvalJob
from engine.evaluation.results import is_predicted, mask_path
from engine.evaluation.trained import Trained, as_trained, inputs_of, load_predictors, network_for, open_trained
from engine.recipe.sources import CaseFoldersTable
from engine.requests import Predict
from engine.runfolder import RunFolder

_CHANNEL = re.compile(r"^(?P<case>.+)_(?P<channel>\d{4})$")


@memory_errors(ELSEWHERE)
def predict(request: Predict) -> int:
    """Predict every input and print where the results are: ``<case>.nii.gz`` masks, or ``predictions.csv``.

    Several files ``<case>_0000``, ``<case>_0001``, ... are the channels of one case where the network
    takes several.

    Returns:
        0, or 1 when an input could not be read: it is named, and the others are predicted.

    Raises:
        UsageError: no inputs, the output folder cannot be made, or a result is there already.
        DataError: no input can be read; then nothing is written.
    """
    folder, output = RunFolder(request.run), request.output
    trained = open_trained(folder, checkpoint=request.checkpoint, device=request.device)
    asked = _dataset(trained, request.inputs)
    _spare_files(asked, output, overwrite=request.overwrite)
    if request.dicom_seg:
        dicom_seg.refuse_unfit(asked, output, overwrite=request.overwrite)
    lenient = trained.recipe.data.model_copy(update={"unreadable": "skip"})
    dataset = check_dataset(as_trained(asked, trained), lenient, progress=show_progress("checking the inputs"))
    network = network_for(trained, dataset)
    predictors, _, _ = load_predictors(trained.recipe, network, trained.voters)
    with raised_as(UsageError, f"cannot make {output}", "name another folder with -o DIR"):
        output.mkdir(parents=True, exist_ok=True)
    recipe = trained.recipe
    job = EvalJob(
        dataset=dataset,
        split="chosen",
        voters=tuple(predictors),
        criterion=None,
        data=recipe.data,
        table=recipe.evaluate,
        purpose="predict",
    )
    evaluation = open_evaluation(job)
    told = _Told(dataset, output, folder.id, segmentations=request.dicom_seg)
    # A result is named as its input is: that name was good for a file before.
    results = evaluation.predictions(output, str, told)
    evaluate_split(evaluation, show_progress("predicting"), [results])
    for note in (
        *dataset.notes,
        *unfamiliar(dataset, trained.manifest.data.ranges, trained.recipe.data),
        *told.failed,
    ):
        print(printable(note), file=sys.stderr)
    return 1 if told.failed or len(dataset.cases) < len(asked.cases) else 0


class _Told:
    """Prints where a mask is as soon as it is there; with ``segmentations`` writes that of DICOM beside it."""

    def __init__(self, dataset: Dataset, output: Path, run: str, *, segmentations: bool) -> None:
        self.failed: list[str] = []  # why some were not written
        self._dataset, self._run = dataset, run
        chosen = dataset.cases if segmentations else ()
        self._cases = {mask_path(output, case.id, dataset): case for case in chosen}

    def __call__(self, path: Path) -> None:
        print(printable(str(path)))
        if path in self._cases:
            try:
                print(printable(str(dicom_seg.segmentation_of(path, self._cases[path], self._dataset, self._run))))
            except DataError as error:
                self.failed.append(str(error))


def _dataset(trained: Trained, inputs: Sequence[Path]) -> Dataset:
    table, dims = trained.recipe.data, len(trained.recipe.data.size)
    if isinstance(table, CaseFoldersTable) and all(path.is_dir() for path in inputs):
        found = [case for path in inputs for case in cases_below(path, table, labelled=False)]
        if found:
            cases = tuple(replace(case, split="chosen", group=None) for case in found)
            return replace(inputs_of(trained), cases=_unlike(cases), channel_names=_channel_names(list(inputs)))
    endings = VOLUMES if dims == 3 else PICTURES
    files: list[Path] = []
    series: list[tuple[Path, Path]] = []  # with the folder, or the file, that was named
    named = named_volumes(path for path in inputs if dims == 3 and path.is_file() and is_slice(path))
    for path in inputs:
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.name[0] != "." and not p.is_dir())
            files += [p for p in inside if p.name.lower().endswith(endings) or (dims == 2 and is_picture_file(p))]
            held = [p for p in volumes_below(path) if p.is_dir()] if dims == 3 else []
            series += [(volume, path) for p in held for volume in volumes_in(p)]
        elif path in named:
            series.append((named[path], path))
        elif path.is_file():
            files.append(path)
        else:
            raise absent_input(path)
    if not files and not series:
        others = unread((file for path in inputs for file in path.iterdir()), dims)
        hint = _deeper(inputs, endings, dims) or "files are known by their ending: " + " ".join(endings)
        raise DataError("the inputs hold no files to predict", hint, others)
    if foreign := unread(files, dims):
        raise DataError("inputs cannot be read:", "name only files that can be, or convert them", foreign)
    dataset = inputs_of(trained)
    channels = dataset.channels if dims == 3 else 1  # the colours of a picture are in one file
    cases = _cases([*files, *dict(series)], channels, series_names(series))
    return replace(dataset, cases=cases, channel_names=_channel_names([*files, *dict(series)]))


def _deeper(inputs: Sequence[Path], endings: tuple[str, ...], dims: int) -> str:
    """Which folder to name, where files lie in folders of one that was named; "" where there are none."""
    for path in (found for folder in inputs for found in files_below(folder)):
        if path.name.lower().endswith(endings) or (dims == 2 and is_picture_file(path)):
            return f"folders in a folder are not looked into: name those that hold files, such as {path.parent}"
    return ""


def _channel_names(files: Sequence[Path]) -> tuple[str, ...]:
    """What the data set that the inputs lie in calls its channels: by a dataset.json beside or above their folder."""
    folders = dict.fromkeys(path.absolute().parent for path in files)
    found = {channel_names(place) or channel_names(place.parent) for place in folders}
    if len(found) > 1:
        which = "the inputs are of data sets that name their channels differently"
        raise DataError(which, "predict them one after the other")
    return found.pop()


def _cases(files: Sequence[Path], channels: int, names: Mapping[Path, str] = MappingProxyType({})) -> tuple[Case, ...]:
    parts: dict[tuple[Path, str], dict[int, Path]] = {}
    found: list[Case] = []
    for path in dict.fromkeys(files):
        called = names.get(path) or stem(path)
        match = _CHANNEL.match(called) if channels > 1 else None
        if match and int(match["channel"]) < channels:
            parts.setdefault((path.parent, match["case"]), {})[int(match["channel"])] = path
        else:
            # In the left atrium's layout the folder is the case.
            name = path.absolute().parent.name if path.name == "mri_norm2.h5" else called
            found.append(Case(name, (path,), split="chosen"))
    short = [f"{name} in {folder}" for (folder, name), own in parts.items() if len(own) != channels]
    if short:
        raise DataError(
            f"{counted(len(short), 'input')} without all channels: {some(short, 5)}",
            f"a case is one file, or {channels} files <case>_0000, <case>_0001, ... in one folder",
        )
    found += [Case(name, tuple(own[n] for n in sorted(own)), split="chosen") for (_, name), own in parts.items()]
    return _unlike(found)


def _unlike(found: Sequence[Case]) -> tuple[Case, ...]:
    """The cases, in order, if each has a name of its own."""
    twice = [name for name, count in Counter(case.id for case in found).items() if count > 1]
    if twice:
        raise DataError(
            f"several inputs share a name: {some(sorted(twice), 5)}",
            "results are named after their inputs: predict these one after the other, each with its own -o DIR",
        )
    return tuple(sorted(found, key=lambda case: case.id))


def _spare_files(dataset: Dataset, output: Path, *, overwrite: bool) -> None:
    """Refuse to write a result over an input, or without ``overwrite`` over a file that is not of this command."""
    if output.exists() and not output.is_dir():
        raise UsageError(f"{output} is not a folder", "name another with -o DIR")
    sources = {os.path.realpath(path) for case in dataset.cases for path in case.images}  # of links in a circle too
    results = (mask_path(output, case.id, dataset) for case in dataset.cases)
    over = [path for path in results if os.path.realpath(path) in sources]
    if over:
        raise UsageError(f"{over[0]} is an input: the result would be written over it", "name another folder: -o DIR")
    names = [mask_path(output, case.id, dataset) for case in dataset.cases] if dataset.task == "segmentation" else []
    there = [path for path in names if path.exists() and not is_predicted(path)]
    if there and not overwrite:
        found = f"{there[0]} is there" if len(there) == 1 else f"{there[0]} and {len(there) - 1} more are there"
        hint = "name another folder with -o DIR, or add --overwrite"
        raise UsageError(f"{found} already, and not written by medtui", hint)
