"""What a reader must know before any number: warnings of one run, the gravest first."""

from collections.abc import Iterable, Iterator

import numpy as np

from engine.errors import counted
from engine.figures.style import missing_letters
from engine.measures import title
from engine.readers.health import findings_of
from engine.readers.run import RunData
from engine.readers.run_view import finite
from engine.report.blocks import Alert
from engine.report.statement import limits, times
from engine.runfolder.manifest import StartFacts
from engine.runfolder.summary import DEFINITIONS

_MOST_LOGS = 8
_FEW_CASES = 10
PHANTOM = "The data are a phantom, made by a program. The numbers say nothing about patients."
NOT_PUBLISHED = "The test split is not the published one: its numbers cannot be compared with those in papers."


def alerts(run: RunData) -> list[Alert]:
    """Everything about ``run`` that changes how its numbers may be read."""
    parts = (_state(run), _data(run), _numbers(run), _protocol(run), _findings(run), _training(run), _log(run))
    return gravest_first(alert for part in parts for alert in part)


def gravest_first(found: Iterable[Alert]) -> list[Alert]:
    """Each alert once; errors before warnings, these before notes, and answers last."""
    order = {"error": 0, "warning": 1, "note": 2}
    return sorted(dict.fromkeys(found), key=lambda alert: order.get(alert.level, 3))


def noted(run: RunData) -> list[Alert]:
    """The note that somebody left on a run or a study."""
    return [Alert("note", f"A person noted: {run.label.note}")] if run.label.note else []


def _state(run: RunData) -> Iterator[Alert]:
    state, view, manifest = run.status.state, run.view, run.manifest
    planned = manifest.epochs_planned or view.epochs
    done = manifest.epochs_done or view.epochs_completed
    epochs = f"{done} of {counted(planned, 'epoch')}" if planned else counted(done, "epoch")
    if run.live:
        yield Alert("warning", f"The run is not over ({state}, {epochs}): this is what there is so far.")
    elif state == "failed":
        yield Alert("error", f"The run failed after {epochs}: {run.status.message or 'see train.log'}")
    elif state == "lost":
        text = f"The run ended without a word after {epochs}: {run.status.message}"
        yield Alert("error", f"{text}. Continue it with: medtui resume {run.folder.id}")
    elif state == "stopped" or manifest.stopped:
        yield Alert("warning", f"The run was stopped by a person after {epochs}.")
    elif manifest.early_stopped:
        yield Alert("note", f"Training was stopped early after {epochs}: the monitored metric no longer improved.")
    elif planned and done < planned:
        yield Alert("warning", f"Training ended after {epochs}.")


def seen_before(*begun: StartFacts) -> Iterator[Alert]:
    """That the weights which a run, or the members of a study, started from were trained on measured cases."""
    found: dict[tuple[str, str], list[int]] = {}
    for one in begun:
        for split, count in one.seen.items():
            found.setdefault((split, one.run), []).append(count)
    for (split, run), counts in found.items():
        low, high = min(counts), max(counts)
        of = f" of {len(counts)} of {len(begun)} members" if len(begun) > 1 else ""
        each = " each" if len(counts) > 1 else ""
        were = f"{low} to {high}{each} were" if low < high else f"{low}{each} {'was' if low == 1 else 'were'}"
        text = f"Of the {split} cases{of}, {were} in the training of {run}, whose weights training began with"
        yield Alert("warning", f"{text}: for them the numbers are too good.")


def _data(run: RunData) -> Iterator[Alert]:
    if run.data.phantom:
        yield Alert("warning", PHANTOM)
    yield from seen_before(run.manifest.started_from)
    if run.data.published_split is False and run.split == "test" and not run.result.empty:
        yield Alert("warning", NOT_PUBLISHED)
    if letters := missing_letters("".join((run.folder.id, *run.classes, *run.cases().ids))):
        text = f"No font here has the letters {letters[:20]}: figures show boxes for them. Noto Sans CJK has."
        yield Alert("note", text)
    for note in run.data.notes:
        yield Alert("note", f"Data: {note}")
    for split in ("train", run.split):
        of_split = run.data.counts.get(split)
        absent = [] if of_split is None else [name for name in run.classes if not of_split.get(name, 0)]
        if absent and run.task == "classification":
            where = "the training cases" if split == "train" else f"the {split} cases"
            yield Alert("warning", f"Classes without a case among {where}: {', '.join(absent)}.")
    if run.task == "segmentation":
        classes = run.result.per_class.items()
        nowhere = [name for name, part in classes if part.get("n") and part.get("absent") == part["n"]]
        if nowhere:
            yield Alert("warning", f"In no mask of the {run.split} split: {', '.join(nowhere)}.")


