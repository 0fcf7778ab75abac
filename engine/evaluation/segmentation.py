"""Segmentation: the cases of a split to masks, their metrics, previews and examples, in 2-D and 3-D."""

import heapq
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine
from msgspec.structs import replace
from numpy.typing import NDArray

from engine.data.cases import Case
from engine.data.known import known_share, only_known
from engine.data.loaders import iter_prepared
from engine.data.pictures import displayable
from engine.data.prepare import Prepared, prepare
from engine.data.read import Masks, read_case
from engine.distributed import gather, rank, world
from engine.errors import DataError, some
from engine.evaluation.components import largest_component
from engine.evaluation.inference import center_slices
from engine.evaluation.labels import Sample, predict_labels
from engine.evaluation.previews import ExampleWriter, PreviewWriter, preview_slices
from engine.evaluation.protocol import EvalJob, Handler, Listener, SplitEvaluation
from engine.evaluation.results import Table, mask_path, read_mask, write_mask
from engine.events import CaseEntry
from engine.metrics import segmentation
from engine.metrics.pair import MetricOptions
from engine.recipe import SegmentationEvaluateTable, region_indices
from engine.runfolder import SplitSummary

Mask = Masks


@dataclass(frozen=True, slots=True)
class SegmentedCase:
    """One case with its prediction. The arrays are for handlers and are not kept."""

    prepared: Prepared  # image and truth on the network's grid N
    mask: Mask  # class indices (*S) on the input's own grid
    mask_net: Mask  # class indices (*N)
    row: segmentation.SegmentationRow | None  # what was measured; None where nothing was to be
    loss: float | None  # of the whole case; None likewise

    @property
    def dice(self) -> float:
        """Mean over the classes; 0 where it could not be measured."""
        return (self.row.value("dice") if self.row else None) or 0.0


