"""A split and a predictor in; what was measured of each case out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from ignite.engine import Events
from numpy.typing import NDArray
from torch import Tensor

from engine.data import Dataset
from engine.data.cases import Case
from engine.data.loaders import build_eval_loader, iter_prepared
from engine.data.prepare import Prepared, prepare
from engine.data.read import read_case
from engine.errors import DataError
from engine.evaluation.inference import Predictor, center_slices, largest_component, to_mask
from engine.metrics import classification, segmentation
from engine.recipe import DataTable, EvaluateTable, RuntimeTable
from engine.training.distributed import gather, rank, world
from engine.training.engines import make_evaluator

Criterion = Callable[[Tensor, Tensor], Tensor]
Report = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Protocol:
    """How a split is measured.

    Attributes:
        mode: ``whole`` or ``center_crop``.
        surface: whether surface distances are measured.
        checkpoint: name of the weights, for the words.
    """

    mode: str
    surface: bool
    checkpoint: str

    def words(self, dataset: Dataset, size: tuple[int, ...], table: EvaluateTable) -> str:
        """The protocol as metrics.json names it."""
        if dataset.task == "classification":
            parts = ["whole image"]
        elif self.mode == "whole":
            parts = ["whole volume", "sliding window"]
        else:
            parts = ["centre crop " + "x".join(str(n) for n in size)]
        parts += ["test-time mirroring"] if table.flips else []
        parts += ["largest component"] if table.largest_component and dataset.task == "segmentation" else []
        return ", ".join([*parts, f"checkpoint {self.checkpoint}"])


@dataclass(frozen=True, slots=True)
class SegmentedCase:
    """One measured volume; ``mask`` (*S) is on the input's own grid. Arrays are for sinks, not kept."""

    row: segmentation.SegmentationRow
    loss: float
    mask: NDArray[np.uint8]
    mask_net: NDArray[np.uint8]
    prepared: Prepared


@dataclass(slots=True)
class SegmentationResult:
    """What is kept of a measured split."""

    rows: list[segmentation.SegmentationRow] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)

    @property
    def loss(self) -> float:
        return float(np.mean(self.losses)) if self.losses else float("nan")


@dataclass(slots=True)
class ClassificationResult:
    """What is kept of a measured split: n images, K classes."""

    ids: list[str]
    groups: list[str | None]
    targets: NDArray[np.int64]  # (n,)
    probabilities: NDArray[np.float64]  # (n, K)
    losses: NDArray[np.float64]  # (n,) cross entropy of each image
    loss: float  # the mean of the recipe's loss


class Measure:
    """Measures splits of one dataset with one predictor's settings."""

    def __init__(
        self, dataset: Dataset, data: DataTable, table: EvaluateTable, runtime: RuntimeTable, criterion: Criterion
    ) -> None:
        self.dataset = dataset
        self.data = data
        self.table = table
        self.runtime = runtime
        self.criterion = criterion

    def segment(
        self,
        predictor: Predictor,
        split: str,
        protocol: Protocol,
        *,
        progress: Report | None = None,
        sink: Callable[[SegmentedCase], None] | None = None,
    ) -> SegmentationResult:
        """Measure a split of volumes; ``sink`` sees every case with its arrays, in order."""
        groups = {case.id: case.group for case in self.dataset.cases}
        total = len(self.dataset.split(split))
        result = SegmentationResult()
        evaluator = make_evaluator(lambda _, prepared: self._volume(predictor, prepared, protocol, groups))

        def keep(engine: Any) -> None:
            case: SegmentedCase = engine.state.output
            result.rows.append(case.row)
            result.losses.append(case.loss)
            if sink is not None:
                sink(case)
            engine.state.output = None
            if progress is not None:
                progress(min(total, engine.state.iteration * world()), total)

        evaluator.add_event_handler(Events.ITERATION_COMPLETED, keep)

        cases: Iterator[Prepared] = iter_prepared(self.dataset, self.data, split, rank=rank(), world=world())
        share = len(range(rank(), total, world()))
        if share:
            evaluator.run(cases, epoch_length=share)
        result.rows, result.losses = gather(result.rows), gather(result.losses)
        return result

    def _volume(
        self, predictor: Predictor, prepared: Prepared, protocol: Protocol, groups: dict[str, str | None]
    ) -> SegmentedCase:
        mask_net, mask, loss = self.predict(predictor, prepared, protocol)
        truth, measured, spacing = prepared.label, mask, prepared.spacing
        if protocol.mode == "center_crop" and prepared.label_net is not None:
            crop = center_slices(mask_net.shape, self.data.size)
            truth, measured, spacing = prepared.label_net[crop], mask_net[crop], prepared.spacing_net
        if truth is None:
            raise DataError(f"case {prepared.id} has no label to be measured against", "medtui predict needs none")
        per_class = segmentation.case_metrics(
            measured, truth, self.dataset.classes, spacing=spacing, surface=protocol.surface
        )
        row = segmentation.SegmentationRow(id=prepared.id, group=groups.get(prepared.id), per_class=per_class)
        return SegmentedCase(row, loss, mask, mask_net, prepared)

    def predict(
        self, predictor: Predictor, prepared: Prepared, protocol: Protocol
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8], float]:
        """The mask (*N) on the network's grid, the mask (*S) on the input's own, and the loss.

        Probabilities go back to the input's grid and are thresholded there: the other way round
        costs accuracy at every border.
        """
        grid = prepared.image.shape[1:]
        crop = center_slices(grid, self.data.size) if protocol.mode == "center_crop" else tuple(slice(n) for n in grid)
        logits = predictor.volume_logits(prepared.image[(slice(None), *crop)])
        loss = self._loss(logits, prepared.label_net, crop)
        probabilities = predictor.probabilities(logits).cpu().numpy()
        if protocol.mode == "center_crop":
            whole = np.zeros((probabilities.shape[0], *grid), np.float32)
            whole[0] = predictor.kind == "softmax"  # outside of the crop all is background
            whole[(slice(None), *crop)] = probabilities
            probabilities = whole
        mask_net = self._mask(probabilities, predictor.kind)
        own = mask_net if prepared.is_identity else self._mask(prepared.restore(probabilities), predictor.kind)
        return mask_net, own, loss

    def mask_of(self, predictor: Predictor, case: Case, protocol: Protocol) -> NDArray[np.uint8]:
        """The mask (*S) of one case on its own grid, predicted again."""
        prepared = prepare(read_case(self.dataset, case), self.data)
        return self.predict(predictor, prepared, protocol)[1]

    def _mask(self, probabilities: NDArray[np.float32], kind: str) -> NDArray[np.uint8]:
        mask = to_mask(probabilities, kind, self.table.threshold)
        return largest_component(mask, len(self.dataset.classes)) if self.table.largest_component else mask

    @torch.inference_mode()
    def _loss(self, logits: Tensor, label: NDArray[np.uint8] | None, crop: tuple[slice, ...]) -> float:
        if label is None:
            return float("nan")
        target = torch.from_numpy(np.ascontiguousarray(label[crop])).long()
        return float(self.criterion(logits[None], target.to(logits.device)[None]))

    def classify(self, predictor: Predictor, split: str, *, progress: Report | None = None) -> ClassificationResult:
        """Measure a split of images."""
        cases = self.dataset.split(split)
        outputs: list[tuple[list[str], NDArray[np.float64], NDArray[np.int64], float]] = []
        batch_size = self.table.batch_size or predictor.batch_size
        loader = build_eval_loader(self.dataset, self.data, self.runtime, split, batch_size=batch_size)
        done = 0

        def step(_: Any, batch: dict[str, Any]) -> None:
            nonlocal done
            logits = predictor.class_logits(batch["image"])
            target = batch["label"].to(logits.device)
            loss = float(self.criterion(logits, target))
            outputs.append((batch["id"], logits.double().cpu().numpy(), batch["label"].numpy(), loss))
            done += len(batch["id"])
            if progress is not None:
                progress(done, len(cases))

        make_evaluator(step).run(loader)
        return _classification_result(outputs, {case.id: case.group for case in cases})


