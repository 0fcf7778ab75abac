"""Names that hold markup, escape codes, control characters and HTML are shown as text, wherever they come from."""

from __future__ import annotations

import html.parser
import json
import re
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from PIL import Image

from engine.commands.train import train
from engine.events import AnyEvent, Event, RunStarted
from engine.requests import Train
from engine.runfolder import EventWriter, RunFolder, create, list_runs, own_status, write_status
from tests.engine.runs import CLASSIFICATION
from tests.tui.piloted import dashboard, see, text_of
from tui.cli import main

HOSTILE = {
    "markup": "[bold red]x[/] [link=https://evil.example]y[/link] [@click=app.quit]z[/]",
    "colour": "\x1b[31mred\x1b[2J\x1b[H",
    "title": "\x1b]0;owned\x07\x1b]2;owned\x1b\\",
    "clipboard": "\x1b]52;c;b3duZWQ=\x07",
    "link": "\x1b]8;;https://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "c1": "\x9b31m\x9d0;owned\x9c\x90q\x9c",
    "lines": "one\ntwo\r\nthree\rfour\x0b\x0c\x85five\u2028six\u2029",
    "bidi": "\u202egnp.exe\u202c \u2066a\u2069 \u200f\u061c",
    "nul": "a\x00b\x08\x08\x7f",
    "html": "<script>alert(1)</script><img src=x onerror=alert(1)>&lt;\"'`",
    "markdown": "![x](https://evil.example/x.png) [y](javascript:alert(1)) |a|b| # h",
    "format": "{0} {x.__class__} %s %n $(touch x) `touch x` ${HOME}",
    "long": "a" * 5000,
}
EVERYTHING = " ".join(HOSTILE.values())
_DANGER = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def harmless(text: str) -> None:
    """Nothing in ``text`` moves a cursor, sets a title, or turns the direction of what follows."""
    found = _DANGER.search(text)
    assert found is None, (found and found[0], text[max(0, found.start() - 60) : found.start() + 60] if found else "")


def filled(kind: Any, text: str) -> Event:
    """An event with ``text`` wherever a text may stand, and a number wherever a number must."""
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        word = str(field.type)
        if field.name in {"seq", "time_s"}:
            continue
        if "list[dict" in word:
            values[field.name] = [{"id": text, "dice": 0.5, "loss": 1.0, "true": text, "predicted": text, text: text}]
        elif "dict[str, dict" in word or field.name in {"per_class", "per_region"}:
            values[field.name] = {text: {"dice": 0.5, text: 0.5}}
        elif word.startswith("dict"):
            values[field.name] = {text: 3} if field.name == "cases" else {"dice": 0.5, "loss": 0.5, text: 0.5}
        elif "list[str]" in word:
            values[field.name] = [text, "b"]
        elif "str" in word:
            values[field.name] = text
        elif "bool" in word:
            values[field.name] = False
        else:
            values[field.name] = 1
    return kind(**values)


KINDS = [kind for kind in AnyEvent.__args__ if kind is not RunStarted]


def recorded(runs: Path, text: str) -> RunFolder:
    """A live run in whose stream, status and recipe every string is ``text``."""
    folder = create(runs, "odd")
    folder.label.write_text(json.dumps({"title": text, "note": text}), encoding="utf-8")
    folder.recipe.write_text(f"name = {json.dumps(text)}\ndescription = {json.dumps(text)}\n", encoding="utf-8")
    writer = EventWriter(folder.events)
    writer.write(msgspec.structs.replace(filled(RunStarted, text), task="segmentation"))
    for kind in KINDS:
        writer.write(filled(kind, text))
    write_status(folder, msgspec.structs.replace(own_status(text, text, 3), message=text, hint=text, metric=text))
    return folder


@pytest.mark.parametrize("name", [*HOSTILE, "everything"])
def test_plain_output_holds_text_only(name, tmp_path, capsys):
    folder = recorded(tmp_path, HOSTILE.get(name, EVERYTHING))
    main(["attach", str(folder.root), "--once"])
    main(["runs", "--runs", str(tmp_path)])
    main(["note", str(folder.root), HOSTILE.get(name, EVERYTHING).replace("\x00", ""), "--wait", "0"])
    main(["resume", HOSTILE.get(name, EVERYTHING).replace("\x00", "")])
    write_status(folder, msgspec.structs.replace(own_status("x", "x", 3), state="failed", message=EVERYTHING))
    main(["attach", str(folder.root), "--plain"])
    said = capsys.readouterr()
    harmless(said.out)
    harmless(said.err)
    assert len(said.out) > 200


