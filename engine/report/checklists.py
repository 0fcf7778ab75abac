"""Filled checklists as the report's appendix: which section answers each item, and what is left to the author."""

import tomllib
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import resources
from typing import Any

from engine.report.blocks import Block, Facts, Section, Table, Text
from engine.report.statement import BLANK


def appendix(blocks: Sequence[Block], task: str) -> Section:
    """TRIPOD+AI, CLAIM 2024 and Metrics Reloaded, item by item.

    Args:
        blocks: of the report. An item is answered by a section that is there.
        task: items of ``checklists.toml`` may be for one task only.
    """
    there = set(_titles(blocks))
    parts: list[Block] = [
        Text("Each item in our words, with the section that answers it; what no program can know is for the author.")
    ]
    for checklist in _checklists():
        rows = [_row(item, there, task) for item in checklist["items"] if item.get("task", task) == task]
        answered = sum(row[2] != BLANK for row in rows)
        caption = f"{answered} of {len(rows)} items are answered here, wholly or in part. {checklist['source']}"
        table = Table(["Item", "What is asked", "Where"], rows, caption, left=frozenset({1, 2}), small=True, wrap=True)
        parts.append(Section(checklist["title"], [table]))
    return Section("Checklists", parts, new_page=True)


def _row(item: dict[str, Any], there: set[str], task: str) -> list[str]:
    """Item, words and sections; sections that this report lacks do not answer it."""
    if instead := item.get("instead", {}).get(task):
        return [str(item["item"]), item["asks"], instead]
    found = [name for name in item.get("where", ()) if name in there or any(t.startswith(f"{name}:") for t in there)]
    rest = item.get("rest", "")
    where = ", ".join(found) + (f"; {rest}: {BLANK}" if found and rest else "")
    return [str(item["item"]), item["asks"], where or item.get("otherwise", BLANK)]


def _titles(blocks: Sequence[Block]) -> Iterator[str]:
    for block in blocks:
        if isinstance(block, Section):
            yield block.title
            yield from _titles(block.blocks)
        elif isinstance(block, Facts):
            yield from (name for name, text in block.rows if BLANK not in text)


@cache
def _checklists() -> list[dict[str, Any]]:
    text = resources.files("engine.report").joinpath("checklists.toml").read_text(encoding="utf-8")
    found: list[dict[str, Any]] = tomllib.loads(text)["checklists"]
    return found
