"""Recipes of runs of earlier and of later versions."""

import pytest

from engine.errors import RecipeError
from engine.recipe import load_recipe, load_run_recipe, parse_recipe, recipe_toml
from engine.recipe.earlier import FORMAT
from tests.engine.recipe.good import CLASSIFICATION, SEGMENTATION

FIRST = SEGMENTATION.replace('"left_atrium"', '"nnunet"') + "[evaluate]\nlargest_component = true\n"
FIRST = FIRST.replace("size = [", "spacing = [2.0, 2.0, 2.0]\nsize = [")
"""As a run of 24 November 2026 had it, which had neither ``data.duplicates`` nor what came after it."""
LATER = FIRST.replace("size = [", 'duplicates = "refuse"\nsize = [')


def _of_run(tmp_path, text):
    (tmp_path / "manifest.json").write_text("{}")
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    return path


def test_what_a_run_did_not_say_is_as_it_was_then(tmp_path):
    path = _of_run(tmp_path, FIRST)
    for recipe in (load_run_recipe(path), load_recipe(path), parse_recipe(FIRST, stored=True)):
        assert recipe.evaluate.connectivity == 6
        assert recipe.data.smooth is False
    assert parse_recipe(FIRST).evaluate.connectivity == 26  # a recipe of one's own
    assert parse_recipe(FIRST).data.smooth is True
    later = parse_recipe(LATER, stored=True)
    assert (later.evaluate.connectivity, later.data.smooth) == (26, True)


def test_what_is_set_wins_and_makes_no_other_format(tmp_path):
    recipe = load_run_recipe(_of_run(tmp_path, FIRST), ['data.duplicates="drop"', "evaluate.connectivity=26"])
    assert (recipe.evaluate.connectivity, recipe.data.smooth) == (26, False)
    off = LATER.replace("largest_component = true", "largest_component = false")
    recipe = load_run_recipe(_of_run(tmp_path, off), ["evaluate.largest_component=true"])
    assert recipe.evaluate.connectivity == 26  # the run did not need the key, and knew it


def test_keys_of_other_tasks_and_sources_are_not_given():
    assert parse_recipe(SEGMENTATION, stored=True) == parse_recipe(SEGMENTATION)
    assert parse_recipe(CLASSIFICATION, stored=True) == parse_recipe(CLASSIFICATION)


def test_a_key_that_did_nothing_then_does_nothing_now(tmp_path):
    """Every recipe had ``model.norm``, and a ResNet its batch norm; today a ResNet has the key."""
    text = CLASSIFICATION.replace("pretrained = true", 'norm = "instance"')
    path = _of_run(tmp_path, text)
    assert load_run_recipe(path).model.norm == "batch"
    assert load_run_recipe(path, ['model.norm="group"']).model.norm == "group"
    later = text.replace("size = [", 'duplicates = "refuse"\nsize = [')
    assert parse_recipe(later, stored=True).model.norm == "instance"
    unet = SEGMENTATION.replace('"unet3d"', '"resunet"\nnorm = "batch"')
    assert parse_recipe(unet, stored=True).model.norm == "batch"


def test_a_recipe_that_is_written_says_all_and_its_format(tmp_path):
    before = load_run_recipe(_of_run(tmp_path, FIRST))
    text = recipe_toml(before)
    assert f"format = {FORMAT}" in text.splitlines()
    assert parse_recipe(text) == before  # also where it is copied to: no manifest beside it
    assert parse_recipe(FIRST.replace("[data]", "format = 1\n[data]", 1)) == parse_recipe(FIRST)


def test_a_text_of_a_run_is_read_as_its_file(tmp_path):
    """last.pt holds the recipe as text: keys that do nothing are left out of it too."""
    text = SEGMENTATION.replace("[loss]", "[loss]\ngamma = 2.0\nbatch_dice = false")
    assert parse_recipe(text, stored=True) == load_run_recipe(_of_run(tmp_path, text))


def test_a_newer_recipe_is_refused_in_words_and_not_by_its_keys(tmp_path):
    text = SEGMENTATION.replace("[data]", f"format = {FORMAT + 1}\n[data]\nmagic = 3", 1)
    for read in (load_run_recipe, load_recipe):
        with pytest.raises(RecipeError) as caught:
            read(_of_run(tmp_path, text))
        (problem,) = caught.value.problems
        assert "newer version of medtui" in caught.value.message
        assert (problem.key, problem.what) == ("format", f"found {FORMAT + 1}")
        assert problem.where.endswith("recipe.toml:4")
        assert "update medtui" in caught.value.hint
    with pytest.raises(RecipeError, match="newer version"):
        parse_recipe(text, stored=True)


@pytest.mark.parametrize("wrong", ["0", "-1", '"2"', "true", "1.0"])
def test_what_is_no_format_is_said(wrong):
    with pytest.raises(RecipeError, match=r":4: format: found"):
        parse_recipe(SEGMENTATION.replace("[data]", f"format = {wrong}\n[data]", 1), stored=True)
