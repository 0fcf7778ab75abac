"""The run screen over recorded runs of every kind, at three sizes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from rich.console import Console

from engine.events import CaseEntry, Preview, Result, RunEnded
from engine.runfolder import RunFolder, read_status, write_status
from engine.runfolder.lines import encode
from tests.tui import recorded
from tests.tui.piloted import SIZES, dashboard, see, text_of, whole
from tui.widgets.slice_view import SliceView

EXPECTED = {
    "finished": ("finished", "loss", "dice", "classes", "left atrium", "worst cases", "resources"),
    "live": ("running", "left", "epoch 28/75", "val dice 0.8", "iteration 4/7", "slice", "agreed"),
    "live_gpu": ("hippocampus", "anterior", "posterior", "cuda", "gpu mem", "dice by class"),
    "live_classes": ("cls_ce_focal", "melanoma", "absent: no case", "balanced accuracy", "ISIC_"),
    "failed": ("failed", "not a number at iteration 24", "lower optimizer.lr", "✕ 1"),
    "lost": ("lost", "the trainer's process is gone", "medtui resume"),
    "torn": ("seg_torn", "epoch 6/75", "dice"),
    "one_iteration": ("seg_new", "epoch 1/75", "first validation after epoch 1"),
    "starting": ("starting", "the run has not started yet", "first sample a few seconds after"),
    "no_validation": ("seg_noval", "no validation split in this run", "test at its end"),
    "nan": ("seg_nan", "✕", "∞", "val –"),
    "resumed": ("seg_resumed", "epoch 19/75"),
    "hostile": ("seg_odd", "[bold red]x[/]"),
}


@pytest.mark.parametrize("kind", EXPECTED)
async def test_every_kind_of_run_is_readable(kind: str, tmp_path: Path) -> None:
    app = dashboard(recorded.KINDS[kind](tmp_path))
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await see(pilot, *EXPECTED[kind])
        whole(text_of(app), 120)
        assert "\x1b" not in screen
        assert "\x07" not in screen
        assert "nan" not in screen.replace("seg_nan", "")


@pytest.mark.parametrize("size", SIZES)
async def test_a_live_run_at_three_sizes(size: tuple[int, int], tmp_path: Path) -> None:
    app = dashboard(recorded.live(tmp_path))
    async with app.run_test(size=size) as pilot:
        screen = await see(pilot, "seg_best", "running", "left", "val dice", "epoch 28/75", "loss", "? help")
        whole(text_of(app), size[0])
        assert ("1 curves" in screen) == (size[0] == 80)
        assert ("recipe" in screen and "optimizer" in screen) == (size[0] == 200)


async def test_a_distance_that_only_the_test_measured_has_a_row(tmp_path: Path) -> None:
    app = dashboard(recorded.finished(tmp_path))
    async with app.run_test(size=(120, 40)) as pilot:
        await see(pilot, "left atrium")
        await pilot.press("2")
        screen = await see(pilot, "asd")
        line = next(line for line in screen.splitlines() if "│   asd " in line)
        assert line.strip("│ ").split() == ["asd", "mm", "–", "–", "–", "1.37"]


async def test_without_unicode_or_colours_truth_and_prediction_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = recorded.live(tmp_path)
    async with dashboard(folder, ascii_only=True).run_test(size=(80, 24)) as pilot:
        await see(pilot, "loss")
        await pilot.press("3")
        screen = await see(pilot, "l agreed")
        rows = screen.splitlines()[5:-5]
        assert sum(row.count("l") for row in rows) > 40  # agreed, of the left atrium
        assert sum(row.count("L") for row in rows) > 4  # missed
        assert sum(row.count("+") for row in rows) > 4  # added
        await pilot.press("o", "o")
        screen = await see(pilot, "o draws truth and prediction")
        assert not any("L" in row for row in screen.splitlines()[5:-5])
        await pilot.press("o")
    monkeypatch.setenv("NO_COLOR", "1")
    async with dashboard(folder).run_test(size=(80, 24)) as pilot:  # it remembers the pane
        screen = await see(pilot, "l agreed")
        assert sum(row.count("L") for row in screen.splitlines()[5:-5]) > 4
    monkeypatch.delenv("NO_COLOR")
    app = dashboard(folder)
    app.console = Console(color_system="standard")
    async with app.run_test(size=(80, 24)) as pilot:
        await see(pilot, "l agreed")


async def test_keys_of_the_slice(tmp_path: Path) -> None:
    app = dashboard(recorded.live(tmp_path))
    async with app.run_test(size=(120, 40)) as pilot:
        await see(pilot, "loss")
        await pilot.press("3")
        await see(pilot, "z 44", "agreed", "pixels wrong")
        pane = app.screen.query_one(SliceView)
        await pilot.press("x")  # past the last one it begins anew
        await see(pilot, "z 24")
        await pilot.press("x")
        await see(pilot, "z 34")
        await pilot.press("X", "w", "b", "m")
        await see(pilot, "z 24")
        assert (pane.look.window, pane.look.level, pane.look.only) == (0.8, 0.45, None)  # of one class all are shown


async def test_distances_bear_their_unit(tmp_path: Path) -> None:
    async with dashboard(recorded.finished(tmp_path)).run_test(size=(120, 40)) as pilot:
        await see(pilot, "left atrium")
        await pilot.press("2")
        await see(pilot, "hd95 mm", "asd mm", "distances in mm")
        await pilot.press("1")
        await pilot.press("slash", *"hd95", "enter")
        await see(pilot, "─ hd95 mm ─")


async def test_every_pane_alone_fits_a_small_terminal(tmp_path: Path) -> None:
    app = dashboard(recorded.live_classes(tmp_path))
    said = {
        "1": "smoothing",
        "2": "melanoma",
        "3": "predicted",
        "4": "ISIC_0000000",
        "5": "/2015 GB",
        "6": "cached 14 cases",
        "7": "best.pt",
        "8": "[optimizer]",
    }
    async with app.run_test(size=(80, 24)) as pilot:
        await see(pilot, "loss")
        for key, text in said.items():
            if key != "1":
                await pilot.press(key)
            await see(pilot, text)
            whole(text_of(app), 80)
            if key == "3":  # an image has no masks to turn, and no slice with errors
                await pilot.pause()
                assert not {"overlay", "error"} & set(text_of(app)[-1].split())


async def test_without_validation_the_worst_cases_are_of_the_test(tmp_path: Path) -> None:
    plan = recorded.Plan(done=8, epochs=8, validation=False)
    recorder = recorded.record(tmp_path, plan)
    cases: list[CaseEntry] = [{"id": "5UB5", "dice": 0.721}, {"id": "5BHT", "dice": 0.844}]
    recorder.write(Result(split="test", metrics={"dice": 0.783}, cases=cases), 1.0)
    async with dashboard(recorded.end(recorder, plan, "finished")).run_test(size=(120, 40)) as pilot:
        await see(pilot, "5UB5", "0.721", "5BHT", "── test ─╮")


async def test_tab_walks_through_all_panes_and_back(tmp_path: Path) -> None:
    app = dashboard(recorded.live(tmp_path))
    async with app.run_test(size=(80, 24)) as pilot:
        await see(pilot, "loss")
        for text in ("left atrium", "agreed", "case", "memory", "epoch 27: dice", "checkpoint", "[data]", "smoothing"):
            await pilot.press("tab")
            await see(pilot, text)
        await pilot.press("shift+tab")
        await see(pilot, "[data]")


async def test_resizing_at_any_moment_keeps_the_frames_whole(tmp_path: Path) -> None:
    app = dashboard(recorded.live(tmp_path))
    async with app.run_test(size=(200, 60)) as pilot:
        await see(pilot, "recipe", "worst cases")
        for width, height in ((80, 24), (40, 10), (20, 5), (250, 70), (100, 45), (120, 40)):
            await pilot.resize_terminal(width, height)
            await pilot.pause()
            if width >= 80:
                await see(pilot, "seg_best")
                whole(text_of(app), width)


async def test_ascii_mode_draws_nothing_else(tmp_path: Path) -> None:
    app = dashboard(recorded.hostile(tmp_path), ascii_only=True)
    async with app.run_test(size=(200, 60)) as pilot:
        await see(pilot, "seg_odd", "loss", "recipe")
        assert "\n".join(text_of(app)).isascii()
        await pilot.press("question_mark")
        await see(pilot, "everywhere")
        assert "\n".join(text_of(app)).isascii()


async def test_no_runs_says_what_to_do(tmp_path: Path) -> None:
    from tui.app import MedtuiApp

    app = MedtuiApp(tmp_path, None)
    async with app.run_test(size=(80, 24)) as pilot:
        await see(pilot, "medtui run")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            recorded.failed,
            ("the loss is not a number", "lower optimizer.lr or set train.clip_norm", "R resume"),
        ),
        (recorded.lost, ("the trainer's process is gone", "want of memory", "last event", "R resume", "F fork")),
        (recorded.finished, ("test dice 0.", "best epoch", "gap", "no report yet", "e writes it")),
    ],
)
async def test_the_card_of_a_run_that_is_over(
    make: Callable[[Path], RunFolder], words: tuple[str, ...], tmp_path: Path
) -> None:
    folder = make(tmp_path)
    for size in SIZES:
        async with dashboard(folder).run_test(size=size) as pilot:
            await see(pilot, *words)  # all at once: the bars below have some of them before the card stands
            head = text_of(pilot.app)[0]  # type: ignore[arg-type]
            await asyncio.sleep(1.2)
            assert text_of(pilot.app)[0] == head  # type: ignore[arg-type]  # its clock stands still
            assert "cpu" not in text_of(pilot.app)[1]  # type: ignore[arg-type]


async def test_the_card_comes_when_a_run_ends_under_the_eyes(tmp_path: Path) -> None:
    folder = recorded.live(tmp_path)
    async with dashboard(folder).run_test(size=(80, 24)) as pilot:
        await see(pilot, "running", "charts")
        status = read_status(folder)
        write_status(folder, replace(status, state="running", pid=2**22 + 1, process_started="1"))
        await see(pilot, "process is gone", "R resume")
        await pilot.press("d")
        await see(pilot, "✕ lost ", "the trainer's process is gone", "go on from its last checkpoint")
        await pilot.press("escape")
        write_status(folder, status)
        await see(pilot, "running", "charts", "p pause")
        assert "R resume" not in text_of(pilot.app)[-1]  # type: ignore[arg-type]
        (folder.root / "report.html").write_text("<html>")
        seq = len(folder.events.read_bytes().splitlines())
        ended = [Result(split="test", metrics={"dice": 0.5}), RunEnded(state="finished")]
        lines = [encode(replace(event, seq=seq + at, time_s=time.time())) for at, event in enumerate(ended, 1)]
        folder.events.write_bytes(folder.events.read_bytes() + lines[0])
        await see(pilot, "test dice 0.500")
        folder.events.write_bytes(folder.events.read_bytes() + lines[1])
        await see(pilot, "e copies its path")


async def test_while_a_run_is_paused_the_time_left_stands_still(tmp_path: Path) -> None:
    folder = recorded.live(tmp_path)
    write_status(folder, replace(read_status(folder), state="paused"))
    async with dashboard(folder).run_test(size=(80, 24)) as pilot:
        await see(pilot, "‖ paused", " left", "p go on")
        left = text_of(pilot.app)[0].partition(" elapsed ")[2]  # type: ignore[arg-type]
        await asyncio.sleep(2.2)
        assert text_of(pilot.app)[0].partition(" elapsed ")[2] == left  # type: ignore[arg-type]


async def test_a_command_names_the_run_it_means(tmp_path: Path) -> None:
    folder = recorded.lost(tmp_path)
    async with dashboard(folder).run_test(size=(120, 40)) as pilot:
        screen = await see(pilot, "process is gone", "last event 20")
        pilot.app.screen.card.do("the trainer starts")  # type: ignore[attr-defined]
        await see(pilot, "the trainer starts", "process is gone", "R resume")
        assert f"medtui resume {folder.address};" in " ".join(screen.split()).replace("- ", "-")


async def test_a_lost_run_without_a_checkpoint_names_none(tmp_path: Path) -> None:
    folder = recorded.starting(tmp_path)
    write_status(folder, replace(read_status(folder), state="running", pid=2**22 + 1, process_started="1"))
    async with dashboard(folder).run_test(size=(80, 24)) as pilot:
        screen = await see(pilot, "process is gone", "no checkpoint was written: medtui run", "e report")
        assert "medtui resume" not in screen


async def test_keys_of_a_run_that_is_over_ask_first(tmp_path: Path) -> None:
    async with dashboard(recorded.lost(tmp_path)).run_test(size=(80, 24)) as pilot:
        await see(pilot, "process is gone", "last event")
        titles = [command.title for command in pilot.app.get_system_commands(pilot.app.screen)]
        assert any(title.startswith("Resume") for title in titles)
        assert not any(title.startswith("Checkpoint") for title in titles)
        await pilot.press("R")
        await see(pilot, "Go on with")
        await pilot.press("n", "F")
        await see(pilot, "fork with")
        await pilot.press("escape")
        await see(pilot, "chart 1 of")
        await pilot.press("ctrl+c")
        await pilot.pause()
        assert "q closes the dashboard" in [note.message for note in pilot.app._notifications][-1]
    async with dashboard(recorded.finished(tmp_path)).run_test(size=(80, 24)) as pilot:
        await see(pilot, "no report yet")
        await pilot.press("R")
        await pilot.pause()
        assert "the run is finished" in [note.message for note in pilot.app._notifications][-1]


async def test_before_the_first_validation_a_training_crop_is_seen(tmp_path: Path) -> None:
    folder = recorded.KINDS["one_iteration"](tmp_path)
    image, truth = np.full((2, 20, 20), 90, np.uint8), np.zeros((2, 20, 20), np.uint8)
    truth[:, 5:15, 5:15] = 1
    np.savez(folder.previews / "e00000_0.npz", image=image, truth=truth, slices=np.arange(2))
    events = folder.events.read_bytes()
    seq = len(events.splitlines()) + 1
    preview = Preview(path="previews/e00000_0.npz", epoch=0, case="07", split="train", seq=seq, time_s=time.time())
    folder.events.write_bytes(events + encode(preview))
    async with dashboard(folder).run_test(size=(120, 40)) as pilot:
        await see(pilot, "training crop", "case 07", "truth after augmentation", "first validation after epoch 1")
