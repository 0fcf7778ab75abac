"""A metric from a package of two files stands wherever metrics stand: no file of medtui names it."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean

import pytest

from engine import measures
from engine.commands.check import check
from engine.errors import RecipeError, UsageError
from engine.events import Validation
from engine.metrics.pair import OF_PAIRS
from engine.metrics.resampled import OF_SCORES
from engine.plugins import load_plugins
from engine.readers.fold import fold
from engine.readers.run_view import EMPTY
from engine.recipe import load_recipe
from engine.report.page import write_report
from engine.requests import Check
from tests.engine.runs import CLASSIFICATION, SEGMENTATION, events, run, write_recipe
from tests.phantoms import phantom_root
from tests.tui.piloted import dashboard, see
from tui.plotting.charts import charts_of
from tui.printed.result_table import metric_table

NAME, OF_IMAGES = "centroid_distance", "youden"
PLUGIN = Path(__file__).parent / "plugin"


def _forget() -> None:
    load_plugins.cache_clear()
    for name in [name for name in sys.modules if name.startswith("medtui_")]:
        del sys.modules[name]
    for name, registry in ((NAME, OF_PAIRS), (OF_IMAGES, OF_SCORES)):
        measures.unregister(name)
        registry.known.pop(name, None)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The package as pip would have installed it."""
    monkeypatch.syspath_prepend(str(PLUGIN))
    _forget()
    yield
    monkeypatch.undo()
    _forget()


async def test_a_metric_of_a_package_is_everywhere(installed: None, tmp_path: Path) -> None:
    code, folder = run(tmp_path, SEGMENTATION, f"train.monitor={NAME}", "train.epochs=2")
    assert code == 0
    test = json.loads(folder.metrics.read_text())["test"]
    value = test["per_class"]["left atrium"][NAME]
    assert test[NAME] == value > 0
    assert all(float(row[NAME]) > 0 for row in csv.DictReader(folder.cases.open()))
    stream = events(folder)
    best = [event for event in stream if isinstance(event, Validation) and event.best]
    assert best[-1].metrics[NAME] == min(e.metrics[NAME] for e in stream if isinstance(e, Validation))
    page = write_report(folder)[0].read_text()
    assert f"Centroid distance [{test['unit']}]" in page
    view = fold(EMPTY, stream)
    printed = metric_table("test", view.results["test"].metrics, view.results["test"].per_class, "voxel", 200)
    assert "centroid distance voxel" in printed[0]
    chart = next(chart for chart in charts_of(view) if chart.name == NAME)
    assert (chart.up, chart.unit, chart.monitored) == (False, "voxel", True)
    async with dashboard(folder).run_test(size=(120, 40)) as pilot:
        await see(pilot, "left atrium")
        await pilot.press("2")
        await see(pilot, "centroid dis")


async def test_a_metric_of_images_is_everywhere_too(installed: None, tmp_path: Path) -> None:
    code, folder = run(tmp_path, CLASSIFICATION, f"train.monitor={OF_IMAGES}", cases=40)
    assert code == 0
    test = json.loads(folder.metrics.read_text())["test"]
    rows = {name: row for name, row in test["per_class"].items() if row["support"]}
    for row in rows.values():
        assert row[OF_IMAGES] == pytest.approx(row["recall"] + row["specificity"] - 1)
    assert test[OF_IMAGES] == pytest.approx(fmean(row[OF_IMAGES] for row in rows.values()))
    low, high = test["ci95"][OF_IMAGES]
    assert low <= test[OF_IMAGES] <= high
    view = fold(EMPTY, events(folder))
    assert (view.monitor, OF_IMAGES in view.results["test"].metrics) == (OF_IMAGES, True)
    assert next(chart for chart in charts_of(view) if chart.name == OF_IMAGES).monitored
    assert "Youden index" in write_report(folder)[0].read_text()
    assert OF_IMAGES in metric_table("test", view.results["test"].metrics, {}, "", 300)[0]
    async with dashboard(folder).run_test(size=(120, 40)) as pilot:
        await see(pilot, "NV")
        await pilot.press("2")
        await see(pilot, OF_IMAGES)


def test_without_the_package_its_metric_is_refused_and_shown_as_it_is(tmp_path: Path) -> None:
    path = write_recipe(tmp_path, SEGMENTATION.replace("epochs = 3", f'epochs = 3\nmonitor = "{NAME}"'))
    with pytest.raises(RecipeError, match=r'found "centroid_distance"'):
        load_recipe(path)
    assert measures.title(NAME, "mm") == "centroid distance"


def _broken(folder: Path, group: str, monkeypatch: pytest.MonkeyPatch) -> None:
    info = folder / "medtui_broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: medtui-broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\nbroken = medtui_broken\n")
    (folder / "medtui_broken.py").write_text("import nothing_of_this_name\n")
    monkeypatch.syspath_prepend(str(folder))
    _forget()


def test_a_metric_that_cannot_be_computed_is_found_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _broken(tmp_path, "medtui.metrics", monkeypatch)
    try:
        with pytest.raises(UsageError, match='the package "medtui-broken" cannot add "broken"'):
            check(Check(recipe=write_recipe(tmp_path, SEGMENTATION), data=phantom_root(tmp_path, "left_atrium")))
    finally:
        monkeypatch.undo()
        _forget()


def test_a_package_that_cannot_be_loaded_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _broken(tmp_path, "medtui.measures", monkeypatch)
    try:
        with pytest.raises(UsageError, match='the package "medtui-broken" cannot add "broken"'):
            measures.of_task("segmentation")
        assert measures.title("some_metric") == "some metric"  # a screen goes on
    finally:
        monkeypatch.undo()
        _forget()