class Segmentation(SplitEvaluation[Prepared, SegmentedCase]):
    """Measures masks, one case after the other: cases differ in size."""

    file_per_case = True

    def __init__(self, job: EvalJob) -> None:
        super().__init__(job)
        if not isinstance(job.table, SegmentationEvaluateTable):
            raise TypeError("the recipe is no segmentation's")
        self._table = table = job.table
        self._mode = "whole" if job.purpose == "predict" else table.mode
        if job.purpose == "validation" and table.validation_mode != "same":
            self._mode = table.validation_mode
        keys = {
            "surface_validation": job.purpose == "test" or table.surface_validation,
            "all_voxel_distances": table.all_voxel_distances,
        }
        asked = frozenset(key for key, on in keys.items() if on)
        self._options = MetricOptions(asked, table.nsd_tolerance)
        self._regions = region_indices(table, job.dataset.classes)
        self.by_id = {case.id: case for case in job.cases}
        self.written: dict[str, Path] = {}  # the mask files; each process writes those of its cases
        self.rows: list[segmentation.SegmentationRow] = []
        # Of each whole case. Their mean is the split's: a case counts as one, however many voxels it has, and how
        # cases are batched in training plays no part.
        self.losses: list[float] = []
        self.unknown: list[str] = []  # cases of which nothing that was to be measured is known

    def __len__(self) -> int:
        return len(range(rank(), len(self.job.cases), world()))

    def items(self) -> Iterator[Prepared]:
        return iter_prepared(self.job.dataset, self.job.data, self.job.split, rank=rank(), world=world())

    def step(self, _evaluator: Engine, prepared: Prepared) -> SegmentedCase:
        """Predict a case and, unless it is only to be predicted, measure it on its own grid.

        Raises:
            DataError: the case has no truth.
        """
        measured_loss = self.job.criterion is not None and prepared.label_net is not None
        sample = Sample(tuple(c.stop - c.start for c in self._crop(prepared))) if measured_loss else None
        with self.predicting():
            mask_net, mask = self._predict(prepared, sample)
        if self.job.purpose == "predict":
            return SegmentedCase(prepared, mask, mask_net, None, None)
        truth, measured, spacing = prepared.label, mask, prepared.spacing
        if self._mode == "center_crop" and prepared.label_net is not None:
            crop = self._crop(prepared)
            truth, measured, spacing = prepared.label_net[crop], mask_net[crop], prepared.spacing_net
        if truth is None:
            raise DataError(f"case {prepared.id} has no label to be measured against", "medtui predict needs none")
        classes, ignored = self.job.dataset.classes, self.job.dataset.ignored
        if not known_share(truth, ignored):
            self.unknown.append(prepared.id)
            return SegmentedCase(prepared, mask, mask_net, None, None)
        unknown = None if ignored is None else truth == ignored
        truth, measured = only_known(truth, measured, ignored)
        found = segmentation.case_metrics(
            measured, truth, classes, spacing, self._options, unknown=unknown, regions=self._regions
        )
        per_region = {name: found.pop(name) for name in self._regions}
        row = segmentation.SegmentationRow(prepared.id, self.by_id[prepared.id].group, found, per_region)
        return SegmentedCase(prepared, mask, mask_net, row, self._loss(sample, prepared))

    def keep(self, output: SegmentedCase) -> None:
        self.done += 1
        if output.row is not None:
            self.rows.append(output.row)
        if output.loss is not None:
            self.losses.append(output.loss)

    def complete(self) -> None:
        """Bring together the cases of all processes, in the order of the split."""
        self.rows, self.losses = gather(self.rows), gather(self.losses)
        self.unknown = gather(self.unknown)
        self.written = dict(gather(list(self.written.items())))

    def mask_of(self, case: Case) -> Mask:
        """The mask (*S) of a case on its own grid, predicted again."""
        return self._predict(prepare(read_case(self.job.dataset, case), self.job.data))[1]

    def _crop(self, prepared: Prepared) -> tuple[slice, ...]:
        grid = prepared.image.shape[1:]
        if self._mode == "center_crop":
            return center_slices(grid, self.job.data.size)
        return tuple(slice(0, n) for n in grid)

    def _predict(self, prepared: Prepared, sample: Sample | None = None) -> tuple[Mask, Mask]:
        """The mask (*N) and the mask (*S); ``sample`` gets the logits of the loss."""
        table = self._table
        crop = self._crop(prepared)
        net, own = predict_labels(self.job.voters, prepared, threshold=table.threshold, crop=crop, sample=sample)
        if not table.largest_component:
            return net, own
        count, faces = len(self.job.dataset.classes), table.connectivity == 6
        kept = largest_component(net, count, faces_only=faces)
        return kept, kept if prepared.is_identity else largest_component(own, count, faces_only=faces)

    @torch.inference_mode()
    def _loss(self, sample: Sample | None, prepared: Prepared) -> float | None:
        """Of the whole case, or where it is too large for that, of every n-th slice; None where nothing is known."""
        if sample is None or prepared.label_net is None or self.job.criterion is None:
            return math.nan
        truth = np.ascontiguousarray(prepared.label_net[self._crop(prepared)][:: sample.every])
        if not known_share(truth, self.job.dataset.ignored):
            return None
        return float(self.job.criterion(sample.logits[None], torch.from_numpy(truth).long()[None]))

    def describe(self) -> str:
        """Window or crop, what was done to the masks, and the checkpoint."""
        table, dims = self._table, self.job.dataset.spatial_dims
        if self._mode == "whole":
            parts = ["whole volume" if dims == 3 else "whole image", "sliding window"]
        else:
            parts = ["centre crop " + "x".join(str(n) for n in self.job.data.size)]
        parts += ["test-time mirroring"] if table.flips else []
        parts += [f"threshold {table.threshold:g}"] if table.threshold != 0.5 else []
        if table.largest_component:
            neighbours = {(3, 26): 26, (3, 6): 6, (2, 26): 8, (2, 6): 4}[dims, table.connectivity]
            parts.append(f"largest component ({neighbours} neighbours)")
        parts.append(f"checkpoint {self.job.checkpoint}")
        return ", ".join([*parts, f"nothing known of {some(self.unknown)}"] if self.unknown else parts)

    def summary(self) -> SplitSummary:
        """See `engine.metrics.segmentation.summarise`; and the loss."""
        dataset, loss = self.job.dataset, float(np.mean(self.losses)) if self.losses else math.nan
        unit, how = dataset.spacing_unit, self.describe()
        summary = segmentation.summarise(
            self.rows,
            dataset.classes,
            unit=unit,
            protocol=how,
            bootstrap=self.job.bootstrap,
            regions=[*self._regions],
        )
        more: dict[str, float | None] = {"loss": loss if math.isfinite(loss) else None}
        if "nsd" in summary.values:
            more["nsd_tolerance"] = self._options.tolerance(unit)
        return replace(summary, values=summary.values | more)

    def table(self, name: str) -> Table:
        """A row a case: its metrics, over the classes, of each, and of each region."""
        return segmentation.case_table(self.rows, self.job.dataset.classes, name, [*self._regions])

    def cases(self) -> list[CaseEntry]:
        """Id and means over the classes, the worst Dice first; a case without any of several classes has none."""
        names = segmentation.measured(self.rows)
        cases = []
        for row in self.rows:
            values = {name: row.value(name) for name in names}
            values |= {"dice_regions": row.value("dice", regions=True)} if self._regions else {}
            cases.append({"id": row.id, **{name: value for name, value in values.items() if value is not None}})
        return sorted(cases, key=lambda case: (case.get("dice", 1.0), case["id"]))

    def previews(self, writer: PreviewWriter) -> Handler:
        """A few slices of each of the worst cases."""
        kept = _WorstCases(writer, self.job.dataset.ignored)
        return Listener(kept.collect, kept.write)

    def examples(self, writer: ExampleWriter) -> Handler:
        """Best, median and worst case, whole; attach after what writes the predictions."""
        return Listener(end=partial(self._write_examples, writer))

    def predictions(self, folder: Path, name_of: Callable[[str], str], announce: Callable[[Path], None]) -> Handler:
        """A mask file a case, written as soon as it is there."""

        def write(done: SegmentedCase) -> None:
            name, dataset = done.prepared.id, self.job.dataset
            path = mask_path(folder, name_of(name), dataset)
            write_mask(path, done.mask, case=self.by_id[name], dataset=dataset, affine=done.prepared.affine)
            self.written[name] = path
            announce(path)

        return Listener(write)

    def _write_examples(self, writer: ExampleWriter) -> None:
        if rank():
            return
        writer.clear()
        dataset, dice = self.job.dataset, {row.id: row.value("dice") or 0.0 for row in self.rows}
        order = sorted(dice, key=lambda name: (dice[name], name))
        roles = {"worst": order[0], "median": order[len(order) // 2], "best": order[-1]} if order else {}
        for name in dict.fromkeys(roles.values()):
            case = self.by_id[name]
            sample = read_case(dataset, case)
            saved = self.written.get(name)
            if sample.label is None:
                continue
            prediction = read_mask(saved, dataset) if saved else self.mask_of(case)
            truth, prediction = only_known(sample.label, prediction, dataset.ignored)
            arrays = {
                "image": displayable(sample.image) if dataset.spatial_dims == 2 else sample.image,
                "truth": truth,
                "prediction": prediction,
                "spacing": np.array(sample.spacing or (), np.float64),
                "affine": np.zeros(0) if sample.affine is None else sample.affine,
                "role": np.array(next(role for role, chosen in roles.items() if chosen == name)),
                "dice": np.array(dice[name]),
            }
            if dataset.ignored is not None:
                arrays["unknown"] = sample.label == dataset.ignored
            writer.write(name, arrays)


class _WorstCases:
    """Keeps a few small slices of the worst cases, and writes them when all are measured."""

    def __init__(self, writer: PreviewWriter, ignored: int | None) -> None:
        self._writer, self._ignored = writer, ignored
        self._worst: list[tuple[float, str, dict[str, NDArray[Any]]]] = []

    def collect(self, done: SegmentedCase) -> None:
        full = len(self._worst) >= self._writer.count
        if done.row is None or (full and -done.dice <= self._worst[0][0]):
            return
        prepared, box = done.prepared, done.prepared.unpadded
        truth, mask = None if prepared.label_net is None else prepared.label_net[box], done.mask_net[box]
        if truth is not None:
            truth, mask = only_known(truth, mask, self._ignored)
        slices = preview_slices(prepared.image[(slice(None), *box)], truth, mask)
        entry = (-done.dice, prepared.id, slices)
        if full:
            heapq.heapreplace(self._worst, entry)
        else:
            heapq.heappush(self._worst, entry)

    def write(self) -> None:
        worst = sorted(gather(self._worst), key=lambda entry: entry[:2], reverse=True)
        for negative, name, arrays in worst[: 0 if rank() else self._writer.count]:
            self._writer.write(name, -negative, arrays)
