"""What eyes see of classified images: those that were wrong, and examples of each class, with the evidence for it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.data.cases import Case
from engine.data.pictures import displayable
from engine.data.prepare import normalise_image, resize_image, seen_box, whole_volume
from engine.data.read import Floats, read_case, read_image
from engine.data.volumes import Array
from engine.evaluation.gradcam import enlarged, explain
from engine.evaluation.previews import ExampleWriter, PreviewWriter, preview_slices, shades, shrink_step
from engine.evaluation.protocol import EvalJob
from engine.events import CaseEntry
from engine.recipe import DataTable


def write_previews(job: EvalJob, cases: Sequence[CaseEntry], writer: PreviewWriter) -> None:
    """The worst of the images that are classified wrongly; ``cases``: the worst first."""
    wrong = [case for case in cases if case["true"] != case["predicted"]][: writer.count]
    classes, by_id = job.dataset.classes, {case.id: case for case in job.cases}
    for case in wrong:
        image, seen, _ = _read(job, by_id[case["id"]])
        heat = explain(job.predictor, seen, classes.index(case["predicted"]))
        arrays = _slices(seen, heat) if seen.ndim == 4 else _picture(image, heat, job.data)
        words = {name: np.array(case[name]) for name in ("true", "predicted", "probability")}
        writer.write(case["id"], case["loss"], {**arrays, **words})


def write_examples(
    job: EvalJob,
    ids: Sequence[str],
    targets: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    writer: ExampleWriter,
) -> None:
    """Right and wrong images of each class, each with the evidence for its predicted class.

    Args:
        ids: of n images.
        targets: (n,).
        probabilities: (n, K).
    """
    writer.clear()
    by_id = {case.id: case for case in job.cases}
    for i, role in _chosen(probabilities, targets, writer.count):
        image, seen, spacing = _read(job, by_id[ids[i]])
        predicted = int(probabilities[i].argmax())
        heat = explain(job.predictor, seen, predicted)
        volume = seen.ndim == 4
        arrays = {
            "image": shades(image) if volume else displayable(image),
            "input": seen,
            "heat": enlarged(heat, image.shape) if volume else _on_image(heat, image.shape[:2], job.data),
            "spacing": np.array(spacing),
            "true": np.array(targets[i]),
            "predicted": np.array(predicted),
            "probabilities": probabilities[i],
            "role": np.array(role),
        }
        writer.write(ids[i], arrays)


def _read(job: EvalJob, case: Case) -> tuple[Array, Floats, tuple[float, ...]]:
    """What is shown, what the network sees (C, *size), and the sides of its voxels.

    Of a picture all of it is shown, (H, W, C); of a volume the first channel of what the network sees.
    """
    if job.dataset.spatial_dims == 3:
        seen, spacing = whole_volume(read_case(job.dataset, case), job.data)
        return seen[0], seen, spacing
    image = read_image(job.dataset, case)
    return image, normalise_image(resize_image(image, job.data), job.data), (1.0, 1.0)


def _slices(seen: Floats, heat: Floats) -> dict[str, NDArray[Any]]:
    """Slices of a volume for a preview, as `preview_slices` has them, and the map on them."""
    shape = seen.shape[1:]
    found = preview_slices(seen, None, np.zeros(shape, np.uint8))
    step, places = shrink_step(shape), found["slices"]
    on_slices = np.moveaxis(enlarged(heat, shape)[::step, ::step, places], 2, 0)
    return {"image": found["image"], "heat": np.ascontiguousarray(on_slices), "slices": places}


def _picture(image: Array, heat: Floats, data: DataTable) -> dict[str, NDArray[Any]]:
    """A picture for a preview, and the map on it: a cropped one as the network saw it, the map covers nothing else."""
    shown = resize_image(image, data) if data.resize == "crop" else image
    step = shrink_step(shown.shape)
    small = displayable(shown[::step, ::step])
    return {"image": small[None], "heat": enlarged(heat, small.shape[:2])[None], "slices": np.zeros(1, np.int64)}


def _chosen(probabilities: NDArray[np.float64], targets: NDArray[np.int64], count: int) -> list[tuple[int, str]]:
    """(index, role) of up to ``count`` images of each class that were right, surest first, and as many wrong."""
    predicted = probabilities.argmax(axis=1)
    chosen: list[tuple[int, str]] = []
    for target in range(probabilities.shape[1]):
        members = np.flatnonzero(targets == target)
        sure = members[np.argsort(-probabilities[members, predicted[members]], kind="stable")]
        chosen += [(int(i), "right") for i in sure if predicted[i] == target][:count]
        chosen += [(int(i), "wrong") for i in sure if predicted[i] != target][:count]
    return chosen


def _on_image(heat: Floats, shape: tuple[int, ...], data: DataTable) -> NDArray[np.uint8]:
    """``heat`` on the part of an image of ``shape`` (H, W) that the network saw, 0 to 255; 0 elsewhere."""
    left, top, right, bottom = (round(edge) for edge in seen_box(shape, data))
    whole = np.zeros(shape, np.uint8)
    whole[top:bottom, left:right] = enlarged(heat, (bottom - top, right - left))
    return whole
