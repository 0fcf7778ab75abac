"""nnU-Net's raw layout, version 2: ``dataset.json``, ``imagesTr/<case>_0000.nii.gz``, ``labelsTr/<case>.nii.gz``.

``imagesTs`` and ``labelsTs`` are the given test split where both are there; ``splits_final.json`` beside them gives
the validation folds. Labels that are regions become classes as `dataset_json` says.
"""

import re
from dataclasses import replace
from pathlib import Path

from engine.data.cases import Case, DatasetIndex
from engine.data.endings import PLACED
from engine.data.sources.dataset_json import FILE, channels_of, labels_of, read_folds, read_json
from engine.data.sources.index import foreground, left_over, listed, read_index, refuse
from engine.errors import Problem
from engine.recipe.sources import NnunetTable

_CHANNEL = re.compile(r"(.+)_(\d{4})")


@read_index.register
def nnunet(table: NnunetTable, folder: Path, task: str) -> DatasetIndex:  # noqa: ARG001  (one signature for all sources)
    """Read ``dataset.json`` and the folders beside it.

    Raises:
        DataError: a file or folder is not there, or says what is not supported.
    """
    value = read_json(folder)
    problems: list[Problem] = []
    classes, values = foreground(table, labels_of(value.get("labels"), problems, table.classes))
    channels = channels_of(value.get("channel_names"))
    if channels == 0:
        problems.append(Problem(FILE, "no channels", '{"0": "CT"} or the like', "channel_names"))
    ending = value.get("file_ending")
    if ending not in PLACED:
        problems.append(Problem(FILE, f"found {ending!r}", "one of " + " ".join(PLACED), "file_ending"))
    refuse(folder, problems)
    ending = str(ending)
    cases = _cases(folder, "Tr", "train", ending, channels)
    folds = read_folds(folder)
    cases = [replace(case, fold=folds.get(case.id)) for case in cases]
    if (folder / "labelsTs").is_dir():
        cases += _cases(folder, "Ts", "test", ending, channels)
    notes = left_over(folder, [path for path in sorted(folder.glob("images*")) if path.is_dir()], cases)
    return DatasetIndex(
        name=str(value.get("name") or folder.name),
        cases=tuple(cases),
        classes=classes,
        label_values=values,
        channels=channels,
        notes=notes,
    )


def _cases(folder: Path, part: str, split: str, ending: str, channels: int) -> list[Case]:
    """A case for every image and every label; files that lack are found when the cases are read."""
    names = {path.name[: -len(ending)] for path in listed(folder, f"labels{part}", (ending,))}
    for path in listed(folder, f"images{part}", (ending,)):
        match = _CHANNEL.fullmatch(path.name[: -len(ending)])
        names.add(match[1] if match else path.name[: -len(ending)])
    cases = []
    for name in sorted(names):
        images = [folder / f"images{part}" / f"{name}_{channel:04d}{ending}" for channel in range(channels)]
        cases.append(Case(name, tuple(images), folder / f"labels{part}" / f"{name}{ending}", split=split))
    return cases
