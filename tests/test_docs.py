"""What the pages name exists: commands with their options, keys of recipes, files, links."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.recipe.model import FAMILIES, TABLES
from tui.arguments import parser

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
OTHERS = {"--nproc-per-node", "--ntasks"}  # torchrun's and srun's
NO_NAMES = {
    "train.epoch",
    "recipes/mine.toml",
    "data.data_fetch",
    "optimizer.register",
}  # a wrong key and its file, functions
ENDINGS = {"csv", "html", "json", "jsonl", "log", "md", "onnx", "py", "toml"}


def leaves(part: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    groups = [action for action in part._actions if isinstance(action, argparse._SubParsersAction)]
    for group in groups:
        for child in group.choices.values():
            yield from leaves(child)
    if not groups:
        yield part


def wrong(page: Path) -> Iterator[str]:
    text = page.read_text(encoding="utf-8")
    options = {
        part.prog: {name for action in part._actions for name in action.option_strings} for part in leaves(parser(str))
    }
    every = set().union(*options.values()) | OTHERS
    yield from sorted(set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) - every)
    for command, rest in re.findall(r"(?:`|^)medtui ((?:data )?[a-z]+)([^`\n|;#]*)", text, re.MULTILINE):
        known = [own for name, own in options.items() if f"{name} ".startswith(f"medtui {command} ")]
        missing = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", rest)) - set().union(*known)
        yield from ([f"medtui {command}"] if not known else [f"medtui {command} {name}" for name in sorted(missing)])
    for table, key in re.findall(rf"(?<![\w/.])({'|'.join(TABLES)})\.([a-z_0-9]+)\b", text):
        members = FAMILIES[table].members.values() if table in FAMILIES else [TABLES[table]]
        if key not in ENDINGS and not any(key in member.model_fields for member in members):
            yield f"{table}.{key}"
    for path in re.findall(r"\b(?:tests|engine|tui|tools|benchmarks|docs|recipes)/[\w/.-]*\w", text):
        if not (ROOT / path).exists():
            yield path
    for place in re.findall(r"\]\(([^)#:]+)(?:#[\w-]+)?\)", text):
        if not (page.parent / place).exists():
            yield place
    for name in re.findall(r"python -m benchmarks\.(\w+)", text):
        if not (ROOT / "benchmarks" / f"{name}.py").exists():
            yield name


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_what_a_page_names_exists(page: Path) -> None:
    assert sorted(set(wrong(page)) - NO_NAMES) == []