@pytest.mark.parametrize("name", ["markup", "everything"])
async def test_the_dashboard_shows_text_only(name, tmp_path):
    folder = recorded(tmp_path, HOSTILE.get(name, EVERYTHING))
    app = dashboard(folder)
    async with app.run_test(size=(160, 50)) as pilot:
        await see(pilot, "epoch 1/1")
        for keys in ((), ("tab",), ("enter",), ("escape",), ("t",), ("escape",), ("f",), ("escape",), ("r",)):
            if keys:
                await pilot.press(*keys)
            await pilot.pause(0.1)
            harmless("\n".join(text_of(app)))
            styles = [seg.style for strip in app.screen._compositor.render_strips() for seg in strip if seg.style]
            assert not [style for style in styles if style.link]
            assert not [style for style in styles if "app.quit" in str(style.meta)]
        assert app.is_running


class _Page(html.parser.HTMLParser):
    """Tags and attributes of a page that could do something."""

    def __init__(self) -> None:
        super().__init__()
        self.dangerous: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        events = [name for name in values if name.startswith("on")]
        outside = [v for k, v in values.items() if k in {"src", "href"} and v and not v.startswith(("data:", "#"))]
        if tag in {"script", "iframe", "object", "embed", "base", "form"} or events or outside:
            self.dangerous.append(f"{tag} {values}")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A real run over images and classes whose names on disk are hostile."""
    place = tmp_path_factory.mktemp("hostile")
    names = [HOSTILE[key].replace("\x00", "").replace("/", "|")[:60] for key in ("markup", "title", "html")]
    draw = np.random.default_rng(0)
    for split, count in (("train", 3), ("validation", 2), ("test", 2)):
        for number, name in enumerate(names):
            folder = place / "data" / "odd" / split / name
            folder.mkdir(parents=True)
            for index in range(count):
                pixels = draw.integers(0, 255, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(
                    folder / f"{HOSTILE['lines']}{HOSTILE['colour']}{split}{number}{index}.png"
                )
    recipe = CLASSIFICATION.replace("isic2018", "odd").replace('source = "odd"', 'source = "image_folder"')
    (place / "recipe.toml").write_text(recipe.replace("enabled = false", "enabled = true\ncam_examples = 1"))
    log = place / "said"
    code = train(Train(recipe=place / "recipe.toml", data=place / "data", runs=place / "runs"), lambda _: None)
    assert code == 0, log
    return list_runs(place / "runs")[-1]


def test_files_of_a_run_have_plain_names(finished):
    for path in finished.root.rglob("*"):
        name = path.relative_to(finished.root).as_posix()
        harmless(name)
        assert "\n" not in name
        assert not set(name) & set("<>[]$`'\"|*?;&")


def test_the_report_holds_text_only(finished):
    text = finished.report_html.read_text(encoding="utf-8")
    page = _Page()
    page.feed(text)
    assert page.dangerous == []
    assert "&lt;script&gt;" in text
    harmless(text)
    harmless(finished.report_md.read_text(encoding="utf-8"))
    assert "<script>" not in re.sub(r"`[^`]*`", "", finished.report_md.read_text(encoding="utf-8"))


async def test_a_real_run_with_hostile_names_in_lines_and_on_the_screen(finished, capsys):
    start = time.monotonic()
    main(["attach", str(finished.root), "--once"])
    main(["attach", str(finished.root), "--plain"])
    main(["report", str(finished.root)])
    said = capsys.readouterr()
    harmless(said.out)
    harmless(said.err)
    app = dashboard(finished)
    async with app.run_test(size=(160, 50)) as pilot:
        await see(pilot, "finished")
        for key in ("tab", "enter", "escape", "f", "escape"):
            await pilot.press(key)
            await pilot.pause(0.1)
            harmless("\n".join(text_of(app)))
    assert time.monotonic() - start < 120
