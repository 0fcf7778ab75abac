"""The one evaluator: validation, test, `medtui evaluate` and `medtui predict` all run it.

An Ignite engine goes over the cases of a split. Whatever else happens, progress, previews,
predictions, examples, is a handler on it that does one thing.
"""

from collections.abc import Iterable
from typing import Any

from ignite.engine import Engine, Events

from engine.distributed import world
from engine.evaluation.classification import Classification
from engine.evaluation.protocol import EvalJob, Handler, Listener, Progress, SplitEvaluation
from engine.evaluation.segmentation import Segmentation

TASKS: dict[str, type[SplitEvaluation[Any, Any]]] = {
    "segmentation": Segmentation,
    "classification": Classification,
}


def open_evaluation(job: EvalJob) -> SplitEvaluation[Any, Any]:
    """The evaluation of a job, to be run by `evaluate_split` with handlers of its own making."""
    return TASKS[job.dataset.task](job)


def evaluate_split(
    evaluation: SplitEvaluation[Any, Any], progress: Progress | None = None, handlers: Iterable[Handler] = ()
) -> None:
    """Take all cases of a split through the network; the results are in ``evaluation`` then.

    Args:
        evaluation: of `open_evaluation`.
        progress: called with (cases done, all cases) after every case or batch.
        handlers: attached after the evaluation itself, in this order. At ITERATION_COMPLETED
            ``state.output`` is that of `SplitEvaluation.step`; at COMPLETED all results are there.

    Raises:
        DataError: a case cannot be read, or has no truth and was to be measured.
    """
    evaluator = Engine(evaluation.step)
    evaluator.logger.disabled = True
    evaluator.add_event_handler(Events.ITERATION_COMPLETED, lambda: evaluation.keep(evaluator.state.output))
    evaluator.add_event_handler(Events.COMPLETED, evaluation.complete)
    for handler in handlers:
        handler.attach(evaluator)
    evaluator.add_event_handler(Events.ITERATION_COMPLETED, _forget)
    if progress is not None:  # last: a report may end the evaluation
        total = len(evaluation.job.cases)
        Listener(lambda _: progress(min(total, evaluation.done * world()), total)).attach(evaluator)
    if len(evaluation):
        evaluator.run(evaluation.items(), epoch_length=len(evaluation))
    else:  # more processes than cases: the others wait for this one to bring its nothing
        evaluator.fire_event(Events.COMPLETED)


def _forget(evaluator: Engine) -> None:
    """Let go of the arrays of a case before the next one is predicted."""
    evaluator.state.output = None