def _numbers(run: RunData) -> Iterator[Alert]:
    result = run.result
    if result.empty and not run.live and run.status.state == "finished":
        yield Alert("warning", "There are no metrics of a test or validation split.")
    cases, missed = result.n, result.missed
    if cases is not None and 0 < cases < _FEW_CASES:
        yield Alert("note", f"Only {counted(cases, 'case')} measured: intervals over so few are rough.")
    if missed:
        text = f"{missed} times that a class of a case was missed altogether (nowhere in the prediction)"
        if len(run.classes) < 2:
            text = f"{missed} of {cases} cases were missed altogether (empty prediction)"
        yield Alert("warning", f"{text}; they count with Dice 0 and the diagonal of the image as distance.")
    if not result.empty and result.definitions < DEFINITIONS:
        again = f"medtui evaluate {run.folder.id}" + ("" if run.split == "test" else f" --split {run.split}")
        text = "An earlier version of medtui measured this: means count classes too that a case does not have, and "
        yield Alert("note", f"{text}intervals are percentiles of a bootstrap. Measure it as now: {again}")
    unknown = [title(name) for name, value in result.values.items() if value is None]
    if unknown:
        yield Alert("note", f"Could not be measured: {', '.join(unknown)}.")


def _protocol(run: RunData) -> Iterator[Alert]:
    recipe = run.recipe
    if run.recipe_text and recipe is None:
        text = "The recipe of this run cannot be read by this version of medtui; it is shown as it is."
        yield Alert("warning", text + (" A newer one wrote it." if run.of_newer else ""))
    if recipe is None:
        return
    if getattr(recipe.evaluate, "mode", "") == "center_crop" and not run.result.empty:
        text = "Only the crop in the centre of each case was measured: not comparable with numbers of whole images."
        yield Alert("warning", text)
    if limited := limits(run):
        yield Alert("warning", f"The recipe limits the data: {limited}.")
    if run.manifest.checkpoint.name == "last" and recipe.evaluate.checkpoint == "best":
        yield Alert("note", "There was no validation split: the last checkpoint was tested, not the best.")


def _findings(run: RunData) -> Iterator[Alert]:
    """What was wrong with the run to its end."""
    for finding in findings_of(run.view, run.status):
        name = finding.code.replace("_", " ").capitalize()
        since = f" since epoch {finding.since_epoch}" if finding.since_epoch else ""
        yield Alert(finding.severity, f"{name}{since}: {finding.message}; {finding.evidence}.")


def _training(run: RunData) -> Iterator[Alert]:
    view = run.view
    bad = np.count_nonzero(~np.isfinite(view.steps["loss"]))
    if bad:
        yield Alert("warning", f"The training loss was not finite in {bad} of {counted(len(view.steps), 'iteration')}.")
    for name, track in view.validation.items():
        wrong = np.count_nonzero(~np.isfinite(track["value"]))
        if wrong and finite(track):
            of_all = f"{wrong} of {counted(len(track), 'validation')}"
            yield Alert("note", f"{title(name)} could not be measured in {of_all}.")
    if view.resumes:
        yield Alert("note", f"The run was resumed {times(len(view.resumes))}; training went on where it had ended.")


def _log(run: RunData) -> Iterator[Alert]:
    logs = [log for log in run.view.logs if log.level in {"warning", "error"}]
    messages = list(dict.fromkeys(log.message for log in logs if log.message))
    for message in messages[:_MOST_LOGS]:
        yield Alert("note", f"Logged: {message}")
    if len(messages) > _MOST_LOGS:
        yield Alert("note", f"{counted(len(messages) - _MOST_LOGS, 'more warning')} in events.jsonl.")
