"""Classification: the images of a split to class probabilities, their metrics, previews and examples."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from ignite.engine import Engine
from msgspec.structs import replace
from numpy.typing import NDArray
from scipy.special import log_softmax

from engine.data.loaders import Batch, EvalLoader
from engine.distributed import gather, rank, world
from engine.errors import RunError, counted
from engine.evaluation.classified import write_examples, write_previews
from engine.evaluation.inference import voted
from engine.evaluation.previews import ExampleWriter, PreviewWriter
from engine.evaluation.protocol import EvalJob, Handler, Listener, SplitEvaluation
from engine.evaluation.results import Table
from engine.events import CaseEntry
from engine.losses import terms_of, weight_of
from engine.metrics import classification
from engine.metrics.calibration import fit
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
        whole = "whole image" if self.job.dataset.spatial_dims == 2 else "whole volume"
        power = getattr(self.job.table, "logit_adjustment", 0.0)
        mirrored += [f"logit adjustment {power:g}"] if power else []
        return ", ".join([whole, *mirrored, f"checkpoint {self.job.checkpoint}"])

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
        return Listener(end=partial(self._write_previews, writer))

    def examples(self, writer: ExampleWriter) -> Handler:
        """Images of each class that were right, and as many that were wrong."""
        return Listener(end=partial(self._write_examples, writer))

    def _write_previews(self, writer: PreviewWriter) -> None:
        if rank() == 0:
            write_previews(self.job, self.cases(), writer)

    def _write_examples(self, writer: ExampleWriter) -> None:
        if rank() == 0:
            write_examples(self.job, self.ids, self.targets, self.probabilities, writer)

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
