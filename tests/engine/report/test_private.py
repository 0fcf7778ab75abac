"""Paths and names are taken out, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.report.markdown import escaped
from engine.report.private import scrubber

clean = scrubber(["/data/heart study/run1"], ["node-a1b2"])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("/data/heart study/run1/recipe.toml", "…/run1/recipe.toml"),
        ("--data=/srv/images/ct", "--data=…/ct"),
        ("cannot read /srv/a.nii: gone", "cannot read …/a.nii: gone"),
        ("file:///home/eve/x", "…/x"),
        ('root = "/abs/olute"', 'root = "…/olute"'),
        (r"C:\Users\eve\scan.nii", "…/scan.nii"),
        ("--data /home/eve", "--data …"),
        ("/Users/eve", "…"),
        (r"C:\Users\eve", "…"),
        ("~/", "…"),
        ("/data", "…/data"),
        ("~/scans/a.nii", "…/a.nii"),
        ("on node-a1b2 it works", "on HOST it works"),
    ],
)
def test_paths_and_hosts_are_shortened(text: str, told: str) -> None:
    assert clean(text) == told


@pytest.mark.parametrize(
    "text",
    ["runs/20260101-000000-a/recipe.toml", "precision / recall", "train/val", "12 of 20", "1/2", "w/o", "a ~ b",
     "https://example.org/page/x", "mean ± 0.1", "node-a1b2c is another", "root = \"hearts\""],
)  # fmt: skip
def test_what_is_no_path_stays(text: str) -> None:
    assert clean(text) == text


@given(st.text(alphabet=st.characters(codec="ascii", categories=("L", "N", "P", "S", "Zs")), max_size=80))
def test_no_absolute_path_below_a_home_is_left(name: str) -> None:
    assert "/home/eve" not in clean(f"see /home/eve/{name}")


@given(st.text(max_size=60))
def test_a_text_in_markdown_is_one_line_without_live_marks(text: str) -> None:
    import re

    line = escaped(text)
    assert "\n" not in line
    assert not re.search(r"(?<!\\)(?:\\\\)*[<>|`*\[\]]", line)
