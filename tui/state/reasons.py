"""Why a pane is empty, and when it will not be. Pure."""

from tui.state.feed import RunSnapshot


def no_validation(snapshot: RunSnapshot | None) -> str:
    """Why nothing was validated yet, or why nothing of the kind will be."""
    if snapshot is None or snapshot.view.started is None:
        return _not_started(snapshot)
    view, started = snapshot.view, snapshot.view.started
    if not started.cases.get("validation", 1):
        measures = "the report has its test" if snapshot.state == "finished" else "the test at its end measures"
        return f"no validation split in this run: {measures}"
    if view.validations:
        return "the newest validation measured nothing of the kind"
    if snapshot.over:
        return f"the run {_ended(snapshot)} before its first validation"
    first = min(snapshot.validate_every, started.epochs or snapshot.validate_every)  # the last epoch is validated too
    return f"first validation after epoch {first}"


def no_step(snapshot: RunSnapshot | None) -> str:
    """Why there is no iteration yet."""
    if snapshot is None or snapshot.view.started is None:
        return _not_started(snapshot)
    if snapshot.over:
        return f"the run {_ended(snapshot)} before its first iteration"
    return "the first iteration is under way"


def no_preview(snapshot: RunSnapshot | None) -> str:
    """Why there is no slice to see."""
    if snapshot is not None and snapshot.recipe.get("figures", {}).get("previews") is False:
        return "previews are off in the recipe (figures.previews)"
    if snapshot is not None and snapshot.view.validations:
        return "the validations of this run left no preview"
    return no_validation(snapshot)


def no_sample(snapshot: RunSnapshot | None) -> str:
    """Why the use of the machine is not known."""
    if snapshot is not None and snapshot.over:
        return f"the run {_ended(snapshot)} before it was measured"
    return "first sample a few seconds after the start"


def _not_started(snapshot: RunSnapshot | None) -> str:
    if snapshot is None:
        return "reading the run"
    if snapshot.over:
        return f"the run {_ended(snapshot)} before it began to train"
    phase = snapshot.view.phase
    return f"before the first epoch: {phase.phase}" if phase else "the run has not started yet"


def _ended(snapshot: RunSnapshot) -> str:
    return {"finished": "finished", "stopped": "was stopped", "failed": "failed"}.get(snapshot.state, "was lost")
