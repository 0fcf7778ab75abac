"""What is wrong with a run is the third line of its head, behind `d`, in the list of runs, and one bell."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.runfolder import EventWriter, RunFolder, create, own_status, write_status
from engine.runfolder.lines import encode
from tests.engine.diagnosis import streams
from tests.engine.diagnosis.test_diagnosis import PLANS, finished
from tests.tui import recorded
from tests.tui.piloted import SIZES, dashboard, see, text_of, whole
from tui.app import MedtuiApp
from tui.screens.findings import Findings
from tui.screens.run import RunScreen
from tui.widgets.keys import bindings_of


def run(runs: Path, fault: streams.Fault | None, *, upto: int = 10**6, state: str = "running") -> RunFolder:
    """A run whose newest event has just been written; ``upto``: epochs of it."""
    plan = dataclasses.replace(PLANS["two structures"], fault=fault)
    events = [event for event in streams.stream(plan) if getattr(event, "epoch", 0) <= upto]
    later = time.time() - events[-1].time_s
    folder = create(runs, "hippocampus")
    folder.events.write_bytes(b"".join(encode(replace(e, time_s=e.time_s + later)) for e in events))
    status = replace(own_status("hippocampus", "segmentation", plan.epochs), state=state, epoch=min(upto, plan.epochs))
    write_status(folder, status)
    return folder


async def until(so: Callable[[], bool]) -> None:
    async with asyncio.timeout(8):
        while not so():
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("size", SIZES)
async def test_the_worst_is_the_third_line_and_d_shows_all(size: tuple[int, int], tmp_path: Path) -> None:
    def both(now: streams.Moment) -> None:
        streams.missing_class(now)
        streams.full_disk(now)

    app = dashboard(run(tmp_path, both))
    async with app.run_test(size=size) as pilot:
        await see(pilot, "▲ disk low since epoch", "d shows all 2")
        assert text_of(app)[2].startswith(" ▲ disk low since epoch")
        whole(text_of(app), size[0])
        await pilot.press("d")
        assert isinstance(app.screen, Findings)
        await see(pilot, "▲ class never predicted since epoch 12", "never predicted: anterior", "to do:", "key: 2")
        await pilot.press("d")
        assert isinstance(app.screen, RunScreen)


async def test_nothing_stands_there_when_all_is_well(tmp_path: Path) -> None:
    app = dashboard(run(tmp_path, None))
    async with app.run_test(size=(120, 40)) as pilot:
        await see(pilot, "epoch 30/30", "╭")
        await until(lambda: "╭" in text_of(app)[2])
        await pilot.press("d")
        assert isinstance(app.screen, RunScreen)
        await until(lambda: [note.message for note in app._notifications] == ["nothing is wrong with this run"])


async def test_a_severe_one_rings_once_and_goes_with_its_cause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = run(tmp_path, None, upto=11)
    rung: list[int] = []
    monkeypatch.setattr(MedtuiApp, "bell", lambda _: rung.append(1))
    app = dashboard(folder)
    async with app.run_test(size=(120, 40)) as pilot:
        await see(pilot, "epoch 11/30")
        run_on(folder, streams.diverging, 12, 14)
        await see(pilot, "✕ diverging since epoch 12", "d shows all")
        run_on(folder, streams.diverging, 15, 15)
        await see(pilot, "epoch 15/30")
        assert len(rung) == 1
        run_on(folder, None, 16, 17)
        await see(pilot, "epoch 17/30")
        await until(lambda: "╭" in text_of(app)[2])


def run_on(folder: RunFolder, fault: streams.Fault | None, first: int, last: int) -> None:
    plan = dataclasses.replace(PLANS["two structures"], fault=fault)
    writer = EventWriter(folder.events)
    for event in streams.stream(plan):
        if first <= getattr(event, "epoch", 0) <= last:
            writer.write(event)
    writer.close()


async def test_the_list_of_runs_has_a_column_for_it(tmp_path: Path) -> None:
    run(tmp_path, streams.bad_case, state="stopped")
    app = MedtuiApp(tmp_path, None, ascii_only=False)
    async with app.run_test(size=(200, 60)) as pilot:
        await see(
            pilot, "health", "▲ case always bad hippocampus", "▲ case always bad: Dice near 0 in every validation"
        )
    app = MedtuiApp(tmp_path, None, ascii_only=False)
    async with app.run_test(size=(80, 24)) as pilot:
        await see(pilot, "■ stopped  ▲")


def test_keys_of_findings_are_keys_of_the_screen(tmp_path: Path) -> None:
    screen = RunScreen.help()
    known = {key for _, rows in screen for key, _ in rows} | {str(number) for number in range(1, 10)}
    known |= {key for binding in bindings_of(RunScreen) for key in binding.key.split(",")}
    for fault in (streams.diverging, streams.exploding, streams.overfitting, streams.missing_class, streams.full_disk):
        (finding,) = finished(
            dataclasses.replace(PLANS["long" if fault != streams.missing_class else "skin"], fault=fault)
        )
        assert finding.key in known


async def test_every_word_of_a_long_failure_can_be_read_at_80x24(tmp_path: Path) -> None:
    plan = recorded.Plan(name="seg_fails", done=3)
    message = "; ".join(f"case {n:02d} has a mask of another shape than its image" for n in range(12))
    folder = recorded.end(recorded.record(tmp_path, plan), plan, "failed", message, "mend the masks or drop the cases")
    async with dashboard(folder).run_test(size=(80, 24)) as pilot:
        await see(pilot, "case 00 has", "d shows every word", "R resume", "6 log", "chart 1 of")
        await pilot.press("d")
        await see(pilot, "✕ failed", "case 00 has")
        await pilot.press("pagedown")
        await see(pilot, "case 11 has", "mend the masks or drop the cases")
