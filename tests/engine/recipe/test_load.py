"""Reading, merging and overriding recipes."""

from __future__ import annotations

import pytest

from engine.errors import Problem, RecipeError
from engine.recipe import Recipe, load_recipe, parse_recipe, placed
from engine.toml import flat
from tests.engine.recipe.good import CLASSIFICATION, SEGMENTATION


def write(folder, **files):
    for name, text in files.items():
        (folder / f"{name}.toml").parent.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.toml").write_text(text)
    return folder / f"{next(iter(files))}.toml"


def test_a_good_recipe_has_its_values_and_the_defaults():
    recipe = parse_recipe(SEGMENTATION)
    assert (recipe.name, recipe.task, recipe.seed) == ("atrium", "segmentation", 0)
    assert recipe.data.size == (112, 112, 80)
    assert recipe.optimizer.name == "adam"
    assert recipe.monitor == "dice"
    assert recipe.monitor_up
    assert parse_recipe(CLASSIFICATION).monitor == "balanced_accuracy"


def test_a_whole_number_is_a_fine_fraction_and_nothing_else_is_converted():
    assert parse_recipe(SEGMENTATION + "clip_norm = 1\n").train.clip_norm == 1.0
    with pytest.raises(RecipeError, match=r"train\.batch_size"):
        parse_recipe(SEGMENTATION.replace("batch_size = 2", "batch_size = 2.0"))


def test_a_recipe_cannot_be_changed():
    recipe = parse_recipe(SEGMENTATION)
    with pytest.raises(ValueError, match="frozen"):
        recipe.train.epochs = 5


def test_extends_inherits_and_the_nearest_wins(tmp_path):
    child = write(
        tmp_path,
        child='extends = "base/middle.toml"\nname = "child"\n[train]\nepochs = 9\n',
        **{
            "base/middle": 'extends = "root.toml"\nseed = 5\n[train]\nepochs = 8\nbatch_size = 8\n',
            "base/root": SEGMENTATION,
        },
    )
    recipe = load_recipe(child)
    assert (recipe.name, recipe.seed) == ("child", 5)
    assert (recipe.train.epochs, recipe.train.batch_size) == (9, 8)
    assert recipe.data.size == (112, 112, 80)


def test_set_wins_over_all_files(tmp_path):
    child = write(tmp_path, child='extends = "base.toml"\n[train]\nepochs = 9\n', base=SEGMENTATION)
    recipe = load_recipe(child, ["train.epochs=4", "seed=11", "optimizer.lr = 5e-4", "name=quick", "train.epochs=6"])
    assert (recipe.train.epochs, recipe.seed, recipe.optimizer.lr, recipe.name) == (6, 11, 5e-4, "quick")


def test_values_of_set_are_toml_and_texts_need_no_quotes(tmp_path):
    path = write(tmp_path, base=SEGMENTATION)
    recipe = load_recipe(
        path, ["data.size=[64, 64, 32]", "loss.name=bce", 'data.classes=["atrium"]', "augment.flip=[0]", 'name="a-1"']
    )
    assert recipe.data.size == (64, 64, 32)
    assert recipe.loss.name == "bce"
    assert recipe.data.classes == ("atrium",)
    assert recipe.augment.flip == (0,)
    assert recipe.name == "a-1"


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("train.epochs", ["not of the form table.key=value"]),
        ("=3", ["not of the form"]),
        ("a.b.c=3", ["not of the form"]),
        ("train.=3", ["not of the form"]),
        ("train.epoch=3", ["train.epoch", 'did you mean "epochs"?']),
        ("trian.epochs=3", ["trian", 'did you mean "train"?']),
        ("train.epochs=many", ["train.epochs", 'found "many"', "whole number"]),
        ("train.epochs=", ["train.epochs", 'found ""']),
        ("train=3", ["train: found 3", "a table [train]"]),
        ("name.x=3", ['"name" is not a table']),
        ("extends=other.toml", ["extends is for files"]),
        ("data.root=/etc", ["data.root", "--allow-outside"]),
        ('data.root="\\u0000"', ["data.root", "\\x00"]),
        ("description=\udcff\udcfe", []),
        ('train.epochs=1\nseed = "x"', ["train.epochs", "found"]),
    ],
)
def test_a_bad_set_names_itself(override, words, tmp_path):
    path = write(tmp_path, base=SEGMENTATION)
    if not words:
        load_recipe(path, [override])
        return
    with pytest.raises(RecipeError) as caught:
        load_recipe(path, [override])
    assert caught.value.exit_code == 2
    for word in [f"--set {override.split(chr(10))[0]}", *words]:
        assert word in str(caught.value)


