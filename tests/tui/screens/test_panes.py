"""Keys by pane: who has them, panes that are added, and panes that fail."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest
from textual import events
from textual.binding import Binding, BindingType
from textual.pilot import Pilot

from engine.runfolder import RunFolder
from tests.tui import recorded
from tests.tui.piloted import dashboard, see
from tui.app import MedtuiApp
from tui.plotting.cells import Line
from tui.screens.case import CaseScreen
from tui.screens.compare import CompareScreen
from tui.screens.gallery import GalleryScreen
from tui.screens.help import everywhere
from tui.screens.home import HomeScreen
from tui.screens.replay import ReplayScreen
from tui.screens.run import RunScreen
from tui.screens.tiled import TiledScreen
from tui.state.faults import faults_folder
from tui.widgets.board import PANES
from tui.widgets.classes import Classes
from tui.widgets.curves import RunCurves
from tui.widgets.keys import bindings_of, written
from tui.widgets.pane import Pane

SCREENS = (RunScreen, HomeScreen, CaseScreen, CompareScreen, ReplayScreen, GalleryScreen)


class Weather(Pane):
    """A ninth pane, as a plug-in would have it: its name, its key and its help stand here alone."""

    ID = NAME = TITLE = "weather"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("w", "wind", "wind", tooltip="how the wind blows")]

    wind = 0

    def body(self, width: int, height: int) -> list[Line]:
        return [[(f"wind {self.wind}", "ink")]]

    def action_wind(self) -> None:
        self.wind += 1
        self.redraw()


class Broken(Pane):
    """A tenth one, which cannot draw itself."""

    ID = NAME = TITLE = "broken"

    def body(self, width: int, height: int) -> list[Line]:
        raise ValueError("no [red]paint[/]")

    def action_open(self) -> None:
        raise KeyError("door")


def run_screen(folder: RunFolder, *more: type[Pane]) -> RunScreen:
    return RunScreen(folder.root.parent, folder, panes=(*PANES, *more))


async def test_a_ninth_and_a_tenth_pane_have_key_help_and_footer(tmp_path: Path) -> None:
    class Tides(Weather):
        ID = NAME = TITLE = "tides"
        BINDINGS: ClassVar[list[BindingType]] = [Binding("T", "wind", "tide", tooltip="high or low")]

    folder = recorded.live(tmp_path)
    app = MedtuiApp(tmp_path, None, ascii_only=False)
    async with app.run_test(size=(130, 60)) as pilot:
        app.push_screen(run_screen(folder, Weather, Tides))
        await see(pilot, "seg_best", "loss")
        await pilot.press("9")
        await see(pilot, "wind 0", "9 weather", "w wind")
        await pilot.press("w")
        await see(pilot, "wind 1")
        await pilot.press("9")
        await see(pilot, "9 tides", "T tide")
        await pilot.press("9")
        await see(pilot, "worst cases")
        await pilot.press("question_mark")
        await see(pilot, "weather", "how the wind blows", "tides", "high or low", "marks")
        await pilot.press("escape", "ctrl+p", *"wind")
        await see(pilot, "how the wind blows")


async def test_a_pane_that_fails_costs_one_line_and_a_file(tmp_path: Path, own_settings: Path) -> None:
    folder = recorded.live(tmp_path)
    app = MedtuiApp(tmp_path, None, ascii_only=False)
    async with app.run_test(size=(130, 45), notifications=True) as pilot:
        app.push_screen(run_screen(folder, Broken))
        await see(pilot, "seg_best", "loss")
        await pilot.press("9")
        await see(pilot, "this pane failed: ValueError: no [red]paint[/]; details in")
        await pilot.press("enter")
        await see(pilot, "this pane failed: KeyError: 'door'")
        await pilot.press("1", "1")
        await see(pilot, "seg_best", "worst cases")
    kept = sorted(faults_folder().glob("*.txt"))
    assert "in body" in kept[0].read_text()
    for path in kept:
        path.unlink()


async def test_keys_act_on_panes_that_are_shown_and_name_the_one_that_is_not(tmp_path: Path) -> None:
    app = dashboard(recorded.live_gpu(tmp_path))
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await see(pilot, "loss", "anterior")
        classes = app.screen.query_one(Classes)
        await pilot.press("m")
        assert classes.metric
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        before = classes.metric
        await pilot.press("m")
        await see(pilot, "classes has this key: 2 shows it")
        assert classes.metric == before


async def test_the_pane_alone_is_remembered_by_run(tmp_path: Path) -> None:
    first, second = recorded.live(tmp_path), recorded.finished(tmp_path)
    async with dashboard(first).run_test(size=(120, 40)) as pilot:
        await see(pilot, "loss")
        await pilot.press("2")
        await see(pilot, "2 classes")
    async with dashboard(second).run_test(size=(120, 40)) as pilot:
        await see(pilot, "loss", "worst cases")
    async with dashboard(first).run_test(size=(120, 40)) as pilot:
        await see(pilot, "2 classes")


async def test_the_wheel_over_a_chart_zooms_and_turns_no_page(tmp_path: Path) -> None:
    app = dashboard(recorded.live(tmp_path))
    async with app.run_test(size=(120, 40)) as pilot:
        await see(pilot, "charts 1–4 of 7")
        await wheel(pilot, 30, 8, events.MouseScrollUp)
        await see(pilot, "zoom iteration", "charts 1–4 of 7")
        await wheel(pilot, 30, 8, events.MouseScrollDown)
        await see(pilot, "charts 1–4 of 7")
        assert app.screen.query_one(RunCurves).chosen == "loss"


@pytest.mark.parametrize("number", range(1, 9))
async def test_a_click_on_a_pane_that_is_still_empty_does_nothing(number: int, tmp_path: Path) -> None:
    async with dashboard(recorded.starting(tmp_path)).run_test(size=(120, 40)) as pilot:
        await see(pilot, "seg_starts")
        await pilot.press(str(number))
        for line in (6, 20, 30):
            await pilot.click(offset=(40, line), times=2)  # own_settings sees a fault of a pane
        assert isinstance(pilot.app.screen, RunScreen)


@pytest.mark.parametrize("screen", SCREENS)
def test_keys_of_a_screen_are_named_once_and_each_pane_has_no_key_twice(screen: type[TiledScreen]) -> None:
    for owner in (screen, *screen.PANES, *screen.BARS):
        keys = [key for binding in bindings_of(owner) for key in binding.key.split(",")]
        assert len(keys) == len(set(keys)), owner
        for binding in bindings_of(owner):
            name = binding.action.partition("(")[0]
            assert hasattr(owner, f"action_{name}"), f"{owner.__name__} has a key without its action: {name}"
            assert not binding.tooltip or binding.description, f"{binding.key}: help that is nowhere shown"
    assert len({pane.ID for pane in screen.PANES}) == len(screen.PANES)
    assert all(pane.ID and pane.NAME and pane.TITLE for pane in screen.PANES)


def test_help_names_every_key_that_has_words() -> None:
    said = {row for _, rows in (everywhere(MedtuiApp), *RunScreen.help()) for row in rows}
    for owner in (MedtuiApp, RunScreen, *RunScreen.PANES, *RunScreen.BARS):
        for binding in bindings_of(owner):
            assert not binding.description or (written(binding), binding.tooltip or binding.description) in said


async def wheel(pilot: Pilot[None], x: int, y: int, kind: type[events.MouseEvent]) -> None:
    pilot.app.screen._forward_event(kind(None, x, y, 0, 0, 0, False, False, False, screen_x=x, screen_y=y))
    await pilot.pause()
