"""A plan as a file: reasons beside the keys or above them, and nothing in them that TOML or a terminal would act on."""

from __future__ import annotations

import tomllib

from engine.planning.plan import Line, about, warmup_lines
from engine.planning.text import named, recipe_text


def test_keys_stand_under_their_tables_with_their_reasons():
    lines = [
        Line("name", "x"),
        Line("data.size", [8, 8]),
        Line("loss.name", "dice", "w" * 100),
        Line("data.root", "d", "d"),
    ]
    text = recipe_text(["What it is.", ""], lines)
    assert tomllib.loads(text) == {"name": "x", "data": {"size": [8, 8], "root": "d"}, "loss": {"name": "dice"}}
    assert text.startswith("# What it is.\n#\n\nname")
    assert '\nroot = "d"                       # d\n' in text
    assert f"\n# {'w' * 100}\nname = " in text
    assert all(len(line) <= 120 for line in text.splitlines())


def test_strange_words_stay_in_their_comments():
    text = recipe_text(["a\x1b[2Jb", "one\ntwo = 1"], [Line("name", "x", "by \x00 'c\rd'\ne = 2"), Line("seed", 0)])
    assert tomllib.loads(text) == {"name": "x", "seed": 0}


def test_a_folder_as_the_name_of_a_recipe():
    assert named("my scans (2)") == "my-scans-2"
    assert named("...") == "recipe"
    assert len(named("x" * 200)) == 64


def test_numbers_have_as_many_figures_as_they_are_worth():
    assert [about(number) for number in (9527, 128, 4.36, 0)] == ["9,500", "130", "4.4", "0"]


def test_a_warm_up_of_less_than_two_steps_is_left_out():
    assert warmup_lines(1000, 50) == [Line("schedule.warmup_epochs", 1.0)]
    assert warmup_lines(100, 50) == [Line("schedule.warmup_epochs", 0.2)]
    assert warmup_lines(10, 50) == []
