"""Measures the validation split during training, in the shape that the stream wants."""

from __future__ import annotations

from typing import Any

from engine.evaluation.gradcam import explainer
from engine.evaluation.inference import Predictor
from engine.evaluation.previews import PreviewWriter
from engine.evaluation.protocol import (
    Measure,
    Protocol,
    classification_cases,
    segmentation_cases,
    summarise_classification,
    summarise_segmentation,
)
from engine.events import Metrics
from engine.network import Criterion
from engine.training.handlers.validation import Measured
from engine.training.session import Session

CLASSIFICATION = ("loss", "accuracy", "balanced_accuracy", "precision", "recall", "f1", "auc")
SEGMENTATION = ("loss", "dice", "jaccard", "asd", "assd", "hd95")
DISTANCES = ("asd", "assd", "hd95")
PER_CLASS = ("dice", "jaccard", "asd", "assd", "hd95", "precision", "recall", "f1", "auc", "support")
_WORST = 50


class Validator:
    """Called with the epoch; measures, writes previews, and gives a `Measured`."""

    def __init__(self, session: Session, predictor: Predictor, criterion: Criterion) -> None:
        recipe = session.recipe
        self._session = session
        self._predictor = predictor
        self._measure = Measure(session.dataset, recipe.data, recipe.evaluate, recipe.runtime, criterion)
        mode = recipe.evaluate.mode if recipe.evaluate.validation_mode == "same" else recipe.evaluate.validation_mode
        self._protocol = Protocol(mode, recipe.evaluate.surface_validation, "current")
        self._previews = PreviewWriter(session) if recipe.figures.previews else None

    def __call__(self, epoch: int) -> Measured:
        """Measure the validation split with the weights as they are."""
        if self._session.recipe.task == "segmentation":
            return self._segmentation(epoch)
        return self._classification(epoch)

    def _progress(self, done: int, total: int) -> None:
        self._session.progress("validation", done, total)

    def _segmentation(self, epoch: int) -> Measured:
        sink = self._previews.collect if self._previews else None
        result = self._measure.segment(
            self._predictor, "validation", self._protocol, progress=self._progress, sink=sink
        )
        if self._previews:
            self._previews.write(epoch)
        summary = summarise_segmentation(result, self._session.dataset, "", bootstrap=0, seed=0)
        return Measured(pick(summary, SEGMENTATION), per_class(summary), segmentation_cases(result)[:_WORST])

    def _classification(self, epoch: int) -> Measured:
        result = self._measure.classify(self._predictor, "validation", progress=self._progress)
        summary = summarise_classification(result, self._session.dataset, "", bootstrap=0, seed=0)
        cases = classification_cases(result, self._session.dataset.classes)[:_WORST]
        if self._previews:
            self._previews.write_images(epoch, cases, explainer(self._predictor))
        return Measured(pick(summary, CLASSIFICATION), per_class(summary), cases)


def pick(summary: dict[str, Any], names: tuple[str, ...]) -> Metrics:
    """The plain metrics of a split's summary; distances only where they were measured."""
    left_out = [name for name in DISTANCES if summary.get(name) is None]
    return {name: summary[name] for name in names if name in summary and name not in left_out}


def per_class(summary: dict[str, Any]) -> dict[str, Metrics]:
    """The per-class metrics of a split's summary, by class."""
    return {label: pick(values, PER_CLASS) for label, values in summary.get("per_class", {}).items()}
