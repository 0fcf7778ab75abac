"""Medical Segmentation Decathlon: ``dataset.json``, ``imagesTr/``, ``labelsTr/`` in NIfTI.

An image has three axes, or a fourth with the channels, or is a list of files, one a channel (MONAI's lists have such).
A ``fold`` in a row of ``training``, as MONAI's lists have it, is its validation fold.
Lists called ``validation`` and ``test`` are the given split where they name labels. Those of the Decathlon's own test
images are not published: draw a test split with ``split = "fraction"``.
"""

from pathlib import Path
from typing import Any

from engine.data.cases import Case, DatasetIndex
from engine.data.sources.dataset_json import FILE, channels_of, labels_of, read_json
from engine.data.sources.index import foreground, inside, outside, read_index, refuse
from engine.data.sources.walk import split_named, stem
from engine.errors import Problem, counted
from engine.recipe.sources import DecathlonTable


@read_index.register
def decathlon(table: DecathlonTable, folder: Path, task: str) -> DatasetIndex:  # noqa: ARG001  (one signature for all sources)
    """Read ``dataset.json`` below ``folder``.

    Raises:
        DataError: the file is not there, is damaged, or names no training cases.
    """
    value = read_json(folder)
    problems: list[Problem] = []
    classes, values = foreground(table, labels_of(value.get("labels"), problems, table.classes))
    cases: list[Case] = []
    notes: list[str] = []
    for key, rows in value.items():
        split = split_named(key)
        if split is None or not isinstance(rows, list):
            continue
        labelled = rows if split == "train" else [row for row in rows if isinstance(row, dict) and "label" in row]
        cases += [case for row in labelled if (case := _case(folder, row, key, split, problems)) is not None]
        if len(labelled) < len(rows):
            notes.append(f'"{key}" of {FILE}: {counted(len(rows) - len(labelled), "image")} without a label not used')
    if not problems and not any(case.split == "train" for case in cases):
        problems.append(Problem(FILE, "no training cases", "a list of image and label", "training"))
    refuse(folder, problems)
    return DatasetIndex(
        name=str(value.get("name") or folder.name),
        cases=tuple(cases),
        classes=classes,
        label_values=values,
        channels=channels_of(value.get("modality")) or max((len(case.images) for case in cases), default=1),
        published_split=False,
        notes=tuple(notes),
    )


def _case(folder: Path, row: Any, key: str, split: str, problems: list[Problem]) -> Case | None:
    image, label = (row.get("image"), row.get("label")) if isinstance(row, dict) else (None, None)
    names = [*(image if isinstance(image, list) and image else [image]), label]
    texts = [name for name in names if isinstance(name, str)]
    if len(texts) < len(names):
        problems.append(Problem(FILE, f"found {row!r:.200}", '{"image": "...", "label": "..."}', key))
        return None
    paths = [path for name in texts if (path := inside(folder, name)) is not None]
    if len(paths) < len(texts):
        problems.append(outside(FILE, next(name for name in texts if inside(folder, name) is None)))
        return None
    fold = row.get("fold")
    if fold is not None and (type(fold) is not int or not 0 <= fold < 100):  # true is no 1
        problems.append(Problem(FILE, f"found fold {fold!r:.40}", "a whole number from 0 to 99", key))
        return None
    return Case(stem(paths[0]), tuple(paths[:-1]), paths[-1], split=split, fold=fold)
