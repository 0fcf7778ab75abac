"""What a stranger's recipe may not do: leave its root, run code, or take the machine with it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.__main__ import main
from engine.errors import RecipeError
from engine.recipe import load_recipe, recipe_toml
from engine.requests import Check, encode
from tests.engine.runs import SEGMENTATION

PATHS = [
    "/etc/passwd",
    "//server/share",
    "../elsewhere",
    "a/../../elsewhere",
    "a/..",
    "..",
    "./..//..",
    "~",
    "~/data",
    "~root/data",
    "C:/Windows",
    "C:\\\\Windows",
    "..\\\\elsewhere",
    "a\\\\..\\\\..\\\\b",
    "\\\\\\\\server\\\\share",
    "a\\u0000b",
]

REFUSED = [
    ("extends", '"/etc/passwd"'),
    ("extends", '"../other.toml"'),
    ("extends", '"a/../../other.toml"'),
    ("extends", "3"),
    ("extends", '""'),
    ("name", '"../up"'),
    ("name", '"/abs"'),
    ("name", '"a/b"'),
    ("name", '"..."'),
    ("name", '"a\\u001b[2J"'),
    ("name", '"a\\nb"'),
    ("name", '"$HOME"'),
    ("name", '"${HOME}"'),
    ("name", '"$(touch x)"'),
    ("name", '"`touch x`"'),
    ("name", '"{{7*7}}"'),
    ("name", '"' + "a" * 65 + '"'),
    ("seed", "-1"),
    ("seed", "99999999999999999999999999"),
    ("seed", "1979-05-27"),
    ("seed", "\"__import__('os').system('true')\""),
    ("__class__", '"x"'),
    ("__import__", '"os"'),
    ("train.epochs", "1000000000"),
    ("train.batch_size", "1000000000"),
    ("train.epochs", "inf"),
    ("optimizer.lr", "nan"),
    ("optimizer.lr", "inf"),
    ("optimizer.lr", '"$@lambda: 1"'),
    ("data.size", "[100000, 100000, 100000]"),
    ("data.size", "[[[[16]]]]"),
    ("runtime.workers", "100000"),
    ("runtime.device", '"cuda; rm -rf /"'),
    ("model.name", '"os.system"'),
    ("model._target_", '"torch.hub.load"'),
    ("loss.name", '"$torch.nn.MSELoss"'),
    ("figures.dpi", "100000"),
    ("evaluate.bootstrap", "1000000000"),
]


def loaded(folder: Path, key: str, value: str) -> object:
    path = folder / "recipe.toml"
    table, _, name = key.rpartition(".")
    text = SEGMENTATION
    if table:
        lines = [line for line in text.splitlines() if not line.startswith(f"{name} =") or f"[{table}]" not in text]
        text = "\n".join(lines).replace(f"[{table}]", f"[{table}]\n{name} = {value}", 1)
    else:
        text = "\n".join(line for line in text.splitlines() if not line.startswith(f"{name} ="))
        text = f"{name} = {value}\n{text}"
    path.write_text(text, encoding="utf-8")
    return load_recipe(path)


@pytest.mark.parametrize("key", ["data.root", "data.images", "data.labels", "data.table", "model.weights"])
@pytest.mark.parametrize("path", PATHS)
def test_paths_stay_below_the_data_root(tmp_path, key, path):
    (tmp_path / "other.toml").write_text("")
    with pytest.raises(RecipeError) as caught:
        loaded(tmp_path, key, f'"{path}"')
    assert any(problem.key == key for problem in caught.value.problems) or "TOML" in caught.value.message


@pytest.mark.parametrize(("key", "value"), REFUSED)
def test_tricks_are_refused_with_the_key(tmp_path, monkeypatch, key, value):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(RecipeError) as caught:
        loaded(tmp_path, key, value)
    assert key.rpartition(".")[2] in str(caught.value)
    assert [path for path in sorted(tmp_path.iterdir()) if path not in before] == [tmp_path / "recipe.toml"]


@pytest.mark.parametrize("text", ["${HOME}", "$(touch x)", "@lambda: 1", "{{7*7}}", "<script>x</script>", "[red]x[/]"])
def test_text_stays_text(tmp_path, text):
    recipe = loaded(tmp_path, "description", f"'{text}'")
    assert f'description = "{text}"' in recipe_toml(recipe)


def test_a_huge_or_endless_file_is_not_read(tmp_path):
    path = tmp_path / "big.toml"
    path.write_bytes(b"#" * 2_000_000)
    with pytest.raises(RecipeError, match="not a recipe"):
        load_recipe(path)
    os.mkfifo(tmp_path / "pipe.toml")
    with pytest.raises(RecipeError):
        load_recipe(tmp_path / "pipe.toml")


def test_names_that_are_too_long_for_a_file_system_are_one_message(tmp_path, capsys):
    recipe, long = tmp_path / "r.toml", "a" * 300
    for parent in (f"{long}.toml", f"{long}/b.toml"):
        recipe.write_text(f'extends = "{parent}"\n')
        assert main(["check", encode(Check(recipe=recipe))]) == 2
        assert "there is no such file" in capsys.readouterr().err
    shipped = Path(__file__).parents[2] / "recipes" / "quickstart.toml"
    for request in (
        Check(recipe=shipped, data=Path(long)),
        Check(recipe=shipped, overrides=(f"data.root={long}",)),
        Check(recipe=shipped, overrides=(f"model.weights={long}",)),
    ):
        assert main(["check", encode(request)]) == 2
        assert "unexpected" not in capsys.readouterr().err
