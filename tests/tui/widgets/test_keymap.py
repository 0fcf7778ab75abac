"""The user's own keys, and that a German keyboard reaches everything without AltGr."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.binding import Binding
from textual.dom import DOMNode

import tui.app  # it has keys too
from engine.errors import UsageError
from tests.tui import recorded
from tests.tui.piloted import dashboard, see
from tui.cli import main
from tui.widgets import keys
from tui.widgets.keymap import _kinds, in_force, keys_path, load_keys, put_in_force, read_keys, usual_keys
from tui.widgets.keys import bindings_of

assert tui.app

EASY = {
    *(chr(code) for code in range(ord("a"), ord("z") + 1)),
    *(chr(code) for code in range(ord("A"), ord("Z") + 1)),
    *map(str, range(10)),
    *("comma", "full_stop", "minus", "plus", "space", "tab", "enter", "escape", "backspace", "delete"),
    *("up", "down", "left", "right", "home", "end", "pageup", "pagedown", "f1", "f2", "f3"),
}
"""On a German keyboard keys of their own, or with Shift letters; [ ] { } \\ | ~ @ need AltGr there, / and ? a digit."""


@pytest.fixture(autouse=True)
def back() -> Iterator[None]:
    yield
    put_in_force({})


def written(text: str) -> None:
    keys_path().parent.mkdir(parents=True, exist_ok=True)
    keys_path().write_text(text, encoding="utf-8")


def test_every_action_has_a_key_that_a_german_keyboard_has() -> None:
    usual_keys()
    hard = []
    for part in _kinds(DOMNode):
        keys: dict[str, set[str]] = {}
        for each in bindings_of(part):
            keys.setdefault(each.action, set()).update(each.key.split(","))
        for action, found in keys.items():
            if not any(key.removeprefix("ctrl+").removeprefix("shift+") in EASY for key in found):
                hard.append(f"{part.__name__}: {action} only by {sorted(found)}")
    assert not hard


def test_a_file_changes_keys_in_every_part_and_in_the_help() -> None:
    written('filter = ["i", "#"]\n"scroll(1)" = "j"\n')
    assert load_keys() == ""
    declared = [each for part in usual_keys() for each in part.BINDINGS if isinstance(each, Binding)]
    assert {each.key for each in declared if each.action == "filter"} == {"i,number_sign"}
    lines = in_force().splitlines()
    assert {line.partition(" = ")[0] for line in lines if not line.startswith("# ")} == {'"scroll(1)"', "filter"}


def test_a_line_that_is_printed_is_taken_and_so_are_names_and_signs() -> None:
    lines = [line.removeprefix("# ") for line in in_force().splitlines()]
    assert read_keys("\n".join(lines), "keys.toml")
    for text in ('filter = ["/", "f3"]', 'stop = "ctrl+x"', 'stop = "_"', 'checkpoint = ["c", "f8"]'):
        assert read_keys(text, "keys.toml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('stpo = "u"', "did you mean stop?"),
        ('stop = "bla"', "is no key"),
        ("stop = 3", "is no key"),
        ("stop = []", "is no key"),
        ("stop = ", "keys.toml:1: not valid TOML"),
        ('stop = "x"', "would do two things"),
        ('quit = "x"', "would do two things"),
        ('stop = "c"', "would do two things: "),
    ],
)
def test_a_wrong_file_is_one_line_and_the_usual_keys_stay(text: str, words: str) -> None:
    written(f'filter = "i"\n{text}\n'.replace('filter = "i"\nstop = \n', "stop = \n"))
    said = load_keys()
    assert words in said
    assert "\n" not in said
    assert str(keys_path()) in said
    assert all(line.startswith("# ") for line in in_force().splitlines())


def test_what_is_printed_is_a_file_that_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys"]) == 0
    printed = capsys.readouterr().out
    assert read_keys(printed, "keys.toml") == {}
    assert read_keys(printed.replace('# stop = ["s"]', 'stop = ["ctrl+x"]'), "keys.toml") == {"stop": "ctrl+x"}
    with pytest.raises(UsageError, match="two things"):
        read_keys('"zoom(1)" = "y"', "keys.toml")


async def test_the_dashboard_takes_the_keys_and_says_what_is_wrong(tmp_path: Path) -> None:
    folder = recorded.finished(tmp_path)
    written('log = "f5"\nhelp = "f6"\n')
    app = dashboard(folder)
    async with app.run_test(size=(200, 60)) as pilot:
        await see(pilot, "smoothing 1 %")
        await pilot.press("y")
        await pilot.press("f5")
        await see(pilot, "loss log")
        await pilot.press("f6")
        await see(pilot, "everywhere", "f5")
    written("log = 5\n")
    app = dashboard(folder)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await see(pilot, "the usual keys are in force", "smoothing 1 %")  # a key before the curves stand is lost
        await pilot.press("y")
        await see(pilot, "loss log")


def test_sentences_name_keys_as_they_are_declared() -> None:
    """`keyed` takes the usual key from the sentence: it is that of the action."""
    declared = {(each.action, keys.written(each)) for part in usual_keys().values() for each in part}
    source = "".join(path.read_text(encoding="utf-8") for path in Path(tui.app.__file__).parent.rglob("*.py"))
    named = set(re.findall(r"<([a-z_]+(?:\('?[a-z0-9]+'?\))?):([^<>{}]+)>", source))
    assert len(named) > 12
    assert named <= declared


async def test_cards_findings_and_sentences_name_the_keys_in_force(tmp_path: Path) -> None:
    folder = recorded.finished(tmp_path)
    written('fork = "f7"\nfigures = "i"\nshow_hidden = "f8"\n"number(6)" = "f9"\nhide = "ctrl+x"\n')
    async with dashboard(folder).run_test(size=(120, 40)) as pilot:
        await see(pilot, "f7 fork", "i figures")
        await pilot.press("r", "ctrl+x")
        await see(pilot, "f8 shows them")
    written("")
    async with dashboard(folder).run_test(size=(120, 40)) as pilot:
        await see(pilot, "F fork", "f figures")
