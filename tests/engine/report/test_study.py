"""The report of a study: what its members share is said once, with the spread of seeds beside that of cases."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from engine.metrics.intervals import mean_interval
from engine.readers.figure_index import read_index
from engine.readers.numbers import digits
from engine.readers.run import RunData
from engine.report.alerts import seen_before
from engine.report.spread import spread_table
from engine.report.study import build, write_study_report
from engine.runfolder import RunFolder, own_status, read_cases, read_metrics, write_status
from engine.runfolder.cases import write_csv
from engine.runfolder.manifest import StartFacts
from engine.runfolder.study import Member, Study, best_setting, read_study
from engine.studies.members import save
from engine.studies.results import TESTED, collect
from tests import recorded_runs
from tests.engine.report.conftest import SMALL
from tests.engine.report.pages import Page, value


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, list[RunFolder], Page]:
    """Two seeds of one recipe, its two runs and the page."""
    runs = tmp_path_factory.mktemp("runs")
    members = [recorded_runs.segmentation_run(runs, cases=12, seed=seed, settings=SMALL) for seed in (0, 7)]
    folder = RunFolder(runs / "20260102-000000-seg.study")
    folder.root.mkdir()
    folder.recipe.write_bytes(members[0].recipe.read_bytes())
    rows = [Member(name=f"s{n}", seed=n, run=run.id, state="finished") for n, run in zip((0, 7), members, strict=True)]
    found = Study(recipe="seg.toml", task="segmentation", monitor="dice", seeds=[0, 7], member=rows)
    collect(folder, found)
    return folder, members, Page(write_study_report(folder, found)[0].read_text())


def test_the_spread_of_seeds_stands_beside_that_of_cases(study: tuple[RunFolder, list[RunFolder], Page]) -> None:
    folder, members, page = study
    row = page.table("Spread", "over cases", "over trainings")["Dice, test, mean of members"]
    means = [read_metrics(run)["test"].value("dice") for run in members]
    assert value(row["over trainings"]) == pytest.approx(np.std(means, ddof=1), abs=6e-5)
    widths = []
    for run in members:
        low, high = mean_interval([case.values["dice"] for case in read_cases(run)], limits=(0, 1)).interval
        widths.append(high - low)
    assert value(row["over cases"]) == pytest.approx(np.mean(widths) / 3.92, abs=6e-5)
    assert read_metrics(folder)[TESTED].spread["dice"] == pytest.approx(np.std(means, ddof=1))


def test_its_state_is_that_of_its_members(study: tuple[RunFolder, list[RunFolder], Page], tmp_path: Path) -> None:
    folder, members, _ = study
    own = RunFolder(shutil.copytree(folder.root, tmp_path / folder.id))
    write_status(own, replace(own_status("seg", "segmentation", 2), state="running"))  # as while a report is written
    rows = [Member(name=f"s{n}", seed=n, run=run.id, state="finished") for n, run in enumerate(members)]
    found = Study(recipe="seg.toml", task="segmentation", monitor="dice", seeds=[0, 1], member=rows)
    assert build(RunData(own), found).subtitle.endswith(" · finished")
    found = replace(found, member=[rows[0], replace(rows[1], state="failed")])
    assert build(RunData(own), found).subtitle.endswith(" · 1 of 2 members finished")


@pytest.mark.parametrize(
    ("make", "monitor", "kinds"),
    [
        (recorded_runs.segmentation_run, "dice", ["members", "distributions"]),
        (
            recorded_runs.classification_run,
            "balanced_accuracy",
            ["members", "roc", "precision_recall", "confusion", "reliability"],
        ),
    ],
)
def test_a_study_has_the_figures_that_need_no_image(
    make: Callable[..., RunFolder], monitor: str, kinds: list[str], tmp_path: Path
) -> None:
    members = [make(tmp_path, cases=42, seed=seed, settings=SMALL) for seed in (0, 7)]
    for run in members:  # these have only tested
        for path, old in ((run.cases, ",test,"), (run.metrics, '"test"')):
            path.write_text(path.read_text().replace(old, old.replace("test", "validation")))
    folder = RunFolder(tmp_path / "20260102-000000-both.study")
    folder.root.mkdir()
    folder.recipe.write_bytes(members[0].recipe.read_bytes())
    rows = [Member(name=f"s{n}", seed=n, run=run.id, state="finished") for n, run in zip((0, 7), members, strict=True)]
    task = RunData(members[0]).task
    save(folder, Study(recipe="r.toml", task=task, monitor=monitor, seeds=[0, 7], member=rows))
    collect(folder, read_study(folder))
    page = Page(write_study_report(folder, read_study(folder))[0].read_text())
    drawn = {figure.kind: figure for figure in read_index(folder)}
    assert [*drawn] == kinds
    assert all(figure.ok for figure in drawn.values())
    assert "2 members" in drawn["members"].caption
    assert drawn["members"].caption in page.text
    if task == "classification":
        found = read_metrics(folder)["validation"].value("ece")
        own = [read_metrics(run)["validation"].value("ece") for run in members]
        assert found == pytest.approx(np.mean(own))
        caption = drawn["reliability"].caption
        assert f"(ECE) {digits(found)}; " in caption
        assert all(drawn[kind].caption.endswith("mean over the seeds.") for kind in kinds[1:] if kind != "confusion")
    if task == "segmentation":
        assert "over the 42 cases of the validation split, each the mean of its seeds." in page.text
    else:
        assert "84 predictions of the validation split (2 of each case)" in drawn["roc"].caption
        counts = np.array(read_metrics(folder)["validation"].confusion)
        assert f"{np.trace(counts)} of 84 predictions" in drawn["confusion"].caption


def test_a_case_counts_once_in_the_spread_over_cases(tmp_path: Path) -> None:
    cells = [{"id": name, "split": "validation", "dice": dice} for name, dice in zip("abab", "1937", strict=True)]
    rows = [{**row, "dice": f"0.{row['dice']}"} for row in cells]
    folder = recorded_runs.segmentation_run(tmp_path, cases=5, settings=SMALL)
    write_csv(folder.cases, list(rows[0]), (list(row.values()) for row in rows))
    table = spread_table(RunData(folder), "validation")[0]
    assert table.rows == [["Dice", "0.500", "0.350", "0.650", "0.200", "a"]]


def test_what_was_trained_is_the_best_setting(study: tuple[RunFolder, list[RunFolder], Page], tmp_path: Path) -> None:
    folder = RunFolder(shutil.copytree(study[0].root.parent, tmp_path / "runs") / study[0].id)
    rows = []
    for lr, run in zip(("0.01", "0.02"), study[1], strict=True):
        recipe = RunFolder(folder.root.parent / run.id).recipe
        recipe.write_text(re.sub(r"(?m)^lr = .*$", f"lr = {lr}", recipe.read_text()))
        rows.append(Member(name=lr, seed=0, run=run.id, state="finished", grid={"optimizer.lr": lr}))
    grid = {"optimizer.lr": ["0.01", "0.02"]}
    found = Study(recipe="seg.toml", task="segmentation", monitor="dice", seeds=[0], grid=grid, member=rows)
    best = best_setting(found, collect(folder, found))
    page = Page(write_study_report(folder, found)[0].read_text())
    assert f"the best of 2 by Dice: {best}" in page.text
    assert f"Optimizer adam, lr {best.removeprefix('optimizer.lr=')}" in page.text


def test_a_setting_that_failed_is_said_with_its_reason(
    study: tuple[RunFolder, list[RunFolder], Page], tmp_path
) -> None:
    folder = RunFolder(shutil.copytree(study[0].root.parent, tmp_path / "runs") / study[0].id)
    rows = [
        Member(name=lr, run=run.id, state=state, grid={"optimizer.lr": lr})
        for lr, run, state in zip(("1", "9"), study[1], ("finished", "failed"), strict=True)
    ]
    failed = own_status(rows[1].run, "segmentation", 3)
    write_status(RunFolder(folder.root.parent / rows[1].run), replace(failed, state="failed", message="loss is NaN"))
    grid = {"optimizer.lr": ["1", "9"]}
    found = Study(recipe="seg.toml", task="segmentation", monitor="dice", seeds=[0], grid=grid, member=rows)
    collect(folder, found)
    text = Page(write_study_report(folder, found)[0].read_text()).text
    assert "1 of 2 members not finished: 9 failed (loss is NaN)" in text
    assert "the best of 2 by Dice: optimizer.lr=1; 1 of them without a result" in text
    assert "which is so a little too good" not in text


def test_what_a_reader_asks_before_the_numbers_is_answered(study: tuple[RunFolder, list[RunFolder], Page]) -> None:
    page = study[2]
    for words in (
        "The data are a phantom",
        "Citation none: a phantom",
        "Left out nothing",
        "Test split measured by every member at its end",
        "Intended use and limits",
        "How the numbers are defined",
        f"medtui sweep runs/{study[0].id}/recipe.toml --seeds 2 --data DATA",
    ):
        assert words in page.text
    assert "not the published" not in page.text
    rows = {row[0]: row[2] for table in page.tables for row in table[1:] if table[0][1:2] == ["What is asked"]}
    assert rows["chance of training"] == "Spread over seeds and cases"
    assert rows["5a"].startswith("Data")


def test_what_the_weights_of_members_have_seen_is_one_warning_a_run() -> None:
    begun = [StartFacts(run="first", seen={"validation": count} if count else {}) for count in (3, 5, 0)]
    (said,) = seen_before(*begun)
    assert said.text.startswith(
        "Of the validation cases of 2 of 3 members, 3 to 5 each were in the training of first, "
    )
    (alone,) = seen_before(StartFacts(run="first", seen={"test": 1}))
    assert alone.text.startswith(
        "Of the test cases, 1 was in the training of first, whose weights training began with:"
    )
