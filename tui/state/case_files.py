"""Single cases of a run: their numbers from ``cases.csv``, their images from ``examples/``. No Textual."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np

from engine.events import number
from engine.measures import better_up, leading
from engine.readers.columns import Array
from engine.readers.run_view import RunView
from engine.runfolder import CaseRow, RunFolder, example_file, file_name
from tui.state.images import PreviewImages, class_name, read_images, verdict

LARGEST_EXAMPLE = 512 << 20
LONGEST_SIDE = 256  # longest side of a slice as it is kept
_WORDS = re.compile(r'(?:(id|split|group|true|predicted):(?:"([^"]*)"|(\S+)))|(\S+)')
_TEXTS = frozenset({"id", "group", "split", "true", "predicted"})
_SHOWN = frozenset({"image", "truth", "prediction", "heat", "true", "predicted", "probabilities"})

Order: TypeAlias = Literal["worst", "best", "id"]
ORDERS: tuple[Order, ...] = ("worst", "best", "id")


def measured_cases(view: RunView) -> tuple[CaseRow, ...]:
    """The worst cases of the newest validation: for a run that has no ``cases.csv`` yet."""
    return tuple(_live(case, view) for case in view.worst)


def main_metric(rows: Sequence[CaseRow]) -> str:
    """What tells good cases from bad ones: the leading metric of those that were measured."""
    names = leading(name for row in rows[:50] for name in row.values)
    return names[0] if names else ""


def chosen_cases(rows: Sequence[CaseRow], words: str = "", order: Order = "worst") -> list[CaseRow]:
    """The rows that have all ``words`` in id, split, group or classes; what was not measured comes last.

    ``true:nevus`` and the like mean that field and all of it; names with blanks stand in quotes.
    """
    found = [row for row in rows if all(_has(row, *word) for word in _WORDS.findall(words.lower()))]
    if order == "id":
        return sorted(found, key=lambda row: row.id)
    metric = main_metric(rows)
    sign = 1 if better_up(metric) == (order == "worst") else -1

    def place(row: CaseRow) -> tuple[bool, float, str]:
        value = row.values.get(metric, math.nan)
        return math.isnan(value), 0.0 if math.isnan(value) else sign * value, row.id

    return sorted(found, key=place)


def case_history(view: RunView, case: str, metric: str) -> list[tuple[int, float]]:
    """(epoch, value) of each validation that named the case."""
    return [
        (validation.epoch, number(row[metric]))
        for validation in view.validations
        for row in validation.cases
        if row.get("id") == case and isinstance(row.get(metric), int | float | str)
    ]


def example_of(folder: RunFolder, split: str, case: str) -> str | None:
    """Where the arrays of a case are, relative to the run folder; None where it has none."""
    path = folder.examples / example_file(split, file_name(case))
    return f"{folder.examples.name}/{path.name}" if path.is_file() and not folder.examples.is_symlink() else None


def read_example(folder: RunFolder, path: str, classes: Sequence[str]) -> PreviewImages | str:
    """The slices of an example, small enough for a terminal, or a short reason why they cannot be shown."""

    def take(arrays: dict[str, Array]) -> PreviewImages | str:
        if "truth" in arrays:
            return _volume(arrays["image"], arrays["truth"], arrays["prediction"])
        return _photo(arrays, classes)

    return read_images(folder, path, "example", take, names=_SHOWN, most=LARGEST_EXAMPLE)


def _live(case: Mapping[str, Any], view: RunView) -> CaseRow:
    values = {
        name: number(value)
        for name, value in case.items()
        if name not in _TEXTS and isinstance(value, int | float | str | None)
    }
    true, predicted = (class_name(case.get(name), view.classes) for name in ("true", "predicted"))
    return CaseRow(str(case.get("id", "?")), "validation", true=true, predicted=predicted, values=values)


def _has(row: CaseRow, field: str, quoted: str, value: str, word: str) -> bool:
    return str(getattr(row, field)).lower() == (quoted or value) if field else word in _text(row)


def _text(row: CaseRow) -> str:
    return f"{row.id} {row.split} {row.group} {row.true} {row.predicted}".lower()


def _volume(image: Array, truth: Array, prediction: Array) -> PreviewImages | str:
    """Slices along the last axis of a volume (C, X, Y, Z), or the one picture (C, H, W), in its colours."""
    if image.ndim not in {3, 4} or not image.size or truth.shape != image.shape[1:] or prediction.shape != truth.shape:
        return "the example has another layout than this version knows"
    step = max(1, -(-max(truth.shape[:2]) // LONGEST_SIDE))
    if truth.ndim == 2 and image.dtype == np.uint8 and len(image) == 3:
        colours = np.ascontiguousarray(np.moveaxis(image, 0, -1)[None, ::step, ::step])
        flat = [_stack(array) for array in (truth, prediction)]
        return PreviewImages(colours, np.zeros(1, np.int64), flat[0], flat[1])
    shown = image[0, ::step, ::step].astype(np.float32)
    sparse = shown.ravel()[:: max(1, shown.size // 500_000)]
    low, high = np.percentile(sparse[np.isfinite(sparse)], (1, 99)) if np.isfinite(sparse).any() else (0.0, 1.0)
    shades = np.nan_to_num(np.clip((shown - low) / max(float(high - low), 1e-6), 0, 1) * 255).astype(np.uint8)
    stacks = [_stack(array) for array in (shades, truth, prediction)]
    return PreviewImages(stacks[0], np.arange(len(stacks[0])), stacks[1], stacks[2])


def _stack(array: Array) -> Array:
    """Slices first: (S, H, W)."""
    array = np.moveaxis(array, 2, 0) if array.ndim == 3 else array[None]
    return np.ascontiguousarray(np.minimum(array, 255), dtype=np.uint8)  # classes from 255 on look alike


def _photo(arrays: Mapping[str, Array], classes: Sequence[str]) -> PreviewImages | str:
    image = arrays["image"]
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] < 3 or not image.size:
        return "the example has another layout than this version knows"
    volume = image.shape[2] > 3  # (X, Y, Z), else (H, W, 3)
    step = max(1, -(-max(image.shape[:2]) // LONGEST_SIDE))
    true, predicted = (class_name(int(arrays[name]), classes) for name in ("true", "predicted"))
    heat = arrays.get("heat")
    if heat is not None and (heat.shape != image.shape[: 2 + volume] or heat.dtype != np.uint8):
        return "the activation map of the example has another shape than its image"
    share = float(arrays["probabilities"][int(arrays["predicted"])]) if "probabilities" in arrays else math.nan
    words = verdict(true, predicted, share)
    shown = None if heat is None else _stack(heat[::step, ::step])
    small = image[::step, ::step]
    stack = _stack(small) if volume else small[None]
    return PreviewImages(stack, np.arange(len(stack)), None, None, words, shown)
