"""Arrays of the cases that figures show, so that a figure needs the run folder and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.data import Dataset
from engine.data.cases import Case
from engine.data.prepare import normalise_image, resize_image, seen_box
from engine.data.read import read_case, read_image
from engine.evaluation.gradcam import Explain, enlarged
from engine.evaluation.protocol import ClassificationResult, SegmentationResult
from engine.recipe import DataTable
from engine.runfolder import RunFolder, example_file, file_name, write_with


def _clear(folder: RunFolder, split: str) -> None:
    """Drop the examples of an earlier evaluation of ``split``."""
    folder.examples.mkdir(mode=0o700, exist_ok=True)
    for path in folder.examples.glob(example_file(split, "*")):
        path.unlink()


def _save(path: Path, arrays: dict[str, Any]) -> None:
    write_with(path, lambda temporary: np.savez_compressed(temporary, allow_pickle=False, **arrays))


def write_segmentation_examples(
    folder: RunFolder,
    dataset: Dataset,
    split: str,
    result: SegmentationResult,
    predict: Callable[[Case], NDArray[np.uint8]],
) -> None:
    """Write the best, the median and the worst case by mean Dice."""
    _clear(folder, split)
    cases = {case.id: case for case in dataset.cases}
    dice = {row.id: row.value("dice") or 0.0 for row in result.rows}
    order = sorted(dice, key=lambda name: (dice[name], name))
    roles = {"worst": order[0], "median": order[len(order) // 2], "best": order[-1]} if order else {}
    for name in dict.fromkeys(roles.values()):
        sample = read_case(dataset, cases[name])
        arrays = {
            "image": sample.image,
            "truth": sample.label,
            "prediction": predict(cases[name]),
            "spacing": np.array(sample.spacing or (), np.float64),
            "affine": np.zeros(0) if sample.affine is None else sample.affine,
            "role": np.array(next(role for role, chosen in roles.items() if chosen == name)),
            "dice": np.array(dice[name]),
            "id": np.array(name),
            "split": np.array(split),
        }
        _save(folder.examples / example_file(split, file_name(name)), arrays)


def write_classification_examples(
    folder: RunFolder,
    dataset: Dataset,
    split: str,
    result: ClassificationResult,
    *,
    data: DataTable,
    count: int,
    explain: Explain,
) -> None:
    """Write for each class up to ``count`` images that were right, surest first, and as many wrong.

    Each with what ``explain`` says of its prediction, for a look in the terminal.
    """
    _clear(folder, split)
    cases = {case.id: case for case in dataset.cases}
    predicted = result.probabilities.argmax(axis=1)
    chosen: list[tuple[int, str]] = []
    for target in range(len(dataset.classes)):
        members = np.flatnonzero(result.targets == target)
        sure = members[np.argsort(-result.probabilities[members, predicted[members]], kind="stable")]
        chosen += [(int(i), "right") for i in sure if predicted[i] == target][:count]
        chosen += [(int(i), "wrong") for i in sure if predicted[i] != target][:count]
    for i, role in chosen:
        case = cases[result.ids[i]]
        image = read_image(dataset, case)
        seen = normalise_image(resize_image(image, data), data)
        (heat,) = explain(seen[None], predicted[i : i + 1])
        arrays = {
            "image": image,
            "input": seen,
            "heat": _on_image(heat, image.shape[:2], data),
            "true": np.array(result.targets[i]),
            "predicted": np.array(predicted[i]),
            "probabilities": result.probabilities[i],
            "role": np.array(role),
            "id": np.array(case.id),
            "split": np.array(split),
        }
        _save(folder.examples / example_file(split, file_name(case.id)), arrays)


def _on_image(heat: NDArray[np.float32], shape: tuple[int, ...], data: DataTable) -> NDArray[np.uint8]:
    """``heat`` on the part of an image of ``shape`` (H, W) that the network saw, 0 to 255; 0 elsewhere."""
    left, top, right, bottom = (round(edge) for edge in seen_box(shape, data))
    whole = np.zeros(shape, np.uint8)
    whole[top:bottom, left:right] = enlarged(heat, (bottom - top, right - left))
    return whole
