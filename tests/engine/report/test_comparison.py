"""Comparisons: one table, the tests of SciPy and statsmodels, and plain answers."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs
from scipy import stats
from statsmodels.stats.multitest import multipletests

from engine.errors import UsageError
from engine.figures import draw_comparison
from engine.metrics.compare import PairedTest, mcnemar
from engine.readers.together import open_runs
from engine.report import write_comparison
from engine.report.blocks import Table
from engine.report.compare_tables import per_class
from engine.report.paired import Comparison, compare, corrected
from engine.report.shared import barrier, seed_notes, summaries
from engine.report.verdict import sentence
from engine.runfolder import RunFolder, read_splits, write_splits
from engine.runfolder.summary import DEFINITIONS
from tests import recorded_runs
from tests.engine.figures.pictures import looks_drawn
from tests.engine.report.pages import Page, value


def _column(folder: RunFolder, name: str) -> np.ndarray:
    return np.array([float(row[name]) for row in csv.DictReader(folder.cases.open())])


@pytest.fixture(scope="module")
def segmentations(atria: list[RunFolder], tmp_path_factory: pytest.TempPathFactory) -> tuple[Page, Path]:
    out = tmp_path_factory.mktemp("out") / "comparison"
    return Page(write_comparison(atria, out)[0].read_text()), out


def _p(cell: str) -> float:
    return 0.0 if cell.startswith("<") else float(cell)


def test_one_table_has_all_runs_and_its_best_values_are_marked(
    segmentations: tuple[Page, Path], atria: list[RunFolder]
) -> None:
    page, _ = segmentations
    table = page.table("Run", "Dice", "95HD [voxel]", "Cases")
    assert list(table) == ["seg_dice", "seg_dice_aug", "seg_bce"]
    for folder in atria:
        name = folder.id.split("-", 2)[2]
        assert value(table[name]["Dice"]) == pytest.approx(_column(folder, "dice").mean(), abs=5e-4)
        assert value(table[name]["95HD [voxel]"]) == pytest.approx(_column(folder, "hd95").mean(), abs=5e-4)
        assert table[name]["Cases"] == "12"


def test_differences_are_scipys_wilcoxon_with_holm_over_the_pairs(atria: list[RunFolder]) -> None:
    found = {(one.first, one.second, one.metric): one for one in compare(open_runs(atria))}
    pairs = [(0, 1), (0, 2), (1, 2)]
    for metric in ("dice", "jaccard", "asd", "assd", "hd95"):
        values = [_column(folder, metric) for folder in atria]
        raw = [stats.wilcoxon(values[a], values[b]).pvalue for a, b in pairs]
        holm = multipletests(raw, method="holm")[1]
        for (a, b), p, q in zip(pairs, raw, holm, strict=True):
            one = found[a, b, metric]
            assert one.test.p == pytest.approx(p)
            assert one.corrected == pytest.approx(q)
            assert one.test.difference == pytest.approx((values[a] - values[b]).mean())


def test_the_page_prints_them(segmentations: tuple[Page, Path], atria: list[RunFolder]) -> None:
    page, _ = segmentations
    rows = next(table for table in page.tables if "Better" in table[0])
    assert rows[0] == ["Runs", "Metric", "Difference", "95 % interval", "Test", "p", "corrected", "Better"]
    first = rows[1]
    dice = [_column(folder, "dice") for folder in atria]
    assert first[:2] == ["seg_dice − seg_dice_aug", "Dice"]
    assert value(first[2]) == pytest.approx((dice[0] - dice[1]).mean(), abs=5e-4)
    assert _p(first[5]) == pytest.approx(stats.wilcoxon(dice[0], dice[1]).pvalue, abs=5e-4)


def test_the_answer_is_plain(segmentations: tuple[Page, Path]) -> None:
    text = segmentations[0].text
    assert "seg_dice is better than seg_bce: a higher Dice, by " in text
    assert "corrected for 3 pairs" in text
    assert text.index("is better than") < text.index("The runs")


def test_classifications_are_compared_over_lesions(lesions: list[RunFolder], tmp_path: Path) -> None:
    found = {(one.metric, one.label): one for one in compare(open_runs(lesions))}
    right, rows = [], []
    for folder in lesions:
        rows = list(csv.DictReader(folder.cases.open()))
        right.append(np.array([row["true"] == row["predicted"] for row in rows]))
    accuracy = found["accuracy", ""]
    assert accuracy.test == mcnemar(*right, [row["group"] for row in rows])
    assert accuracy.test.difference == pytest.approx(right[0].mean() - right[1].mean())
    assert [found[name, ""].test.test for name in ("balanced_accuracy", "f1", "auc")] == [
        *("permutation", "permutation", "delong")
    ]
    assert {label for metric, label in found if metric == "auc" and label} == set(recorded_runs.SKIN)
    text = Page(write_comparison(lesions, tmp_path / "out")[0].read_text()).text
    assert "cls_ce_focal is better than cls_ce: a higher accuracy, by " in text
    assert "over groups (patients, lesions)" in text


def test_without_groups_a_class_is_compared_by_delong(tmp_path: Path) -> None:
    folders = [
        recorded_runs.classification_run(tmp_path, name=name, cases=80, epochs=2, quality=quality, groups=False)
        for name, quality in (("a", 0.3), ("b", 0.5))
    ]
    classes = [one for one in compare(open_runs(folders)) if one.label]
    assert {one.test.test for one in classes} == {"delong"}
    few = [one for one in classes if one.test.p is None]
    assert {one.test.reason for one in few} <= {f"{n} cases; an interval needs 5" for n in (1, 2, 3, 4)}
    classes = [one for one in classes if one not in few]
    assert len(classes) > 3
    holm = multipletests([one.test.p for one in classes], method="holm")[1]
    assert [one.corrected for one in classes] == pytest.approx(list(holm))
    text = Page(write_comparison(folders, tmp_path / "out")[0].read_text()).text
    assert f"corrected by Holm, for each metric by itself, over the {len(classes)} classes" in text


def test_two_equal_runs_are_not_told_apart(tmp_path: Path) -> None:
    folders = [recorded_runs.segmentation_run(tmp_path, name="same", cases=6, epochs=2) for _ in range(2)]
    together = open_runs(folders)
    assert len(set(together.labels)) == 2
    text = sentence(together, compare(together)[0])
    assert text.startswith("The data do not tell")
    assert "is the same" in text


def test_a_small_p_with_an_interval_over_zero_decides_nothing(atria: list[RunFolder]) -> None:
    together = open_runs(atria[:2])
    doubtful = Comparison(0, 1, "dice", "", PairedTest("wilcoxon", 12, 0.01, (-0.01, 0.03), 1.0, 0.001))
    clear = Comparison(0, 1, "hd95", "", PairedTest("wilcoxon", 12, -2.0, (-3.0, -1.0), 1.0, 0.001))
    doubtful, clear = corrected([doubtful, clear])
    assert "do not tell" in sentence(together, doubtful)
    assert sentence(together, clear) == (
        "seg_dice is better than seg_dice_aug: a smaller 95HD, by 2.000 (95 % interval 1.000 to 3.000); were they "
        "equally good, so large a difference would come up with p\u00a0=\u00a00.0010 (Wilcoxon test over 12 cases); "
        "no more cases needed."
    )


def test_an_answer_says_how_many_cases_are_missing(atria: list[RunFolder]) -> None:
    """Difference 0.01 with an error of 0.01 in 12 cases: 12 (1.960 + 0.842)^2 = 94.2 are needed."""
    together = open_runs(atria[:2])
    test = PairedTest("wilcoxon", 12, 0.01, (-0.01, 0.03), 1.0, 0.3, error=0.01)
    (one,) = corrected([Comparison(0, 1, "dice", "", test)])
    assert "takes about 83 more cases (80 % power)" in sentence(together, one)
    (same,) = corrected([Comparison(0, 1, "dice", "", PairedTest("wilcoxon", 12, 1e-9, (-1.0, 1.0), 1.0, 0.9, 0.01))])
    assert "no number of cases that could be had" in sentence(together, same)
    (few,) = corrected([Comparison(0, 1, "dice", "", PairedTest("wilcoxon", 4, 0.5, None, 0.0, 0.125))])
    assert "cannot be said from so few" in sentence(together, few)


def test_the_metrics_that_decide_are_corrected_together(lesions: list[RunFolder]) -> None:
    found = {one.metric: one for one in compare(open_runs(lesions)) if not one.label}
    raw = [found[name].test.p for name in ("accuracy", "balanced_accuracy")]
    assert [found[name].corrected for name in ("accuracy", "balanced_accuracy")] == pytest.approx(
        list(multipletests(raw, method="holm")[1])
    )
    assert found["f1"].corrected == found["f1"].test.p


def _measured(folder: RunFolder, **changes: object) -> RunFolder:
    content = json.loads(folder.metrics.read_text())
    content["test"].update(changes)
    folder.metrics.write_text(json.dumps(content))
    return folder


def test_across_protocols_there_is_no_bold_and_no_verdict(tmp_path: Path) -> None:
    runs = [
        recorded_runs.segmentation_run(tmp_path, name=name, cases=8, epochs=2, quality=quality)
        for name, quality in (("whole", 0.3), ("crop", 0.8))
    ]
    _measured(runs[1], protocol="centre crop 112x112x80, checkpoint best")
    out = write_comparison(runs, tmp_path / "out")
    text, markdown = Page(out[0].read_text()).text, out[1].read_text()
    assert "No verdict: the runs were measured in different ways" in text
    assert "is better than" not in text
    assert "bold: the best value" not in text
    assert "**0." not in markdown
    assert compare(open_runs(runs)) == []


def _of_first_version(folder: RunFolder, absent: int) -> RunFolder:
    """As versions before 26 November 2026 wrote what they measured: with other counts of a class."""
    part = json.loads(folder.metrics.read_text())["test"]
    part.pop("definitions", None)
    for row in part["per_class"].values():
        for later in ("present", "false_positive_cases", "predicted"):
            row.pop(later, None)
        row.update({"absent": absent} if "absent" in row else {})
    folder.metrics.write_text(json.dumps({"test": part}))
    return folder


def test_means_of_the_first_version_are_measured_again_before_a_verdict(tmp_path: Path) -> None:
    classes = ("anterior", "posterior")
    runs = [
        recorded_runs.segmentation_run(tmp_path, name=name, classes=classes, epochs=2, quality=quality)
        for name, quality in (("old", 0.3), ("new", 0.8))
    ]
    _of_first_version(runs[0], absent=2)
    text = Page(write_comparison(runs, tmp_path / "out")[0].read_text()).text
    assert "No verdict: an earlier version of medtui counted classes that a case does not have" in text
    assert f"medtui evaluate {runs[0].id}" in text
    _of_first_version(runs[0], absent=0)  # then the means are the same
    assert barrier(open_runs(runs)) == ""


def test_intervals_of_the_first_version_are_computed_again(tmp_path: Path) -> None:
    runs = [recorded_runs.classification_run(tmp_path, name=name, cases=40, epochs=2) for name in "ab"]
    right = summaries(open_runs(runs))[0].interval("accuracy")
    _of_first_version(runs[0], absent=0)
    _measured(runs[0], ci95={"accuracy": [0.1, 0.2]})
    together = open_runs(runs)
    assert [run.metrics["test"].definitions for run in together.runs] == [1, DEFINITIONS]
    assert summaries(together)[0].interval("accuracy") == right
    text = Page(write_comparison(runs, tmp_path / "out")[0].read_text()).text
    assert f"Measured by an earlier version of medtui: {runs[0].id}." in text


def test_distances_of_different_units_bear_their_own(tmp_path: Path) -> None:
    runs = [recorded_runs.segmentation_run(tmp_path, name=name, cases=8, epochs=2) for name in ("scan", "photo")]
    _measured(runs[1], unit="pixel")
    page = Page(write_comparison(runs, tmp_path / "out")[0].read_text())
    table = page.table("Run", "95HD")
    own = open_runs(runs).runs[0].unit
    assert own != "pixel"
    assert f" {own}" in table["scan"]["95HD"]
    assert " pixel" in table["photo"]["95HD"]
    assert "Distances in the unit beside them." in page.text


def test_another_checkpoint_or_mirroring_is_another_method_of_one_protocol(tmp_path: Path) -> None:
    runs = [recorded_runs.segmentation_run(tmp_path, name=name, cases=6, epochs=2) for name in "ab"]
    _measured(runs[1], protocol="whole volume, sliding window, test-time mirroring, checkpoint last")
    assert barrier(open_runs(runs)) == ""


def test_cases_of_another_truth_are_no_comparison(tmp_path: Path) -> None:
    runs = [recorded_runs.classification_run(tmp_path, name=name, cases=40, epochs=2) for name in "ab"]
    rows = list(csv.reader(runs[1].cases.open()))
    rows[1][rows[0].index("true")] = next(name for name in recorded_runs.SKIN if name != rows[1][rows[0].index("true")])
    with runs[1].cases.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    assert barrier(open_runs(runs)) == "1 of the 40 cases that the runs share have another true class in each"


def test_tables_are_of_the_shared_cases(tmp_path: Path) -> None:
    first = recorded_runs.segmentation_run(tmp_path, name="a", cases=6, epochs=2)
    second = recorded_runs.segmentation_run(tmp_path, name="b", cases=9, epochs=2, quality=0.5)
    page = Page(write_comparison([first, second], tmp_path / "out")[0].read_text())
    row = page.table("Run", "Dice", "Cases")["b"]
    assert value(row["Dice"]) == pytest.approx(_column(second, "dice")[:6].mean(), abs=5e-4)
    assert row["Cases"] == "6"
    images = [recorded_runs.classification_run(tmp_path, name=f"c{n}", cases=n, epochs=2) for n in (60, 90)]
    part = summaries(open_runs(images))[1]
    rows = list(csv.DictReader(images[1].cases.open()))[:60]
    assert part.n == 60
    assert part.value("accuracy") == pytest.approx(np.mean([r["true"] == r["predicted"] for r in rows]))


def test_one_seed_is_said_and_several_stand_beside_the_cases(tmp_path: Path, atria: list[RunFolder]) -> None:
    (note,) = seed_notes(open_runs(atria))
    assert "trained with one seed" in note.text
    runs = [recorded_runs.segmentation_run(tmp_path, name="seg", cases=6, epochs=2, seed=seed) for seed in (1, 2, 3)]
    (note,) = seed_notes(open_runs(runs))
    spread = np.std([_column(folder, "dice").mean() for folder in runs], ddof=1)
    assert f"over its 3 seeds the Dice has a standard deviation of {spread:.4f}; the standard error" in note.text


def test_seeds_of_one_recipe_are_summed_up(tmp_path: Path) -> None:
    folders = [
        recorded_runs.segmentation_run(
            tmp_path, name="seg", cases=4, epochs=2, seed=seed, settings="[figures]\ndpi = 60"
        )
        for seed in (1, 2, 3)
    ]
    page = Page(write_comparison(folders, tmp_path / "out")[0].read_text())
    assert list(page.table("Run", "Dice")) == ["seg seed 1", "seg seed 2", "seg seed 3"]
    row = page.table("Recipe", "Seeds", "Dice")["seg"]
    means = [_column(folder, "dice").mean() for folder in folders]
    assert row["Seeds"] == "3"
    assert row["Dice"] == f"{np.mean(means):.3f} ± {np.std(means, ddof=1):.3f}"


def test_only_shared_cases_are_tested_and_it_is_said(tmp_path: Path) -> None:
    first = recorded_runs.segmentation_run(tmp_path, name="a", cases=6, epochs=2)
    second = recorded_runs.segmentation_run(tmp_path, name="b", cases=8, epochs=2, quality=0.5)
    assert compare(open_runs([first, second]))[0].test.n == 6
    text = Page(write_comparison([first, second], tmp_path / "out")[0].read_text()).text
    assert "did not measure the same cases: all tables and tests use the 6 that all share, of 6, 8" in text


def _told_apart(folder: RunFolder, **changes: str) -> None:
    """Let the cases of ``folder`` hold something else: each field gets the text in front."""
    rows = [
        structs.replace(row, **{name: text + getattr(row, name) for name, text in changes.items()})
        for row in read_splits(folder)
    ]
    write_splits(folder, rows)


@pytest.mark.parametrize("changes", [{"image": "0", "truth": "0"}, {"truth": "0"}])
def test_equal_ids_of_other_patients_or_other_truths_are_not_paired(tmp_path: Path, changes: dict[str, str]) -> None:
    first = recorded_runs.segmentation_run(tmp_path, name="a", cases=6, epochs=2)
    second = recorded_runs.segmentation_run(tmp_path, name="b", cases=6, epochs=2, quality=0.5)
    _told_apart(second, **changes)
    together = open_runs([first, second])
    assert together.common == []
    assert compare(together) == []
    text = Page(write_comparison([first, second], tmp_path / "out")[0].read_text()).text
    assert "No verdict: the runs share no case: 6 have equal ids, but other images or truths" in text
    assert "their test cases are the same" not in text
    assert "the numbers of each are of its own, of 6, 6" in text


def test_where_no_case_is_shared_a_class_is_counted_in_each_runs_own(tmp_path: Path) -> None:
    first = recorded_runs.classification_run(tmp_path, name="a", cases=60, epochs=2)
    second = recorded_runs.classification_run(tmp_path, name="b", cases=70, epochs=2)
    _told_apart(second, image="0")
    runs = open_runs([first, second])
    [section] = per_class(runs)
    [table, _] = section.blocks
    assert isinstance(table, Table)
    present = [[int(n) for n in str(row[-1]).split(", ")] for row in table.rows]
    assert [sum(column) for column in zip(*present, strict=True)] == [60, 70]


def test_equal_cases_of_other_ids_are_paired(tmp_path: Path) -> None:
    first = recorded_runs.classification_run(tmp_path, name="a", cases=60, epochs=2)
    second = recorded_runs.classification_run(tmp_path, name="b", cases=60, epochs=2, quality=0.4)
    before = compare(open_runs([first, second]))
    _told_apart(second, id="z")
    table = list(csv.reader(second.cases.open()))
    place = table[0].index("id")
    renamed = [table[0], *([*row[:place], "z" + row[place], *row[place + 1 :]] for row in reversed(table[1:]))]
    with second.cases.open("w", newline="") as stream:
        csv.writer(stream).writerows(renamed)
    together = open_runs([first, second])
    assert together.ids(1) == ["z" + case for case in together.ids(0)]
    assert [(one.metric, one.test.difference) for one in compare(together)] == [
        (one.metric, one.test.difference) for one in before
    ]


def test_runs_that_do_not_know_their_cases_are_paired_by_id_and_that_is_said(tmp_path: Path) -> None:
    first = recorded_runs.segmentation_run(tmp_path, name="a", cases=6, epochs=2)
    second = recorded_runs.segmentation_run(tmp_path, name="b", cases=6, epochs=2, quality=0.5)
    second.splits.unlink()
    assert len(open_runs([first, second]).common) == 6
    text = Page(write_comparison([first, second], tmp_path / "out")[0].read_text()).text
    assert "Cases are paired by their ids: a run of an earlier version does not say what they hold." in text


def test_what_differs_is_listed(segmentations: tuple[Page, Path]) -> None:
    rows = {row[0] for table in segmentations[0].tables for row in table}
    assert "duration" in rows
    assert "model.name" not in rows  # the same in all three


def test_figures_of_comparisons_are_drawn(
    segmentations: tuple[Page, Path], lesions: list[RunFolder], tmp_path: Path
) -> None:
    _, out = segmentations
    assert {path.name for path in (out / "figures").glob("*.png")} == {"compare_curves.png", "compare_differences.png"}
    results = draw_comparison(lesions, tmp_path / "figures")
    assert [Path(result.path).stem for result in results] == ["compare_curves", "compare_roc", "compare_differences"]
    for result in results:
        assert result.ok, result.message
        assert looks_drawn(tmp_path / result.path)


def test_the_page_is_whole_and_names_no_path(segmentations: tuple[Page, Path], atria: list[RunFolder]) -> None:
    page, out = segmentations
    assert page.problems == []
    for name in ("report.html", "report.md"):
        assert str(atria[0].root.parent) not in (out / name).read_text()


def test_runs_that_cannot_be_compared_are_refused(
    atria: list[RunFolder], lesions: list[RunFolder], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="two runs"):
        write_comparison([atria[0], atria[0]], tmp_path)
    with pytest.raises(UsageError, match="cannot be compared"):
        write_comparison([atria[0], lesions[0]], tmp_path)
    live = recorded_runs.segmentation_run(tmp_path, cases=2, epochs=2, state="running")
    live.metrics.unlink()
    with pytest.raises(UsageError, match="has no metrics yet"):
        write_comparison([atria[0], live], tmp_path)


def test_metrics_that_were_not_measured_have_no_row(atria: list[RunFolder], tmp_path: Path) -> None:
    folder = recorded_runs.segmentation_run(tmp_path, name="nosurface", cases=12, epochs=2)
    rows = list(csv.reader(folder.cases.open()))
    for row in rows[1:]:
        row[rows[0].index("asd")] = ""
    with folder.cases.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    content = json.loads(folder.metrics.read_text())
    content["test"]["asd"] = None
    folder.metrics.write_text(json.dumps(content))
    metrics = {one.metric for one in compare(open_runs([atria[0], folder]))}
    assert "asd" not in metrics
    assert "dice" in metrics


def test_a_comparison_imports_no_torch(atria: list[RunFolder], tmp_path: Path) -> None:
    roots = [str(folder.root) for folder in atria[:2]]
    code = (
        "import sys; from pathlib import Path; from engine.report import write_comparison; "
        f"from engine.runfolder import RunFolder; write_comparison([RunFolder(Path(p)) for p in {roots!r}], "
        f"Path({str(tmp_path / 'out')!r})); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
