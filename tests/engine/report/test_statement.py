"""What a report says beside its numbers: data, choices, looks at the test, subgroups, spread, checklists."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
from sklearn import metrics as sk

from engine.readers.run import RunData
from engine.report import write_report
from engine.report.checklists import _checklists
from engine.report.statement import BLANK, looks
from engine.runfolder import RunFolder, read_splits, update_manifest, write_splits
from engine.runfolder.manifest import InferenceFacts, count_look
from tests import recorded_runs
from tests.engine.report.conftest import SMALL
from tests.engine.report.pages import Page, bounds, value

SITES = ("Ulm", "Graz", "Turin")


def described(folder: RunFolder) -> Page:
    """The report of ``folder``, of whose cases site and age are known, but of each seventh."""
    rows = read_splits(folder)
    traits = [{"site": SITES[n % 3], "age": str(16 + n % 60)} if n % 7 else {} for n in range(len(rows))]
    write_splits(folder, [msgspec.structs.replace(row, traits=t) for row, t in zip(rows, traits, strict=True)])
    return Page(write_report(folder)[0].read_text())


@pytest.fixture(scope="module")
def lesion(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, Page]:
    folder = recorded_runs.classification_run(tmp_path_factory.mktemp("runs"), cases=210, settings=SMALL)
    return folder, described(folder)


@pytest.fixture(scope="module")
def atrium(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, Page]:
    folder = recorded_runs.segmentation_run(tmp_path_factory.mktemp("runs"), cases=24, settings=SMALL)
    return folder, described(folder)


def test_parts_of_the_patients_are_measured_by_themselves(lesion: tuple[RunFolder, Page]) -> None:
    folder, page = lesion
    table = page.table("Site", "Cases", "Accuracy")
    rows = list(csv.DictReader(folder.cases.open()))
    for place, site in enumerate(SITES):
        own = [row for n, row in enumerate(rows) if n % 7 and n % 3 == place]
        true, predicted = [row["true"] for row in own], [row["predicted"] for row in own]
        assert table[site]["Cases"] == str(len(own))
        assert value(table[site]["Accuracy"]) == pytest.approx(sk.accuracy_score(true, predicted), abs=6e-4)
        balanced = sk.balanced_accuracy_score(true, predicted)
        assert value(table[site]["Balanced accuracy"]) == pytest.approx(balanced, abs=6e-4)
        low, high = bounds(table[site]["Accuracy"])
        assert low < value(table[site]["Accuracy"]) < high
    assert table["not known"]["Cases"] == "30"
    ages = page.table("Age", "Cases", "Accuracy")
    assert list(ages) == ["0 to 17", "18 to 39", "40 to 64", "65 or more", "not known"]
    assert sum(int(row["Cases"]) for row in ages.values()) == 210


def test_the_spread_of_cases_is_numpys_and_the_worst_is_named(atrium: tuple[RunFolder, Page]) -> None:
    folder, page = atrium
    rows = list(csv.DictReader(folder.cases.open()))
    table = page.table("Spread over cases", "median", "worst")
    for name, shown, worst in (("dice", "Dice", np.argmin), ("hd95", "95HD [voxel]", np.argmax)):
        values = np.array([float(row[name]) for row in rows])
        found = [value(table[shown][head]) for head in ("lower quartile", "median", "upper quartile", "worst")]
        quartiles = np.quantile(values, (0.25, 0.5, 0.75)).tolist()
        assert found == pytest.approx([*quartiles, values[worst(values)]], abs=6e-4)
        assert table[shown]["its case"] == rows[int(worst(values))]["id"]
    dice = [float(row["dice"]) for n, row in enumerate(rows) if n % 7 and n % 3 == 1]
    assert value(page.table("Site", "Dice")["Graz"]["Dice"]) == pytest.approx(np.mean(dice), abs=6e-4)


def test_looks_at_the_test_are_counted_over_all_runs_with_the_same_cases(tmp_path: Path) -> None:
    runs = [recorded_runs.segmentation_run(tmp_path, name=name, cases=5, settings=SMALL) for name in "abc"]
    runs[1] = RunFolder(runs[1].root.rename(f"{runs[1].root}.study"))
    (runs[1].root / "study.toml").touch()
    for folder, count, cases in zip(runs, (1, 2, 9), ("one", "one", "other"), strict=True):
        data = json.loads(folder.manifest.read_text())["data"]
        update_manifest(folder, data={**data, "test_fingerprint": cases})
        if cases == "other":
            assert looks(RunData(folder)) == "not measured so far by any run in the same folder"
        for _ in range(count):
            count_look(folder, "test", InferenceFacts(s_a_case=0.25, memory_mb=1500.0, device="cpu x2"))
    text = Page(write_report(runs[0])[0].read_text()).text
    assert "measured once by this run; with it, 3 times by 2 runs in the same folder" in text
    assert "0.250 s a case on cpu x2, without reading and measuring; 1.5 GB of memory" in text
    assert "measured 9 times by this run." in Page(write_report(runs[2])[0].read_text()).text


def test_the_statement_of_the_data_and_the_hash_of_the_weights_are_printed(tmp_path: Path) -> None:
    folder = recorded_runs.segmentation_run(tmp_path, cases=5, settings=SMALL)
    said = {"title": "Hearts", "licence": "CC0", "citation": "<b>Doe</b> 2020", "setting": "of 60 patients in Ulm"}
    data = json.loads(folder.manifest.read_text())["data"]
    notes = ["left out: case a: a.nii: no such file", '"test": 3 images without a label are not used', "something else"]
    sides = {f"size {axis}": (40.0, 56.0 + axis) for axis in range(3)} | {"low": (-3.5, 0.0), "high": (1.0, 5.25)}
    sides |= {f"spacing {axis}": (1.5, 1.5) for axis in range(3)}
    data |= {"statement": said, "notes": notes, "ranges": sides, "spatial_dims": 3, "phantom": False}
    update_manifest(folder, data=data, checkpoint={"sha256": "f" * 64})
    page = Page(write_report(folder)[0].read_text())
    for words in ("Hearts", "CC0", "<b>Doe</b> 2020", "Left out left out: case a: a.nii: no such file", "f" * 64):
        assert words in page.text
    assert "3 images without a label are not used; of each case, what" not in page.text
    assert f"Intended users {BLANK}" in page.text
    assert f"Patients and setting of 60 patients in Ulm Dates, eligibility {BLANK}" in page.text
    assert "Images of training 40 to 56 x 40 to 57 x 40 to 58 voxels, voxels of 1.5 x 1.5 x 1.5 mm" in page.text
    assert "values from −3.5 to 5.25" in page.text
    assert "Images of test" not in page.text


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("", "", "Left out nothing"),
        ("[data]", "[data]\nlimit_train = 3\nlimit_test = 5", "(at most 3 training cases and at most 5 test cases)"),
        ('mode = "whole"', 'mode = "center_crop"', "Left out of each case, what lies outside the crop in its centre"),
    ],
)
def test_nothing_is_left_out_only_where_nothing_is(tmp_path: Path, old: str, new: str, said: str) -> None:
    folder = recorded_runs.segmentation_run(tmp_path, cases=5, settings=SMALL)
    recipe = folder.recipe.read_text()
    folder.recipe.write_text(recipe.replace(old, new, 1))
    text = Page(write_report(folder)[0].read_text()).text
    assert said in text
    assert ("Left out nothing" in text) == (not new)


def test_checklists_are_whole_and_point_to_sections_that_are_there(
    lesion: tuple[RunFolder, Page], atrium: tuple[RunFolder, Page]
) -> None:
    tripod, claim, _ = (found["items"] for found in _checklists())
    assert {item["item"].rstrip("abcdefg") for item in tripod} == {str(n) for n in range(1, 28)}
    parts = {"3": "abc", "5": "ab", "6": "abc", "8": "abc", "9": "abc", "12": "abcdefg", "18": "abcdef", "20": "abc"}
    parts |= {"23": "ab", "27": "abc"}  # the sub-items of the published table
    items = [number + letter for number in map(str, range(1, 28)) for letter in parts.get(number, [""])]
    assert [item["item"] for item in tripod] == items
    assert len(items) == 52
    assert [item["item"] for item in claim] == list(range(1, 45))
    figures = {"ROC", "Precision and recall", "Reliability", "Confusion", "Slices", "Distributions over cases"}
    figures |= {"Class activation maps", "Spread over seeds and cases", "Members"}  # not drawn here; of a study
    titles = {data.strip() for _, page in (lesion, atrium) for data in page.words}
    named = {name for found in _checklists() for item in found["items"] for name in item.get("where", ())}
    assert named - figures <= {title.partition(":")[0] for title in titles}
    rows = {row[0]: row[2] for table in lesion[1].tables for row in table[1:] if table[0][1:2] == ["What is asked"]}
    assert rows["18a"] == BLANK  # funding
    hearts = {row[0]: row[2] for table in atrium[1].tables for row in table[1:] if table[0][1:2] == ["What is asked"]}
    assert (hearts["12f"], hearts["24"]) == ("nothing was updated", "What was trained, Make it again")  # 24: CLAIM's
    assert hearts["27"] == "one network"
    assert rows["26"] == "How it was chosen"  # of CLAIM, which stands behind TRIPOD+AI
    assert rows["curves"] == BLANK  # no ROC was drawn, so nothing answers it


def test_what_is_not_known_is_defined_where_there_is_such(tmp_path: Path) -> None:
    folder = recorded_runs.segmentation_run(tmp_path, cases=6, settings=SMALL)
    said = "whose truth is not known is in neither P nor T"
    assert said not in write_report(folder)[1].read_text()
    known = json.loads(folder.manifest.read_text())["data"]
    known["ignore"] = 9
    update_manifest(folder, data=known)
    assert said in write_report(folder)[1].read_text()
