"""The numbers that a report prints are those that scikit-learn, SciPy and MedPy give for the same cases."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from medpy.metric import binary
from scipy import stats
from sklearn import metrics

from engine.metrics import classification
from engine.metrics.segmentation import SegmentationRow, case_metrics, case_table, summarise
from engine.readers.numbers import digits
from engine.report import write_report
from engine.report.blocks import Cell
from engine.report.results import class_report
from engine.runfolder import RunFolder, write_metrics
from tests import recorded_runs
from tests.engine.report.conftest import SMALL
from tests.engine.report.pages import Page, bounds, value


@pytest.fixture(scope="module")
def atrium(atria: list[RunFolder]) -> Page:
    return Page(write_report(atria[0])[0].read_text())


@pytest.fixture(scope="module")
def lesion(lesions: list[RunFolder]) -> Page:
    return Page(write_report(lesions[1])[0].read_text())


def _predictions(folder: RunFolder) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """true, predicted, probabilities straight from cases.csv, by hand."""
    rows = list(csv.DictReader(folder.cases.open()))
    place = {name: index for index, name in enumerate(recorded_runs.SKIN)}
    probabilities = np.array([[float(row[f"prob:{name}"]) for name in recorded_runs.SKIN] for row in rows])
    return np.array([place[r["true"]] for r in rows]), np.array([place[r["predicted"]] for r in rows]), probabilities


def test_the_report_of_a_class_is_scikit_learns(lesion: Page, lesions: list[RunFolder]) -> None:
    true, predicted, probabilities = _predictions(lesions[1])
    expected = metrics.classification_report(
        true, predicted, target_names=recorded_runs.SKIN, output_dict=True, zero_division=0
    )
    table = lesion.table("Class", "Precision", "Recall", "F1", "Support")
    for index, name in enumerate(recorded_runs.SKIN):
        assert value(table[name]["Precision"]) == pytest.approx(expected[name]["precision"], abs=5e-4)
        assert value(table[name]["Recall"]) == pytest.approx(expected[name]["recall"], abs=5e-4)
        assert value(table[name]["F1"]) == pytest.approx(expected[name]["f1-score"], abs=5e-4)
        assert value(table[name]["Support"]) == expected[name]["support"]
        area = metrics.roc_auc_score(true == index, probabilities[:, index])
        assert value(table[name]["AUC"]) == pytest.approx(area, abs=5e-4)
    assert value(table["accuracy"]["F1"]) == pytest.approx(expected["accuracy"], abs=5e-4)
    assert value(table["macro mean"]["F1"]) == pytest.approx(expected["macro avg"]["f1-score"], abs=5e-4)
    assert value(table["weighted mean"]["Precision"]) == pytest.approx(expected["weighted avg"]["precision"], abs=5e-4)


def test_what_is_of_the_second_of_two_classes_is_no_mean() -> None:
    targets = np.arange(40) % 2
    shares = np.random.default_rng(1).dirichlet((2, 1), 40)
    part = classification.summarise(targets, shares, ["no", "yes"], protocol="")
    table = class_report(part, ["no", "yes"])
    mean = next(row for row in table.rows if row[0] == "macro mean")
    shown = {head: cell.text for head, cell in zip(table.columns, mean, strict=True) if isinstance(cell, Cell)}
    assert shown["Specificity"] == shown["Average precision"] == ""
    assert shown["Recall"] == digits(metrics.balanced_accuracy_score(targets, shares.argmax(axis=1)))


def test_the_metrics_of_the_split_are_scikit_learns(lesion: Page, lesions: list[RunFolder]) -> None:
    true, predicted, probabilities = _predictions(lesions[1])
    table = lesion.table("Metric", "Value")
    macro = np.mean([metrics.roc_auc_score(true == k, probabilities[:, k]) for k in range(7)])
    assert value(table["AUC"]["Value"]) == pytest.approx(macro, abs=5e-4)
    balanced = metrics.balanced_accuracy_score(true, predicted)
    assert value(table["Balanced accuracy"]["Value"]) == pytest.approx(balanced, abs=5e-4)
    low, high = bounds(table["Accuracy"]["95 % interval"])
    assert low < metrics.accuracy_score(true, predicted) < high


def test_the_metrics_of_a_segmentation_are_medpys(atrium: Page) -> None:
    names = {"Dice": binary.dc, "Jaccard": binary.jc, "ASD [voxel]": binary.asd, "95HD [voxel]": binary.hd95}
    expected: dict[str, list[float]] = {name: [] for name in names}
    for number in range(12):
        truth = recorded_runs.phantom_mask(number, 1)
        prediction = recorded_runs.worsened(truth, 0.80, number, "seg_dice")
        for name, measure in names.items():
            expected[name].append(float(measure(prediction, truth)))
    split = atrium.table("Class", "Missed")["left atrium"]
    cases = atrium.table("Case", "Missed")
    for name, values in expected.items():
        assert value(split[name]) == pytest.approx(np.mean(values), abs=6e-4)
        for number, one in enumerate(values):
            assert value(cases[f"case{number:02d}"][name]) == pytest.approx(one, abs=6e-4)


def test_the_interval_of_a_mean_is_between_scipys_bootstrap_and_twice_as_wide(
    atrium: Page, atria: list[RunFolder]
) -> None:
    dice = [float(row["dice"]) for row in csv.DictReader(atria[0].cases.open())]
    drawn = stats.bootstrap((dice,), np.mean, method="percentile", n_resamples=5000, rng=1).confidence_interval
    low, high = bounds(atrium.table("Class", "Missed")["left atrium"]["Dice"])
    # The percentile bootstrap of 12 values is too narrow: its coverage is 0.90.
    assert low <= drawn.low < drawn.high <= high
    assert high - low < 2 * (drawn.high - drawn.low)


def test_what_was_reported_before_stands_beside_the_same_measure(tmp_path: Path) -> None:
    settings = "[evaluate]\nbootstrap = 0\nreported = {dice = 0.81, jaccard = 0.686}\n[figures]\nenabled = false"
    atrium = recorded_runs.segmentation_run(tmp_path, cases=5, settings=settings)
    text = write_report(atrium)[0].read_text()
    row = Page(text).table("Class", "Missed")["reported before"]
    assert (row["Dice"], row["Jaccard"], row["95HD [voxel]"]) == ("0.810", "0.686", "")
    assert "to be compared where the data and the settings are the same" in text
    lesion = recorded_runs.classification_run(
        tmp_path, settings=settings.replace("dice = 0.81, jaccard = 0.686", "accuracy = 0.7116, f1 = 0.49")
    )
    table = Page(write_report(lesion)[0].read_text()).table("Metric", "Value")
    assert (table["Accuracy"]["Reported before"], table["F1"]["Reported before"]) == ("0.712", "0.490")
    assert table["AUC"]["Reported before"] == ""


def test_the_worst_case_stands_first(atrium: Page) -> None:
    dice = [value(row["Dice"]) for row in atrium.table("Case", "Missed").values()]
    assert dice == sorted(dice)


def test_the_first_numbers_say_of_which_cases_they_are_and_what_is_a_mean_over_classes(
    atrium: Page, lesion: Page, atria: list[RunFolder]
) -> None:
    cards = r'class="cards">.+?</div></div>\n?<p class="caption">12 cases of the test split'
    assert re.search(cards, atria[0].report_html.read_text())
    assert "(macro)" not in atrium.text
    assert lesion.text.count("are means over the classes (macro)") == 2  # of the cards and of the table
    table = atria[0].report_md.read_text().split("## What was trained")[0]
    assert table.rstrip().splitlines()[-1].startswith("12 cases of the test split")


def test_markdown_has_the_same_numbers(atria: list[RunFolder], atrium: Page) -> None:
    text = Path(atria[0].report_md).read_text()
    dice = atrium.table("Class", "Missed")["left atrium"]["Dice"].split("|")[0].strip()
    assert f"| left atrium | {dice} (" in text


@pytest.mark.parametrize(("unit", "error"), [("voxel", "Volume error"), ("pixel", "Area error")])
def test_lesions_and_volumes_stand_beside_where_a_class_has_several(tmp_path: Path, unit: str, error: str) -> None:
    folder = recorded_runs.segmentation_run(tmp_path, classes=("tumour", "cyst"), cases=5, settings=SMALL)
    assert "False lesions" not in write_report(folder)[0].read_text()  # one component a case: nothing to detect
    truth, found = np.zeros((12, 12), np.uint8), np.zeros((12, 12), np.uint8)
    truth[1:3, 1:3] = truth[6:8, 6:8] = 1  # two tumours of 4, one of them found with 6 pixels
    found[1:3, 1:4] = 1
    found[10, 0] = found[10, 5] = 2  # two cysts made up
    rows = [SegmentationRow(f"case{n:02d}", None, case_metrics(found, truth, ("tumour", "cyst"))) for n in range(5)]
    summary = summarise(rows, ("tumour", "cyst"), unit=unit, protocol="")
    folder.metrics.write_text(json.dumps({"test": summary.to_json()}))
    recorded_runs._table(folder, *case_table(rows, ("tumour", "cyst"), "test"))
    page = Page(write_report(folder)[0].read_text())
    tumour, cyst = (page.table("Class", "False lesions")[name] for name in ("tumour", "cyst"))
    shown = (error, "Lesions", "Lesion sensitivity", "False lesions")
    assert [value(tumour[head]) for head in shown] == [-0.25, 2, 0.5, 0]
    assert [cyst[head] for head in shown] == ["–", "–", "–", "2.000"]
    counts = page.table("Class", "Present in", "FP cases")
    assert [(counts[name]["Present in"], counts[name]["FP cases"]) for name in ("tumour", "cyst")] == [
        ("5", "0"),
        ("0", "5"),
    ]


def test_of_two_classes_what_clinics_read_leads(tmp_path: Path) -> None:
    folder = recorded_runs.classification_run(tmp_path, classes=("naevus", "melanoma"), cases=80, settings=SMALL)
    rows = list(csv.DictReader(folder.cases.open()))
    positive = np.array([row["true"] == "melanoma" for row in rows])
    scores = np.array([float(row["prob:melanoma"]) for row in rows])
    one = np.stack([1 - scores, scores], axis=1)
    summary = classification.summarise(
        positive.astype(int), one, ("naevus", "melanoma"), protocol="", threshold=0.3, temperature=1.6
    )
    write_metrics(folder, "test", summary)
    leading = ["sensitivity", "specificity", "average_precision", "auc"]
    assert [name for name in json.loads(folder.metrics.read_text())["test"] if name in summary.ci95][:4] == leading
    text = write_report(folder)[0].read_text()
    cards = re.findall(r'class="card"><span>([^<]+)</span><strong>([^<]+)', text)
    expected = [
        metrics.recall_score(positive, scores >= 0.3),
        metrics.recall_score(~positive, scores < 0.3),
        metrics.average_precision_score(positive, scores),
        metrics.roc_auc_score(positive, scores),
    ]
    assert [name for name, _ in cards] == ["Sensitivity", "Specificity", "Average precision", "AUC"]
    assert [float(shown) for _, shown in cards] == pytest.approx(expected, abs=5e-4)
    page = Page(text)
    heads = ("Probabilities", "as predicted", "with temperature")
    scaled = 1 / (1 + (1 / scores - 1) ** (1 / 1.6))
    losses = [value(page.table(*heads)["Log loss"][head]) for head in heads[1:]]
    assert losses == pytest.approx([metrics.log_loss(positive, p) for p in (scores, scaled)], abs=5e-4)
    assert "those of melanoma" in page.text
    assert "from a probability of 0.3 on, which was chosen on the validation split" in page.text
