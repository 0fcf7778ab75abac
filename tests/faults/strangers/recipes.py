"""Recipes."""

from __future__ import annotations

from pathlib import Path

from engine.recipe import load_recipe
from tests.engine.recipe.good import SEGMENTATION
from tests.faults.strangers.made import (
    Act,
    case,
    everything,
    run_of,
)


def _toml(folder: Path, text: str) -> Act:
    (folder / "r.toml").write_text(text)
    run = run_of(folder)
    run.recipe.write_text(text)

    def act() -> object:
        everything(run)()
        return load_recipe(folder / "r.toml")

    return act


@case
def recipe_key_of_20000_parts(folder: Path) -> Act:
    return _toml(folder, "a" + ".a" * 20_000 + " = 1\n")


@case
def recipe_quoted_key_of_20000_parts(folder: Path) -> Act:
    return _toml(folder, '"a,=["' + " . 'a.a'" * 20_000 + " = 1\n")


@case
def recipe_header_of_20000_parts(folder: Path) -> Act:
    return _toml(folder, "[a" + ".a" * 20_000 + "]\n")


@case
def recipe_key_of_20000_parts_in_a_table(folder: Path) -> Act:
    return _toml(folder, "b = { c = 1, a" + ".a" * 20_000 + " = 1 }\n")


@case
def recipe_of_200000_keys(folder: Path) -> Act:
    return _toml(folder, "".join(f"a{number}=1\n" for number in range(120_000)))


@case
def recipe_of_1900_unknown_keys(folder: Path) -> Act:
    return _toml(folder, "".join(f"a{number}=1\n" for number in range(1900)))


@case
def recipe_of_200000_headers(folder: Path) -> Act:
    return _toml(folder, "".join(f" [a{number}]\n" for number in range(100_000)))


@case
def recipe_nested_in_brackets(folder: Path) -> Act:
    return _toml(folder, "a = " + "[" * 400_000)


@case
def recipe_nested_a_little(folder: Path) -> Act:
    return _toml(folder, "a = " + "[" * 300 + "]" * 300)


@case
def recipe_text_that_never_ends(folder: Path) -> Act:
    return _toml(folder, 'a = """' + '\\"""' * 200_000)


@case
def recipe_with_scalars_for_tables(folder: Path) -> Act:
    return _toml(folder, 'train = 3\nfigures = "x"\ndata = [1]\nmodel = 1979-05-27\nextends = ["a"]\n')


@case
def recipe_parent_behind_a_link(folder: Path) -> Act:
    (folder / "other").mkdir()
    (folder / "mine").mkdir()
    (folder / "other" / "base.toml").write_text(SEGMENTATION)
    (folder / "mine" / "base.toml").symlink_to("../other/base.toml")
    (folder / "mine" / "r.toml").write_text('extends = "base.toml"\n')
    return lambda: load_recipe(folder / "mine" / "r.toml")
