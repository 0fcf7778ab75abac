"""Comparison, replay, gallery and cases over recorded runs, at three sizes, by their keys."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from textual.pilot import Pilot

from engine.runfolder import RunFolder
from tests.tui import recorded
from tests.tui.piloted import SIZES, dashboard, see, text_of, whole
from tui.app import MedtuiApp
from tui.screens.case import CaseScreen
from tui.screens.compare import CompareScreen
from tui.screens.gallery import GalleryScreen
from tui.screens.home import HomeScreen
from tui.screens.replay import ReplayScreen


def two_runs(runs: Path) -> tuple[RunFolder, RunFolder]:
    first, second = recorded.finished(runs), recorded.live(runs)
    second.recipe.write_text(second.recipe.read_text().replace("lr = 0.001", "lr = 0.01"))
    return first, second


# --- comparison ----------------------------------------------------------------------------------


async def compared(pilot: Pilot[None]) -> None:
    await see(pilot, "runs", "finished")
    await pilot.press("space", "space", "c")
    await see(pilot, "val loss")


@pytest.mark.parametrize("size", SIZES)
async def test_runs_side_by_side(size: tuple[int, int], tmp_path: Path) -> None:
    two_runs(tmp_path)
    app = MedtuiApp(tmp_path, None, ascii_only=False)
    async with app.run_test(size=size) as pilot:
        await compared(pilot)
        assert isinstance(app.screen, CompareScreen)
        whole(text_of(app), size[0])
        if size[0] == 80:
            await pilot.press("tab")
            await see(pilot, "test, chosen checkpoint", "★", "0.850")
            await pilot.press("tab")
        await see(pilot, "recipe differences", "optimizer.lr", "0.01", "0.001")
        whole(text_of(app), size[0])
        await pilot.press("1", "1", "x", "y", "z", "0", "slash", *"dice", "enter")
        await see(pilot, "dice", "filter dice")
        await pilot.press("escape", "escape", "escape", "escape")
        await pilot.pause()
        assert isinstance(app.screen, HomeScreen)


async def test_eight_runs_fit_by_scrolling_sideways(tmp_path: Path) -> None:
    for number in range(8):
        recorded.record(tmp_path, recorded.Plan(name=f"seg_{number}", done=2, extra_steps=0))
    app = MedtuiApp(tmp_path, None, ascii_only=False)
    async with app.run_test(size=(80, 24)) as pilot:
        await see(pilot, "8 runs")
        await pilot.press(*["space"] * 8, "c", "2")
        await see(pilot, "of 8  ← →", "seg_7")
        await pilot.press(*["right"] * 8)
        await see(pilot, "–8 of 8", "seg_0")
        whole(text_of(app), 80)


# --- replay --------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
async def test_replay_moves_all_panes_together(size: tuple[int, int], tmp_path: Path) -> None:
    app = dashboard(recorded.finished(tmp_path))
    async with app.run_test(size=size) as pilot:
        await see(pilot, "finished")
        await pilot.press("t")
        await see(pilot, "replay", "epoch 75/75", "val dice 0.848", "iteration 525/525")
        assert isinstance(app.screen, ReplayScreen)
        whole(text_of(app), size[0])
        await pilot.press("home", "right", "right", "right")
        await see(pilot, "epoch 3/75", "iteration 21/525")
        whole(text_of(app), size[0])
        if size[0] == 80:
            await pilot.press("tab")
        await see(pilot, "validation epoch 3")
        if size[0] != 80:
            await see(pilot, "no preview yet: the first")
        await pilot.press("full_stop")
        await see(pilot, "iteration 22/525")
        await pilot.press("left")
        await see(pilot, "iteration 21/525")
        await pilot.press("end")
        await see(pilot, "validation epoch 75")
        if size[0] != 80:
            await see(pilot, "worst cases", "epoch 75")
        await pilot.press("escape")
        await see(pilot, "finished")


async def test_replay_plays_and_waits(tmp_path: Path) -> None:
    app = dashboard(recorded.finished(tmp_path))
    async with app.run_test(size=(120, 40)) as pilot:
        await see(pilot, "finished")
        await pilot.press("t")
        await see(pilot, "the end")
        await pilot.press("space")
        await see(pilot, "epoch 3/75")
        await pilot.press("space")
        screen = app.screen
        assert isinstance(screen, ReplayScreen)
        before = screen.stop
        await pilot.pause(0.5)
        assert screen.stop == before


@pytest.mark.parametrize("kind", ["starting", "one_iteration", "torn", "hostile", "nan", "no_validation", "resumed"])
async def test_odd_runs_can_be_replayed(kind: str, tmp_path: Path) -> None:
    app = dashboard(recorded.KINDS[kind](tmp_path))
    async with app.run_test(size=(120, 40)) as pilot:
        await see(pilot, "seg_")
        await pilot.press("t")
        await see(pilot, "replay")
        await pilot.press("home", "right", "left", "comma", "full_stop", "end", "space", "space", "x", "x")
        await pilot.pause()
        whole(text_of(app), 120)


# --- figures -------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
async def test_the_gallery(size: tuple[int, int], tmp_path: Path) -> None:
    app = dashboard(recorded.finished(tmp_path))
    async with app.run_test(size=size, notifications=True) as pilot:
        await see(pilot, "finished")
        await pilot.press("f")
        await see(pilot, "curves.png  1 of 2", "figures/curves.png", "2 drawn")
        assert isinstance(app.screen, GalleryScreen)
        whole(text_of(app), size[0])
        await pilot.press("right")
        await see(pilot, "slices_07.png  2 of 2")
        await pilot.press("z", "z", "left")
        await see(pilot, "slices_07.png  2 of 2  zoom 2.2")
        await pilot.press("0", "home")
        await see(pilot, "curves.png  1 of 2")
        await pilot.press("v")
        await see(pilot, "copied:")
        assert app.clipboard.endswith("figures/curves.png")
        await pilot.press("escape")
        await see(pilot, "finished")


async def test_a_run_without_figures_says_when_there_will_be_some(tmp_path: Path) -> None:
    app = dashboard(recorded.live(tmp_path))
    async with app.run_test(size=(80, 24)) as pilot:
        await see(pilot, "running")
        await pilot.press("f")
        await see(pilot, "no figure yet", "training has ended")


# --- cases ---------------------------------------------------------------------------------------


async def opened(pilot: Pilot[None]) -> None:
    """From the run screen into the worst case."""
    await see(pilot, "val ")
    await pilot.press("4")
    await see(pilot, "worst cases")
    await pilot.press("enter")
    await see(pilot, "cases ", "numbers")


@pytest.mark.parametrize("size", SIZES)
async def test_a_case_of_a_live_run(size: tuple[int, int], tmp_path: Path) -> None:
    app = dashboard(recorded.live(tmp_path))
    async with app.run_test(size=size) as pilot:
        await opened(pilot)
        assert isinstance(app.screen, CaseScreen)
        await see(pilot, "image", "agreed", "z ", "hd95", "27 validations")
        whole(text_of(app), size[0])
        await pilot.press("down", "left", "up", "right_square_bracket", "left_square_bracket")
        await see(pilot, "case ")
        await pilot.press("1")
        await see(pilot, "worst first")
        whole(text_of(app), size[0])


async def test_the_number_of_a_case_is_whole_where_the_name_of_its_run_has_no_room(tmp_path: Path) -> None:
    folder = recorded.live(tmp_path)
    folder.root.rename(named := folder.root.with_name(folder.id + "-of-a-name-that-is-rather-long"))
    app = dashboard(RunFolder(named))
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        assert re.search(r"cases 2\S+…\S+long +case \d+ +dice 0\.\d{3}$", text_of(app)[0].rstrip())


async def test_a_case_of_a_classifier(tmp_path: Path) -> None:
    app = dashboard(recorded.live_classes(tmp_path))
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        await see(pilot, "true", "melanoma", "predicted", "nevus", "loss")
        whole(text_of(app), 120)


async def test_cases_and_examples_of_a_finished_run(tmp_path: Path) -> None:
    folder = recorded.finished(tmp_path)
    folder.cases.write_text(
        "id,group,split,dice,hd95,missed\nt1,,test,0.2,9,0\nt2,,test,0.9,2,0\n07,,validation,0.5,4,0\n"
    )
    folder.examples.mkdir()
    image = np.random.default_rng(0).normal(size=(1, 40, 40, 6)).astype(np.float32)
    mask = np.zeros((40, 40, 6), np.uint8)
    mask[10:30, 10:30, 2:5] = 1
    np.savez(folder.examples / "test_t1.npz", image=image, truth=mask, prediction=mask, id=np.array("t1"))
    app = dashboard(folder)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        await pilot.press("tab", "tab", "home")
        await see(pilot, "t1", "t2", "validation")
        await pilot.press("1", "1", "home")
        screen = app.screen
        assert isinstance(screen, CaseScreen)
        await see(pilot, "test, chosen checkpoint", "z 2", "agreed")
        await pilot.press("slash", *"t2", "enter")
        await see(pilot, "no image of case t2")
        await pilot.press("escape")
        await see(pilot, "finished")


@pytest.mark.parametrize("kind", ["starting", "hostile", "nan", "no_validation", "one_iteration"])
async def test_odd_runs_have_odd_cases(kind: str, tmp_path: Path) -> None:
    folder = recorded.KINDS[kind](tmp_path)
    app = dashboard(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await see(pilot, "seg_")
        run = app.screen
        app.push_screen(CaseScreen(folder, lambda: run.snapshot))  # type: ignore[attr-defined]
        screen = await see(pilot, "cases")
        assert "\x1b" not in screen
        await pilot.press("enter", "down", "left", "tab", "tab", "o", "v")
        await pilot.pause()
        whole(text_of(app), 80)


async def test_screens_in_ascii_and_in_light_colours(tmp_path: Path) -> None:
    folder = recorded.finished(tmp_path)
    app = dashboard(folder, ascii_only=True)
    async with app.run_test(size=(120, 40)) as pilot:
        await see(pilot, "finished")
        for key, text in (("f", "curves.png"), ("t", "the end")):
            await pilot.press(key)
            screen = await see(pilot, text)
            assert screen.isascii()
            await pilot.press("D", "escape")
        await pilot.press("4", "enter")
        screen = await see(pilot, "numbers", "agreed")
        assert screen.isascii()


async def test_a_cell_of_the_confusion_matrix_lists_its_cases(tmp_path: Path) -> None:
    folder = recorded.live_classes(tmp_path)
    async with dashboard(folder).run_test(size=(120, 40)) as pilot:
        await see(pilot, "recall", "classes")
        await pilot.press("2", "x", "right")
        await see(pilot, "confusion, validation", "4 of 40 melanoma predicted as nevus (0.100)", "Enter lists them")
        await pilot.press("enter")
        screen = await see(pilot, "cases", "filter split:validation", "ISIC_0000000", "ISIC_0000003")
        assert "ISIC_0000001" not in screen
        await pilot.press("escape", "escape")
        await see(pilot, "confusion, validation")
        await pilot.press("x")
        await see(pilot, "best")


async def test_roc_and_reliability_of_a_test(tmp_path: Path) -> None:
    folder = recorded.live_classes(tmp_path)
    rows = ["id,split,true,predicted,loss,prob:melanoma,prob:nevus"]
    rows += [f"t{n},test,{('melanoma', 'nevus')[n % 2]},melanoma,0.5,{0.9 - n / 20},{0.1 + n / 20}" for n in range(12)]
    folder.cases.write_text("\n".join(rows) + "\n")
    async with dashboard(folder).run_test(size=(120, 40)) as pilot:
        await see(pilot, "loss")
        await pilot.press("4", "enter")
        await see(pilot, "ROC", "test, 12 cases", "false positive rate", "melanoma      0.583")
        await pilot.press("4", "m")
        await see(pilot, "reliability", "ECE")


@pytest.mark.parametrize("keys", [("question_mark",), ("ctrl+p",), ("n",), ("R",), ("X", "R")])
async def test_all_that_lies_over_a_screen_is_ascii_too(keys: tuple[str, ...], tmp_path: Path) -> None:
    app = dashboard(recorded.finished(tmp_path), ascii_only=True)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await see(pilot, "finished")
        await pilot.press(*keys)
        app.notify("a → b … ×")
        await pilot.pause(0.5)
        assert all(line.isascii() for line in text_of(app))


async def test_a_cell_of_a_live_matrix_says_that_only_the_worst_cases_are_known(tmp_path: Path) -> None:
    app = dashboard(recorded.live_classes(tmp_path))
    async with app.run_test(size=(80, 24)) as pilot:
        await see(pilot, "running")
        await pilot.press("2", "x", "enter")
        await see(pilot, "until the test only the worst of a validation are known")
