"""The list of runs: what it shows, its keys, and that it stays quick with 500 runs."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from engine.diagnosis import Finding
from engine.runfolder import Label, Status, read_label, take, write_status
from tests.tui import recorded
from tests.tui.piloted import SIZES, dashboard, see, text_of, whole
from tests.tui.state.test_runs_index import run, study
from tui.app import MedtuiApp
from tui.screens.home import HomeScreen
from tui.screens.run import RunScreen
from tui.settings import load_settings


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


async def test_a_long_metric_leaves_room_for_the_age(tmp_path: Path) -> None:
    said = Finding(severity="note", code="plateau", message="", since_epoch=1, evidence="", remedy="", key="2")
    began = time.time() - 600
    run(tmp_path, 1, name="x", metric="balanced_accuracy", best=0.5, test=0.5, started_s=began, findings=(said,))
    async with home(tmp_path).run_test(size=(80, 24)) as pilot:
        await see(pilot, "balanced accuracy 0.500", " age▾", "10 min ")


async def test_a_long_metric_has_its_short_name_where_the_list_is_narrow(tmp_path: Path) -> None:
    name = "skin_lesions_of_seven_kinds"
    run(tmp_path, 1, name=name, metric="balanced_accuracy", best=0.5, started_s=time.time() - 600)
    async with home(tmp_path).run_test(size=(80, 24)) as pilot:
        await see(pilot, "BAcc 0.500")


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
        await pilot.press("t")
        assert [said.message for said in app._notifications] == ["only its members have that: Enter shows them"]
        await pilot.press("space")
        await see(pilot, "▾ seg.study", "seg-f2", "seg-f3")
        assert {*app.screen.listed.marked} == {member.id for member in members}  # type: ignore[attr-defined]
        await pilot.press("space")
        assert not app.screen.listed.marked  # type: ignore[attr-defined]
        await pilot.press("home", "enter")
        await see(pilot, "▸ seg.study")
        assert isinstance(app.screen, HomeScreen)


async def test_the_cursor_starts_on_a_member_in_its_opened_study(tmp_path: Path) -> None:
    members = [run(tmp_path, number, name=f"seg-f{number}") for number in (2, 3)]
    study(tmp_path, 1, *members)
    app = MedtuiApp(tmp_path, None)
    async with app.run_test(size=(120, 40)) as pilot:
        app.push_screen(HomeScreen(tmp_path, at=members[0]))
        await see(pilot, "▾ seg.study", "▸ ■ finished   seg-f2")


async def test_a_filter_by_values_and_one_that_is_wrong(tmp_path: Path) -> None:
    quick, slow = run(tmp_path, 1, name="quick", best=0.7), run(tmp_path, 2, "failed", name="slow", best=0.9)
    for folder, lr in ((quick, "1e-2"), (slow, "1e-4")):
        folder.recipe.write_text(f"[optimizer]\nlr = {lr}\n", encoding="utf-8")
    app = home(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await see(pilot, "2 runs")
        await pilot.press("slash", *"lr<1e-3 dice>0.8", "enter")
        await see(pilot, "filter lr<1e-3 dice>0.8  1 of 2", "slow")
        assert "quick" not in text_of(app)
        await pilot.press("slash", *"lrr<1", "enter")
        await see(pilot, '"lrr" is no value of a run; did you mean "lr"?', "lrr<1")
        await pilot.press("escape")
        await see(pilot, "filter lr<1e-3")
        await pilot.press("slash", *"state:finished", "enter")
        await see(pilot, "1 of 2", "quick")


async def test_pinned_and_hidden_are_remembered_for_this_folder(tmp_path: Path) -> None:
    for number, name in enumerate(("first", "second", "third")):
        run(tmp_path / "runs", number, name=name)
    app = home(tmp_path / "runs")
    async with app.run_test(size=(80, 24)) as pilot:
        await see(pilot, "3 runs")
        await pilot.press("G", "p")  # the oldest goes up
        screen = await see(pilot, "↑■")
        assert screen.index("first") < screen.index("third")
        await pilot.press("G", "x")
        await see(pilot, "1 hidden, X shows them")
        assert "second" not in text_of(app)
    again = home(tmp_path / "runs")
    async with again.run_test(size=(80, 24)) as pilot:
        screen = await see(pilot, "1 hidden", "first", "third")
        assert "second" not in screen
        assert screen.index("first") < screen.index("third")
        await pilot.press("X")
        await see(pilot, "second", "X hides them")
        await pilot.press("G", "x", "home", "p")
        screen = await see(pilot, "second")
        assert "hidden" not in screen
        assert screen.index("third") < screen.index("first")
    run(tmp_path / "other", 1, name="first")
    other = home(tmp_path / "other")
    async with other.run_test(size=(80, 24)) as pilot:
        assert "↑" not in await see(pilot, "1 run ")


async def test_two_dashboards_keep_what_each_has_pinned(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for number, name in enumerate(("first", "second")):
        run(runs, number, name=name)
    one, two = home(runs), home(runs)
    async with one.run_test(size=(80, 24)) as first, two.run_test(size=(80, 24)) as second:
        await see(first, "2 runs")
        await see(second, "2 runs")
        await first.press("p")
        await see(first, "↑■")
        await second.press("G", "p")
        await see(second, "↑■")
        one.remember(smoothing=5)  # as it leaves a run
    assert len(load_settings().lists[str(runs)].pinned) == 2


async def test_a_pin_that_cannot_be_kept_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a file").touch()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "a file"))
    for number, name in enumerate(("first", "second")):
        run(tmp_path / "runs", number, name=name)
    app = home(tmp_path / "runs")
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await see(pilot, "2 runs")
        await pilot.press("G", "p")
        screen = await see(pilot, "↑■", "no longer:", "directory")  # a path breaks its line anywhere
        assert screen.index("first") < screen.index("second")


async def test_rename_and_note_and_delete(tmp_path: Path) -> None:
    folder, live = run(tmp_path, 1, name="seg"), recorded.live(tmp_path)
    app = home(tmp_path)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await see(pilot, "2 runs")
        await pilot.press("d")
        await see(pilot, "is running", "stop it first")
        await pilot.press("n", *"from here", "enter")
        await see(pilot, "the trainer was asked")
        assert [request.text for request in take(live)] == ["from here"]
        await pilot.press("G", "N", *"for the paper", "enter")
        await see(pilot, "for the paper")
        await pilot.press("n", *"keep this one", "enter")
        await see(pilot, "keep this one")
        assert read_label(folder) == Label(title="for the paper", note="keep this one")
        await pilot.press("d")
        await see(pilot, f"Delete {folder.id} (finished")
        await pilot.press("y", "n")
        assert folder.root.exists()
        await pilot.press("d")
        await see(pilot, "Delete")
        await pilot.press("y")
        await see(pilot, "Nothing brings it back")
        await pilot.press("y")
        await see(pilot, "1 run ")
        assert not folder.root.exists()


async def test_resume_asks_or_says_why_not(tmp_path: Path) -> None:
    run(tmp_path, 1, "stopped", name="one")
    run(tmp_path, 2, "finished", name="two")
    write_status(study(tmp_path, 3), Status(state="failed"))
    app = home(tmp_path)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await see(pilot, "2 runs")
        await pilot.press("R")
        await see(pilot, "Go on with 20260101-000003-seg.study where it was cut off?")
        await pilot.press("n", "down", "R")
        await see(pilot, "the run is finished; Enter and F")
        await pilot.press("down", "R")
        await see(pilot, "Go on with 20260101-000001-one from its last checkpoint?")
        await pilot.press("n")
        await see(pilot, "■ stopped")


async def test_read_only_changes_nothing(tmp_path: Path) -> None:
    folder = run(tmp_path, 1)
    app = MedtuiApp(tmp_path, None, read_only=True)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await see(pilot, "1 run ")
        for key in "nNdR":
            await pilot.press(key)
        await see(pilot, "this dashboard only looks")
        assert isinstance(app.screen, HomeScreen)
        assert folder.root.exists()


async def test_the_legend_names_all_of_eight_compared_runs_on_a_small_screen(tmp_path: Path) -> None:
    for number in range(8):
        run(tmp_path, number, name=f"a_long_name_of_a_run_{number}")
    app = home(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await see(pilot, "8 runs")
        await pilot.press(*["space"] * 8, "c")
        screen = await see(pilot, *(f"{mark} a_long_…a_run_{7 - at}" for at, mark in enumerate("●▲■◆▼★○△")))
        assert [line.count("…a_run_") for line in screen.splitlines()[:2]] == [4, 4]


async def test_keys_of_the_list_are_named_for_it_and_not_for_what_lies_over_it(tmp_path: Path) -> None:
    run(tmp_path, 1)
    async with home(tmp_path).run_test(size=(160, 40)) as pilot:
        keys = (await see(pilot, "q close", "finished")).splitlines()[-1]
        assert "q close" in keys
        assert "r runs" not in keys
        await pilot.press("question_mark")
        await see(pilot, "Esc closes")
        await pilot.resize_terminal(170, 36)
        await pilot.press("escape")
        assert "r runs" not in (await see(pilot, "q close", "c compare")).splitlines()[-1]
