"""What the hand-written run folders of the tests hold is what a trainer writes today.

A tiny run over a phantom is the measure: names of files, keys of JSON, fields of events, columns, arrays. A
recording may hold less, but nothing that a trainer would not write.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.events import Event
from engine.runfolder import RunFolder
from tests import recorded_runs
from tests.engine import runs
from tests.tui import recorded

ASKED = {"control", "note", "figure"}
"""Events that only come where a person asks, or where figures are drawn."""
NOW_AND_THEN = {"resources"}
"""Events that come every few seconds: a tiny run may have none."""
FIELDS = {
    f"{event.__struct_config__.tag}.{name}" for event in Event.__subclasses__() for name in event.__struct_fields__
}
"""Fields of events; those at their default are not written."""
SPLITS = {"train", "validation", "test"}


def kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "flag"
    return "number" if isinstance(value, int | float) or value in ("nan", "inf", "-inf") else type(value).__name__


def paths(value: Any, names: set[str], path: str) -> Iterator[tuple[str, str]]:
    """(place, kind) of every leaf; names of classes and splits are ``*``, as they are data."""
    if isinstance(value, dict):
        for key, item in value.items():
            metric, colon, label = key.partition(":")
            plain = "*" if key in names else f"{metric}:*" if colon and label in names else key
            yield from paths(item, names, f"{path}.{plain}")
    elif isinstance(value, list) and value and isinstance(value[0], dict | list):
        for item in value:
            yield from paths(item, names, f"{path}[]")
    else:
        yield path, kind(value)


def schema(folder: RunFolder) -> dict[str, set[str]]:
    """Every place of a run folder with the kinds of value that stand there."""
    lines = [json.loads(line) for line in folder.events.read_text().splitlines()]
    started = next(line for line in lines if line["kind"] == "run_started")
    names = {*started["classes"], *SPLITS}
    found: list[tuple[str, str]] = []
    for line in lines:
        found += paths(line, names, line["kind"])
    for file in (folder.manifest, folder.metrics, folder.status):
        if file.exists():
            found += paths(json.loads(file.read_text()), names, file.name)
    if folder.cases.exists():
        with folder.cases.open(newline="") as stream:
            found += [place for name in next(csv.reader(stream)) for place in paths({name: None}, names, "cases.csv")]
    for part in (folder.previews, folder.examples):
        for file in part.glob("*.npz"):
            with np.load(file) as arrays:
                found += [(f"{part.name}.{name}", f"{arrays[name].dtype.kind}{arrays[name].ndim}") for name in arrays]
    found += [(f"/{re.sub(r'[0-9]+', '0', path.name)}", "file") for path in folder.root.iterdir()]
    places: dict[str, set[str]] = {}
    for place, what in found:
        places.setdefault(place, set()).add(what)
    return places


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, set[str]]]:
    """The schema of a real run of each task."""
    found = {}
    for task, text in (("segmentation", runs.SEGMENTATION), ("classification", runs.CLASSIFICATION)):
        # distances, and predictions of which some are wrong and so get a preview
        asked = ["evaluate.surface_validation=true"] if task == "segmentation" else ["optimizer.lr=1e-9"]
        code, folder = runs.run(tmp_path_factory.mktemp(task), text, *asked)
        assert code == 0
        found[task] = schema(folder)
    return found


@pytest.mark.parametrize(
    ("task", "make"),
    [
        ("segmentation", recorded_runs.segmentation_run),
        ("classification", recorded_runs.classification_run),
        ("segmentation", recorded.finished),
        ("segmentation", recorded.resumed),
        ("classification", recorded.live_classes),
    ],
)
def test_a_recording_holds_nothing_that_a_trainer_would_not_write(trained, tmp_path: Path, task: str, make) -> None:
    real = trained[task]
    wrong = []
    for place, kinds in schema(make(tmp_path)).items():
        if place.partition(".")[0] in ASKED | NOW_AND_THEN:
            continue
        if place not in real and place not in FIELDS:
            wrong.append(f"{place} is not written")
        elif (kinds - {"null"}) - real.get(place, kinds) and real[place] - {"null"}:
            wrong.append(f"{place} is {sorted(real[place])}, not {sorted(kinds)}")
    assert not wrong, "\n".join(sorted(wrong))


@pytest.mark.parametrize("task", ["segmentation", "classification"])
def test_every_event_of_a_trainer_is_in_a_recording(trained, tmp_path: Path, task: str) -> None:
    make = recorded.finished if task == "segmentation" else recorded.live_classes
    known = {place.partition(".")[0] for place in schema(make(tmp_path))}
    assert {place.partition(".")[0] for place in trained[task] if place.endswith(".seq")} <= known | {
        "result", "run_ended", "log"
    }  # fmt: skip
