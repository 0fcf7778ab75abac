"""A split is measured with the chosen checkpoint, and everything that is kept of it is written."""

import hashlib
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from engine.data.cases import Dataset
from engine.distributed import rank
from engine.errors import counted
from engine.evaluation.evaluator import evaluate_split, open_evaluation
from engine.evaluation.inference import build_predictor
from engine.evaluation.previews import ExampleWriter
from engine.evaluation.protocol import WORST, EvalJob, Handler, SplitEvaluation, streamed
from engine.evaluation.results import write_cases
from engine.evaluation.trained import load_predictors
from engine.events import Event, Log, Phase, Result
from engine.measures import default_monitor, shown, shown_per_class
from engine.metrics.calibration import Fitted
from engine.network import Network
from engine.recipe import Recipe
from engine.runfolder import RunFolder, SplitSummary, file_name, read_metrics, write_metrics
from engine.runfolder.manifest import count_look


def validation_job(recipe: Recipe, network: Network, dataset: Dataset, weights: nn.Module) -> EvalJob:
    """The validation split of ``dataset``, measured during training with ``weights``."""
    return EvalJob(
        dataset=dataset,
        split="validation",
        voters=(build_predictor(recipe, network, weights),),
        criterion=network.criterion,
        data=recipe.data,
        table=recipe.evaluate,
        purpose="validation",
    )


class Tester:
    """Measures splits with the weights of a finished training, and writes all that is kept of them."""

    def __init__(
        self,
        folder: RunFolder,
        recipe: Recipe,
        network: Network,
        emit: Callable[[Event], object],
        progress: Callable[[str, int, int], None],
        *,
        voters: Sequence[RunFolder] = (),
    ) -> None:
        """``voters``: the runs of which the weights are used, where they are not those of ``folder``."""
        self._folder = folder
        self._recipe = recipe
        self._network = network
        self._emit = emit
        self._progress = progress
        self._predictors, path, content = load_predictors(recipe, network, voters or [folder])
        value = content.get("value")
        self.facts = {  # what the manifest says of the checkpoint
            "name": path.stem,
            "epoch": content["epoch"],
            "iteration": content["iteration"],
            "metric": content.get("metric"),
            "value": value if value is None or math.isfinite(value) else None,
            "sha256": _sha256(path),
        }

    def measure(self, dataset: Dataset, split: str, name: str, *, keep: bool) -> SplitSummary:
        """Measure ``split`` of ``dataset`` and file the result under ``name``; of several processes, process 0 does.

        With ``keep`` masks and example arrays are written too.
        """
        self._emit(Phase(phase="test", total=len(dataset.split(split)), detail=name))
        evaluation = open_evaluation(self._job(dataset, split, name))
        handlers = self._kept(evaluation, name) if keep else []
        evaluate_split(evaluation, lambda done, total: self._progress("test", done, total), handlers)
        if rank():
            return SplitSummary()
        summary = evaluation.summary()
        write_cases(self._folder, name, evaluation.table(name))
        write_metrics(self._folder, name, summary)
        count_look(self._folder, name, evaluation.cost)
        self._emit(
            Result(
                split=name,
                metrics=shown(summary.values, dataset.task),
                per_class=shown_per_class(summary.per_class, dataset.task),
                per_region=shown_per_class(summary.per_region, dataset.task),
                cases=evaluation.cases()[:WORST],
                confusion=streamed(summary.confusion),
            )
        )
        main = default_monitor(dataset.task)
        found = summary.value(main)
        value = "not measured" if found is None else f"{found:.4g}"
        words = f"{main} {value} on {counted(summary.n or 0, 'case')} ({evaluation.describe()})"
        self._emit(Log(message=f"{name}: {words}"))
        return summary

    def _job(self, dataset: Dataset, split: str, name: str) -> EvalJob:
        recipe, fits, voters = self._recipe, name == "validation", len(self._predictors)
        return EvalJob(
            dataset=dataset,
            split=split,
            voters=tuple(self._predictors),
            criterion=self._network.criterion,
            data=recipe.data,
            table=recipe.evaluate,
            purpose="test",
            checkpoint=str(self.facts["name"]) + (f" of {voters} networks that vote" if voters > 1 else ""),
            bootstrap=recipe.evaluate.bootstrap,
            seed=recipe.seed,
            fits=fits,
            fitted=None if fits or rank() else self._fitted(),
        )

    def _fitted(self) -> Fitted | None:
        """Temperature and threshold that the validation split decided; None where it was not measured."""
        validation = read_metrics(self._folder).get("validation", SplitSummary())
        temperature, threshold = validation.value("temperature"), validation.value("threshold")
        if temperature is None or not 0 < temperature < math.inf:
            return None
        return Fitted(temperature, threshold if threshold is not None and 0 <= threshold <= 1 else 0.5)

    def _kept(self, evaluation: SplitEvaluation[Any, Any], name: str) -> list[Handler]:
        """What writes masks, where the recipe wants them, and then examples, which read them."""
        handlers = [evaluation.examples(ExampleWriter(self._folder, name, self._recipe.figures.cam_examples))]
        if evaluation.file_per_case and getattr(self._recipe.evaluate, "save_predictions", False):
            folder = self._folder.predictions if name == "test" else self._folder.predictions / file_name(name)
            handlers.insert(0, evaluation.predictions(folder, file_name, lambda _path: None))
        return handlers


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
