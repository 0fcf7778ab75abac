"""docs/data.md: every source has a section, and every recipe in it is one."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from engine.recipe import load_recipe
from engine.recipe.model import FAMILIES

TEXT = (Path(__file__).parents[3] / "docs" / "data.md").read_text(encoding="utf-8")
REST = """
[model]
name = "{model}"
[loss]
name = "cross_entropy"
[train]
epochs = 1
batch_size = 2
"""


def test_every_source_has_a_section() -> None:
    headings = " ".join(re.findall(r"^### (.*)$", TEXT, re.MULTILINE))
    own = {name for name, table in FAMILIES["data"].members.items() if table.__module__.startswith("engine.")}
    assert own <= set(re.findall(r"\w+", headings))


@pytest.mark.parametrize("block", re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL))
def test_every_recipe_is_one(block: str, tmp_path: Path) -> None:
    if "[model]" not in block:
        classes = tomllib.loads(block)["data"]["source"] == "image_folder"
        task, model = ("classification", "resnet18") if classes else ("segmentation", "resunet")
        block = f'name = "x"\ntask = "{task}"\n{block}{REST.format(model=model)}'
    path = tmp_path / "recipe.toml"
    path.write_text(block, encoding="utf-8")
    assert load_recipe(path).data.root
