"""Helpers of the Pilot tests: the text of the screen, and waiting for something to be on it."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from textual.pilot import Pilot

from engine.runfolder import RunFolder
from tui.app import MedtuiApp

SIZES = ((80, 24), (120, 40), (200, 60))


def dashboard(folder: RunFolder, **choices: object) -> MedtuiApp:
    return MedtuiApp(folder.root.parent, folder, **{"ascii_only": False, **choices})  # type: ignore[arg-type]


def text_of(app: MedtuiApp) -> list[str]:
    """The lines of the screen as a terminal shows them."""
    return [strip.text for strip in app.screen._compositor.render_strips()]


async def see(pilot: Pilot[None], *texts: str, within_s: float = 8.0) -> str:
    """Wait until all ``texts`` are on the screen, also over the ends of lines; gives the screen."""
    end = time.monotonic() + within_s
    while True:
        screen = "\n".join(text_of(pilot.app))  # type: ignore[arg-type]
        if all(text in screen or text in " ".join(screen.split()) for text in texts):
            return screen
        if time.monotonic() > end:
            missing = [text for text in texts if text not in screen]
            raise AssertionError(f"not on the screen: {missing}\n{screen}")
        await asyncio.sleep(0.02)


def whole(lines: list[str], width: int) -> None:
    """No frame is torn and no line is longer or shorter than the terminal."""
    from rich.cells import cell_len

    assert {cell_len(line) for line in lines} == {width}
    every = "".join(lines)
    assert every.count("╭") == every.count("╮") == every.count("╰") == every.count("╯") > 0


def requests(folder: RunFolder) -> list[Path]:
    return sorted(folder.control.glob("*.json"))