def _classification_result(
    outputs: list[tuple[list[str], NDArray[np.float64], NDArray[np.int64], float]], groups: dict[str, str | None]
) -> ClassificationResult:
    ids = [name for names, *_ in outputs for name in names]
    logits = np.concatenate([part for _, part, _, _ in outputs])
    targets = np.concatenate([part for *_, part, _ in outputs]).astype(np.int64)
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    sizes = [len(names) for names, *_ in outputs]
    return ClassificationResult(
        ids=ids,
        groups=[groups.get(name) for name in ids],
        targets=targets,
        probabilities=np.exp(log_p),
        losses=-log_p[np.arange(len(ids)), targets],
        loss=float(np.average([loss for *_, loss in outputs], weights=sizes)),
    )


def summarise_segmentation(
    result: SegmentationResult, dataset: Dataset, protocol: str, *, bootstrap: int, seed: int
) -> dict[str, Any]:
    """A split's part of metrics.json."""
    summary = segmentation.summarise(
        result.rows, dataset.classes, unit=dataset.unit, protocol=protocol, bootstrap=bootstrap, seed=seed
    )
    return {**summary, "loss": result.loss if np.isfinite(result.loss) else None}


def summarise_classification(
    result: ClassificationResult, dataset: Dataset, protocol: str, *, bootstrap: int, seed: int
) -> dict[str, Any]:
    """A split's part of metrics.json."""
    groups = result.groups if any(result.groups) else None
    summary = classification.summarise(
        result.targets,
        result.probabilities,
        dataset.classes,
        groups=groups,
        protocol=protocol,
        bootstrap=bootstrap,
        seed=seed,
    )
    return {**summary, "loss": result.loss if np.isfinite(result.loss) else None}


def segmentation_cases(result: SegmentationResult) -> list[dict[str, Any]]:
    """The cases as the stream names them: id and means over the classes, the worst Dice first."""
    cases = []
    for row in result.rows:
        values = {name: row.value(name) for name in segmentation.METRICS}
        cases.append({"id": row.id, **{name: value for name, value in values.items() if value is not None}})
    return sorted(cases, key=lambda case: (case["dice"], case["id"]))


def classification_cases(result: ClassificationResult, classes: Sequence[str]) -> list[dict[str, Any]]:
    """The cases as the stream names them: id, loss, true and predicted class, the largest loss first."""
    return [
        {
            "id": result.ids[i],
            "loss": float(result.losses[i]),
            "true": classes[result.targets[i]],
            "predicted": classes[int(result.probabilities[i].argmax())],
            "probability": float(result.probabilities[i].max()),
        }
        for i in np.argsort(-result.losses, kind="stable")
    ]
