"""Medical Segmentation Decathlon: ``dataset.json``, ``imagesTr/``, ``labelsTr/`` in NIfTI.

An image has three axes, or a fourth with the channels. The labels of the test images are not
published, so the given split is training only: draw a test split with ``split = "fraction"``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.data.cases import Case
from engine.data.sources.dataset_json import FILE, channels_of, labels_of, read_json
from engine.data.sources.index import DatasetIndex, foreground, inside, outside, read_index, refuse, stem
from engine.errors import Problem
from engine.recipe.sources import DecathlonTable


@read_index.register
def decathlon(table: DecathlonTable, folder: Path, task: str) -> DatasetIndex:  # noqa: ARG001  (one signature for all sources)
    """Read ``dataset.json`` below ``folder``.

    Raises:
        DataError: the file is not there, is damaged, or names no training cases.
    """
    value = read_json(folder)
    problems: list[Problem] = []
    classes, values = foreground(table, labels_of(value.get("labels"), problems))
    training = value.get("training")
    if not isinstance(training, list) or not training:
        problems.append(Problem(FILE, "no training cases", "a list of image and label", "training"))
        training = []
    cases = [case for row in training if (case := _case(folder, row, problems)) is not None]
    refuse(folder, problems)
    return DatasetIndex(
        name=str(value.get("name") or folder.name),
        cases=tuple(cases),
        classes=classes,
        label_values=values,
        channels=channels_of(value.get("modality")) or 1,
        published_split=False,
    )


def _case(folder: Path, row: Any, problems: list[Problem]) -> Case | None:
    image, label = (row.get("image"), row.get("label")) if isinstance(row, dict) else (None, None)
    if not isinstance(image, str) or not isinstance(label, str):
        problems.append(Problem(FILE, f"found {row!r:.200}", '{"image": "...", "label": "..."}', "training"))
        return None
    paths = inside(folder, image), inside(folder, label)
    if paths[0] is None or paths[1] is None:
        problems.append(outside(FILE, image if paths[0] is None else label))
        return None
    return Case(stem(paths[0]), (paths[0],), paths[1], split="train")