def test_all_bad_sets_are_told_at_once(tmp_path):
    with pytest.raises(RecipeError) as caught:
        load_recipe(write(tmp_path, base=SEGMENTATION), ["a", "b.c.d=1"])
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize("parent", ["../base.toml", "/etc/passwd", "a/../../base.toml", ""])
def test_extends_cannot_leave_its_folder(parent, tmp_path):
    write(tmp_path, base=SEGMENTATION)
    child = write(tmp_path / "below", child=f'name = "x"\nextends = "{parent}"\n')
    with pytest.raises(RecipeError, match=r"child\.toml:2: extends: found"):
        load_recipe(child)


def test_extends_names_the_file_that_is_missing_and_who_wants_it(tmp_path):
    child = write(tmp_path, child='extends = "bsae.toml"\n', base=SEGMENTATION)
    with pytest.raises(RecipeError) as caught:
        load_recipe(child)
    assert "child.toml:1: extends" in str(caught.value)
    assert "did you mean" in str(caught.value)
    assert "base.toml" in str(caught.value)


def test_extends_in_a_circle_is_told(tmp_path):
    first = write(tmp_path, a='extends = "b.toml"\n', b='extends = "c.toml"\n', c='extends = "a.toml"\n')
    with pytest.raises(RecipeError) as caught:
        load_recipe(first)
    assert "circle" in str(caught.value)
    assert caught.value.hint.count("->") == 3


def test_extends_too_deep_is_told(tmp_path):
    for level in range(20):
        write(tmp_path, **{f"r{level}": f'extends = "r{level + 1}.toml"\n'})
    with pytest.raises(RecipeError, match="too deep"):
        load_recipe(tmp_path / "r0.toml")


def test_extends_must_be_a_text(tmp_path):
    with pytest.raises(RecipeError, match="the file name of another recipe"):
        load_recipe(write(tmp_path, a="extends = [1, 2]\n"))


def test_a_problem_names_the_file_that_it_stands_in(tmp_path):
    child = write(
        tmp_path, child='extends = "base.toml"\n[optimizer]\nlr = "x"\n', base=SEGMENTATION.replace("= 3", "= 0")
    )
    with pytest.raises(RecipeError) as caught:
        load_recipe(child)
    said = str(caught.value)
    assert f"{tmp_path}/child.toml:3: optimizer.lr" in said
    assert f"{tmp_path}/base.toml:16: train.epochs" in said


def test_outside_lets_paths_leave(tmp_path):
    path = write(tmp_path, base=SEGMENTATION.replace('root = "left_atrium"', f'root = "{tmp_path}"'))
    assert load_recipe(path, outside=True).data.root == str(tmp_path)


def test_a_recipe_given_as_text_extends_nothing():
    with pytest.raises(RecipeError, match="no meaning"):
        parse_recipe('extends = "x.toml"\n' + SEGMENTATION)


def test_a_byte_order_mark_and_windows_line_ends_are_fine(tmp_path):
    path = tmp_path / "windows.toml"
    path.write_bytes(b"\xef\xbb\xbf" + SEGMENTATION.replace("\n", "\r\n").encode())
    assert isinstance(load_recipe(path), Recipe)


def test_flat() -> None:
    assert flat({"a": 1, "b": {"c": {"d": [1]}, "e": True}}) == {"a": 1, "b.c.d": [1], "b.e": True}


def test_what_only_the_data_finds_has_its_line_too(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(SEGMENTATION)
    with pytest.raises(RecipeError) as caught, placed(path, ["loss.name=dice_ce"]):
        raise RecipeError(
            "the recipe cannot be used:",
            problems=tuple(Problem(where, "found x", "y", key) for where, key in (
                ("recipe", "data.size"), ("recipe", "loss.name"), ("recipe", "augment.flip"), ("a.png", ""),
            )),
        )  # fmt: skip
    line = 1 + [row.partition(" ")[0] for row in SEGMENTATION.split("\n")].index("size")
    wheres = [problem.where for problem in caught.value.problems]
    assert wheres == [f"{path}:{line}", "--set loss.name=dice_ce", str(path), "a.png"]
