"""Files of a run that hold well-formed JSON of the wrong shape."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import UsageError
from engine.report import write_comparison, write_report
from engine.runfolder import Manifest, RunFolder, SplitSummary
from engine.runfolder.careful import lenient
from tests import recorded_runs

# What JSON can hold: msgspec refuses numbers that a float cannot, 1e999 included.
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["n", "dice", "protocol", "ci95", "per_class", "confusion", "data", "epochs_done", "versions"])


def split() -> dict[str, Any]:
    return {
        "definitions": 1, "n": 2, "protocol": "whole volume", "unit": "mm", "dice": 0.5, "asd": None,
        "confusion": [[1, 0], [0, 1]],
        "ci95": {"dice": [0.4, 0.6], "asd": [None, None]}, "per_class": {"atrium": {"dice": 0.5, "asd": None}},
    }  # fmt: skip


def test_what_is_right_stays_as_it_is() -> None:
    assert SplitSummary.of(split()).to_json() == split()
    manifest = lenient({"epochs_done": 3, "data": {"classes": ["a"], "counts": {"test": {"a": 2}}}, "new": 1}, Manifest)
    assert (manifest.epochs_done, manifest.data.classes, manifest.data.counts) == (3, ["a"], {"test": {"a": 2}})


def test_one_bad_entry_costs_no_other() -> None:
    part = split() | {"jaccard": "high", "n": "many"}
    part["ci95"]["jaccard"] = ["a", "b"]
    part["per_class"] |= {"wall": None, "vein": {"dice": "x", "asd": 1.0}}
    wanted = split()
    del wanted["n"]
    wanted["per_class"]["vein"] = {"asd": 1.0}
    assert SplitSummary.of(part).to_json() == wanted


@given(st.dictionaries(NAMES, ANYTHING, max_size=5))
@settings(max_examples=200, deadline=None)
def test_whatever_is_left_has_its_shape(content: dict[str, Any]) -> None:
    part = SplitSummary.of(content)
    assert all(len(ends) == 2 for ends in part.ci95.values())
    assert all(isinstance(row, dict) for row in part.per_class.values())
    assert part.n is None or isinstance(part.n, int)
    assert SplitSummary.of(part.to_json()) == part
    manifest = lenient(content, Manifest)
    assert all(isinstance(name, str) for name in manifest.data.classes)
    assert manifest.epochs_done is None or isinstance(manifest.epochs_done, int)


DAMAGES: dict[str, Callable[[dict[str, Any], dict[str, Any]], object]] = {
    "intervals": lambda test, _: test.update(ci95=[1, 2]),
    "ends": lambda test, _: test["ci95"].update(dice=["a", "b"]),
    "classes": lambda test, _: test.update(per_class=[1, 2]),
    "class": lambda test, _: test.update(per_class={"left atrium": None}),
    "epochs": lambda _, manifest: manifest.update(epochs_planned="x", epochs_done=None),
    "data": lambda _, manifest: manifest.update(data={"classes": "abc", "counts": {"test": {"a": "x"}}, "notes": 5}),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_report_is_written_all_the_same(tmp_path: Path, damage: str) -> None:
    folder = recorded_runs.segmentation_run(tmp_path, cases=2, epochs=2, shape=(14, 12, 10))
    metrics, manifest = (json.loads(path.read_text()) for path in (folder.metrics, folder.manifest))
    DAMAGES[damage](metrics["test"], manifest)
    folder.metrics.write_text(json.dumps(metrics))
    folder.manifest.write_text(json.dumps(manifest))
    write_report(folder)
    assert "whole volume" in folder.report_md.read_text()


def test_a_comparison_names_the_run_whose_cases_are_damaged(tmp_path: Path) -> None:
    good, bad = (recorded_runs.classification_run(tmp_path, name=name, cases=30) for name in ("good", "bad"))
    lines = bad.cases.read_text().splitlines()
    bad.cases.write_text("\n".join(lines[:-1]) + "\n" + lines[-1].rsplit(",", 2)[0] + ",nan,nan\n")
    with pytest.raises(UsageError, match=f"{bad.id} cannot be compared"):
        write_comparison([RunFolder(good.root), RunFolder(bad.root)], tmp_path / "out")
