"""Pictures of every screen of the dashboard, for the documentation.

``python tools/screens.py RUNS [OUT]``: RUNS holds finished runs of phantoms, of segmentation and of
classification (see CONTRIBUTING.md); OUT is docs/screens. Needs Chromium, which draws Textual's SVG.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageChops

from engine.runfolder import RunFolder, list_runs, read_status

SIZES = ((80, 24), (120, 40), (200, 60))
ALL_SIZES = ("run", "run-classification")
"""Screens that are pictured at every size; the others at the middle one."""
CELL = (12.3, 24.5)
"""Pixels of a cell in Textual's SVG."""
WIDEST = 1280
QUALITY = 78
"""Of WebP: words are as sharp as in PNG, in fewer bytes than a palette takes that tints the greys."""
SCREENS: dict[str, tuple[str, tuple[str, ...]]] = {
    "run": ("segmentation", ()),
    "run-classification": ("classification", ()),
    "slice": ("segmentation", ("3",)),
    "image": ("classification", ("3",)),
    "classes": ("classification", ("2", "x", "right")),
    "cases": ("segmentation", ("4", "enter")),
    "replay": ("segmentation", ("t", "left", "left", "left")),
    "figures": ("segmentation", ("f", "down", "down", "down")),
    "runs": ("segmentation", ("r",)),
    "compare": ("segmentation", ("r", "home", "space", "space", "c")),
    "help": ("segmentation", ("question_mark",)),
}
"""Screen -> task of the run that it is opened on, and the keys that lead to it."""


async def shot(runs: Path, folder: RunFolder, size: tuple[int, int], keys: tuple[str, ...]) -> str:
    """The screen as SVG."""
    from tui.app import MedtuiApp

    app = MedtuiApp(runs, folder, ascii_only=False)
    async with app.run_test(size=size) as pilot:
        await pilot.pause(2.5)
        for key in keys:
            await pilot.press(key)
            await pilot.pause(1.0)
        await pilot.pause(1.5)
        return app.export_screenshot(title="medtui")


def to_webp(svg: str, size: tuple[int, int], path: Path, browser: str) -> None:
    """Draw an SVG in a browser and cut the picture to what is in it."""
    with tempfile.TemporaryDirectory(prefix="medtui-screens-") as place:
        source, target = Path(place) / "screen.svg", Path(place) / "screen.png"
        # Without the web font, for which a browser waits where there is no network; the system's has all glyphs.
        source.write_text(re.sub(r"@font-face\s*\{.*?\}", "", svg, flags=re.DOTALL), encoding="utf-8")
        box = [int(cells * pixels) + 60 for cells, pixels in zip(size, CELL, strict=True)]
        command = [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            f"--user-data-dir={place}/profile",
        ]
        command += [f"--screenshot={target}", f"--window-size={box[0]},{box[1]}", source.as_uri()]
        subprocess.run(command, check=True, capture_output=True)
        picture = Image.open(target).convert("RGB")
    used = ImageChops.difference(picture, Image.new("RGB", picture.size, "white")).getbbox()
    picture = picture.crop(used)
    if picture.width > WIDEST:
        picture = picture.resize((WIDEST, picture.height * WIDEST // picture.width), Image.Resampling.LANCZOS)
    picture.save(path, quality=QUALITY, method=6)


def main(runs: Path, out: Path) -> None:
    """Draw all of them."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        sys.exit("Chromium is needed: apt-get install chromium")
    newest = {read_status(folder).task: folder for folder in list_runs(runs)}
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="medtui-screens-") as home:
        os.environ.update(XDG_CONFIG_HOME=home, XDG_STATE_HOME=home, COLORTERM="truecolor")
        for name, (task, keys) in SCREENS.items():
            for size in SIZES if name in ALL_SIZES else SIZES[1:2]:
                for habits in Path(home).rglob("*.json"):
                    habits.unlink()
                svg = asyncio.run(shot(runs, newest[task], size, keys))
                path = out / f"{name}-{size[0]}x{size[1]}.webp"
                to_webp(svg, size, path, browser)
                print(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else "docs/screens"))
