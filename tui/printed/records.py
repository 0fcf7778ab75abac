"""Runs as JSON, for scripts and agents. docs/scripts.md says what each field is; all of them are always there."""

import json
import math
from typing import Any

import msgspec

from engine.diagnosis import Finding
from engine.errors import well_formed
from engine.events import Number, Result, Validation, number, portable
from engine.readers import run_view
from engine.readers.health import findings_of, read_findings, time_shares
from engine.readers.run_view import RunView
from engine.runfolder import ENDED, RunFolder, Status, read_cases, read_label, read_manifest
from engine.runfolder.mirror import shown_path
from tui.state.case_files import measured_cases
from tui.state.estimate import elapsed_s, left_s

Record = dict[str, Any]
_FINDING = ("severity", "code", "message", "since_epoch", "remedy")


def print_json(value: object) -> None:
    """Print ``value``; numbers that are not finite by their names, odd bytes of file names spelt out."""
    print(json.dumps(_spelt(portable(value)), indent=2, allow_nan=False))


def _spelt(value: Any) -> Any:
    """``value`` without halves of characters, which strict readers of JSON refuse the whole list for."""
    if isinstance(value, dict):
        return {_spelt(key): _spelt(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_spelt(item) for item in value]
    return well_formed(value) if isinstance(value, str) else value


def finding_record(finding: Finding, *, whole: bool = False) -> Record:
    """A finding; ``whole``: with the numbers behind it and the key of the dashboard."""
    return {name: getattr(finding, name) for name in (*_FINDING, *(("evidence", "key") if whole else ()))}


def findings_now(folder: RunFolder, status: Status) -> tuple[Finding, ...]:
    """The findings on a run; of one that has ended those that its trainer left, where it did."""
    if status.state in ENDED and status.findings is not None:
        return status.findings
    return read_findings(folder, status)


def run_record(folder: RunFolder, status: Status, found: tuple[Finding, ...], now_s: float) -> Record:
    """A run by its status, and what is wrong with it."""
    started_s, study = status.started_s or folder.stamp_s, read_manifest(folder).study
    label = read_label(folder)
    return {
        "id": folder.id,
        "path": shown_path(folder),
        "state": status.state,
        "name": status.name,
        "title": label.title,
        "note": label.note,
        **{name: getattr(status, name) for name in ("task", "epoch", "epochs", "metric", "best", "test")},
        "started_s": started_s,
        "age_s": round(max(0.0, now_s - started_s), 1) if started_s else None,
        "heartbeat_s": status.heartbeat_s,
        "study": msgspec.to_builtins(study) if study.id else None,
        "message": status.message,
        "hint": status.hint,
        "findings": [finding_record(finding) for finding in found],
    }


def view_record(folder: RunFolder, status: Status, view: RunView, now_s: float) -> Record:
    """A run by its stream too: where it is, its newest values, where its time goes."""
    over = status.state in ENDED
    left = None if over else left_s(view, now_s)
    newest = view.validations[-1] if view.validations else None
    best = view.best
    return {
        **run_record(folder, status, findings_of(view, status, now_s), now_s),
        "phase": view.phase.phase if view.phase else "",
        "iteration": view.iteration,
        "iterations": view.iterations,
        "elapsed_s": round(elapsed_s(view, view.time_s if over else now_s), 1),
        "left_s": None if left is None else round(left, 1),
        "device": view.started.device if view.started else "",
        "training": {name: _plain(run_view.last(track)) for name, track in view.train.items()},
        "validation": None if newest is None else {"epoch": newest.epoch, **_measured(newest)},
        "best_validation": None if best is None else {"epoch": best.epoch, **_measured(best)},
        "results": {split: _measured(found) for split, found in view.results.items()},
        "time": {name: round(share, 4) for name, share in time_shares(view).items()},
    }


def case_records(folder: RunFolder, view: RunView) -> list[Record]:
    """The cases of cases.csv; of a run that has none yet, the worst of its newest validation."""
    return [
        {
            **{name: getattr(row, name) for name in ("id", "split", "group", "true", "predicted")},
            "values": {name: _plain(value) for name, value in row.values.items()},
        }
        for row in read_cases(folder) or measured_cases(view)
    ]


def _measured(event: Validation | Result) -> Record:
    """The numbers of an event: of the split, of each class, of each region."""
    return {
        "metrics": _numbers(event.metrics),
        "per_class": {name: _numbers(row) for name, row in event.per_class.items()},
        "per_region": {name: _numbers(row) for name, row in event.per_region.items()},
    }


def _numbers(values: dict[str, Number]) -> dict[str, float | None]:
    return {name: _plain(number(value)) for name, value in values.items()}


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None
