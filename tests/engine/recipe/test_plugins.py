"""A package outside engine/ adds to recipes: two files, entry points, and nothing changed in medtui."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.phantoms import phantom_root

PLUGIN = Path(__file__).resolve().parents[2] / "plugin_tables"
RECIPE = """\
name = "mine"
task = "segmentation"

[data]
source = "mine"
root = "left_atrium-phantom"
size = [16, 16, 16]
intensity = "none"

[model]
name = "tiny"
width = 3

[loss]
name = "tversky"
beta = 0.6

[optimizer]
name = "rmsprop"

[schedule]
name = "stairs"

[train]
epochs = 1
batch_size = 2
"""


def medtui(plugin: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(plugin), str(PLUGIN.parents[1])])
    return subprocess.run(
        [sys.executable, "-m", "tui.cli", *arguments],
        env={**os.environ, "PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_a_recipe_of_a_plug_in_makes_a_step_of_training(tmp_path):
    data = phantom_root(tmp_path / "data", "left_atrium", cases=6)
    (data / "left_atrium").rename(data / "left_atrium-phantom")
    (tmp_path / "mine.toml").write_text(RECIPE)
    done = medtui(PLUGIN, "check", str(tmp_path / "mine.toml"), "--data", str(data))
    assert done.returncode == 0, done.stderr
    assert "mine: segmentation, tiny, tversky" in done.stdout
    schema = medtui(PLUGIN, "schema").stdout
    assert "TverskyTable" in schema
    assert "Weight of what is missed" in schema


def test_its_keys_are_checked_like_any_other(tmp_path):
    recipe = tmp_path / "mine.toml"
    recipe.write_text(RECIPE.replace("beta = 0.6", "gamma = 2.0").replace('"rmsprop"', '"rmsprob"'))
    done = medtui(PLUGIN, "check", str(recipe))
    assert done.returncode == 2
    assert "loss.gamma: has no meaning with tversky; " in done.stderr
    assert 'optimizer.name: found "rmsprob"; did you mean "rmsprop"?' in done.stderr
    assert "2 problems" in done.stderr


def test_a_plug_in_that_cannot_be_loaded_is_named(tmp_path):
    shutil.copytree(PLUGIN, tmp_path / "plugin")
    (tmp_path / "plugin" / "mine" / "tables.py").write_text("import nothing_of_that_name")
    (tmp_path / "mine.toml").write_text(RECIPE)
    done = medtui(tmp_path / "plugin", "check", str(tmp_path / "mine.toml"))
    assert done.returncode == 2
    assert 'the package "mine" cannot add "mine": ModuleNotFoundError' in done.stderr
    assert "Traceback" not in done.stderr
