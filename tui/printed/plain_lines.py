"""What a run says in plain lines: pure, events in and text out."""

import shutil
import time
from collections.abc import Iterator
from dataclasses import replace

from engine import events
from engine.diagnosis import Code, Finding
from engine.errors import counted
from engine.measures import spoken
from engine.readers import run_view
from engine.readers.fold import fold
from engine.readers.health import findings_of, time_words
from engine.runfolder import Status
from tui.printed.result_table import metric_table, of_labels
from tui.state.estimate import left_s
from tui.text import clock, figure, finding_lines, rate

_LOUD = frozenset({"warning", "error"})
_QUIET_PHASES = frozenset({"training", "validation"})
_AT_WORK = Status(state="running")
_SILENT = (events.Iteration, events.Progress, events.Resources)
_FILE_WIDTH = 120


class PlainLines:
    """Folds a stream and gives the lines for each event.

    The line of an epoch waits for its validation, so that one line says all of it: it comes with
    the validation, or with whatever shows that there is none.
    """

    def __init__(self) -> None:
        self._view = run_view.EMPTY
        self._unfolded: list[events.AnyEvent] = []
        self._epoch: events.EpochDone | None = None
        self._said: dict[Code, Finding] = {}

    def take(self, event: events.AnyEvent) -> list[str]:
        """The lines that ``event`` gives rise to; most events give none."""
        self._unfolded.append(event)
        if isinstance(event, _SILENT) and self._epoch is None:
            return []  # folded with the next event that speaks: a fold of many costs as much as of one
        self._fold()
        return list(self._lines(event))

    def health(self, status: Status, now_s: float) -> list[str]:
        """A line for each finding that came or went."""
        self._fold()
        found = {finding.code: finding for finding in findings_of(self._view, status, now_s)}
        before, self._said = self._said, found
        lines = [line for code, finding in found.items() if code not in before for line in finding_lines([finding])]
        return [*lines, *(f"over: {code.replace('_', ' ')}" for code in before if code not in found)]

    def _fold(self) -> None:
        if self._unfolded:
            self._view = fold(self._view, self._unfolded)
            self._unfolded = []

    def rest(self) -> list[str]:
        self._fold()
        return list(self._waiting())

    def progress(self, now_s: float | None = None) -> str:
        """One line for the moment, for a terminal; empty when there is nothing to say."""
        self._fold()
        view = self._view
        now_s = time.time() if now_s is None else now_s
        if view.started is None or view.ended is not None:
            return ""
        left = left_s(view, now_s)
        words = []
        if view.phase is not None and view.phase.phase != "training":
            words.append(view.phase.phase)
            if view.progress is not None and view.progress.total:
                words.append(f"{view.progress.done}/{view.progress.total}")
        elif len(view.steps):
            words.append(f"epoch {view.epoch}/{view.epochs}")
            words.append(f"iteration {view.iteration_in_epoch}/{view.iterations_per_epoch}")
            words.append(f"loss {figure(float(view.steps['loss'][-1]))}")
            words += self._speed()
        if left is not None:
            words.append(f"left {clock(left)}")
        return "  ".join(words)

    def _lines(self, event: events.AnyEvent) -> Iterator[str]:
        if self._epoch is not None and not _belongs(event, self._epoch):
            yield from self._waiting()
        match event:
            case events.RunStarted():
                yield from _start(event)
            case events.Phase() if event.phase not in _QUIET_PHASES:
                words = [str(event.total)] if event.total else []
                words += [event.detail] if event.detail else []
                yield f"{event.phase}: {'  '.join(words)}" if words else event.phase
            case events.EpochDone():
                self._epoch = event
            case events.Validation():
                yield from self._waiting(event)
            case events.Log() if event.level in _LOUD:
                yield f"{event.level}: {event.message}"
            case events.Figure() if not event.ok:
                yield f"warning: {event.path}: {event.message}"
            case events.RunEnded() if spent := time_words(self._view):
                yield f"time  {spent}"
            case events.Control():
                yield f"{event.command}: {event.message or event.state}"
            case events.Note():
                yield f"note: {' '.join(event.text.split())}"
            case events.Result():
                width = shutil.get_terminal_size((_FILE_WIDTH, 24)).columns
                yield from ["", *metric_table(event.split, event.metrics, of_labels(event), self._view.unit, width), ""]

    def _waiting(self, validation: events.Validation | None = None) -> Iterator[str]:
        """The line of the epoch that waits, with its validation if it had one."""
        done, self._epoch = self._epoch, None
        if done is None and validation is None:
            return
        view = self._view
        digits = len(str(view.epochs))
        epoch = done.epoch if done else validation.epoch if validation else 0
        words = [f"epoch {epoch:>{digits}}/{view.epochs}"]
        if done is not None:
            words.append(f"loss {figure(events.number(done.metrics.get('loss'))):5}")
        if validation is not None:
            words.append(self._measured(validation))
        if len(view.steps):
            words.append(f"lr {rate(float(view.steps['lr'][-1])):7}")
        words += self._speed()
        # The validation is over, and what counts from here on is the training.
        left = left_s(replace(view, phase=None, progress=None), view.time_s)
        if left is not None:
            words.append(f"left {clock(left)}")
        yield "  ".join(words)
        yield from self.health(_AT_WORK, view.time_s)

    def _measured(self, validation: events.Validation) -> str:
        view = self._view
        metric = view.monitor or next(iter(validation.metrics), "loss")
        text = f"val {spoken(metric)} {figure(events.number(validation.metrics.get(metric))):5}"
        track = view.validation.get(metric)
        best = run_view.best(track, up=view.monitor_up) if track is not None else None
        digits = len(str(view.epochs))
        return f"{text} (best {figure(best[0])} @ {best[1]:>{digits}})" if best else text

    def _speed(self) -> list[str]:
        view = self._view
        rates = view.steps["cases_per_s"][-max(1, view.iterations_per_epoch) :]
        rates = rates[rates > 0]
        return [f"{figure(float(rates.mean()))} cases/s"] if len(rates) else []


def _belongs(event: events.AnyEvent, epoch: events.EpochDone) -> bool:
    """Whether ``event`` may still be followed by the validation of ``epoch``."""
    if isinstance(event, events.Validation):
        return event.epoch == epoch.epoch
    if isinstance(event, events.Phase):
        return event.phase == "validation"
    return not isinstance(
        event, events.Iteration | events.EpochDone | events.RunStarted | events.RunEnded | events.Result
    )


def _start(event: events.RunStarted) -> Iterator[str]:
    cases = ", ".join(f"{count} {split}" for split, count in event.cases.items() if count)
    yield (
        f"{event.name}  {event.task} on {event.device}: {cases} cases; "
        f"{counted(event.epochs, 'epoch')} of {counted(event.iterations_per_epoch, 'iteration')}"
    )
    if event.resumed:
        yield f"goes on after iteration {event.first_iteration}"
