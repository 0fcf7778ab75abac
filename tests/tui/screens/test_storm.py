"""Storms of sizes, keys, clicks and turns of the wheel over every screen, on live and finished runs."""

from __future__ import annotations

import os
import random
import shutil
import sys
from pathlib import Path

import pytest
from textual import events
from textual.pilot import Pilot

from engine.runfolder import RunFolder
from tests.tui import recorded
from tests.tui.piloted import text_of
from tests.tui.state.test_runs_index import study
from tui.app import MedtuiApp
from tui.screens.case import CaseScreen
from tui.screens.compare import CompareScreen
from tui.screens.confirm import Prompt
from tui.screens.gallery import GalleryScreen
from tui.screens.replay import ReplayScreen
from tui.screens.tiled import TiledScreen
from tui.widgets.keymap import usual_keys

EVENTS = int(os.environ.get("MEDTUI_STORM", "60"))
SEEDS = 4 if EVENTS < 1000 else 10
"""``MEDTUI_STORM=1000 pytest tests/tui/screens/test_storm.py`` is a thorough look: ten storms of 1,000 events."""
SIZES = ((20, 240), (5, 70))
LEAVES = {"q", "ctrl+q", "ctrl+c"}
KEYS = sorted({key for part in usual_keys().values() for each in part for key in each.key.split(",")} - LEAVES)
ALWAYS = ("enter", "escape", "tab", "y", "n", "up", "down", "left", "right")
WORDS = ("dice>0.5", "state:failed,lost", "lr<<1", "[red]", "名前", "0.1", "train.epochs=2", "'", "", "test")


class Weather:
    """What happens to the dashboard, drawn by one seed."""

    def __init__(self, seed: int, recorder: recorded.Recorder, folders: list[RunFolder]) -> None:
        self.rng, self.recorder, self.folders, self.epoch = random.Random(seed), recorder, folders, 27

    async def strike(self, pilot: Pilot[None]) -> None:
        kinds = (self._key, self._size, self._wheel, self._click, self._drag, self._words, self._live, self._open)
        await self.rng.choices(kinds, (60, 12, 9, 8, 3, 5, 3, 2))[0](pilot)

    def _place(self, pilot: Pilot[None]) -> tuple[int, int]:
        return self.rng.randrange(pilot.app.size.width), self.rng.randrange(pilot.app.size.height)

    async def _key(self, pilot: Pilot[None]) -> None:
        await pilot.press(self.rng.choice(ALWAYS if self.rng.random() < 0.3 else KEYS))

    async def _size(self, pilot: Pilot[None]) -> None:
        await pilot.resize_terminal(*(self.rng.randint(*bounds) for bounds in SIZES))

    async def _wheel(self, pilot: Pilot[None]) -> None:
        kind = self.rng.choice((events.MouseScrollUp, events.MouseScrollDown))
        x, y = self._place(pilot)
        pilot.app.screen._forward_event(kind(None, x, y, 0, 0, 0, False, False, False, screen_x=x, screen_y=y))
        await pilot.pause()

    async def _click(self, pilot: Pilot[None]) -> None:
        await pilot.click(offset=self._place(pilot), times=self.rng.choice((1, 1, 2)))

    async def _drag(self, pilot: Pilot[None]) -> None:
        await pilot.mouse_down(offset=self._place(pilot))
        await pilot.hover(offset=self._place(pilot))
        await pilot.mouse_up(offset=self._place(pilot))

    async def _words(self, pilot: Pilot[None]) -> None:
        """Where a line is asked for: write one, and send it or not."""
        if not isinstance(pilot.app.screen, Prompt):
            await pilot.press(self.rng.choice(("slash", "N", "n")))
        await pilot.press(*self.rng.choice(WORDS), self.rng.choice(("enter", "enter", "escape")))

    async def _open(self, pilot: Pilot[None]) -> None:
        """A screen that takes several keys to get to."""
        folder, folders = self.rng.choice(self.folders), self.rng.sample(self.folders, self.rng.randint(2, 8))
        if isinstance(pilot.app.screen, TiledScreen) and len(pilot.app.screen_stack) < 6:
            shown = getattr(pilot.app.screen, "snapshot", None)
            screens = (CompareScreen(folders), CaseScreen(folder, lambda: shown), ReplayScreen(folder))
            pilot.app.push_screen(self.rng.choice((*screens, GalleryScreen(folder))))
        await pilot.pause(0.2)

    async def _live(self, pilot: Pilot[None]) -> None:
        """The live run goes on, if it is still there."""
        if self.recorder.folder.events.exists():
            self.epoch += 1
            recorded.train_epoch(self.recorder, recorded.Plan(), self.epoch, 7)
            recorded.validate(self.recorder, recorded.Plan(), self.epoch)
            self.recorder.flush()
        await pilot.pause()


def runs_of_all_kinds(runs: Path) -> tuple[recorded.Recorder, list[RunFolder]]:
    """Live, finished, failed, lost, stopped and odd ones, a study with its members; and the one that goes on."""
    live = recorded.record(runs, recorded.Plan())
    found = [make(runs) for make in recorded.KINDS.values()]
    stopped = recorded.record(runs, recorded.Plan(name="seg_stopped", done=4))
    found.append(recorded.end(stopped, recorded.Plan(name="seg_stopped", done=4), "stopped", "stopped on request"))
    study(runs, 1, *found[:1])
    plan = recorded.Plan(name="cls", task="classification", classes=recorded.ISIC, epochs=9, done=9, extra_steps=0)
    classified = recorded.finish(recorded.record(runs, plan), plan)
    names = ",".join(f"prob:{name}" for name in recorded.ISIC)
    rows = [f"t{n},test,{recorded.ISIC[n % 7]},{recorded.ISIC[n % 5]},0.5" + ",0.14" * 7 for n in range(30)]
    classified.cases.write_text("\n".join([f"id,split,true,predicted,loss,{names}", *rows]) + "\n")
    return live, [live.folder, classified, *found]


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_no_size_key_click_or_wheel_ends_it(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", shutil.which("false"))  # what would start a trainer is refused at once
    live, folders = runs_of_all_kinds(tmp_path)
    weather = Weather(seed, live, folders)
    first = (None, *folders)[seed % (len(folders) + 1)]
    app = MedtuiApp(tmp_path, first, ascii_only=seed % 3 == 2)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause(0.3)
        for _ in range(EVENTS):
            await weather.strike(pilot)
            if app._exit:  # the palette has a command that closes it
                assert not app.return_code
                return
        await pilot.resize_terminal(120, 40)
        while len(app.screen_stack) > 2 or not isinstance(app.screen, TiledScreen):
            app.pop_screen()
        await pilot.pause()
        assert "medtui" in "\n".join(text_of(app))
