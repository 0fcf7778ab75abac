"""Classification: the images of a split to class probabilities, their metrics, previews and examples."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Engine
from msgspec.structs import replace
from numpy.typing import NDArray
from scipy.special import log_softmax

from engine.data.loaders import Batch, EvalLoader
from engine.data.pictures import displayable
from engine.data.prepare import normalise_image, resize_image, seen_box
from engine.data.read import read_image
from engine.distributed import gather, rank, world
from engine.errors import RunError, counted
from engine.evaluation.gradcam import enlarged, explain
from engine.evaluation.inference import voted
from engine.evaluation.previews import ExampleWriter, PreviewWriter, shrink_step
from engine.evaluation.protocol import EvalJob, Handler, Listener, SplitEvaluation
from engine.evaluation.results import Table
from engine.events import CaseEntry
from engine.losses import terms_of, weight_of
from engine.metrics import classification
from engine.metrics.calibration import fit
from engine.recipe import DataTable
from engine.runfolder import SplitSummary
from engine.runfolder.cases import write_csv


@dataclass(frozen=True, slots=True)
class ClassifiedBatch:
    """A batch of B images with K classes."""

    ids: list[str]  # of the cases
    targets: NDArray[np.int64]  # int64 (B,); -1 where the class is not known
    logits: NDArray[np.float64]  # float64 (B, K)
    # (T, 2), each term of the recipe's loss, of the batch, and by how much the batch counts in it; nothing where
    # nothing was to be measured
    losses: list[tuple[float, float]]


class Classification(SplitEvaluation[Batch, ClassifiedBatch]):
    """Measures class probabilities, a batch at a time.

    Attributes, when all n images are through:
        ids: of the images.
        targets: int64 (n,).
        probabilities: float64 (n, K).
        losses: float64 (n,), the cross entropy of each image.
        loss: the recipe's, of the whole split as one batch.
    """

    file_per_case = False

    def __init__(self, job: EvalJob) -> None:
        super().__init__(job)
        self._kept: list[ClassifiedBatch] = []
        size = job.table.batch_size or job.predictor.batch_size
        self._loader = EvalLoader(job.dataset, job.data, job.split, batch_size=size, rank=rank(), world=world())

    def __len__(self) -> int:
        return len(self._loader)

    def items(self) -> Iterator[Batch]:
        return iter(self._loader)

    def step(self, _evaluator: Engine, batch: Batch) -> ClassifiedBatch:
        """Predict a batch and, unless it is only to be predicted, take its loss."""
        labels = batch["label"]
        with self.predicting():
            logits = voted(self.job.voters, (voter.class_logits(batch["image"]) for voter in self.job.voters))
            rows = logits.double().cpu().numpy()
        losses: list[tuple[float, float]] = []
        if self.job.purpose != "predict" and self.job.criterion is not None:
            target = labels.to(logits.device)
            terms = terms_of(self.job.criterion)
            losses = [(factor * float(term(logits, target)), weight_of(term, labels)) for factor, term in terms]
        return ClassifiedBatch(batch["id"], labels.numpy(), rows, losses)

    def keep(self, output: ClassifiedBatch) -> None:
        self.done += len(output.ids)
        self._kept.append(output)

    def complete(self) -> None:
        """Bring together the images of all processes, in the order of the split.

        Raises:
            RunError: the network gives values that are not finite.
        """
        kept = self._kept
        self.ids = gather([name for batch in kept for name in batch.ids])
        self.targets = np.array(gather([target for batch in kept for target in batch.targets]), np.int64)
        log_p = log_softmax(np.stack(gather([row for batch in kept for row in batch.logits])), axis=1)
        wrong = np.flatnonzero(~np.isfinite(log_p).all(axis=1))
        if wrong.size:
            names = ", ".join(self.ids[i] for i in wrong[:8])
            raise RunError(f"the network gives values that are not finite for {counted(len(wrong), 'image')}: {names}")
        self.probabilities: NDArray[np.float64] = np.exp(log_p)
        self.losses: NDArray[np.float64] = -log_p[np.arange(len(self.ids)), self.targets]
        losses = gather([batch.losses for batch in kept])
        self.loss = sum(_weighted_mean(term) for term in zip(*losses, strict=True)) if losses[0] else math.nan

    def describe(self) -> str:
        """What was looked at, and the checkpoint."""
        mirrored = ["test-time mirroring"] if self.job.table.flips else []
        return ", ".join(["whole image", *mirrored, f"checkpoint {self.job.checkpoint}"])

    def _groups(self) -> list[str | None]:
        groups = {case.id: case.group for case in self.job.cases}
        return [groups[name] for name in self.ids]

    def summary(self) -> SplitSummary:
        """See `engine.metrics.classification.summarise`; the loss; and what the validation split decided."""
        groups, fitted = self._groups(), self.job.fitted
        if self.job.fits:
            fitted = fit(self.targets, self.probabilities)
        summary = classification.summarise(
            self.targets,
            self.probabilities,
            self.job.dataset.classes,
            groups=groups if any(groups) else None,
            protocol=self.describe(),
            bootstrap=self.job.bootstrap,
            seed=self.job.seed,
            threshold=fitted.threshold if fitted else 0.5,
            temperature=fitted.temperature if fitted else None,
        )
        return replace(summary, values=summary.values | {"loss": self.loss if math.isfinite(self.loss) else None})

    def table(self, name: str) -> Table:
        """A row an image: true and predicted class, loss, and every probability."""
        return classification.case_table(
            self.ids,
            self.targets.tolist(),
            self.probabilities,
            self.job.dataset.classes,
            name,
            groups=self._groups(),
            losses=self.losses.tolist(),
        )

    def cases(self) -> list[CaseEntry]:
        """Id, loss, true and predicted class, the largest loss first."""
        classes = self.job.dataset.classes
        return [
            {
                "id": self.ids[i],
                "loss": float(self.losses[i]),
                "true": classes[self.targets[i]],
                "predicted": classes[int(self.probabilities[i].argmax())],
                "probability": float(self.probabilities[i].max()),
            }
            for i in np.argsort(-self.losses, kind="stable")
        ]

    def previews(self, writer: PreviewWriter) -> Handler:
        """The worst of the images that are classified wrongly, each with the evidence for its class."""
        return Listener(end=partial(write_previews, self, writer))

    def examples(self, writer: ExampleWriter) -> Handler:
        """Images of each class that were right, and as many that were wrong."""
        return Listener(end=partial(write_examples, self, writer))

    def predictions(self, folder: Path, _name_of: Callable[[str], str], announce: Callable[[Path], None]) -> Handler:
        """One table, ``predictions.csv``."""
        return Listener(end=partial(self._write_table, folder / "predictions.csv", announce))

    def _write_table(self, path: Path, announce: Callable[[Path], None]) -> None:
        """A row an image: its id, the class, and every probability."""
        if rank():
            return
        classes = self.job.dataset.classes
        rows = [
            [name, classes[int(shares.argmax())], *(repr(float(share)) for share in shares)]
            for name, shares in zip(self.ids, self.probabilities, strict=True)
        ]
        write_csv(path, ["id", "predicted", *(f"prob:{name}" for name in classes)], rows)
        announce(path)


def _weighted_mean(values: Sequence[tuple[float, float]]) -> float:
    """The mean of (value, weight), of what weighs something (nothing has no value); 0 where all weigh nothing."""
    total = sum(weight for _, weight in values)
    return sum(value * weight for value, weight in values if weight) / total if total else 0.0


def write_previews(evaluation: Classification, writer: PreviewWriter) -> None:
    """The worst of the images that are classified wrongly."""
    job = evaluation.job
    wrong = [case for case in evaluation.cases() if case["true"] != case["predicted"]][: writer.count]
    if not wrong or rank():
        return
    by_id = {case.id: case for case in job.cases}
    images = [read_image(job.dataset, by_id[case["id"]]) for case in wrong]
    seen = [resize_image(image, job.data) for image in images]
    labels = np.array([job.dataset.classes.index(case["predicted"]) for case in wrong], np.int64)
    heats = explain(job.predictor, np.stack([normalise_image(image, job.data) for image in seen]), labels)
    for n, case in enumerate(wrong):
        # A cropped image is shown as the network saw it: the map covers nothing else.
        shown = seen[n] if job.data.resize == "crop" else images[n]
        step = shrink_step(shown.shape)
        small = displayable(shown[::step, ::step])
        arrays: dict[str, NDArray[Any]] = {
            "image": small[None],
            "heat": enlarged(heats[n], small.shape[:2])[None],
            "slices": np.zeros(1, np.int64),
            **{name: np.array(case[name]) for name in ("true", "predicted", "probability")},
        }
        writer.write(case["id"], case["loss"], arrays)


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


def write_examples(evaluation: Classification, writer: ExampleWriter) -> None:
    """Right and wrong images of each class, each with the evidence for its predicted class."""
    if rank():
        return
    writer.clear()
    job = evaluation.job
    by_id = {case.id: case for case in job.cases}
    for i, role in _chosen(evaluation.probabilities, evaluation.targets, writer.count):
        image = read_image(job.dataset, by_id[evaluation.ids[i]])
        seen = normalise_image(resize_image(image, job.data), job.data)
        predicted = evaluation.probabilities[i : i + 1].argmax(axis=1)
        (heat,) = explain(job.predictor, seen[None], predicted)
        arrays = {
            "image": displayable(image),
            "input": seen,
            "heat": _on_image(heat, image.shape[:2], job.data),
            "true": np.array(evaluation.targets[i]),
            "predicted": np.array(predicted[0]),
            "probabilities": evaluation.probabilities[i],
            "role": np.array(role),
        }
        writer.write(evaluation.ids[i], arrays)


def _on_image(heat: NDArray[np.float32], shape: tuple[int, ...], data: DataTable) -> NDArray[np.uint8]:
    """``heat`` on the part of an image of ``shape`` (H, W) that the network saw, 0 to 255; 0 elsewhere."""
    left, top, right, bottom = (round(edge) for edge in seen_box(shape, data))
    whole = np.zeros(shape, np.uint8)
    whole[top:bottom, left:right] = enlarged(heat, (bottom - top, right - left))
    return whole
