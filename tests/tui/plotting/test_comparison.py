"""Comparison of runs: labels, best of a row, differences of recipes, charts, warnings."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from engine.events import EpochDone, Iteration, Result, RunStarted, Validation
from engine.readers.fold import fold
from engine.readers.run_view import EMPTY, RunView
from engine.runfolder import RunFolder
from tui.plotting.comparison import (
    ComparedRun,
    best_places,
    compared_charts,
    labels,
    metric_rows,
    read_compared_run,
    recipe_rows,
    warnings,
)

CLASSES = ["anterior", "posterior"]


def view(dice: float, *, epochs: int = 2, per_epoch: int = 2, result: bool = True, unit: str = "mm") -> RunView:
    events: list[object] = [
        RunStarted(name="a", task="segmentation", classes=CLASSES, epochs=epochs, iterations_per_epoch=per_epoch,
                   monitor="dice", unit=unit)
    ]  # fmt: skip
    for epoch in range(1, epochs + 1):
        last = epoch * per_epoch
        events += [Iteration(iteration=i, epoch=epoch, loss=1.0) for i in range(last - per_epoch + 1, last + 1)]
        events.append(EpochDone(epoch=epoch, iteration=last, metrics={"loss": 1.0 / epoch}, seconds=4.0))
        per_class = {label: {"dice": dice - 0.1 / epoch} for label in CLASSES}
        metrics = {"loss": 0.5, "dice": dice - 0.1 / epoch, "hd95": 9.0}
        events.append(Validation(epoch=epoch, iteration=last, metrics=metrics, per_class=per_class))  # type: ignore[arg-type]
    if result:
        per_class = {label: {"dice": dice, "hd95": 5.0} for label in CLASSES}
        metrics = {"n": 20, "missed": 0, "dice": dice, "hd95": 10 - dice}
        events.append(Result(split="test", metrics=metrics, per_class=per_class))  # type: ignore[arg-type]
    return fold(EMPTY, events)  # type: ignore[arg-type]


def sides(*views: RunView) -> list[ComparedRun]:
    return [ComparedRun(RunFolder(Path(f"r{at}")), f"run {at}", one, "finished") for at, one in enumerate(views)]


def test_labels_tell_runs_apart() -> None:
    ids = ["20260102-030405-a", "20260102-030506-a", "20260102-030508-b", "20260102-030507-a"]
    folders = [RunFolder(Path(name)) for name in ids]
    found = labels(folders, ["a", "a", "b", "a"])
    assert found[0] == "a 01-02 03:04"
    assert found[2] == "b"
    assert len(set(found)) == 4


def test_best_of_a_row() -> None:
    assert best_places([0.1, 0.3, 0.3], up=True) == {1, 2}
    assert best_places([0.1, 0.3, math.nan], up=False) == {0}
    assert best_places([0.3, 0.3], up=True) == frozenset()
    assert best_places([0.3, math.nan], up=True) == frozenset()


def test_the_metric_table_marks_the_best_of_each_row() -> None:
    rows = metric_rows(sides(view(0.8), view(0.9), view(0.7, result=False)))
    by_name = {row.name: row for row in rows if not row.head}
    heads = [row.name for row in rows if row.head]
    assert heads == ["test, chosen checkpoint", "validation, best @ epoch", "run"]
    test = next(row for row in rows if row.name == "dice")
    assert test.cells == ("0.800", "0.900", "–")
    assert test.best == {1}
    hd95 = next(row for row in rows if row.name.startswith("hd95"))
    assert hd95.cells == ("9.20", "9.10", "–")
    assert hd95.best == {1}  # less is better
    assert by_name["n"].cells == ("20", "20", "–")
    assert by_name["n"].best == frozenset()
    assert by_name["dice · anterior"].best == {1}

    assert by_name["dice"].cells[0] == "0.750 @ 2"  # the later row of the name: validation
    assert by_name["s an epoch"].cells == ("4.00",) * 3


def test_nothing_is_the_best_of_what_has_another_loss_or_unit() -> None:
    two = sides(view(0.8), view(0.9, unit="voxel"))
    two = [replace(side, recipe={"loss.name": name}) for side, name in zip(two, ("dice", "dice_bce"), strict=True)]
    rows = {row.name: row for row in metric_rows(two)}
    assert rows["dice"].best == {1}
    assert rows["hd95"].best == frozenset()
    assert rows["loss"].best == frozenset()
    assert warnings([*two[:1], replace(two[1], view=view(0.9, unit=""))]) == []


@pytest.mark.parametrize(("other", "best"), [(["left", "right"], {1}), (["left"], set())])
def test_a_region_of_other_classes_is_no_better_one(other: list[str], best: set[int]) -> None:
    two = []
    for side, classes, dice in zip(sides(view(0.8), view(0.9)), (["left", "right"], other), (0.8, 0.9), strict=True):
        labels = {"left": {"dice": dice}, "right": {"dice": dice}}
        found = Result(
            split="test", metrics={"dice_regions": dice}, per_class=labels, per_region={"both": {"dice": dice}}
        )
        recipe = {"evaluate.regions.both": classes}
        two.append(replace(side, recipe=recipe, view=replace(side.view, results={"test": found})))
    rows = {row.name: row for row in metric_rows(two)}
    assert rows["dice regions"].best == rows["dice · both"].best == best


def test_charts_have_a_curve_for_each_run_that_measured() -> None:
    found = {chart.name: chart for chart in compared_charts(sides(view(0.8), view(0.9)), "epoch")}
    assert list(found)[:4] == ["val loss", "train loss", "dice", "hd95"]
    assert [curve.name for curve in found["dice"].curves] == ["run 0", "run 1"]
    assert [curve.color for curve in found["dice"].curves] == ["0", "1"]
    assert {curve.mark for curve in found["dice"].curves} == {"●", "▲"}
    assert not found["hd95"].up
    assert "dice · posterior" in found


def test_charts_of_runs_without_an_epoch_show_iterations() -> None:
    begun = fold(EMPTY, [RunStarted(name="a", task="segmentation"), Iteration(iteration=1, epoch=1, loss=1.0)])
    (chart,) = compared_charts(sides(begun, EMPTY), "iteration")
    assert chart.name == "train loss"
    assert [len(curve.table) for curve in chart.curves] == [1, 0]


def recipe(folder: Path, text: str, fingerprint: str = "") -> RunFolder:
    folder.mkdir()
    (folder / "recipe.toml").write_text(text)
    (folder / "manifest.json").write_text(json.dumps({"data": {"fingerprint": fingerprint}}))
    return RunFolder(folder)


def test_only_different_keys_are_shown(tmp_path: Path) -> None:
    one = read_compared_run(recipe(tmp_path / "a", 'seed = 1\n[train]\nepochs = 3\nname = "x"\n', "f1"), "a")
    two = read_compared_run(
        recipe(tmp_path / "b", 'seed = 1\n[train]\nepochs = 4\nname = "x"\nflip = [0, true]\n', "f2"), "b"
    )
    assert [(row.name, row.cells) for row in recipe_rows([one, two])] == [
        ("train.epochs", ("3", "4")),
        ("train.flip", ("–", "[0, true]")),
    ]
    assert not any("different data" in text for text in warnings([one, two]))  # neither knows what its cases hold
    for name in "ab":
        (tmp_path / name / "splits.csv").write_text("id,group,split,image,truth\n")
    read = [read_compared_run(RunFolder(tmp_path / name), name) for name in "ab"]
    assert any("different data" in text for text in warnings(read))
    assert recipe_rows([one, replace(one, label="c")]) == []
    assert warnings([one, one]) == []


def test_a_broken_recipe_is_told_and_hides_nothing_else(tmp_path: Path) -> None:
    broken = read_compared_run(recipe(tmp_path / "a", "seed = "), "a")
    missing = read_compared_run(RunFolder(tmp_path / "gone"), "b")
    good = [read_compared_run(recipe(tmp_path / name, f"seed = {name[-1]}\n"), name) for name in ("c1", "c2")]
    assert broken.problem == "recipe.toml cannot be read"
    assert missing.problem == "recipe.toml is not there"
    (row,) = recipe_rows([broken, *good, missing])
    assert row.cells == ("?", "1", "2", "?")


def test_what_an_earlier_version_measured_is_no_better(tmp_path: Path) -> None:
    both = sides(view(0.8), view(0.7))
    old = [replace(both[0], definitions=1), both[1]]
    assert [row.best for row in metric_rows(old) if row.name == "dice"] == [frozenset()] * 2
    assert any("medtui evaluate RUN" in words for words in warnings(old))
    assert [row.best for row in metric_rows(both) if row.name == "dice"] == [frozenset({0})] * 2
    folder = RunFolder(tmp_path)
    folder.manifest.write_text('{"data": {"fingerprint": "of names and sizes"}}')
    rows = {"liver": {"dice": 0.5, "absent": 1, "missed": 0}}
    folder.metrics.write_text(json.dumps({"test": {"n": 3, "dice": 0.5, "per_class": rows}}))
    read = read_compared_run(folder, "old")
    assert (read.definitions, read.data) == (1, "")  # no table of cases beside it: not to be compared with others


def test_units_and_tasks_are_compared() -> None:
    assert warnings(sides(view(0.8, unit="mm"), view(0.8, unit="voxel"))) == ["distances are in different units"]
