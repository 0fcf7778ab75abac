"""After training: the chosen checkpoint is measured, then figures and report are made."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.checkpoint import load_checkpoint
from engine.data.cases import Case, Dataset
from engine.errors import MedtuiError
from engine.evaluation.examples import write_classification_examples, write_segmentation_examples
from engine.evaluation.gradcam import explainer
from engine.evaluation.protocol import (
    Measure,
    Protocol,
    SegmentedCase,
    classification_cases,
    segmentation_cases,
    summarise_classification,
    summarise_segmentation,
)
from engine.evaluation.results import Table, read_mask, write_cases, write_mask, write_metrics
from engine.evaluation.validator import CLASSIFICATION, SEGMENTATION, per_class, pick
from engine.events import Event, Log, Phase, Result
from engine.manifest import update_manifest
from engine.metrics import classification, segmentation
from engine.network import Network, build_predictor
from engine.recipe import Recipe
from engine.runfolder import RunFolder, file_name
from engine.training.session import Session

_WORST = 50


def chosen_checkpoint(folder: RunFolder, recipe: Recipe) -> tuple[Path, dict[str, Any]]:
    """The checkpoint that is tested: best.pt where the recipe wants it and validation wrote one."""
    path = folder.best if recipe.evaluate.checkpoint == "best" and folder.best.exists() else folder.last
    return path, load_checkpoint(path)


@dataclass(frozen=True, slots=True)
class Task:
    """One split to be measured; see `Tester.measure`."""

    measure: Measure
    dataset: Dataset
    split: str
    name: str
    protocol: Protocol
    keep: bool


class Tester:
    """Measures splits of a finished training and writes all that is kept of them."""

    def __init__(
        self,
        folder: RunFolder,
        recipe: Recipe,
        network: Network,
        emit: Callable[[Event], object],
        progress: Callable[[str, int, int], None],
    ) -> None:
        self._folder = folder
        self._recipe = recipe
        self._network = network
        self._emit = emit
        self._progress = progress
        path, content = chosen_checkpoint(folder, recipe)
        network.model.load_state_dict(content["model"])
        self._checkpoint = path.stem
        value = content.get("value")
        self.facts = {
            "name": path.stem,
            "epoch": content["epoch"],
            "iteration": content["iteration"],
            "metric": content.get("metric"),
            "value": value if value is None or math.isfinite(value) else None,
        }

    def measure(self, dataset: Dataset, split: str, name: str, *, keep: bool) -> dict[str, Any]:
        """Measure ``split`` of ``dataset`` and file the result under ``name``.

        Args:
            dataset: the run's own, or data from elsewhere.
            split: which of its cases.
            name: the key in metrics.json and the ``split`` in cases.csv.
            keep: whether masks and example arrays are written too.
        """
        self._emit(Phase(phase="test", total=len(dataset.split(split)), detail=name))
        recipe = self._recipe
        measure = Measure(dataset, recipe.data, recipe.evaluate, recipe.runtime, self._network.criterion)
        protocol = Protocol(recipe.evaluate.mode, surface=True, checkpoint=self._checkpoint)
        task = Task(measure, dataset, split, name, protocol, keep)
        if dataset.task == "segmentation":
            summary, table, worst = self._segmentation(task)
        else:
            summary, table, worst = self._classification(task)
        names = SEGMENTATION if dataset.task == "segmentation" else CLASSIFICATION
        write_cases(self._folder, name, table)
        write_metrics(self._folder, name, summary)
        self._emit(Result(split=name, metrics=pick(summary, names), per_class=per_class(summary), cases=worst[:_WORST]))
        main = "dice" if dataset.task == "segmentation" else "balanced_accuracy"
        shown = "not measured" if summary[main] is None else f"{summary[main]:.4g}"
        self._emit(Log(message=f"{name}: {main} {shown} on {summary['n']} cases ({self._words(task)})"))
        return summary

    def _report(self, done: int, total: int) -> None:
        self._progress("test", done, total)

    def _words(self, task: Task) -> str:
        return task.protocol.words(task.dataset, self._recipe.data.size, self._recipe.evaluate)

    def _segmentation(self, task: Task) -> tuple[dict[str, Any], Table, list[dict[str, Any]]]:
        dataset = task.dataset
        cases = {case.id: case for case in dataset.split(task.split)}
        folder = self._folder.predictions if task.name == "test" else self._folder.predictions / file_name(task.name)
        predictor = build_predictor(self._recipe, self._network)

        def sink(done: SegmentedCase) -> None:
            if task.keep and self._recipe.evaluate.save_predictions:
                path = folder / f"{file_name(done.row.id)}.nii.gz"
                write_mask(path, done.mask, case=cases[done.row.id], dataset=dataset, affine=done.prepared.affine)

        result = task.measure.segment(predictor, task.split, task.protocol, progress=self._report, sink=sink)
        if task.keep:

            def mask_of(case: Case) -> NDArray[np.uint8]:
                path = folder / f"{file_name(case.id)}.nii.gz"
                saved = self._recipe.evaluate.save_predictions
                return read_mask(path, dataset) if saved else task.measure.mask_of(predictor, case, task.protocol)

            write_segmentation_examples(self._folder, dataset, task.name, result, mask_of)
        evaluate = self._recipe.evaluate
        summary = summarise_segmentation(
            result, dataset, self._words(task), bootstrap=evaluate.bootstrap, seed=self._recipe.seed
        )
        table = segmentation.case_table(result.rows, dataset.classes, task.name)
        return summary, table, segmentation_cases(result)

    def _classification(self, task: Task) -> tuple[dict[str, Any], Table, list[dict[str, Any]]]:
        dataset = task.dataset
        predictor = build_predictor(self._recipe, self._network)
        result = task.measure.classify(predictor, task.split, progress=self._report)
        if task.keep:
            write_classification_examples(
                self._folder,
                dataset,
                task.name,
                result,
                data=self._recipe.data,
                count=self._recipe.figures.cam_examples,
                explain=explainer(predictor),
            )
        evaluate = self._recipe.evaluate
        summary = summarise_classification(
            result, dataset, self._words(task), bootstrap=evaluate.bootstrap, seed=self._recipe.seed
        )
        table = classification.case_table(
            result.ids,
            result.targets.tolist(),
            result.probabilities,
            dataset.classes,
            task.name,
            groups=result.groups,
            losses=result.losses.tolist(),
        )
        return summary, table, classification_cases(result, dataset.classes)


def finish(session: Session, network: Network) -> None:
    """Measure validation and test splits with the chosen checkpoint; draw; report."""
    tester = Tester(session.folder, session.recipe, network, session.emit, session.progress)
    update_manifest(session.folder, checkpoint=tester.facts)
    drawn = "test" if session.dataset.split("test") else "validation"  # figures show what stands in for the test
    for split in ("validation", "test"):
        if session.dataset.split(split):
            summary = tester.measure(session.dataset, split, split, keep=split == drawn)
            if split == "test":
                session.board.set(test=summary.get(session.recipe.monitor))
    if not session.dataset.split("test"):
        session.log("there is no test split: nothing was tested", "warning")


def draw_and_report(folder: RunFolder, emit: Callable[[Event], object]) -> None:
    """All figures of a run, then its report. A figure that fails is told and costs no other."""
    from engine.figures import draw_all
    from engine.report import write_report

    update_manifest(folder, measured=True)
    emit(Phase(phase="figures"))
    draw_all(folder, emit=emit)
    emit(Phase(phase="report"))
    try:
        write_report(folder)
    except (MedtuiError, OSError) as error:
        emit(Log(level="error", message=f"no report: {error}"))
