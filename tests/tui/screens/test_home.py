"""The list of runs: what it shows, its keys, and that it stays quick with 500 runs."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from tests.tui import recorded
from tests.tui.piloted import SIZES, dashboard, see, text_of, whole
from tests.tui.state.test_runs_index import run, study
from tui.app import MedtuiApp
from tui.screens.home import HomeScreen
from tui.screens.run import RunScreen


def home(runs: Path, *, ascii_only: bool = False) -> MedtuiApp:
    return MedtuiApp(runs, None, ascii_only=ascii_only)


@pytest.mark.parametrize("size", SIZES)
async def test_all_runs_at_three_sizes(size: tuple[int, int], tmp_path: Path) -> None:
    recorded.finished(tmp_path)
    recorded.live(tmp_path)
    recorded.failed(tmp_path)
    recorded.hostile(tmp_path)
    app = home(tmp_path)
    async with app.run_test(size=size) as pilot:
        screen = await see(
            pilot, "4 runs", "● running", "■ finished", "✕ failed", "seg_best", "75/75", "0.850", "? help"
        )
        whole(text_of(app), size[0])
        assert "\x1b" not in screen
        await pilot.press("G")
        await see(pilot, "test  dice 0.850" if size[0] > 80 else "val dice")


async def test_an_empty_folder_says_what_to_type(tmp_path: Path) -> None:
    app = home(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await see(pilot, "no runs in", "medtui run recipes/quickstart.toml", "no run is chosen")
        await pilot.press("enter", "space", "c", "t", "f", "v", "o")
        assert isinstance(app.screen, HomeScreen)
        recorded.live(tmp_path)
        await see(pilot, "1 run ", "seg_best")


async def test_open_and_back(tmp_path: Path) -> None:
    recorded.finished(tmp_path)
    live = recorded.live(tmp_path)
    app = home(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await see(pilot, "2 runs")
        await pilot.press("enter")
        await see(pilot, "running", "classes")
        assert isinstance(app.screen, RunScreen)
        assert app.screen.folder.id == live.id
        await pilot.press("r")
        await see(pilot, "2 runs")
        assert len(app.screen_stack) == 2


async def test_r_leads_from_a_run_to_the_list_with_the_cursor_on_it(tmp_path: Path) -> None:
    old = recorded.finished(tmp_path)
    recorded.live(tmp_path)
    app = dashboard(old)
    async with app.run_test(size=(120, 40)) as pilot:
        await see(pilot, "finished")
        await pilot.press("r")
        await see(pilot, "2 runs", "test  dice 0.850")
        screen = app.screen
        assert isinstance(screen, HomeScreen)
        row = screen.listed.chosen_row()
        assert row is not None
        assert row.id == old.id


async def test_filter_order_and_marks(tmp_path: Path) -> None:
    recorded.finished(tmp_path)
    recorded.live(tmp_path)
    recorded.live_classes(tmp_path)
    app = home(tmp_path)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await see(pilot, "3 runs", "age▾")
        await pilot.press("slash", *"classif", "enter")
        await see(pilot, "filter classif  1 of 3", "cls_ce_focal")
        assert "75/75" not in "\n".join(text_of(app))
        await pilot.press("escape")
        await see(pilot, "75/75")
        await pilot.press("o", "o")
        await see(pilot, "recipe▾")
        await pilot.press("O")
        await see(pilot, "recipe▴")
        await pilot.press("slash", *"none of it", "enter")
        await see(pilot, "none of 3 runs has")
        await pilot.press("escape")
        await pilot.press("c")
        await see(pilot, "mark two runs or more")
        await pilot.press("space", "space")
        screen = await see(pilot, "● ")
        assert isinstance(app.screen, HomeScreen)
        assert len(app.screen.listed.marked) == 2, screen
        await pilot.press("escape")
        assert app.screen.listed.marked == []


async def test_a_change_of_status_is_seen(tmp_path: Path) -> None:
    folder = run(tmp_path, 1, "stopped", name="calm")
    app = home(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await see(pilot, "■ stopped")
        folder.status.write_bytes(folder.status.read_bytes().replace(b"stopped", b"finished"))
        await see(pilot, "■ finished")


async def test_five_hundred_runs_stay_quick(tmp_path: Path) -> None:
    for number in range(500):
        run(tmp_path, number, best=number / 500)
    app = home(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await see(pilot, "500 runs")
        await asyncio.sleep(0.3)
        start = time.process_time()
        for _ in range(20):
            await pilot.press("down")
        assert (time.process_time() - start) / 20 < 0.1
        await see(pilot, "21 of 500")
        await pilot.press("G")
        await see(pilot, "500 of 500")
        await pilot.press("home", "o", "o", "o", "o", "o")
        await see(pilot, "best▾", "0.998")


async def test_ascii_and_help(tmp_path: Path) -> None:
    recorded.live(tmp_path)
    app = home(tmp_path, ascii_only=True)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await see(pilot, "1 run", "running", "val dice")
        assert screen.isascii()
        await pilot.press("question_mark")
        await see(pilot, "all runs", "compare the marked runs")


async def test_enter_opens_a_study_to_its_members(tmp_path: Path) -> None:
    members = [run(tmp_path, number, name=f"seg-f{number}") for number in (2, 3)]
    study(tmp_path, 1, *members)
    app = home(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await see(pilot, "2 runs", "▸ seg.study")
        assert "seg-f2" not in text_of(app)
        await pilot.press("space", "t", "f", "enter")
        screen = await see(pilot, "▾ seg.study", "seg-f2", "seg-f3")
        assert "marked" not in screen
        await pilot.press("enter")
        await see(pilot, "▸ seg.study")
        assert isinstance(app.screen, HomeScreen)


async def test_the_cursor_starts_on_a_member_in_its_opened_study(tmp_path: Path) -> None:
    members = [run(tmp_path, number, name=f"seg-f{number}") for number in (2, 3)]
    study(tmp_path, 1, *members)
    app = MedtuiApp(tmp_path, None)
    async with app.run_test(size=(120, 40)) as pilot:
        app.push_screen(HomeScreen(tmp_path, at=members[0]))
        await see(pilot, "▾ seg.study", "▸ ■ finished   seg-f2")
