"""Keys of the run screen: curves, control, copies, theme, memory."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from engine.events import Control
from engine.runfolder import read_label
from tests.tui import recorded
from tests.tui.piloted import dashboard, requests, see, text_of, whole
from tui.screens.case import CaseScreen
from tui.screens.run import RunScreen
from tui.settings import load_settings
from tui.widgets.cases import Cases
from tui.widgets.tiles import Tiles


async def test_curve_keys_change_what_is_drawn(tmp_path: Path) -> None:
    app = dashboard(recorded.live(tmp_path))
    async with app.run_test(size=(120, 40)) as pilot:
        await see(pilot, "smoothing 1 %", "x iteration")
        await pilot.press("plus", "plus", "minus")
        await see(pilot, "smoothing 2 %")
        await pilot.press("y")
        await see(pilot, "loss log")
        await pilot.press("x")
        await see(pilot, "x epoch")
        await pilot.press("x")
        await see(pilot, "x time", "min")
        await pilot.press("x", "z")
        await see(pilot, "zoom iteration")
        await pilot.press("0")
        await pilot.press("h")
        await see(pilot, "@ iteration 193")
        await pilot.press("right_square_bracket")
        await see(pilot, "charts 5–7 of 7", "grad norm")
        await pilot.press("escape", "k", "enter")
        await see(pilot, "1 curves")


async def test_filter_by_name_and_its_way_back(tmp_path: Path) -> None:
    app = dashboard(recorded.live(tmp_path))
    async with app.run_test(size=(120, 40)) as pilot:
        await see(pilot, "loss", "jaccard")
        await pilot.press("slash", *"grad", "enter")
        screen = await see(pilot, "filter grad", "grad norm")
        assert "╭─ loss" not in screen
        await pilot.press("slash", *"xyz", "enter")  # what was there is selected, and so replaced
        await see(pilot, 'no curve is called "xyz"')
        await pilot.press("escape")
        await see(pilot, "╭─ loss")


async def test_ghost_is_the_best_finished_run_of_the_recipe(tmp_path: Path) -> None:
    recorded.finished(tmp_path)
    recorded.failed(tmp_path)
    app = dashboard(recorded.live(tmp_path))
    async with app.run_test(size=(120, 40)) as pilot:
        await see(pilot, "loss")
        await pilot.press("g")
        await see(pilot, "ghost seg_best", "◌ −")
        await pilot.press("g")
        await asyncio.sleep(0.3)
        assert "ghost seg_best" not in "\n".join(text_of(app))


async def test_requests_wait_for_the_answer_of_the_trainer(tmp_path: Path) -> None:
    folder = recorded.live(tmp_path)
    app = dashboard(folder)
    async with app.run_test(size=(120, 40)) as pilot:
        await see(pilot, "running")
        await pilot.press("c")
        await see(pilot, "checkpoint asked, waiting for the trainer")
        request = json.loads(requests(folder)[0].read_bytes())
        assert request["command"] == "checkpoint"
        recorder = recorded.Recorder(folder, 2e9, seq=10_000)
        recorder.write(Control(request=request["id"], command="checkpoint", state="done", message="last.pt"))
        recorder.flush()
        screen = await see(pilot, "checkpoint: done")
        assert "asked" not in screen


async def test_note_and_stops_ask_first(tmp_path: Path) -> None:
    folder = recorded.live(tmp_path)
    app = dashboard(folder)
    async with app.run_test(size=(120, 40)) as pilot:
        await see(pilot, "running")
        await pilot.press("n", *"hot", "enter")
        await see(pilot, "note asked")
        assert json.loads(requests(folder)[-1].read_bytes())["text"] == "hot"
        await pilot.press("S")
        await see(pilot, "Stop now")
        await pilot.press("y")
        await see(pilot, "Really stop now?")
        assert len(requests(folder)) == 1
        await pilot.press("n")
        await pilot.press("s")
        await see(pilot, "Stop after this epoch?")
        await pilot.press("escape")
        assert len(requests(folder)) == 1
        await pilot.press("S")
        await see(pilot, "Stop now")
        await pilot.press("y")
        await see(pilot, "Really")
        await pilot.press("y")
        await see(pilot, "stop now asked")
        assert json.loads(requests(folder)[-1].read_bytes())["command"] == "stop_now"


async def test_read_only_and_ended_runs_take_no_request(tmp_path: Path) -> None:
    folder = recorded.live(tmp_path)
    app = dashboard(folder, read_only=True)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        screen = await see(pilot, "running")
        await pilot.press("p", "s", "c")
        await see(pilot, "read-only")
        assert requests(folder) == []
        assert "p pause" not in screen
    ended = recorded.failed(tmp_path)
    app = dashboard(ended)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await see(pilot, "failed")
        await pilot.press("p")
        await see(pilot, "nobody would answer")
        await pilot.press("n", *"it was the disk", "enter")
        await see(pilot, "   it was the disk")
        assert read_label(ended).note == "it was the disk"
        assert requests(ended) == []


async def test_enter_on_a_worst_case_opens_its_slice(tmp_path: Path) -> None:
    app = dashboard(recorded.live(tmp_path))
    async with app.run_test(size=(120, 40)) as pilot:
        await see(pilot, "worst cases", "agreed")
        case = str(app.screen.query_one("#cases", Cases).rows[1]["id"])
        await pilot.press("4", "4", "j", "enter")
        assert isinstance(app.screen, CaseScreen)
        await see(pilot, case)


async def test_copies_go_to_the_clipboard(tmp_path: Path) -> None:
    folder = recorded.live(tmp_path)
    app = dashboard(folder)
    async with app.run_test(size=(120, 40)) as pilot:
        await see(pilot, "loss")
        await pilot.press("V")
        assert app.clipboard == str(folder.root.resolve())
        await pilot.press("v")
        assert app.clipboard.startswith("loss")
        assert "train" in app.clipboard


async def test_theme_and_manner_are_remembered(tmp_path: Path) -> None:
    folder = recorded.live(tmp_path)
    app = dashboard(folder)
    async with app.run_test(size=(120, 40)) as pilot:
        await see(pilot, "loss")
        assert app.theme == "medtui-dark"
        await pilot.press("D", "plus", "x", "2")
        await see(pilot, "2 classes")
    settings = load_settings()
    assert (settings.theme, settings.smoothing, settings.axis) == ("medtui-light", 4, "epoch")
    again = dashboard(folder)
    async with again.run_test(size=(120, 40)) as pilot:
        await see(pilot, "2 classes")
        assert again.theme == "medtui-light"


async def test_mouse_zooms_reads_and_chooses(tmp_path: Path) -> None:
    app = dashboard(recorded.live(tmp_path))
    async with app.run_test(size=(120, 40)) as pilot:
        await see(pilot, "loss", "dice")
        await pilot.hover("#curves", offset=(90, 5))
        await see(pilot, "@ iteration")
        await pilot.click("#curves", offset=(90, 5))
        assert app.screen.query_one("#curves").chosen == "dice"  # type: ignore[attr-defined]
        await pilot.click("#log" if app.size.width > 170 else "#classes", offset=(3, 3))
        assert app.focused is not None
        assert app.focused.id == "classes"


async def test_help_and_palette_open_and_close(tmp_path: Path) -> None:
    app = dashboard(recorded.live(tmp_path))
    async with app.run_test(size=(80, 24)) as pilot:
        await see(pilot, "loss")
        await pilot.press("question_mark")
        await see(pilot, "everywhere", "previous pane")
        await pilot.press("escape")
        await see(pilot, "loss")
        for _ in range(2):  # the key that opened it closes it
            await pilot.press("f1")
        assert isinstance(app.screen, RunScreen)
        await pilot.press("ctrl+p")
        await pilot.press(*"ghost")
        await see(pilot, "Ghost")


async def test_the_number_of_the_pane_that_is_shown(tmp_path: Path) -> None:
    folder = recorded.live_classes(tmp_path)
    app = dashboard(folder)
    async with app.run_test(size=(80, 24)) as pilot:  # one pane at a time: there is nothing to come back to
        await see(pilot, "loss")
        await pilot.press("4", "4")
        await see(pilot, "worst cases", "true→pred", "melanoma → nevus")
        await pilot.resize_terminal(120, 40)
        await pilot.press("5")
        await see(pilot, "resources")
        await pilot.press("5")  # it has no place beside the others
        await see(pilot, "loss", "worst cases")


async def test_a_border_moves_by_keys_and_by_the_mouse_and_is_remembered(tmp_path: Path) -> None:
    folder = recorded.finished(tmp_path)
    app = dashboard(folder)
    async with app.run_test(size=(120, 40)) as pilot:
        await see(pilot, "smoothing", "left atrium", "no report yet")
        tiles = app.screen.query_one(Tiles)
        before = tiles.regions()
        await pilot.press("ctrl+up", "ctrl+up", "ctrl+up")
        assert tiles.regions()["curves"].height == before["curves"].height - 3
        assert tiles.regions()["classes"].height == before["classes"].height + 3
        at = tiles.regions()["slice"]
        await pilot.mouse_down("#slice", offset=(0, 5))
        await pilot.hover("#slice", offset=(-4, 5))
        await pilot.mouse_up("#slice", offset=(0, 5))
        assert tiles.regions()["slice"].x == at.x - 4
        assert tiles.regions()["classes"].width == before["classes"].width - 4
        await pilot.press("ctrl+right")  # of the pane under the mouse, which has the focus now
        left = tiles.regions()
        assert left["slice"].right == at.right + 2
        whole(text_of(app), 120)
    app = dashboard(folder)
    async with app.run_test(size=(120, 40)) as pilot:
        await see(pilot, "smoothing", "left atrium", "no report yet")
        assert app.screen.query_one(Tiles).regions() == left
